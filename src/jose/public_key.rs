//! The public half of a key: read from a JWK, written as one, and able to check a signature.
//!
//! Never holds a secret, and never follows a URL or certificate that a JWK names.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    self as aws, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};

/// A public key of a kind that is known here, of acceptable strength, on its curve.
#[derive(Clone)]
pub(super) struct PublicKey {
    family: Family,
    material: Material,
    /// The same, as the verifier wants it.
    decoding: DecodingKey,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// `04 || x || y`.
    Point(Vec<u8>),
    /// Ed25519's 32 bytes.
    Octets(Vec<u8>),
    /// Big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PublicKey {
    /// An uncompressed point on the family's curve. `None` when it does not lie there.
    pub(super) fn point(family: Family, point: Vec<u8>) -> Option<Self> {
        let algorithm = match family {
            Family::P256 => &ECDSA_P256_SHA256_FIXED,
            Family::P384 => &ECDSA_P384_SHA384_FIXED,
            Family::Ed25519 | Family::Rsa | Family::Shared => return None,
        };
        UnparsedPublicKey::new(algorithm, point.as_slice()).parse().ok()?;
        let decoding = DecodingKey::from_ec_der(&point);
        Some(Self { family, material: Material::Point(point), decoding })
    }

    /// An Ed25519 public key. `None` when it is none.
    pub(super) fn ed25519(octets: Vec<u8>) -> Option<Self> {
        UnparsedPublicKey::new(&ED25519, octets.as_slice()).parse().ok()?;
        let decoding = DecodingKey::from_ed_der(&octets);
        Some(Self { family: Family::Ed25519, material: Material::Octets(octets), decoding })
    }

    /// An RSA key of 2048 to 8192 bits with an odd exponent of 33 bits at most. `None` for any other.
    ///
    /// The bounds are looked at before the crypto library is: a key of 16384 bits costs nothing.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let (n, e) = (strip_zeros(n), strip_zeros(e));
        let odd_and_above_one = e.last().is_some_and(|last| last & 1 == 1) && e != [1];
        if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits(n)) || bits(e) > RSA_EXPONENT_BITS || !odd_and_above_one {
            return None;
        }
        RsaPublicKeyComponents { n, e }.to_parsed_public_key(&aws::RSA_PKCS1_2048_8192_SHA256).ok()?;
        let decoding = DecodingKey::from_rsa_raw_components(n, e);
        Some(Self { family: Family::Rsa, material: Material::Rsa { n: n.to_vec(), e: e.to_vec() }, decoding })
    }

    /// Reads the members of a JWK that make the key (RFC 7518 section 6, RFC 8037). `None` for a kind not known here.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let octets = |name: &str| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
        let coordinate = |name: &str, length: usize| octets(name).filter(|value| value.len() == length);
        let curve = |family: Family, length: usize| {
            let (x, y) = (coordinate("x", length)?, coordinate("y", length)?);
            Self::point(family, [&[4], x.as_slice(), y.as_slice()].concat())
        };
        match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => curve(Family::P256, 32),
            ("EC", Some("P-384")) => curve(Family::P384, 48),
            ("OKP", Some("Ed25519")) => Self::ed25519(coordinate("x", 32)?),
            ("RSA", _) => Self::rsa(&octets("n")?, &octets("e")?),
            _ => None,
        }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// The members that RFC 7638 takes the thumbprint of, in its order: public ones only.
    fn members(&self) -> Vec<(&'static str, String)> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.material {
            Material::Point(point) => {
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                let curve = if self.family == Family::P256 { "P-256" } else { "P-384" };
                vec![("crv", curve.to_owned()), ("kty", "EC".to_owned()), ("x", encode(x)), ("y", encode(y))]
            }
            Material::Octets(x) => {
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", encode(x))]
            }
            Material::Rsa { n, e } => vec![("e", encode(e)), ("kty", "RSA".to_owned()), ("n", encode(n))],
        }
    }

    /// The members of its JWK, without `kid`, `alg` and `use`.
    pub(super) fn to_jwk(&self) -> Map<String, Value> {
        self.members().into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
    }

    /// The JWK thumbprint (RFC 7638) with SHA-256, base64url.
    pub(super) fn thumbprint(&self) -> String {
        // No value needs escaping: all are base64url or names of curves.
        let members: Vec<String> =
            self.members().into_iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let canonical = format!("{{{}}}", members.join(","));
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
    }

    /// Whether `signature` is this key's over `message`. False for an algorithm of another kind of key.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &Vec<u8>) -> bool {
        // A public key must never serve as an HMAC key (RFC 8725 section 2.1), whatever the verifier would make of it.
        let Some(name) = asymmetric(algorithm).filter(|_| algorithm.family() == self.family) else { return false };
        (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&name, &self.decoding)
            .is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }
}

/// The verifier's name of an algorithm that has a public key.
fn asymmetric(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    use jsonwebtoken::Algorithm as Theirs;
    Some(match algorithm {
        Algorithm::Es256 => Theirs::ES256,
        Algorithm::Es384 => Theirs::ES384,
        Algorithm::EdDsa => Theirs::EdDSA,
        Algorithm::Rs256 => Theirs::RS256,
        Algorithm::Rs384 => Theirs::RS384,
        Algorithm::Rs512 => Theirs::RS512,
        Algorithm::Ps256 => Theirs::PS256,
        Algorithm::Ps384 => Theirs::PS384,
        Algorithm::Ps512 => Theirs::PS512,
        Algorithm::Hs256 => return None,
    })
}

fn strip_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Length in bits of a number without leading zeros.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// RFC 7518 section 3.3.
pub(super) const RSA_MIN_BITS: usize = 2048;
/// Beyond it a verification is a denial of service.
pub(super) const RSA_MAX_BITS: usize = 8192;
const RSA_EXPONENT_BITS: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638 section 3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        let jwk = serde_json::json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                  tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91C\
                  bOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"
        });
        let key = PublicKey::from_jwk(jwk.as_object().unwrap()).unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    /// TOK-11, DOS-08: the size of an RSA key is bounded at both ends, and so is its exponent.
    #[test]
    fn rsa_bounds() {
        let modulus = |bits: usize| {
            let mut n = vec![0xff; bits.div_ceil(8)];
            n[0] = if bits.is_multiple_of(8) { 0x80 } else { (1 << (bits % 8)) - 1 };
            n
        };
        for (size, good) in
            [(1024, false), (2040, false), (2047, false), (2048, true), (8192, true), (8200, false), (16384, false)]
        {
            assert_eq!(PublicKey::rsa(&modulus(size), &[1, 0, 1]).is_some(), good, "{size}");
        }
        for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[0xff; 8], &[3, 0xff, 0xff, 0xff, 0xff]] {
            assert!(PublicKey::rsa(&modulus(2048), e).is_none(), "{e:?}");
        }
        assert!(PublicKey::rsa(&[&[0, 0], modulus(2048).as_slice()].concat(), &[0, 3]).is_some());
    }
}

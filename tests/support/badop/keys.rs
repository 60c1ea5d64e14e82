//! The provider's keys, and every wrong way to sign.
//!
//! Must never use the product's code, nor a JWT library: what libraries refuse to make is needed here.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::weak_rsa;
use crate::support::codec::b64url;

/// How a token is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// RS256 with the published RSA key.
    Rs256,
    /// PS256 with the same.
    Ps256,
    /// ES256 with the published P-256 key.
    Es256,
    /// ES384 with the published P-384 key.
    Es384,
    /// EdDSA with the published Ed25519 key.
    EdDsa,
    /// HS256 with this secret: a client's, or the text of a public key.
    Hs256(Vec<u8>),
    /// No signature; the algorithm spelt like this (`none`, `None`, `NONE`).
    None(&'static str),
    /// RS256 with a published key of 1024 bits.
    Rsa1024,
    /// RS256 with a key that is not published, under a `kid` that is not.
    Unknown,
    /// RS256 with a key that is not published, under the `kid` of the published one.
    Forged,
    /// That key, then one bit of the signature is turned over.
    Flipped(Box<Key>),
}

/// One generation of keys.
pub(super) struct KeySet {
    generation: usize,
    rsa: Arc<RsaKeyPair>,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl KeySet {
    pub(super) fn new(generation: usize) -> Self {
        Self {
            generation,
            rsa: rsa(generation),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(super) fn generation(&self) -> usize {
        self.generation
    }

    /// The public keys as JWKs (RFC 7517).
    pub(super) fn jwks(&self) -> Vec<Value> {
        let n = self.generation;
        let ec = |kid: &str, alg: &str, crv: &str, key: &EcdsaKeyPair| {
            let point = &key.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({"kty": "EC", "use": "sig", "alg": alg, "crv": crv, "kid": kid, "x": b64url(x), "y": b64url(y)})
        };
        let rsa = self.rsa.public_key();
        vec![
            // No `alg`: the same key serves RS256 and PS256.
            json!({"kty": "RSA", "use": "sig", "kid": format!("rsa-{n}"),
                "n": b64url(rsa.modulus().big_endian_without_leading_zero()),
                "e": b64url(rsa.exponent().big_endian_without_leading_zero())}),
            ec(&format!("p256-{n}"), "ES256", "P-256", &self.p256),
            ec(&format!("p384-{n}"), "ES384", "P-384", &self.p384),
            json!({"kty": "OKP", "use": "sig", "alg": "EdDSA", "crv": "Ed25519", "kid": format!("ed-{n}"),
                "x": b64url(self.ed25519.public_key().as_ref())}),
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("weak-{n}"),
                "n": b64url(&weak_rsa::modulus()), "e": "AQAB"}),
        ]
    }

    /// The `alg` and `kid` that belong to `key`.
    pub(super) fn header(&self, key: &Key) -> Value {
        let n = self.generation;
        match key {
            Key::Rs256 | Key::Forged => json!({"alg": "RS256", "kid": format!("rsa-{n}")}),
            Key::Ps256 => json!({"alg": "PS256", "kid": format!("rsa-{n}")}),
            Key::Es256 => json!({"alg": "ES256", "kid": format!("p256-{n}")}),
            Key::Es384 => json!({"alg": "ES384", "kid": format!("p384-{n}")}),
            Key::EdDsa => json!({"alg": "EdDSA", "kid": format!("ed-{n}")}),
            Key::Hs256(_) => json!({"alg": "HS256", "kid": format!("rsa-{n}")}),
            Key::None(alg) => json!({"alg": alg}),
            Key::Rsa1024 => json!({"alg": "RS256", "kid": format!("weak-{n}")}),
            Key::Unknown => json!({"alg": "RS256", "kid": crate::support::codec::random_name("unknown-")}),
            Key::Flipped(key) => self.header(key),
        }
    }

    /// The signature, empty for none.
    pub(super) fn sign(&self, key: &Key, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let with_rsa = |pair: &RsaKeyPair, padding: &'static dyn aws_lc_rs::signature::RsaEncoding| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match key {
            Key::Rs256 => with_rsa(&self.rsa, &RSA_PKCS1_SHA256),
            Key::Ps256 => with_rsa(&self.rsa, &RSA_PSS_SHA256),
            Key::Es256 => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Es384 => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::EdDsa => self.ed25519.sign(message).as_ref().to_vec(),
            Key::Hs256(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec(),
            Key::None(_) => Vec::new(),
            Key::Rsa1024 => weak_rsa::sign(message),
            Key::Unknown | Key::Forged => with_rsa(&strange_rsa(), &RSA_PKCS1_SHA256),
            Key::Flipped(key) => {
                let mut signature = self.sign(key, message);
                let middle = signature.len() / 2;
                signature[middle] ^= 1;
                signature
            }
        }
    }

    /// The public RSA key in PEM, for tokens that use it as an HMAC secret.
    pub(super) fn rsa_pem(&self) -> String {
        let der = self.rsa.public_key();
        let spki = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(der).unwrap();
        let text = crate::support::codec::b64(spki.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

/// Two RSA keys for all providers of the process, taken in turns: making one takes long.
fn rsa(generation: usize) -> Arc<RsaKeyPair> {
    static KEYS: [OnceLock<Arc<RsaKeyPair>>; 2] = [OnceLock::new(), OnceLock::new()];
    made(&KEYS[generation % KEYS.len()])
}

/// A key that nobody publishes.
fn strange_rsa() -> Arc<RsaKeyPair> {
    static KEY: OnceLock<Arc<RsaKeyPair>> = OnceLock::new();
    made(&KEY)
}

fn made(place: &OnceLock<Arc<RsaKeyPair>>) -> Arc<RsaKeyPair> {
    Arc::clone(place.get_or_init(|| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())))
}

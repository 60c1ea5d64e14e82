//! One private key in a file, as whoever made it wrote it: a JWK (RFC 7517, RFC 7518 section 6, RFC 8037) or PEM.
//!
//! Never uses a key for what its JWK does not allow, nor says a byte of it in an error.

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::algorithm::{Algorithm, Family};
use super::key::{KeyError, SigningKey};
use super::public_key::{RSA_MAX_BITS, RSA_MIN_BITS};
use super::signer::Signer;
use super::strict;

impl SigningKey {
    /// The private key in `file`, a JWK or PEM, once for each algorithm that it may sign with: the best first, the most widespread last.
    /// A JWK's `alg` leaves that one alone, and its `kid` is the key's name; without one it is the thumbprint.
    ///
    /// # Errors
    /// Says what the file holds instead. A JWK that is not for signatures is refused, and so is a set of them.
    pub fn of_every_algorithm(file: &[u8]) -> Result<Vec<Self>, KeyError> {
        if file.trim_ascii_start().first() != Some(&b'{') {
            return from_pem(file);
        }
        let mut jwk = strict::object(file).map_err(|_| KeyError::NotAJwk)?;
        let keys = from_jwk(&jwk);
        for member in jwk.values_mut() {
            if let Value::String(text) = member {
                text.zeroize();
            }
        }
        keys
    }
}

fn from_pem(pem: &[u8]) -> Result<Vec<SigningKey>, KeyError> {
    for algorithms in BY_KIND {
        match algorithms.iter().map(|algorithm| SigningKey::from_pem(*algorithm, pem)).collect() {
            Err(KeyError::WrongKind { .. }) => {}
            result => return result,
        }
    }
    Err(KeyError::Unreadable)
}

fn from_jwk(jwk: &Map<String, Value>) -> Result<Vec<SigningKey>, KeyError> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let family = match (text("kty"), text("crv")) {
        (Some("EC"), Some("P-256")) => Family::P256,
        (Some("EC"), Some("P-384")) => Family::P384,
        (Some("OKP"), Some("Ed25519")) => Family::Ed25519,
        (Some("RSA"), _) => Family::Rsa,
        _ => return Err(KeyError::NotAJwk),
    };
    if !jwk.contains_key("d") {
        return Err(KeyError::Public);
    }
    let signs = |operations: &Value| {
        operations.as_array().is_some_and(|all| all.iter().any(|operation| operation.as_str() == Some("sign")))
    };
    if jwk.get("use").is_some_and(|purpose| purpose.as_str() != Some("sig"))
        || jwk.get("key_ops").is_some_and(|operations| !signs(operations))
    {
        return Err(KeyError::NotForSigning);
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) if !kid.is_empty() => Some(kid.clone()),
        Some(_) => return Err(KeyError::NotAJwk),
    };
    let fits = |algorithm: &Algorithm| algorithm.family() == family;
    let algorithms: Vec<Algorithm> = match jwk.get("alg") {
        None => BY_KIND.into_iter().flatten().copied().filter(fits).collect(),
        Some(name) => {
            let named = name.as_str().and_then(|name| name.parse().ok()).filter(fits);
            vec![named.ok_or(KeyError::NotForSigning)?]
        }
    };
    algorithms.into_iter().map(|algorithm| SigningKey::tested(algorithm, signer(family, jwk)?, kid.clone())).collect()
}

/// Builds the key from its members. That its halves belong together is looked at by the crypto library.
fn signer(family: Family, jwk: &Map<String, Value>) -> Result<Signer, KeyError> {
    let octets = |name: &str| {
        let text = jwk.get(name).and_then(Value::as_str);
        text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).map(Zeroizing::new).ok_or(KeyError::Unreadable)
    };
    // RFC 7518 section 6.2: as long as the curve says, leading zeros and all.
    let sized =
        |name: &str, length: usize| octets(name).ok().filter(|it| it.len() == length).ok_or(KeyError::Unreadable);
    let ec = |curve, length| {
        let (d, x, y) = (sized("d", length)?, sized("x", length)?, sized("y", length)?);
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        EcdsaKeyPair::from_private_key_and_public_key(curve, &d, &point).map_err(|_| KeyError::Unreadable)
    };
    Ok(match family {
        Family::P256 => Signer::Ec(family, ec(&ECDSA_P256_SHA256_FIXED_SIGNING, 32)?),
        Family::P384 => Signer::Ec(family, ec(&ECDSA_P384_SHA384_FIXED_SIGNING, 48)?),
        Family::Ed25519 => {
            let (d, x) = (sized("d", 32)?, sized("x", 32)?);
            Signer::Ed25519(Ed25519KeyPair::from_seed_and_public_key(&d, &x).map_err(|_| KeyError::Unreadable)?)
        }
        Family::Rsa => Signer::Rsa(rsa(octets)?),
        Family::Shared => return Err(KeyError::NotAJwk),
    })
}

fn rsa(octets: impl Fn(&str) -> Result<Zeroizing<Vec<u8>>, KeyError>) -> Result<RsaKeyPair, KeyError> {
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: octets("n")?, e: octets("e")? },
        d: octets("d")?,
        p: octets("p")?,
        q: octets("q")?,
        dP: octets("dp")?,
        dQ: octets("dq")?,
        qInv: octets("qi")?,
    };
    let bits = components.public_key.n.len() * 8;
    if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
        return Err(KeyError::RsaSize);
    }
    RsaKeyPair::from_components(&components).map_err(|_| KeyError::Unreadable)
}

/// Which algorithms each kind of key signs with where nothing else is said: the best first, the most widespread last.
const BY_KIND: [&[Algorithm]; 4] =
    [&[Algorithm::Es256], &[Algorithm::Es384], &[Algorithm::EdDsa], &[Algorithm::Ps256, Algorithm::Rs256]];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::{Expect, KeySet, Typ, sign, verify};

    /// Each kind in both forms, as another implementation (Node.js) writes them. Nobody's keys.
    const KEYS: &str = include_str!("sample_keys.json");

    fn jwk(name: &str, changes: Value) -> Vec<u8> {
        let mut jwk = serde_json::from_str::<Value>(KEYS).unwrap()[name]["jwk"].clone();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
                value => jwk[name] = value.clone(),
            }
        }
        jwk.to_string().into_bytes()
    }

    fn names(keys: &[SigningKey]) -> Vec<&'static str> {
        keys.iter().map(|key| key.algorithm().as_str()).collect()
    }

    /// The same key from a JWK and from PEM is the same key, and the public half that the JWK's maker knows verifies what it signs.
    #[test]
    fn every_kind_is_read_in_both_forms() {
        let all: Value = serde_json::from_str(KEYS).unwrap();
        for (name, algorithms) in
            [("P-256", &["ES256"][..]), ("P-384", &["ES384"]), ("Ed25519", &["EdDSA"]), ("RSA", &["PS256", "RS256"])]
        {
            let ours = SigningKey::of_every_algorithm(&jwk(name, json!({}))).unwrap();
            let pem = all[name]["pem"].as_str().unwrap();
            let from_pem = SigningKey::of_every_algorithm(pem.trim_end().as_bytes()).unwrap();
            assert_eq!((names(&ours), names(&from_pem)), (algorithms.to_vec(), algorithms.to_vec()));
            assert_eq!(ours[0].kid(), from_pem[0].kid());
            let mut public = all[name]["jwk"].clone();
            for private in ["d", "p", "q", "dp", "dq", "qi"] {
                public.as_object_mut().unwrap().remove(private);
            }
            public["kid"] = json!(ours[0].kid());
            let set = KeySet::parse(json!({ "keys": [public] }).to_string().as_bytes()).unwrap();
            for key in ours.iter().chain(&from_pem) {
                let token = sign(key, "JWT", &json!({"sub": "x"})).unwrap();
                let expect = Expect { algorithms: &[key.algorithm()], typ: Typ::Generic(&[]), max_bytes: 4096 };
                assert!(verify::<Value>(&token, &set, &expect).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn a_jwk_says_its_name_and_its_algorithm() {
        let one = |changes| SigningKey::of_every_algorithm(&jwk("RSA", changes)).unwrap();
        let keys = one(json!({"kid": "portal-2026", "alg": "PS384", "use": "sig", "key_ops": ["sign"]}));
        assert_eq!(names(&keys), ["PS384"]);
        let token = sign(&keys[0], "JWT", &json!({})).unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&header).unwrap(),
            json!({"alg": "PS384", "typ": "JWT", "kid": "portal-2026"})
        );
        assert!(one(json!({"kid": "n"})).iter().all(|key| key.kid() == "n"));
        assert_eq!(
            names(&SigningKey::of_every_algorithm(&jwk("Ed25519", json!({"alg": "Ed25519"}))).unwrap()),
            ["EdDSA"]
        );
    }

    /// TOK-11: weak keys of our own are refused too, and so is what only looks like a key.
    #[test]
    fn errors_say_what_the_jwk_is() {
        let other: Value = serde_json::from_slice(&jwk("P-256", json!({}))).unwrap();
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let cases = [
            (jwk("P-256", json!({"d": null})), "it holds a public key"),
            (jwk("P-256", json!({"use": "enc"})), "not for signatures"),
            (jwk("P-256", json!({"key_ops": ["verify"]})), "not for signatures"),
            (jwk("P-256", json!({"alg": "ES384"})), "not for signatures"),
            (jwk("RSA", json!({"alg": "RSA-OAEP"})), "not for signatures"),
            (jwk("P-256", json!({"crv": "secp256k1"})), "not a private JWK"),
            (jwk("P-256", json!({"kid": 7})), "not a private JWK"),
            (jwk("P-256", json!({"x": other["y"]})), "cannot be read"),
            (jwk("P-256", json!({"d": "canary"})), "cannot be read"),
            (jwk("P-256", json!({"d": other["x"]})), "cannot be read"),
            (jwk("P-384", json!({"crv": "P-256"})), "cannot be read"),
            (jwk("Ed25519", json!({"x": other["x"]})), "cannot be read"),
            (jwk("RSA", json!({"p": null})), "cannot be read"),
            (jwk("RSA", json!({"d": other["d"]})), "cannot be read"),
            (jwk("RSA", json!({"n": short})), "2048"),
            (json!({"keys": [other]}).to_string().into_bytes(), "not a private JWK"),
            (br#"{"kty":"oct","k":"AAAA"}"#.to_vec(), "not a private JWK"),
            (br#"{"kty":"EC","kty":"EC"}"#.to_vec(), "not a private JWK"),
            (b"{canary".to_vec(), "not a private JWK"),
            (b"canary".to_vec(), "no PEM private key"),
        ];
        for (file, words) in cases {
            let error = SigningKey::of_every_algorithm(&file).unwrap_err();
            assert!(error.to_string().contains(words), "{error}: {words}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}

//! Somebody's public keys, as a JWK Set (RFC 7517): what is understood is kept, the rest is counted and left out.
//!
//! Never fails because of one odd key, and never holds a symmetric one.

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key::{KeyError, SigningKey};
use super::public_key::PublicKey;

/// Public keys to verify with.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: usize,
}

impl KeySet {
    /// A set that knows nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a JWK Set, key by key. The caller bounds the bytes; of more than 100 keys the rest is skipped.
    ///
    /// # Errors
    /// Only when it is no JSON object with an array `keys`.
    pub fn parse(json: &[u8]) -> Result<Self, KeyError> {
        let Ok(Value::Object(document)) = serde_json::from_slice::<Value>(json) else { return Err(KeyError::NotASet) };
        let Some(Value::Array(entries)) = document.get("keys") else { return Err(KeyError::NotASet) };
        let keys: Vec<_> =
            entries.iter().take(MAX_KEYS).filter_map(|entry| VerifyingKey::from_jwk(entry.as_object()?)).collect();
        let skipped = entries.len() - keys.len();
        Ok(Self { keys, skipped })
    }

    /// The public halves of our own keys; shared keys have none and are left out.
    #[must_use]
    pub fn from_signing_keys(keys: &[SigningKey]) -> Self {
        let keys = keys
            .iter()
            .filter_map(|key| {
                Some(VerifyingKey {
                    kid: Some(key.kid().to_owned()),
                    algorithm: Some(key.algorithm()),
                    key: key.public_key()?.clone(),
                })
            })
            .collect();
        Self { keys, skipped: 0 }
    }

    /// Whether any key could have signed a token with this header.
    #[must_use]
    pub fn knows(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.candidates(kid, algorithm).next().is_some()
    }

    /// The keys that may have signed a token with this header: those of that `kid`, or all where the token names none; in
    /// either case only keys whose kind and `alg` fit, and at most 8 (each try costs a verification).
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a VerifyingKey> + use<'a> {
        self.keys
            .iter()
            .filter(move |key| kid.is_none() || key.kid() == kid)
            .filter(move |key| key.fits(algorithm))
            .take(MAX_CANDIDATES)
    }

    /// How many entries were left out: not understood, not for signatures, too weak, or too many.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// One public key of a set, with what its owner says it is for.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    /// The only algorithm it may be used with; any of its family when `None`.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

impl VerifyingKey {
    /// `None` for everything that is not a public key for signatures, of a known kind and sufficient strength.
    fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return None,
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(name.as_str()?.parse().ok()?),
        };
        let for_signatures = match jwk.get("use") {
            None => true,
            Some(purpose) => purpose.as_str() == Some("sig"),
        } && match jwk.get("key_ops") {
            None => true,
            Some(operations) => operations.as_array()?.iter().any(|operation| operation.as_str() == Some("verify")),
        };
        // A private key that the whole world can read proves nothing about who signed.
        let published_private_half = jwk.contains_key("d");
        if !for_signatures || published_private_half {
            return None;
        }
        let key = PublicKey::from_jwk(jwk)?;
        // An `alg` of another kind of key is a contradiction.
        if algorithm.is_some_and(|algorithm: Algorithm| algorithm.family() != key.family()) {
            return None;
        }
        Some(Self { kid, algorithm, key })
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The only algorithm that it may be used with, if its owner says so.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// Its JWK thumbprint (RFC 7638, SHA-256).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.family() == algorithm.family() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &Vec<u8>) -> bool {
        self.fits(algorithm) && self.key.verifies(algorithm, message, signature)
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

const MAX_KEYS: usize = 100;
const MAX_CANDIDATES: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::SeededRandom;

    fn key(algorithm: Algorithm) -> SigningKey {
        SigningKey::generate(algorithm, &SeededRandom::new(1)).unwrap()
    }

    fn jwk(key: &SigningKey, changes: Value) -> Value {
        let mut jwk = key.public_jwk().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
                value => jwk[name] = value.clone(),
            }
        }
        jwk
    }

    fn parse(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    /// TOK-10: a set with every oddity seen in the wild yields exactly the keys that are understood.
    #[test]
    fn a_mixed_set_keeps_what_is_understood() {
        let (ec, ed, one, two) =
            (key(Algorithm::Es256), key(Algorithm::EdDsa), key(Algorithm::Rs256), key(Algorithm::Rs256));
        let b64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let set = parse(&[
            json!({"kty": "EC", "crv": "secp256k1", "alg": "ES256K", "kid": "k1", "x": b64, "y": b64}),
            json!({"kty": "OKP", "crv": "X25519", "x": b64}),
            json!({"kty": "oct", "k": b64, "kid": "shared", "alg": "HS256"}),
            json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA"}),
            jwk(&one, json!({"kid": "rsa", "alg": "RSA-OAEP", "use": "enc"})),
            jwk(&one, json!({"kid": "rsa", "alg": null, "use": "enc"})),
            jwk(&one, json!({"kid": "rsa", "alg": null, "use": null, "key_ops": ["encrypt"]})),
            jwk(&ec, json!({"kid": 7})),
            jwk(&ec, json!({"kid": "off the curve", "x": b64})),
            jwk(&ec, json!({"kid": "mixed up", "alg": "RS256"})),
            jwk(&ec, json!({"kid": "leaked", "d": b64})),
            json!({"kid": "nothing"}),
            json!("junk"),
            json!(null),
            jwk(&two, json!({"kid": "same", "alg": "PS256"})),
            jwk(&ed, json!({"kid": "same"})),
            jwk(&one, json!({"kid": "same"})),
            jwk(&two, json!({"kid": null, "alg": null, "use": null})),
        ]);
        assert_eq!((set.len(), set.skipped()), (4, 14));

        let found = |kid, algorithm| set.candidates(kid, algorithm).map(VerifyingKey::thumbprint).collect::<Vec<_>>();
        assert_eq!(found(Some("same"), Algorithm::Rs256), [one.kid()]);
        assert_eq!(found(Some("same"), Algorithm::Ps256), [two.kid()]);
        assert_eq!(found(Some("same"), Algorithm::EdDsa), [ed.kid()]);
        assert_eq!(found(None, Algorithm::Rs256), [one.kid(), two.kid()]);
        assert_eq!(found(None, Algorithm::Rs512), [two.kid()]);
        for absent in ["rsa", "leaked", "mixed up", "off the curve", "shared", "other"] {
            assert!(
                !set.knows(Some(absent), Algorithm::Rs256) && !set.knows(Some(absent), Algorithm::Es256),
                "{absent}"
            );
        }
        assert!(!set.knows(Some("shared"), Algorithm::Hs256) && !set.knows(None, Algorithm::Hs256));
    }

    /// TOK-11: weak keys and curves that are not listed do not even enter the set.
    #[test]
    fn weak_keys_are_dropped() {
        use base64::Engine as _;
        let b64 = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let rsa = |size: usize| json!({"kty": "RSA", "kid": "r", "n": b64(&vec![0xff; size / 8]), "e": "AQAB"});
        let set = parse(&[rsa(512), rsa(1024), rsa(16384), json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"})]);
        assert_eq!((set.len(), set.skipped()), (0, 4));
        assert_eq!(parse(&[rsa(2048)]).len(), 1);
    }

    /// DOS-08: neither the number of keys nor the number of tries is the other side's choice.
    #[test]
    fn numbers_are_bounded() {
        let ec = key(Algorithm::Es256);
        let set = parse(&vec![jwk(&ec, json!({"kid": "k"})); 150]);
        assert_eq!((set.len(), set.skipped()), (100, 50));
        assert_eq!(set.candidates(Some("k"), Algorithm::Es256).count(), 8);
    }

    #[test]
    fn what_is_no_set_is_an_error() {
        for text in ["", "[]", "{}", "null", r#"{"keys":{}}"#, "<html>", "\u{feff}{\"keys\":[]}"] {
            assert!(matches!(KeySet::parse(text.as_bytes()), Err(KeyError::NotASet)), "{text}");
        }
        assert!(KeySet::parse(br#"{"keys":[]}"#).unwrap().is_empty());
    }

    #[test]
    fn our_own_keys_make_a_set_and_shared_keys_stay_out() {
        let (ec, shared) = (key(Algorithm::Es384), key(Algorithm::Hs256));
        let set = KeySet::from_signing_keys(&[ec.clone(), shared]);
        assert_eq!(set.len(), 1);
        assert!(set.knows(Some(ec.kid()), Algorithm::Es384));
    }

    proptest::proptest! {
        /// TOK-10: no bytes make reading a set panic.
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = KeySet::parse(&bytes);
        }
    }
}

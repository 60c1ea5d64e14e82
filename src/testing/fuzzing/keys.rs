//! Somebody else's published keys, and keys in files.

use serde_json::Value;

use crate::jose::{Algorithm, KeySet, SigningKey};

/// Of a JWK Set only public keys for signatures are kept, each under its own name and for the algorithm that it names; the others are counted.
/// A private key in a file signs what its public half verifies, or is refused.
pub fn keys(data: &[u8]) {
    if let Ok(keys) = SigningKey::of_every_algorithm(data) {
        assert!(!keys.is_empty());
        for key in keys {
            let jwk = key.public_jwk().expect("no key in a file is a shared one");
            let shown = jwk.to_string();
            assert!(["d", "p", "q", "dp", "dq", "qi", "k"].iter().all(|name| jwk.get(*name).is_none()), "{shown}");
            assert!(!format!("{key:?}").contains("\"d\""));
            let set = KeySet::parse(format!(r#"{{"keys":[{shown}]}}"#).as_bytes()).expect("a set");
            assert!(set.knows(Some(key.kid()), key.algorithm()), "{shown}");
        }
    }
    let Ok(set) = KeySet::parse(data) else { return };
    let document: Value = serde_json::from_slice(data).expect("JSON");
    let entries = document["keys"].as_array().expect("keys");
    assert_eq!(set.len() + set.skipped(), entries.len());
    assert!(set.len() <= 100);
    let mut kept = 0;
    for entry in entries.iter().take(100) {
        let alone = KeySet::parse(serde_json::json!({ "keys": [entry] }).to_string().as_bytes()).expect("a set");
        if alone.is_empty() {
            continue;
        }
        kept += 1;
        assert!(entry.get("d").is_none() && entry["kty"] != "oct", "{entry}");
        assert!(entry.get("use").is_none_or(|purpose| purpose == "sig"), "{entry}");
        let kid = entry.get("kid").and_then(Value::as_str);
        for algorithm in Algorithm::ALL {
            let fits = alone.knows(kid, algorithm);
            assert!(!fits || !algorithm.is_symmetric());
            assert!(!fits || set.knows(kid, algorithm), "{entry}");
            if let Some(named) = entry.get("alg").and_then(Value::as_str) {
                assert!(!fits || named.parse() == Ok(algorithm), "{named} serves as {algorithm}");
            }
        }
        for key in alone.candidates(None, Algorithm::Rs256).chain(alone.candidates(None, Algorithm::Es256)) {
            assert_eq!((key.kid(), key.thumbprint().len()), (kid, 43));
        }
    }
    assert_eq!(kept, set.len());
    for algorithm in Algorithm::ALL {
        assert!(set.candidates(None, algorithm).count() <= 8, "each try costs a verification");
    }
}

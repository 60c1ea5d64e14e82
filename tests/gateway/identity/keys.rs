//! Keys from files, in every algorithm.

use jsonwebtoken::Algorithm;
use rcgen::{KeyPair, RsaKeySize};
use serde_json::{Value, json};

use super::check;
use crate::support::codec::{random_name, unverified_header};
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway};
use crate::world::World;

fn pem(algorithm: &str) -> String {
    let pair = match algorithm {
        "EdDSA" => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        "ES256" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        "ES384" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        _ => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
    };
    pair.unwrap().serialize_pem()
}

/// ID-05, ID-07: with key files of every algorithm an application can check the tokens, and the key set shows no private member.
/// All files are published, the first signs.
#[tokio::test]
async fn every_algorithm_can_be_checked() {
    for (name, algorithm, kty) in [
        ("EdDSA", Algorithm::EdDSA, "OKP"),
        ("ES256", Algorithm::ES256, "EC"),
        ("ES384", Algorithm::ES384, "EC"),
        ("RS256", Algorithm::RS256, "RSA"),
        ("PS256", Algorithm::PS256, "RSA"),
    ] {
        let world = World::with(|config| {
            config.file("new.pem", &pem(name)).file("old.pem", &pem(name)).with(&format!(
                "[identity]\nalgorithm = \"{name}\"\nkeys = [{{ file = \"@DIR@/new.pem\" }}, {{ file = \"@DIR@/old.pem\" }}]"
            ))
        })
        .await;
        let cookie = world.cookie().await;
        let token = world.seen("GET /x", &[&cookie]).await.identity_token().unwrap().to_owned();
        let jwks: Value = world.ask("GET /oauth2/jwks", &[]).await.json();
        let claims = check(&token, &jwks, algorithm, "app", world.gateway.public_url());
        assert_eq!(claims.unwrap_or_else(|why| panic!("{name}: {why}"))["sub"], "alice");
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!((keys.len(), &keys[0]["kty"], &keys[0]["use"]), (2, &json!(kty), &json!("sig")), "{name}");
        assert_eq!(keys[0]["kid"], unverified_header(&token).unwrap()["kid"], "{name}: the first signs");
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(keys.iter().all(|key| key.get(member).is_none()), "{name}: {member}");
        }
        let files: Vec<String> = world.gateway.secrets();
        crate::support::gateway::assert_holds_none("the output", world.gateway.output().as_bytes(), &files);
    }
}

/// A shared key signs HS256; it is published nowhere.
#[tokio::test]
async fn shared_keys_are_published_nowhere() {
    let secret = random_name("canary-shared-key-of-more-than-32-bytes-");
    let world = World::with(|config| {
        config.file("shared", &secret).with("[identity]\nalgorithm = \"HS256\"\nkeys = [{ file = \"@DIR@/shared\" }]")
    })
    .await;
    let token = world.seen("GET /x", &[&world.cookie().await]).await.identity_token().unwrap().to_owned();
    let mut rules = jsonwebtoken::Validation::new(Algorithm::HS256);
    rules.set_audience(&["app"]);
    rules.set_issuer(&[world.gateway.public_url()]);
    let decode = |key: &str| {
        jsonwebtoken::decode::<Value>(&token, &jsonwebtoken::DecodingKey::from_secret(key.as_bytes()), &rules)
    };
    assert_eq!(decode(&secret).unwrap().claims["sub"], "alice");
    assert!(decode("another secret of more than thirty-two bytes").is_err());
    assert_eq!(world.ask("GET /oauth2/jwks", &[]).await.json(), json!({"keys": []}));
    crate::support::gateway::assert_holds_none("the output", world.gateway.output().as_bytes(), &[secret]);
}

/// OPS-05: keys that do not fit are named at the start, none of their bytes with them.
#[tokio::test]
async fn keys_that_do_not_fit_are_refused() {
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    let public = KeyPair::generate().unwrap().public_key_pem();
    for (algorithm, content, said) in [
        ("ES256", pem("ES384"), "ES256"),
        ("RS256", pem("EdDSA"), "RS256"),
        ("ES256", public, "public"),
        ("ES256", "no key at all".to_owned(), "key"),
        ("HS256", "short".to_owned(), "32 bytes"),
    ] {
        let config = ConfigBuilder::usual(&op, &echo)
            .file("key.pem", &content)
            .with(&format!("[identity]\nalgorithm = \"{algorithm}\"\nkeys = [{{ file = \"@DIR@/key.pem\" }}]"));
        let why = Gateway::try_start(config).await.err().unwrap_or_else(|| panic!("{algorithm}: {said}"));
        assert!(why.contains(said) && why.contains("identity.keys[0]"), "{algorithm}: {why}");
        assert!(!why.contains(content.lines().nth(1).unwrap_or("no key at all")), "{why}");
    }
}

//! Client authentication by a signed assertion.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::provider::{Reply, Seen};
use super::*;
use crate::jose::{Algorithm, Expect, KeySet, SigningKey, Typ, verify};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn keys(algorithms: &[Algorithm]) -> Vec<SigningKey> {
    algorithms.iter().map(|algorithm| SigningKey::generate(*algorithm, &SystemRandom).unwrap()).collect()
}

async fn bench(keys: &[SigningKey], configured: ClientAuth) -> Bench {
    let bench = Bench::with(|settings| {
        settings.credential = ClientCredential::Key(keys.into());
        settings.client_auth = configured;
        settings.client_id = "the portal".to_owned();
    })
    .await;
    bench.op.answer_tokens(&json!({}));
    bench
}

/// The claims of the assertion of a request that is authenticated by it and by nothing else, verified with the public half of `key`.
fn assertion(seen: &Seen, key: &SigningKey) -> Value {
    assert_eq!(seen.header("authorization"), None);
    assert!(seen.field("client_secret").is_empty());
    assert_eq!(seen.field("client_id"), ["the portal"]);
    assert_eq!(seen.field("client_assertion_type"), [ASSERTION_TYPE]);
    let [token] = <[String; 1]>::try_from(seen.field("client_assertion")).unwrap();
    let header = header_of(&token);
    assert_eq!(header, json!({"alg": key.algorithm().as_str(), "typ": "JWT", "kid": key.kid()}));
    let set = KeySet::from_signing_keys(std::slice::from_ref(key));
    let expect = Expect { algorithms: &[key.algorithm()], typ: Typ::Generic(&[]), max_bytes: 4096 };
    verify::<Value>(&token, &set, &expect).unwrap().into_claims()
}

fn header_of(token: &str) -> Value {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// CLI-02: issued by and about the client, addressed to the issuer as one string, short-lived, with a name that none had before.
#[tokio::test]
async fn a_thousand_logins_have_a_thousand_assertions() {
    let keys = keys(&[Algorithm::Es256]);
    let bench = bench(&keys, ClientAuth::Auto).await;
    for _ in 0..1000 {
        bench.provider.exchange(&Secret::new("c".to_owned()), &bench.attempt()).await.unwrap();
    }
    let mut names = HashSet::new();
    let now = bench.now().unix_seconds();
    for seen in bench.op.seen("/token") {
        let mut claims = assertion(&seen, &keys[0]);
        let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(jti.as_str().unwrap().len(), 22, "128 bits");
        let issuer = bench.op.issuer();
        let expected = json!({"iss": "the portal", "sub": "the portal", "aud": issuer, "iat": now, "exp": now + 60});
        assert_eq!(claims, expected);
        names.insert(jti.to_string());
    }
    assert_eq!(names.len(), 1000);
}

/// CLI-02, CLI-04: at every endpoint that asks who we are.
#[tokio::test]
async fn refresh_and_revocation_authenticate_the_same_way() {
    let keys = keys(&[Algorithm::EdDsa]);
    let bench = bench(&keys, ClientAuth::PrivateKeyJwt).await;
    bench.op.reply("/token", Reply::json(200, &json!({"access_token": "new", "token_type": "Bearer"})));
    bench.provider.refresh(&Secret::new("r-1".to_owned())).await.unwrap();
    assert!(bench.provider.revoke(&Secret::new("t-1".to_owned()), TokenKind::Refresh).await.unwrap());
    let (refresh, revocation) = (&bench.op.seen("/token")[0], &bench.op.seen("/revoke")[0]);
    assert_eq!(refresh.field("refresh_token"), ["r-1"]);
    assert_eq!(revocation.field("token"), ["t-1"]);
    let (one, other) = (assertion(refresh, &keys[0]), assertion(revocation, &keys[0]));
    assert_eq!((&one["aud"], &other["aud"]), (&json!(bench.op.issuer()), &json!(bench.op.issuer())));
    assert_ne!(one["jti"], other["jti"]);
}

/// CLI-04: what the metadata does not offer is not tried, neither the method nor the signature.
#[tokio::test]
async fn only_what_the_metadata_offers() {
    let rsa = keys(&[Algorithm::Ps256, Algorithm::Rs256]);
    let ec = keys(&[Algorithm::Es384]);
    let methods = |names: &[&str]| json!({ "token_endpoint_auth_methods_supported": names });
    let signatures = |names: &[&str]| {
        json!({
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": names,
        })
    };
    let auto = ClientAuth::Auto;
    for (keys, configured, offered, expected) in [
        (&ec, auto, json!({}), Some(0)),
        (&ec, auto, methods(&["client_secret_basic", "private_key_jwt"]), Some(0)),
        (&ec, auto, methods(&["client_secret_basic", "client_secret_post"]), None),
        (&ec, ClientAuth::PrivateKeyJwt, methods(&["client_secret_basic"]), None),
        (&ec, auto, signatures(&["ES256", "RS256"]), None),
        (&ec, auto, signatures(&["RS256", "ES384"]), Some(0)),
        (&rsa, auto, signatures(&["RS256", "PS256"]), Some(0)),
        (&rsa, auto, signatures(&["RS256", "ES256"]), Some(1)),
        (&rsa, auto, json!({}), Some(1)),
    ] {
        let bench = bench(keys, configured).await;
        bench.op.announce(offered.clone());
        let result = bench.provider.exchange(&Secret::new("c".to_owned()), &bench.attempt()).await;
        let seen = bench.op.seen("/token");
        match expected {
            Some(index) => drop(assertion(&seen[0], &keys[index])),
            None => {
                assert!(matches!(result, Err(ProviderError::Unsupported(_))), "{offered}");
                assert!(seen.is_empty());
            }
        }
    }
}

/// CLI-04: a method for which there is no credential is refused at the start.
#[tokio::test]
async fn a_key_is_no_secret() {
    for configured in [ClientAuth::SecretBasic, ClientAuth::SecretPost] {
        let mut settings = settings("https://id.example.com");
        settings.credential = ClientCredential::Key(keys(&[Algorithm::Es256]).into());
        settings.client_auth = configured;
        let built = Provider::new(settings, Arc::new(ManualClock::default()), Arc::new(SystemRandom));
        assert!(matches!(built, Err(ProviderError::Settings(_))));
    }
}

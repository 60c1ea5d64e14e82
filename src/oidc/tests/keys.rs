//! Keys: rotation, strangers' key names, odd sets.

use std::time::Duration;

use serde_json::json;

use super::provider::{DISCOVERY, Reply};
use super::*;
use crate::jose::{Algorithm, SigningKey, VerifyError, sign};

/// TOK-08: keys that change right before signing need no restart, however often they change.
#[tokio::test]
async fn rotation_is_followed_at_once() {
    let bench = Bench::start().await;
    for expected in 1..=4 {
        let attempt = bench.attempt();
        bench.sign_in_as(&attempt, &bench.id_claims(&attempt)).await.unwrap();
        assert_eq!(bench.op.count("/jwks"), expected);
        bench.op.rotate(Algorithm::EdDsa);
    }
}

/// TOK-09: strangers' key names cost one fetch an interval, and good tokens pass all the while.
#[tokio::test]
async fn unknown_keys_do_not_hammer_the_provider() {
    let bench = Bench::start().await;
    let stranger = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let attempt = bench.attempt();
    let good = bench.op.signed("JWT", &bench.id_claims(&attempt));
    let forged = sign(&stranger, "JWT", &bench.id_claims(&attempt)).unwrap();
    let answer = |id_token: &str| TokenAnswer {
        access_token: Secret::new(provider::ACCESS_TOKEN.to_owned()),
        expires_in: Duration::from_secs(1),
        refresh_token: None,
        id_token: Some(Secret::new(id_token.to_owned())),
        scope: None,
    };
    let (good, forged) = (answer(&good), answer(&forged));
    for interval in 0..3 {
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..300 {
            let (provider, attempt, now) = (bench.provider.clone(), attempt.clone(), bench.now());
            let token = if n % 10 == 0 { good.clone() } else { forged.clone() };
            tries.spawn(async move { (n % 10 == 0, provider.verify_id_token(&token, &attempt, now).await) });
        }
        while let Some(tried) = tries.join_next().await {
            match tried.unwrap() {
                (true, verdict) => drop(verdict.unwrap()),
                (false, verdict) => {
                    let error = verdict.unwrap_err();
                    let unknown = matches!(
                        error,
                        ProviderError::IdToken(IdTokenError::Unverified(VerifyError::UnknownKey { .. }))
                    );
                    assert!(unknown, "{error}");
                }
            }
        }
        assert_eq!(bench.op.count("/jwks"), 2 + interval);
        // One after the other now: no flight to join, only the pause between them and the provider.
        bench.clock.advance(Duration::from_secs(20));
        for _ in 0..20 {
            assert!(bench.provider.verify_id_token(&forged, &attempt, bench.now()).await.is_err());
        }
        bench.provider.verify_id_token(&good, &attempt, bench.now()).await.unwrap();
        assert_eq!(bench.op.count("/jwks"), 2 + interval);
        bench.clock.advance(Duration::from_secs(11));
    }
}

/// TOK-10: a set with decoys, odd kinds and an invalid entry.
#[tokio::test]
async fn an_odd_set_does_not_stop_a_login() {
    let bench = Bench::start().await;
    let key = bench.op.key();
    let b64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut decoy = SigningKey::generate(Algorithm::EdDsa, &SystemRandom).unwrap().public_jwk().unwrap();
    decoy["kid"] = json!(key.kid());
    let mut encryption = key.public_jwk().unwrap();
    encryption["use"] = json!("enc");
    encryption["alg"] = json!("ECDH-ES");
    let nameless = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let mut without_name = nameless.public_jwk().unwrap();
    without_name.as_object_mut().unwrap().remove("kid");
    bench.op.publish(&[
        json!({"kty": "EC", "crv": "secp256k1", "kid": "k", "x": b64, "y": b64}),
        json!("junk"),
        json!({"kid": 7}),
        decoy,
        encryption,
        without_name,
        key.public_jwk().unwrap(),
    ]);
    let attempt = bench.attempt();
    assert!(bench.sign_in_as(&attempt, &bench.id_claims(&attempt)).await.is_ok());
}

/// CACHE-07: metadata and keys stay good past every failure to renew them.
#[tokio::test]
async fn what_is_known_outlives_an_outage() {
    let bench = Bench::start().await;
    let attempt = bench.attempt();
    bench.op.answer_tokens(&bench.id_claims(&attempt));
    let (answer, _) = bench.sign_in(&attempt).await.unwrap();
    bench.op.reply(DISCOVERY, Reply::json(500, &json!({})));
    let now = bench.now();
    for broken in
        [Reply::json(503, &json!({})), Reply::json(200, &json!({"keys": []})), Reply::typed("text/html", "<html>")]
    {
        bench.op.reply("/jwks", broken);
        bench.clock.advance(Duration::from_secs(3600));
        for _ in 0..5 {
            assert!(bench.provider.verify_id_token(&answer, &attempt, now).await.is_ok());
            tokio::task::yield_now().await;
        }
    }
    // A set that lost every key must not replace the one that verifies.
    let stranger = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let mut forged = answer.clone();
    forged.id_token = Some(Secret::new(sign(&stranger, "JWT", &bench.id_claims(&attempt)).unwrap()));
    bench.clock.advance(Duration::from_secs(3600));
    assert!(bench.provider.verify_id_token(&forged, &attempt, now).await.is_err());
    assert!(bench.provider.verify_id_token(&answer, &attempt, now).await.is_ok());
}

//! Starting without a store.

use std::time::Duration;

use http::Method;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::support::codec::{b64, random_bytes, unverified_header};
use crate::support::{Ask, BadOp, ConfigBuilder, Echo, Gateway, Redis, Site, eventually, sign_in};
use crate::world::{ready, readyz};

fn with_public(op: &BadOp, echo: &Echo, redis: &Redis) -> ConfigBuilder {
    ConfigBuilder::usual(op, echo)
        .redis(redis)
        .route("path = \"/\"\nupstream = \"app\"")
        .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"")
}

/// The gateway starts while the store is down, serves what needs none, is not ready, and recovers by itself when it comes.
#[tokio::test]
async fn the_gateway_does_not_wait_for_its_store() {
    let (op, echo, mut redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
    redis.kill().await;
    let gateway = Gateway::start(with_public(&op, &echo, &redis)).await;
    assert_eq!(readyz(&gateway).await, 503);
    let browser = gateway.browser();
    browser.fetch(gateway.url("/public")).await.expect_status(200);
    // A cookie of some other time: whether it opens something cannot be said.
    let cookie = format!("vestibule={}", crate::support::codec::b64url(&random_bytes(32)));
    let ask = Ask::navigation(gateway.url("/")).header("cookie", &cookie);
    let page = browser.ask(ask).await.expect_status(503);
    assert!(page.set_cookies().is_empty() && page.header("retry-after").is_some());
    assert_eq!(readyz(&gateway).await, 503);
    assert_eq!(echo.count(), 1);

    redis.start_again().await;
    eventually("readiness", Duration::from_secs(3), || async { (readyz(&gateway).await == 200).then_some(()) }).await;
    sign_in(&browser, &gateway, "/").await;
}

/// Keys from files and shared ones come without the store, and leave nothing in it; ready is the gateway all the same only
/// when the store has answered.
#[tokio::test]
async fn keys_of_ones_own_need_no_store() {
    let pem = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    let shared = b64(&random_bytes(48));
    for (algorithm, content) in [("ES256", &pem), ("HS256", &shared)] {
        let (op, echo, mut redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
        redis.kill().await;
        let config = with_public(&op, &echo, &redis)
            .file("signing-key", content)
            .with(&format!("[identity]\nalgorithm = \"{algorithm}\"\nkeys = [{{ file = \"@DIR@/signing-key\" }}]"));
        let gateway = Gateway::start(config).await;
        assert_eq!(readyz(&gateway).await, 503, "{algorithm}: the store has not answered yet");
        let keys = gateway.browser().fetch(gateway.url("/oauth2/jwks")).await.expect_status(200).json()["keys"].clone();
        let keys = keys.as_array().unwrap();
        assert_eq!(keys.len(), usize::from(algorithm == "ES256"), "shared keys are never shown");
        redis.start_again().await;
        ready(&gateway).await;
        sign_in(&gateway.browser(), &gateway, "/").await;
        let header = unverified_header(echo.last().identity_token().unwrap()).unwrap();
        assert_eq!(header["alg"], algorithm);
        if let Some(key) = keys.first() {
            assert_eq!(key["kid"], header["kid"]);
        }
        let stored = redis.keys().into_iter().map(|key| String::from_utf8(key).unwrap());
        assert_eq!(stored.filter(|key| key.starts_with("vestibule:managed:")).count(), 0);
        let ask = Ask::plain(Method::GET, gateway.url("/.well-known/jwks.json"));
        assert_eq!(gateway.browser().ask(ask).await.json()["keys"].as_array(), Some(keys));
    }
}

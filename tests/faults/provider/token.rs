//! The token call of a login fails.

use std::time::{Duration, Instant};

use super::{Broken, assert_not_signed_in, callback, reason, redeemed};
use crate::detour::{Way, broken};
use crate::support::sign_in;

/// What a good provider would have said, with tokens that nobody may ever see again.
pub(super) const GOOD: &str = "{\"access_token\":\"canary-access-in-garbage\",\"token_type\":\"Bearer\",\
     \"expires_in\":300,\"refresh_token\":\"canary-refresh-in-garbage\",\"id_token\":\"canary.id-token.in-garbage\"}";

/// Row "provider down": whatever the token endpoint does instead of answering, the login fails with a page that says so
/// (503 when it may pass by itself, else 502), the attempt is spent and nothing else is left; the same callback a
/// second time redeems nothing, and signing in again works as soon as the provider does.
#[tokio::test]
async fn a_login_fails_clearly_and_can_be_repeated() {
    let broken_way = Broken::at("token_endpoint", |config| config).await;
    let world = &broken_way.world;
    let mut failed = 0;
    for (what, way) in broken(GOOD) {
        let temporary = matches!(
            what,
            "reset"
                | "closed"
                | "broken off"
                | "broken off before the head ends"
                | "no HTTP"
                | "500"
                | "502 of a proxy"
                | "503"
                | "429"
        );
        let browser = world.gateway.browser();
        let back = callback(world, &browser, "/wanted").await;
        broken_way.breaks(&way);
        let asked = broken_way.way.asked();
        let page = browser.step(back.clone()).await;
        assert_eq!(page.status, if temporary { 503 } else { 502 }, "{what}: {page:?}");
        assert_not_signed_in(world, &browser, &page, what);
        assert_eq!(broken_way.way.asked(), asked + 1, "{what}: a code is good once and is shown once");
        failed += 1;
        let why = reason(world, failed).await;
        assert!(why.contains("token endpoint") && !why.contains("canary"), "{what}: {why}");
        // Reloaded: the login starts over, with a state and code of its own.
        let again = browser.step(back.clone()).await.expect_status(303);
        assert!(again.location().unwrap().as_str().starts_with(world.op.issuer()), "{what}");
        assert_eq!(broken_way.way.asked(), asked + 1, "{what}: redeemed again");
        broken_way.heals();
        sign_in(&browser, &world.gateway, "/wanted").await;
    }
    assert_eq!(redeemed(world), failed, "each broken call was one login later");
    assert_eq!(world.op.reuses(), 0);
    assert!(!world.gateway.output().contains("in-garbage"), "the answer is in the log");
}

/// Row "provider down": a token endpoint that takes the code and says nothing: the person waits for the provider's
/// deadline and no longer, and everybody else is served meanwhile.
#[tokio::test]
async fn silence_has_an_end() {
    let broken_way = Broken::at("token_endpoint", |config| config).await;
    let world = &broken_way.world;
    let served = world.signed_in().await;
    let browser = world.gateway.browser();
    let back = callback(world, &browser, "/wanted").await;
    broken_way.breaks(&Way::Silence);
    let begun = Instant::now();
    let waiting = tokio::spawn({
        let (browser, back) = (browser.clone(), back.clone());
        async move { browser.step(back).await }
    });
    while !waiting.is_finished() {
        served.fetch(world.url("/")).await.expect_status(200);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    }
    let page = waiting.await.unwrap();
    assert_eq!(page.status, 503, "{page:?}");
    assert_not_signed_in(world, &browser, &page, "silence");
    assert!(reason(world, 1).await.contains("no answer in time"));
    broken_way.heals();
    sign_in(&browser, &world.gateway, "/wanted").await;
}

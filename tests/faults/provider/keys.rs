//! The provider's keys cannot be had.

use std::time::Duration;

use http::Method;

use super::{Broken, assert_not_signed_in, callback, reason};
use crate::detour::broken;
use crate::support::client::{Ask, Browser};
use crate::support::{Endpoint, Site, eventually, sign_in};
use crate::world::World;

const GOOD: &str = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"canary-in-garbage\",\"k\":\"AAAA\"}]}";

/// Row "provider down", TOK-08, CACHE-07: the keys change while they cannot be fetched. Who is signed in is served;
/// logins that need the new key fail and do not hammer; what the old keys have signed still holds; and when the keys
/// can be had, logins work by themselves.
#[tokio::test]
async fn keys_that_change_unseen() {
    let ways = broken(GOOD);
    // Next to each other: most of it is waiting for the pauses between two looks.
    let each = ways.into_iter().filter(|(what, _)| {
        matches!(*what, "reset" | "broken off" | "500" | "404" | "HTML" | "nothing" | "half of it" | "ten megabytes")
    });
    let each = each.map(|(what, way)| async move {
        let broken_way = Broken::at("jwks_uri", |config| config).await;
        let world = &broken_way.world;
        let served = world.signed_in().await;
        let early = world.op.logout_token(Some("nobody"), None);
        broken_way.breaks(&way);
        world.op.rotate_keys();
        let asked = broken_way.way.asked();
        for nth in 1..=6 {
            let browser = world.gateway.browser();
            let back = callback(world, &browser, "/wanted").await;
            let page = browser.step(back).await;
            assert_not_signed_in(world, &browser, &page, what);
            assert!(reason(world, nth).await.contains("keys endpoint"), "{what}");
            served.fetch(world.url("/")).await.expect_status(200);
        }
        let looks = broken_way.way.asked() - asked;
        assert!((1..=3).contains(&looks), "{what}: {looks} looks at the keys for 6 logins");
        let page = world.op.send_logout(&Browser::new(), &world.url("/oauth2/logout/backchannel"), &early).await;
        assert_eq!(page.status, 200, "{what}: the keys that were known are known: {page:?}");
        broken_way.heals();
        let browser = world.gateway.browser();
        eventually(&format!("a login after {what}"), Duration::from_secs(15), || async {
            let page = browser.navigate(world.url("/wanted")).await;
            assert!(matches!(page.status, 200 | 502 | 503), "{what}: {page:?}");
            (page.status == 200).then_some(())
        })
        .await;
        served.fetch(world.url("/")).await.expect_status(200);
    });
    futures_util::future::join_all(each).await;
}

/// Row "provider down", REF-04: the keys change while they cannot be fetched, and a refresh brings an ID token under
/// the new one: trouble of the provider's, whatever stands in the place of the keys. The session goes on, with the new
/// tokens (REF-02: they were stored before) and the old claims.
#[tokio::test]
async fn a_refresh_that_cannot_be_judged_keeps_the_session() {
    let ways =
        broken(GOOD).into_iter().filter(|(what, _)| matches!(*what, "reset" | "500" | "404" | "HTML" | "nothing"));
    let each = ways.map(|(what, way)| async move {
        let broken_way = Broken::at("jwks_uri", |config| config).await;
        let world = &broken_way.world;
        let browser = world.signed_in().await;
        let cookie = browser.cookie("vestibule");
        broken_way.breaks(&way);
        world.op.rotate_keys();
        world.op.set_claim("alice", "name", "Alice Renamed");
        let name =
            async || browser.fetch(world.url("/oauth2/userinfo")).await.expect_status(200).json()["name"].clone();
        for _ in 0..3 {
            let page = refresh(world, &browser).await;
            assert_eq!(page.status, 200, "{what}: {page:?}");
            assert_eq!(name().await, "Alice Example", "{what}: nothing is believed that was not verified");
        }
        assert_eq!(world.op.revoked(), [""; 0], "{what}: tokens in use were given back");
        broken_way.heals();
        eventually(&format!("new claims after {what}"), Duration::from_secs(15), || async {
            let page = refresh(world, &browser).await;
            assert_eq!(page.status, 200, "{what}: {page:?}");
            (name().await == "Alice Renamed").then_some(())
        })
        .await;
        assert_eq!(browser.cookie("vestibule"), cookie, "{what}");
        assert_eq!((world.op.reuses(), world.op.count(Endpoint::Authorize)), (0, 1), "{what}");
    });
    futures_util::future::join_all(each).await;
}

async fn refresh(world: &World, browser: &Browser) -> crate::support::Page {
    browser.ask(Ask::fetch(Method::POST, world.url("/oauth2/session/refresh"))).await
}

/// A gateway that was started after the keys could be had for the last time signs nobody in, and everybody when they
/// are back.
#[tokio::test]
async fn keys_that_were_never_had() {
    for (what, way) in broken(GOOD).into_iter().filter(|(what, _)| matches!(*what, "500" | "HTML")) {
        let broken_way = Broken::from_the_start("jwks_uri", way, |config| config).await;
        let world = &broken_way.world;
        let browser = world.gateway.browser();
        let back = callback(world, &browser, "/wanted").await;
        let page = browser.step(back).await;
        assert_not_signed_in(world, &browser, &page, what);
        assert!(reason(world, 1).await.contains("keys endpoint"), "{what}");
        broken_way.heals();
        let browser = world.gateway.browser();
        eventually("keys", Duration::from_secs(15), || async {
            (browser.navigate(world.gateway.url("/wanted")).await.status == 200).then_some(())
        })
        .await;
        sign_in(&world.gateway.browser(), &world.gateway, "/").await;
    }
}

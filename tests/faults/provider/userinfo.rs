//! The userinfo call fails, where one is configured.

use serde_json::json;

use super::{Broken, assert_not_signed_in, callback, reason};
use crate::detour::broken;
use crate::support::client::Ask;
use crate::support::{Endpoint, sign_in};

const GOOD: &str = "{\"sub\":\"alice\",\"email\":\"canary-in-garbage@example.test\",\"groups\":[\"canary-group\"]}";

/// Row "provider down": a login whose claims cannot be had is no login, whatever the ID token said.
#[tokio::test]
async fn a_login_without_its_claims_fails() {
    let broken_way = Broken::at("userinfo_endpoint", |config| config.with("providers.corp.userinfo = true")).await;
    let world = &broken_way.world;
    for (nth, (what, way)) in broken(GOOD).into_iter().enumerate() {
        let browser = world.gateway.browser();
        let back = callback(world, &browser, "/wanted").await;
        broken_way.breaks(&way);
        let page = browser.step(back).await;
        // An empty object is an object, and nobody's.
        assert_not_signed_in(world, &browser, &page, what);
        let why = reason(world, nth + 1).await;
        assert!(why.contains("userinfo") && !why.contains("canary"), "{what}: {why}");
        broken_way.heals();
        sign_in(&browser, &world.gateway, "/wanted").await;
    }
}

/// Row "provider down", REF-04: claims that cannot be had at a refresh are trouble of the provider's: the session goes
/// on with its new tokens and its old claims, and the next refresh brings the new ones. Only claims of somebody else
/// end it.
#[tokio::test]
async fn a_refresh_without_new_claims_keeps_the_old() {
    let broken_way = Broken::at("userinfo_endpoint", |config| config.with("providers.corp.userinfo = true")).await;
    let world = &broken_way.world;
    let browser = world.signed_in().await;
    let cookie = browser.cookie("vestibule");
    let refresh = || Ask::fetch(http::Method::POST, world.url("/oauth2/session/refresh"));
    let groups =
        async || browser.fetch(world.url("/oauth2/userinfo")).await.expect_status(200).json()["groups"].clone();
    for (nth, (what, way)) in broken(GOOD).into_iter().enumerate() {
        let before = groups().await;
        broken_way.breaks(&way);
        let new = json!(["staff", format!("since {nth}")]);
        world.op.set_claim("alice", "groups", new.clone());
        let page = browser.ask(refresh()).await;
        assert_eq!(page.status, 200, "{what}: {page:?}");
        assert_eq!(groups().await, before, "{what}");
        browser.fetch(world.url("/")).await.expect_status(200);
        broken_way.heals();
        browser.ask(refresh()).await.expect_status(200);
        assert_eq!(groups().await, new, "{what}");
        assert_eq!(browser.cookie("vestibule"), cookie, "{what}");
    }
    assert_eq!((world.op.reuses(), world.op.grants("authorization_code")), (0, 1));
    world.op.script(|script| {
        script.userinfo_answer(|answer| answer["sub"] = "mallory".into());
    });
    browser.ask(refresh()).await.expect_status(401);
    assert!(world.op.count(Endpoint::Userinfo) > 10);
}

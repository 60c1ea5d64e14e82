//! The provider is away when somebody leaves.

use std::time::{Duration, Instant};

use http::Method;

use super::Broken;
use crate::detour::{Way, broken};
use crate::support::client::{Ask, Browser};
use crate::support::{BadOp, ConfigBuilder, Echo, Endpoint, Gateway, Redis, Site, eventually, sign_in};
use crate::world::{SOON, World, ready, with_public};

/// Nobody can use that cookie any more.
async fn assert_gone(world: &World, line: &str) {
    let ask = Ask::fetch(Method::GET, world.url("/")).header("cookie", line);
    world.gateway.browser().ask(ask).await.expect_status(401);
}

fn line(browser: &Browser) -> String {
    format!("vestibule={}", browser.cookie("vestibule").expect("a session"))
}

/// Row "provider down", LOGOUT-01: whatever the revocation endpoint does, signing out is done here first, at once and
/// completely; and the browser is sent on to the provider with its hint.
#[tokio::test]
async fn revocation_is_nobodys_wait() {
    let broken_way = Broken::at("revocation_endpoint", |config| config).await;
    let world = &broken_way.world;
    let mut ways = broken("{\"error\":\"canary-in-garbage\"}");
    ways.push(("silence", Way::Silence));
    for (what, way) in ways {
        let browser = world.signed_in().await;
        let line = line(&browser);
        broken_way.breaks(&way);
        let (asked, begun) = (broken_way.way.asked(), Instant::now());
        let page = browser.ask(Ask::form(world.url("/oauth2/logout"), &[("a", "b")])).await;
        assert_eq!(page.status, 303, "{what}: {page:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{what}: {:?}", begun.elapsed());
        let to = page.location().unwrap();
        // One that cannot even be connected to is no place to send somebody.
        if !(what == "reset" && to.as_str() == world.url("/oauth2/signed_out")) {
            assert!(to.as_str().starts_with(&format!("{}/end_session?", world.op.issuer())), "{what}: {to}");
            assert!(to.query_pairs().any(|(name, _)| name == "id_token_hint"), "{what}: {to}");
        }
        assert_eq!(browser.cookie("vestibule"), None, "{what}");
        assert_gone(world, &line).await;
        eventually(&format!("a revocation in spite of {what}"), SOON, || async {
            (broken_way.way.asked() > asked).then_some(())
        })
        .await;
    }
    assert!(!world.gateway.output().contains("in-garbage"));
}

/// Row "provider down": a provider that is down altogether cannot keep anybody here.
#[tokio::test]
async fn a_provider_that_is_down_keeps_nobody() {
    let world = World::start().await;
    let (person, script) = (world.signed_in().await, world.signed_in().await);
    let lines = [line(&person), line(&script)];
    world.op.stop().await;
    let begun = Instant::now();
    person.ask(Ask::form(world.url("/oauth2/logout"), &[("a", "b")])).await.expect_status(303);
    let page = script.ask(Ask::fetch(Method::POST, world.url("/oauth2/logout"))).await.expect_status(200);
    assert!(page.json()["location"].is_string());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for line in lines {
        assert_gone(&world, &line).await;
    }
    // Coming back from nowhere is what the landing page is for.
    person.navigate(world.url("/oauth2/signed_out")).await.expect_status(200);
}

/// Row "provider down": a replica that has never heard from the provider, and a provider that accepts connections and
/// is silent: the session has ended before anybody waits for where to go, and nobody waits long.
#[tokio::test]
async fn a_silent_provider_keeps_nobody() {
    let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
    let mut gateway = Gateway::start(with_public(ConfigBuilder::usual(&op, &echo).redis(&redis))).await;
    ready(&gateway).await;
    let browser = gateway.browser();
    sign_in(&browser, &gateway, "/").await;
    let line = line(&browser);
    let gate = op.hold(Endpoint::Discovery);
    gateway.restart().await;
    ready(&gateway).await;
    let browser = gateway.through(&browser);
    let begun = Instant::now();
    let waiting = tokio::spawn({
        let (browser, ask) = (browser.clone(), Ask::form(gateway.url("/oauth2/logout"), &[("a", "b")]));
        async move { browser.ask(ask).await }
    });
    // Whatever the person still waits for: it is over.
    eventually("the session's end", SOON, || async {
        let ask = Ask::fetch(Method::GET, gateway.url("/")).header("cookie", &line);
        let page = gateway.browser().ask(ask).await;
        assert!(matches!(page.status, 200 | 401), "{page:?}");
        (page.status == 401).then_some(())
    })
    .await;
    let page = waiting.await.unwrap().expect_status(303);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(page.location().unwrap().as_str(), gateway.url("/oauth2/signed_out"));
    assert_eq!(browser.cookie("vestibule"), None);
    gate.open();
}

//! A person's own sessions: seen, ended, and limited in number.

use http::Method;
use serde_json::{Value, json};

use crate::login::{ELSEWHERE, SESSION, opens};
use crate::support::client::Ask;
use crate::support::{Browser, Endpoint, Page};
use crate::world::World;

async fn own(world: &World, browser: &Browser) -> Vec<Value> {
    let page = browser.fetch(world.url("/oauth2/sessions")).await.expect_status(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    page.json()["sessions"].as_array().unwrap().clone()
}

async fn sid(world: &World, browser: &Browser) -> String {
    browser.fetch(world.url("/oauth2/session")).await.expect_status(200).json()["sid"].as_str().unwrap().to_owned()
}

async fn revoke(world: &World, browser: &Browser, what: &Value) -> Page {
    browser.ask(Ask::fetch(Method::POST, world.url("/oauth2/sessions/revoke")).json(what)).await
}

/// `GET sessions` shows a person their own sessions, member by member, and nobody else's.
#[tokio::test]
async fn one_sees_ones_own() {
    let world = World::start().await;
    let (here, there) = (world.signed_in().await, world.signed_in().await);
    world.op.script(|script| {
        script.user("bob");
    });
    let bob = world.signed_in().await;
    let shown = own(&world, &here).await;
    let named: std::collections::BTreeSet<&str> = shown.iter().map(|one| one["sid"].as_str().unwrap()).collect();
    let (here_sid, there_sid) = (sid(&world, &here).await, sid(&world, &there).await);
    assert_eq!(named, [&*here_sid, &*there_sid].into_iter().collect());
    for one in &shown {
        let members: Vec<&str> = one.as_object().unwrap().keys().map(String::as_str).collect();
        let documented = ["address", "agent", "created", "current", "expires", "last_seen", "provider", "sid"];
        assert_eq!(
            members.iter().copied().collect::<std::collections::BTreeSet<_>>(),
            documented.into_iter().collect()
        );
        assert_eq!((&one["provider"], &one["address"]), (&json!("corp"), &json!("127.0.0.1")));
        assert!(one["agent"].as_str().unwrap().contains("VestibuleTest"), "{one}");
        assert_eq!(one["current"], json!(one["sid"] == *here_sid), "{one}");
    }
    assert_eq!(own(&world, &bob).await.len(), 1);
    world.gateway.browser().fetch(world.url("/oauth2/sessions")).await.expect_status(401);
}

/// `POST sessions/revoke` ends one of one's own sessions or all others, never one of somebody else.
#[tokio::test]
async fn one_ends_ones_own() {
    let world = World::start().await;
    let (here, there) = (world.signed_in().await, world.signed_in().await);
    let (third, fourth) = (world.signed_in().await, world.signed_in().await);
    world.op.script(|script| {
        script.user("bob");
    });
    let bob = world.signed_in().await;
    let cookie = |browser: &Browser| browser.cookie(SESSION).unwrap();
    let (bob_sid, there_sid) = (sid(&world, &bob).await, sid(&world, &there).await);

    for (what, status) in [
        (json!({"sid": bob_sid}), 404),
        (json!({"sid": "nothing"}), 404),
        (json!({"sid": ""}), 404),
        (json!({}), 400),
        (json!({"others": false}), 400),
        (json!({"others": true, "sid": there_sid}), 400),
        (json!({"sid": [there_sid]}), 400),
        (json!({"sid": there_sid, "more": 1}), 400),
        (json!(["sid", there_sid]), 400),
        (json!({"sid": "x".repeat(8192)}), 400),
    ] {
        let page = revoke(&world, &here, &what).await;
        assert_eq!(page.status, status, "{what}");
    }
    let url = world.url("/oauth2/sessions/revoke");
    let line = format!("{SESSION}={}", cookie(&here));
    for (from, metadata) in [(ELSEWHERE, true), (ELSEWHERE, false), ("http://127.0.0.1:1", true)] {
        let ask = Ask::fetch(Method::POST, &url).caused_by(from).header("cookie", &line).json(&json!({"others": true}));
        let ask = if metadata { ask } else { ask.without_metadata() };
        world.gateway.browser().ask(ask).await.expect_status(403);
    }
    revoke(&world, &world.gateway.browser(), &json!({"others": true})).await.expect_status(401);
    here.fetch(&url).await.expect_status(405);
    for browser in [&here, &there, &third, &fourth, &bob] {
        assert!(opens(&world, &cookie(browser)).await);
    }

    let page = revoke(&world, &here, &json!({"sid": there_sid})).await.expect_status(200);
    assert_eq!(page.json(), json!({"revoked": 1}));
    assert!(!opens(&world, &cookie(&there)).await && opens(&world, &cookie(&third)).await);
    revoke(&world, &here, &json!({"sid": there_sid})).await.expect_status(404);
    let page = revoke(&world, &here, &json!({"others": true})).await.expect_status(200);
    assert_eq!(page.json(), json!({"revoked": 2}));
    for (browser, lives) in [(&here, true), (&third, false), (&fourth, false), (&bob, true)] {
        assert_eq!(opens(&world, &cookie(browser)).await, lives);
    }
    assert_eq!(own(&world, &here).await.len(), 1);
}

/// SESS-17, the limit: with two sessions of one user at most the oldest makes room, at each further login.
#[tokio::test]
async fn the_oldest_makes_room() {
    let world = World::with(|config| config.with("session.per_user = 2")).await;
    world.op.script(|script| {
        script.user("bob");
    });
    let bob = world.signed_in().await.cookie(SESSION).unwrap();
    world.op.behave();
    let mut all: Vec<String> = Vec::new();
    for n in 0..4 {
        all.push(world.signed_in().await.cookie(SESSION).unwrap());
        for (at, cookie) in all.iter().enumerate() {
            assert_eq!(opens(&world, cookie).await, at + 2 > n, "session {at} after login {n}");
        }
    }
    assert!(opens(&world, &bob).await, "another person's do not count");
    let page = world.gateway.admin("GET", "/api/sessions?provider=corp&sub=alice", None).await.expect_status(200);
    assert_eq!(page.json()["sessions"].as_array().map(Vec::len), Some(2));
}

/// Ports of one host share their cookies, so one session serves all its public origins: one signs in at any of them, comes back to where
/// one was, and signs out of all, with one redirect URI and one landing page registered at the provider.
#[tokio::test]
async fn ports_of_a_host_share_a_session() {
    let world = World::with(|config| config.with("also_public = [\"http://127.0.0.1:9\"]")).await;
    let other = "http://127.0.0.1:9";
    let browser = world.gateway.browser().resolve("127.0.0.1:9", world.gateway.address());
    let page = browser.navigate(format!("{other}/deep?x=%20#y")).await.expect_status(200);
    assert_eq!(page.url.as_str(), format!("{other}/deep?x=%20"));
    let callback = world.op.last(Endpoint::Authorize);
    assert_eq!(callback.param("redirect_uri"), Some(world.url("/oauth2/callback").as_str()));
    for path in ["/", "/oauth2/userinfo", "/oauth2/session", "/oauth2/sessions"] {
        for url in [world.url(path), format!("{other}{path}")] {
            browser.ask(Ask::fetch(Method::GET, &url)).await.expect_status(200);
        }
    }
    // A page of one origin is a stranger to the other all the same.
    let ask = Ask::form(format!("{other}/x"), &[("a", "b")]).caused_by(&world.url(""));
    browser.ask(ask).await.expect_status(403);

    let first = browser.cookie(SESSION).unwrap();
    let page = browser.navigate(format!("{other}/oauth2/login?rd=/again")).await.expect_status(200);
    assert_eq!(page.url.as_str(), format!("{other}/again"));
    assert!(!opens(&world, &first).await, "a new login ends the earlier session, wherever it began");
    let page = browser.navigate(world.url(&format!("/oauth2/login?rd={other}/there"))).await.expect_status(200);
    assert_eq!(page.url.as_str(), format!("{other}/there"));

    let page = browser.submit(format!("{other}/oauth2/logout"), &[("rd", "/public/bye")]).await.expect_status(200);
    assert_eq!(page.url.as_str(), format!("{other}/public/bye"));
    let sent = world.op.last(Endpoint::EndSession);
    assert_eq!(sent.param("post_logout_redirect_uri"), Some(world.url("/oauth2/signed_out").as_str()));
    for url in [world.url("/"), format!("{other}/")] {
        browser.fetch(url).await.expect_status(401);
    }
}

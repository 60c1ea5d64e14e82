//! Renewing a session's tokens.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::login::{SESSION, opens, who};
use crate::logout::{session_at_other, two_providers};
use crate::support::client::{Ask, Browser, Page};
use crate::support::{Endpoint, eventually};
use crate::world::{SOON, World};

async fn refresh(world: &World, browser: &Browser) -> Page {
    browser.ask(Ask::fetch(Method::POST, world.url("/oauth2/session/refresh"))).await
}

/// REF-06: a refreshed ID token of another person, issuer, audience, authentication or nonce ends the session; what came with it
/// is given back unused.
#[tokio::test]
async fn a_refreshed_token_that_does_not_hold_ends_the_session() {
    let world = World::start().await;
    for changes in [
        json!({"sub": "mallory"}),
        json!({"sub": null}),
        json!({"iss": "https://evil.example"}),
        json!({"aud": "somebody else"}),
        json!({"auth_time": 1}),
        json!({"nonce": "another"}),
        json!({"exp": 1}),
    ] {
        world.op.behave();
        let browser = world.signed_in().await;
        let cookie = browser.cookie(SESSION).unwrap();
        let before = world.op.issued_tokens().len();
        let change = changes.clone();
        world.op.script(|script| {
            script.id_token_claims(move |claims| {
                for (name, value) in change.as_object().unwrap() {
                    match value {
                        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                        value => claims[name] = value.clone(),
                    }
                }
            });
        });
        let page = refresh(&world, &browser).await;
        assert_eq!(page.status, 401, "{changes}: {page:?}");
        assert!(!opens(&world, &cookie).await, "{changes}");
        assert_eq!(browser.cookie(SESSION), None, "{changes}: the cookie is deleted");
        let new: Vec<String> = world.op.issued_tokens().split_off(before);
        let refresh_token = new.iter().find(|token| token.starts_with("canary-refresh-")).unwrap();
        eventually("the new tokens' return", SOON, || async { (!world.op.is_alive(refresh_token)).then_some(()) })
            .await;
    }
    assert_eq!(world.op.reuses(), 0);
    // Written after all of them, and so read after them.
    world.op.behave();
    world.signed_in().await;
    let events = eventually("the eighth sign-in's line", SOON, || async {
        let events = world.gateway.audit_events();
        (events.iter().filter(|event| event["event"] == "login_succeeded").count() == 8).then_some(events)
    })
    .await;
    let failed: Vec<Value> = events.into_iter().filter(|event| event["event"] == "refresh_failed").collect();
    assert_eq!(failed.len(), 7);
    assert!(failed.iter().all(|event| event["sub"] == "alice" && event["sid"].is_string()), "{failed:?}");
}

/// REF-07: an answer without a refresh token leaves the old one in use; one with a new token replaces it.
#[tokio::test]
async fn the_refresh_token_is_kept_or_replaced() {
    for rotates in [false, true] {
        let world = World::start().await;
        if !rotates {
            world.op.script(|script| {
                script.without_rotation();
            });
        }
        let browser = world.signed_in().await;
        for _ in 0..3 {
            let page = refresh(&world, &browser).await.expect_status(200);
            assert_eq!(page.json()["sub"], "alice");
        }
        let shown: Vec<String> = world
            .op
            .requests(Endpoint::Token)
            .iter()
            .filter_map(|sent| sent.param("refresh_token").map(str::to_owned))
            .collect();
        let different: std::collections::HashSet<&String> = shown.iter().collect();
        assert_eq!((shown.len(), different.len()), (3, if rotates { 3 } else { 1 }));
        assert_eq!(world.op.reuses(), 0);
    }
}

/// REF-08: where there are two providers, a refresh token goes to the one that gave it, and not to the other.
#[tokio::test]
async fn a_refresh_token_goes_to_its_provider() {
    let (world, other) = two_providers().await;
    let (here, there) = (world.signed_in().await, world.gateway.browser());
    session_at_other(&world, &there).await;
    for browser in [&here, &there] {
        refresh(&world, browser).await.expect_status(200);
    }
    for op in [&world.op, &other] {
        let shown: Vec<String> = op
            .requests(Endpoint::Token)
            .iter()
            .filter_map(|sent| sent.param("refresh_token").map(str::to_owned))
            .collect();
        assert!(matches!(&shown[..], [one] if op.issued_tokens().contains(one)), "{shown:?}");
    }
}

/// REF-11: a group that was taken away is gone from userinfo, from the next identity token and from the routes' decisions.
#[tokio::test]
async fn claims_are_taken_anew() {
    let world = World::with(|config| {
        config
            .with("upstreams.app.identity.claims = [\"groups\"]")
            .route("path = \"/dev\"\nupstream = \"app\"\nrequire = { groups = [\"dev\"] }")
    })
    .await;
    let browser = world.signed_in().await;
    browser.fetch(world.url("/dev")).await.expect_status(200);
    assert_eq!(world.echo.last().identity().unwrap()["groups"], json!(["staff", "dev"]));
    world.op.set_claim("alice", "groups", json!(["staff"]));
    let before = browser.cookie(SESSION);
    refresh(&world, &browser).await.expect_status(200);
    assert_eq!(browser.cookie(SESSION), before, "a refresh is no new session");
    assert_eq!(browser.fetch(world.url("/oauth2/userinfo")).await.json()["groups"], json!(["staff"]));
    browser.fetch(world.url("/dev")).await.expect_status(403);
    browser.fetch(world.url("/")).await.expect_status(200);
    assert_eq!(world.echo.last().identity().unwrap()["groups"], json!(["staff"]));

    // Without an ID token in the answer the old claims stay.
    world.op.script(|script| {
        script.without_id_token_on_refresh();
    });
    world.op.set_claim("alice", "groups", json!([]));
    refresh(&world, &browser).await.expect_status(200);
    assert_eq!(browser.fetch(world.url("/oauth2/userinfo")).await.json()["groups"], json!(["staff"]));
}

/// REF-03: `invalid_grant` ends the session after one attempt: a script gets 401, the next navigation one redirect to log in.
#[tokio::test]
async fn an_ended_grant_ends_the_session() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION).unwrap();
    world.op.end_grants();
    world.op.forget();
    let page = refresh(&world, &browser).await.expect_status(401);
    assert_eq!(page.json()["login"], json!(world.url("/oauth2/login")));
    assert!(!opens(&world, &cookie).await);
    browser.fetch(world.url("/")).await.expect_status(401);
    assert_eq!(world.op.grants("refresh_token"), 1);
    browser.step(world.url("/")).await.expect_status(303);
    assert_eq!(world.gateway.audit_event("refresh_failed").await["sub"], "alice");

    // The same by use, when the access token is over.
    world.op.script(|script| {
        script.expires_in(1);
    });
    let browser = world.signed_in().await;
    world.op.end_grants();
    world.op.forget();
    eventually("the end of the access token", SOON, || async {
        let page = browser.fetch(world.url("/")).await;
        assert!(matches!(page.status, 200 | 401), "{page:?}");
        (page.status == 401).then_some(())
    })
    .await;
    browser.fetch(world.url("/")).await.expect_status(401);
    assert_eq!((world.op.grants("refresh_token"), world.op.count(Endpoint::Authorize)), (1, 0));
    browser.step(world.url("/")).await.expect_status(303);
}

/// REF-04: while the provider is away the session stays: requests go on while the access token lives, then 503; the same cookie
/// works when it is back.
#[tokio::test]
async fn a_provider_that_is_away_signs_nobody_out() {
    let world = World::start().await;
    world.op.script(|script| {
        script.expires_in(2);
    });
    let start = Instant::now();
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION);
    world.op.script(|script| {
        script.fail(Endpoint::Token, 503);
    });
    browser.fetch(world.url("/")).await.expect_status(200);
    let page = refresh(&world, &browser).await.expect_status(503);
    assert!(page.header("retry-after").is_some() && page.set_cookies().is_empty(), "{page:?}");
    eventually("the end of the access token", SOON, || async {
        let page = browser.fetch(world.url("/")).await;
        assert!(matches!(page.status, 200 | 503) && page.set_cookies().is_empty(), "{page:?}");
        (page.status == 503).then_some(())
    })
    .await;
    assert!(start.elapsed() > Duration::from_millis(1990), "refused with a living token: {:?}", start.elapsed());
    let page = browser.step(world.url("/")).await.expect_status(503);
    assert!(page.header("retry-after").is_some() && page.location().is_none(), "{page:?}");
    for fault in ["lost connection", "no token answer"] {
        world.op.script(|script| match fault {
            "lost connection" => {
                script.drop_connection(Endpoint::Token);
            }
            _ => {
                script.fail(Endpoint::Token, 500);
            }
        });
        refresh(&world, &browser).await.expect_status(503);
    }
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));
    world.op.script(|script| {
        script.heal(Endpoint::Token).expires_in(300);
    });
    browser.fetch(world.url("/")).await.expect_status(200);
    assert_eq!((browser.cookie(SESSION), world.op.reuses()), (cookie, 0));
    assert_eq!(world.op.grants("authorization_code"), 1, "nobody signed in again");
}

/// Many at once are one refresh; a session without a refresh token says so, and other sites cannot ask.
#[tokio::test]
async fn refreshing_by_hand() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let gate = world.op.hold(Endpoint::Token);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (browser, url) = (browser.clone(), world.url("/oauth2/session/refresh"));
        running.spawn(async move { browser.ask(Ask::fetch(Method::POST, url)).await.status });
    }
    gate.arrived().await;
    // Time for the others to come as well; should one be late, there is one refresh more and not one less.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = world.op.grants("refresh_token");
    gate.open();
    assert!(running.join_all().await.iter().all(|status| *status == 200));
    assert_eq!((asked, world.op.reuses()), (1, 0));

    world.op.behave();
    let before = world.op.grants("refresh_token");
    let line = format!("{SESSION}={}", browser.cookie(SESSION).unwrap());
    for origin in [crate::login::ELSEWHERE, "http://127.0.0.1:1"] {
        let ask =
            Ask::fetch(Method::POST, world.url("/oauth2/session/refresh")).caused_by(origin).header("cookie", &line);
        browser.ask(ask).await.expect_status(403);
    }
    refresh(&world, &world.gateway.browser()).await.expect_status(401);
    world.op.script(|script| {
        script.without_refresh_token();
    });
    let page = refresh(&world, &world.signed_in().await).await.expect_status(409);
    assert_eq!(page.header("content-type"), Some("application/problem+json"));
    assert_eq!(world.op.grants("refresh_token"), before);
}

//! The token call of a refresh fails.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use tokio::task::JoinSet;

use super::Broken;
use super::token::GOOD;
use crate::detour::{Way, broken};
use crate::support::client::{Ask, Browser};
use crate::support::h2::H2;
use crate::support::{Endpoint, eventually};
use crate::world::{SOON, World};

/// Signed in with an access token that is over; what is granted from now on lives long.
async fn expired(world: &World) -> Browser {
    world.op.script(|script| {
        script.expires_in(1);
    });
    let browser = world.signed_in().await;
    // What has to pass is time.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    world.op.script(|script| {
        script.expires_in(300);
    });
    world.op.forget();
    browser
}

fn refresh(world: &World) -> Ask {
    Ask::fetch(Method::POST, world.url("/oauth2/session/refresh"))
}

/// Row "provider down", REF-04: whatever the token endpoint does instead of answering, a session whose access token
/// lives is served, one whose access token is over gets a 503 that says so; neither is ended, no cookie is touched,
/// nobody is sent to sign in, and both go on when the provider answers.
#[tokio::test]
async fn no_answer_ends_a_session() {
    let broken_way = Broken::at("token_endpoint", |config| config).await;
    let world = &broken_way.world;
    let living = world.signed_in().await;
    let over = expired(world).await;
    let cookies = [living.cookie("vestibule"), over.cookie("vestibule")];
    for (what, way) in broken(GOOD) {
        broken_way.breaks(&way);
        let forwarded = world.echo.count();
        for (who, browser) in [("living", &living), ("over", &over)] {
            let page = browser.ask(refresh(world)).await;
            assert_eq!(page.status, 503, "{who}, {what}: {page:?}");
            assert!(page.header("retry-after").is_some() && page.set_cookies().is_empty(), "{who}, {what}: {page:?}");
            browser.fetch(world.url("/oauth2/userinfo")).await.expect_status(200);
        }
        living.fetch(world.url("/")).await.expect_status(200);
        assert_eq!(world.echo.count(), forwarded + 1, "{what}");
        for ask in [Ask::navigation(world.url("/")), Ask::fetch(Method::GET, world.url("/"))] {
            let page = over.ask(ask).await;
            assert_eq!(page.status, 503, "{what}: {page:?}");
            assert!(page.header("retry-after").is_some() && page.location().is_none(), "{what}: {page:?}");
            assert_eq!(page.set_cookies(), [""; 0], "{what}");
        }
        assert_eq!(world.echo.count(), forwarded + 1, "{what}: forwarded without a living access token");
        over.fetch(world.url("/public")).await.expect_status(200);
    }
    broken_way.heals();
    over.fetch(world.url("/")).await.expect_status(200);
    living.ask(refresh(world)).await.expect_status(200);
    assert_eq!([living.cookie("vestibule"), over.cookie("vestibule")], cookies);
    assert_eq!((world.op.grants("refresh_token"), world.op.reuses(), world.op.count(Endpoint::Authorize)), (2, 0, 0));
    assert!(!world.gateway.output().contains("in-garbage"), "the answer is in the log");
    assert!(!world.gateway.audit_events().iter().any(|event| event["event"] == "refresh_failed"));
}

/// Row "provider down", REF-04: an OAuth error other than `invalid_grant` says nothing about the session: it is the
/// gateway's registration that is wrong, or the provider that has trouble.
#[tokio::test]
async fn other_errors_end_no_session() {
    let world = World::start().await;
    let browser = expired(&world).await;
    for error in ["invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "server_error", "slow"] {
        for status in [400, 401] {
            world.op.script(|script| {
                let body = format!("{{\"error\":\"{error}\",\"error_description\":\"canary description\"}}");
                script.answer(Endpoint::Token, status, "application/json", body);
                // The answer is made up, and what the provider would have done is not: it must not rotate meanwhile.
                script.fail(Endpoint::Token, status);
            });
            let page = browser.fetch(world.url("/")).await;
            assert_eq!(page.status, 503, "{status} {error}: {page:?}");
            assert_eq!(page.set_cookies(), [""; 0], "{status} {error}");
        }
    }
    world.op.script(|script| {
        script.heal(Endpoint::Token);
    });
    browser.fetch(world.url("/")).await.expect_status(200);
    assert_eq!(world.op.reuses(), 0);
}

/// Row "provider down": a token endpoint that says nothing: who waits for it gets a 503 within its deadline; whose
/// access token still lives waits for nothing.
#[tokio::test]
async fn silence_has_an_end() {
    let broken_way = Broken::at("token_endpoint", |config| config).await;
    let world = &broken_way.world;
    let living = world.signed_in().await;
    let over = expired(world).await;
    broken_way.breaks(&Way::Silence);
    let begun = Instant::now();
    let waiting = join_all((0..5).map(|_| over.fetch(world.url("/"))));
    let served = async {
        living.fetch(world.url("/")).await.expect_status(200);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    };
    let asked = broken_way.way.asked();
    let (pages, ()) = tokio::join!(waiting, served);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert!(pages.iter().all(|page| page.status == 503 && page.set_cookies().is_empty()), "{pages:?}");
    assert_eq!(broken_way.way.asked(), asked + 1, "one question for all who wait");
    broken_way.heals();
    over.fetch(world.url("/")).await.expect_status(200);
    assert_eq!(world.op.reuses(), 0);
}

/// Row "provider down", REF-01: a provider that takes eight seconds for a refresh: everybody who has the patience is
/// served by that one answer, and those who leave take nothing with them.
#[tokio::test]
async fn a_slow_refresh_serves_the_patient_and_survives_the_impatient() {
    let world = World::start().await;
    let browser = expired(&world).await;
    world.op.script(|script| {
        script.delay(Endpoint::Token, Duration::from_secs(8));
    });
    let mut impatient = JoinSet::new();
    // The one that began it is among those who leave.
    for n in 0..8 {
        let (browser, url) = (browser.clone(), world.url(&format!("/impatient?{n}")));
        impatient.spawn(async move { browser.fetch(url).await.status });
        if n == 0 {
            eventually("the question", SOON, || async { (world.op.grants("refresh_token") == 1).then_some(()) }).await;
        }
    }
    let patient = join_all((0..8).map(|n| browser.fetch(world.url(&format!("/patient?{n}")))));
    let leave = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        impatient.abort_all();
        while impatient.join_next().await.is_some() {}
    };
    let (pages, ()) = tokio::join!(patient, leave);
    assert!(pages.iter().all(|page| page.status == 200), "{pages:?}");
    world.op.behave();
    browser.fetch(world.url("/after")).await.expect_status(200);
    assert_eq!((world.op.grants("refresh_token"), world.op.reuses()), (1, 0));
}

/// Row "provider down": a refresh belongs to the session and not to the request that began it: everybody hangs up
/// before the provider answers, and the rotated token is kept all the same.
#[tokio::test]
async fn a_refresh_whose_callers_hang_up_is_not_lost() {
    for http2 in [false, true] {
        let world = World::start().await;
        let browser = expired(&world).await;
        let gate = world.op.hold(Endpoint::Token);
        let mut callers = JoinSet::new();
        for _ in 0..3 {
            let (browser, url, address) = (browser.clone(), world.url("/"), world.gateway.address());
            callers.spawn(async move {
                if http2 {
                    let cookie = format!("vestibule={}", browser.cookie("vestibule").unwrap());
                    let request = http::Request::get(url).header("cookie", cookie).body("").unwrap();
                    drop(H2::connect(address).await.send(request).await);
                } else {
                    browser.fetch(url).await;
                }
            });
        }
        gate.arrived().await;
        callers.abort_all();
        while callers.join_next().await.is_some() {}
        // The gateway has seen all of them go.
        eventually("nobody under way", SOON, || async {
            let under_way = world.gateway.metrics().await.sum("vestibule_requests_in_flight", &[]);
            (under_way == 0.0).then_some(())
        })
        .await;
        gate.open();
        world.op.behave();
        browser.fetch(world.url("/after")).await.expect_status(200);
        assert_eq!(world.op.grants("refresh_token"), 1, "HTTP/2 {http2}: the answer was stored");
        browser.ask(refresh(&world)).await.expect_status(200);
        assert_eq!((world.op.grants("refresh_token"), world.op.reuses()), (2, 0), "HTTP/2 {http2}");
        assert_eq!(world.echo.requests().iter().filter(|seen| seen.target == "/after").count(), 1);
    }
}

/// What cannot be saved: the provider has rotated, and its answer is lost on the way. One clean login is what that
/// costs, and nothing is told twice.
#[tokio::test]
async fn an_answer_that_is_lost_costs_one_login() {
    let world = World::start().await;
    let browser = expired(&world).await;
    world.op.script(|script| {
        script.lose_answer(Endpoint::Token).times(Endpoint::Token, 1);
    });
    browser.fetch(world.url("/")).await.expect_status(503);
    let page = browser.navigate(world.url("/wanted")).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/wanted"));
    assert_eq!((world.op.grants("refresh_token"), world.op.grants("authorization_code")), (2, 1));
    assert_eq!(world.gateway.audit_event("refresh_failed").await["sub"], "alice");
}

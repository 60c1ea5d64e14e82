//! How long sessions live.

use std::time::{Duration, Instant};

use http::Method;
use tokio::time::sleep;

use crate::login::{SESSION, opens};
use crate::support::client::Ask;
use crate::world::World;

const STEP: Duration = Duration::from_millis(100);

/// SESS-04, SESS-19, LOGIN-24: the idle limit ends a session however often it is looked at, loaded ahead or polled; only real use
/// keeps one alive.
#[tokio::test]
async fn only_use_keeps_a_session_alive() {
    let world = World::with(|config| {
        config.with("session.idle = \"2s\"").route("path = \"/poll\"\nupstream = \"app\"\npassive = true")
    })
    .await;
    let get = |path: &str| Ask::fetch(Method::GET, world.url(path));
    let navigation = |path: &str| Ask::navigation(world.url(path));
    let asks = [
        ("in use", get("/")),
        ("session endpoint", get("/oauth2/session")),
        ("userinfo", get("/oauth2/userinfo")),
        ("passive route", get("/poll")),
        ("prefetch", navigation("/").header("sec-purpose", "prefetch")),
        ("prerender", navigation("/").header("sec-purpose", "prefetch;prerender")),
        ("public route", get("/public")),
        ("unknown endpoint", get("/oauth2/nothing")),
    ];
    let mut people = Vec::new();
    for (what, ask) in asks {
        let cookie = world.signed_in().await.cookie(SESSION).unwrap();
        people.push((what, ask.header("cookie", &format!("{SESSION}={cookie}")), cookie));
    }
    let browser = world.gateway.browser().without_cookies();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(3200) {
        for (_, ask, _) in &people {
            browser.ask(ask.clone()).await;
        }
        sleep(STEP).await;
    }
    for (what, _, cookie) in &people {
        assert_eq!(opens(&world, cookie).await, *what == "in use", "{what}");
    }
}

/// SESS-04: the absolute limit holds against constant use, refreshes, and a browser that keeps its cookie.
#[tokio::test]
async fn nothing_extends_the_lifetime() {
    let world = World::with(|config| {
        config.with("session.lifetime = \"2s\"\nsession.idle = \"2s\"\nproviders.corp.refresh_ahead = \"1s\"")
    })
    .await;
    world.op.script(|script| {
        script.expires_in(1);
    });
    let start = Instant::now();
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION).unwrap();
    let signed_in = start.elapsed();
    let mut lived = Duration::ZERO;
    loop {
        let page = browser.fetch(world.url("/")).await;
        if page.status == 401 {
            break;
        }
        assert_eq!(page.status, 200, "{page:?}");
        lived = start.elapsed();
        assert!(lived < Duration::from_secs(5), "it still lives");
        sleep(STEP).await;
    }
    assert!(lived <= Duration::from_secs(2) + signed_in + STEP, "{lived:?}");
    assert!(lived >= Duration::from_secs(1), "{lived:?}: it ended too early to show anything");
    assert!(world.op.grants("refresh_token") >= 1, "tokens were renewed meanwhile");
    // No identity token is made for less than a second, so our own endpoints may see the session a little longer.
    while opens(&world, &cookie).await {
        assert!(start.elapsed() <= Duration::from_secs(2) + signed_in + STEP * 2, "{:?}", start.elapsed());
        sleep(STEP).await;
    }
    // The cookie that opens nothing is deleted, and a page leads to a login.
    assert_eq!(browser.cookie(SESSION), None);
    browser.step(world.url("/")).await.expect_status(303);
}

/// The end is told ahead, and no identity token lives as long as its session.
#[tokio::test]
async fn the_end_is_told_ahead() {
    let world = World::with(|config| config.with("session.lifetime = \"1h\"\nsession.idle = \"10m\"")).await;
    let browser = world.signed_in().await;
    let told = browser.fetch(world.url("/oauth2/session")).await.expect_status(200).json();
    let (ends, idle) = (told["expires_in"].as_u64().unwrap(), told["idle_expires_in"].as_u64().unwrap());
    assert!((3590..=3600).contains(&ends) && (590..=600).contains(&idle), "{told}");
    let token = {
        browser.fetch(world.url("/")).await.expect_status(200);
        world.echo.last().identity().unwrap()
    };
    let life = token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap();
    assert!(life <= 60, "{token}");
}

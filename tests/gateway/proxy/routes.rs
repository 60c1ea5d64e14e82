//! What a route can ask and say.

use std::time::Duration;

use http::Method;

use crate::support::Ask;
use crate::support::wait::eventually;
use crate::world::{World, cookie_line};

/// ID-14: what no route covers by host, path and method is refused, and nothing is asked of any upstream.
#[tokio::test]
async fn what_no_route_covers_is_refused() {
    let (op, echo) = (crate::support::BadOp::start().await, crate::support::Echo::start().await);
    let gateway = crate::support::Gateway::start(
        crate::support::ConfigBuilder::usual(&op, &echo)
            .with("public_url = \"http://localhost:@PUBLIC_PORT@\"")
            .route("path = \"/reports\"\nupstream = \"app\"\nmethods = [\"GET\"]\naccess = \"public\"")
            .route("path = \"=/only\"\nupstream = \"app\"\naccess = \"public\""),
    )
    .await;
    let host = gateway.public_url().trim_start_matches("http://").to_owned();
    for (start, status) in [
        ("GET /reports", 200),
        ("GET /reports/x", 200),
        ("GET /only", 200),
        ("HEAD /reports", 404),
        ("POST /reports", 404),
        ("OPTIONS /reports", 404),
        ("GET /reportsx", 404),
        ("GET /", 404),
        ("GET /only/", 404),
        ("GET /REPORTS", 404),
        ("GET /.env", 404),
    ] {
        echo.forget();
        let mut raw = crate::support::Raw::connect(gateway.address()).await;
        raw.send(format!("{start} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n")).await;
        let answer = raw.answer_to(start.split(' ').next().unwrap()).await.unwrap();
        assert_eq!((answer.status, echo.count()), (status, usize::from(status == 200)), "{start}");
    }
}

/// ID-14: a claim that a route requires opens it to those who have it, and to nobody else.
#[tokio::test]
async fn claims_open_routes() {
    let world = World::with(|config| {
        config
            .route("path = \"/staff\"\nupstream = \"app\"\nrequire = { groups = [\"staff\", \"board\"] }")
            .route("path = \"/both\"\nupstream = \"app\"\nrequire = { groups = [\"staff\"], preferred_username = [\"alice\"] }")
    })
    .await;
    let alice = world.cookie().await;
    world.op.script(|script| _ = script.user("bob"));
    world.op.set_claim("bob", "groups", serde_json::json!(["Staff", "staff ", "staffing"]));
    let bob = world.cookie().await;
    world.op.script(|script| _ = script.user("carol"));
    world.op.set_claim("carol", "groups", "board");
    let carol = world.cookie().await;
    world.op.script(|script| _ = script.user("dave"));
    world.op.set_claim("dave", "groups", serde_json::Value::Null);
    let dave = world.cookie().await;
    for (path, expected) in
        [("/staff", [200, 403, 200, 403]), ("/both", [200, 403, 403, 403]), ("/x", [200, 200, 200, 200])]
    {
        for (cookie, status) in [&alice, &bob, &carol, &dave].into_iter().zip(expected) {
            world.echo.forget();
            let answer = world.ask(&format!("GET {path}"), &[cookie]).await;
            assert_eq!((answer.status, world.echo.count()), (status, usize::from(status == 200)), "{path} {cookie}");
            assert_eq!(answer.header("set-cookie"), None, "a refusal signs nobody out");
        }
    }
    let denied = world.gateway.audit_event("access_denied").await;
    assert!(denied["reason"].as_str().is_some_and(|reason| reason.contains("groups")), "{denied}");
}

/// How a route answers those who are signed out.
#[tokio::test]
async fn routes_say_how_strangers_are_answered() {
    let world = World::with(|config| {
        config
            .route("path = \"/redirect\"\nupstream = \"app\"\nsigned_out = \"redirect\"")
            .route("path = \"/api\"\nupstream = \"app\"\nsigned_out = \"unauthorized\"")
    })
    .await;
    let browser = world.gateway.browser();
    for (path, navigation, fetch, post) in
        [("/x", 303, 401, 401), ("/redirect", 303, 303, 401), ("/api", 401, 401, 401)]
    {
        let url = world.url(path);
        assert_eq!(browser.step(url.clone()).await.status, navigation, "{path}");
        assert_eq!(browser.fetch(url.clone()).await.status, fetch, "{path}");
        assert_eq!(browser.ask(Ask::fetch(Method::POST, url)).await.status, post, "{path}");
    }
    assert_eq!(world.echo.count(), 0);
}

/// An encoded slash is an ambiguous path, but where a route keeps it: there it is a character of its segment.
#[tokio::test]
async fn encoded_slashes_are_kept_where_a_route_says_so() {
    let world = World::with(|config| {
        config.route("path = \"/files\"\nupstream = \"app\"\naccess = \"public\"\nencoded_slash = \"keep\"")
    })
    .await;
    assert_eq!(world.ask("GET /public/a%2Fb", &[]).await.status, 400);
    assert!(world.ask("GET /files%2fa", &[]).await.status >= 400, "it separates no segments");
    for (raw, forwarded) in
        [("/files/a%2fb", "/files/a%2Fb"), ("/files/%2F", "/files/%2F"), ("/files/a%2Fb?c=%2f", "/files/a%2Fb?c=%2f")]
    {
        assert_eq!(world.seen(&format!("GET {raw}"), &[]).await.target, forwarded);
    }
    world.echo.forget();
    for raw in ["/files/..%2fx", "/files/%2e%2e%2fx", "/files/a%2f..%2fb", "/files/a%5cb", "/files/a%00"] {
        assert_eq!((world.ask(&format!("GET {raw}"), &[]).await.status, world.echo.count()), (400, 0), "{raw}");
    }
}

/// Passive routes, the session endpoint and prefetches do not keep a session alive; anything else does.
#[tokio::test]
async fn passive_routes_do_not_keep_sessions_alive() {
    let world = World::with(|config| {
        config.with("session.idle = \"20s\"").route("path = \"/poll\"\nupstream = \"app\"\npassive = true")
    })
    .await;
    let browser = world.signed_in().await;
    let cookie = cookie_line(&browser);
    let left = async || {
        let answer = world.ask("GET /oauth2/session", &[&cookie]).await;
        answer.json()["idle_expires_in"].as_i64().unwrap()
    };
    // The least that is noted is a tenth of the idle time.
    eventually("time to pass", Duration::from_secs(8), async || (left().await <= 16).then_some(())).await;
    for _ in 0..3 {
        assert_eq!(world.ask("GET /poll", &[&cookie]).await.status, 200);
        assert_eq!(world.ask("GET /x", &[&cookie, "Sec-Purpose: prefetch"]).await.status, 200);
    }
    assert!(left().await <= 16);
    assert_eq!(world.ask("GET /x", &[&cookie]).await.status, 200);
    eventually("the use to be noted", Duration::from_secs(3), async || (left().await >= 19).then_some(())).await;
}

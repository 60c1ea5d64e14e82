//! Kept connections that turn out to be closed.

use std::collections::BTreeMap;

use crate::support::echo::Closing;
use crate::support::wait::until;
use crate::world::{SOON, World};

/// HTTP-17: an upstream that closes its kept connections costs no GET, and no POST is done twice.
#[tokio::test]
async fn closed_connections_cost_nothing_and_repeat_nothing() {
    let world = World::start().await;
    for closing in [Closing::OnSecondRequest, Closing::AfterAnswer] {
        world.echo.closing(closing);
        let mut lost = 0;
        for n in 0..20 {
            for which in ["first", "second"] {
                let got = world.ask(&format!("GET /public/{which}?n={n}"), &[]).await;
                assert_eq!(got.status, 200, "{closing:?}, {which} GET {n}");
            }
            // Without a body it could be sent again; it must not be.
            let body = if n % 2 == 0 { "x" } else { "" };
            let length = format!("Content-Length: {}", body.len());
            let head = world.head(&format!("POST /public/post?n={n}"), &[&length]);
            let posted = world.send(head + body).await;
            assert!(matches!(posted.status, 200 | 502), "{closing:?}, POST {n}: {posted:?}");
            lost += usize::from(posted.status == 502);
        }
        let mut times = BTreeMap::new();
        for seen in world.echo.requests() {
            *times.entry(format!("{} {}", seen.method, seen.target)).or_insert(0) += 1;
        }
        for n in 0..20 {
            let posted = times.get(&format!("POST /public/post?n={n}")).copied().unwrap_or_default();
            assert!(posted <= 1, "{closing:?}: POST {n} was done {posted} times");
        }
        if closing == Closing::OnSecondRequest {
            assert!(times.values().any(|&times| times > 1), "no GET met a closed connection: nothing was shown");
            assert!(lost > 0, "no POST met a closed connection: nothing was shown");
        }
        world.echo.forget();
    }
    world.echo.closing(Closing::Never);
    assert!(world.gateway.metrics().await.sum("vestibule_upstream_retries_total", &[("upstream", "app")]) >= 1.0);
}

/// HTTP-17: what never had an answer is not asked again and again; a fresh connection that closes is a 502.
#[tokio::test]
async fn a_fresh_connection_is_no_reason_to_ask_again() {
    let world = World::start().await;
    let answer = world.ask("GET /public/drop", &[]).await;
    assert_eq!((answer.status, world.echo.count()), (502, 1));
    let answer = world.ask("POST /public/drop", &["Content-Length: 0"]).await;
    assert_eq!((answer.status, world.echo.count()), (502, 2));
}

/// Kept connections are used again, and by other people; only the request says who is calling.
#[tokio::test]
async fn connections_are_kept() {
    let world = World::start().await;
    for _ in 0..10 {
        world.seen("GET /public", &[]).await;
    }
    assert_eq!(world.echo.connections(), 1);
    assert_eq!(world.echo.last().nth, 10);
}

/// HTTP-30: a connection that somebody signs in on (NTLM, Negotiate) is nobody else's.
#[tokio::test]
async fn connections_that_sign_in_are_not_shared() {
    let world = World::start().await;
    let first = world.seen("GET /public", &["Authorization: NTLM TlRMTVNTUAABAAAA"]).await;
    until("its end", SOON, || world.echo.open_connections() == 0).await;
    let second = world.seen("GET /public", &[]).await;
    assert_ne!(first.connection, second.connection);
    world.echo.answer_raw(
        "/public/challenge",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x, Negotiate\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(world.ask("GET /public/challenge", &[]).await.status, 401);
    let third = world.seen("GET /public", &[]).await;
    assert_ne!(second.connection, third.connection);
    assert_eq!(third.nth, 1);
}

//! Upstreams that are away, slow, full, or speak nonsense.

use http::Request;

use crate::support::wait::until;
use crate::support::{ConfigBuilder, Echo, Gateway, Raw, free_port};
use crate::world::{SOON, World};

/// HTTP-20: an answer that can be read in two ways is a 502, and its connection is not used again.
#[tokio::test]
async fn malformed_answers_are_not_passed_on() {
    let world = World::start().await;
    for kind in [
        "length-and-chunked",
        "two-lengths",
        "header-bytes",
        "header-name",
        "folded",
        "unasked-101",
        "unknown-coding",
        "status-line",
    ] {
        let answer = world.ask(&format!("GET /public/malformed?kind={kind}"), &[]).await;
        let bad = world.echo.last();
        assert_eq!(answer.status, 502, "{kind}: {answer:?}");
        assert!(!answer.text().contains("127.0.0.1"), "{kind}: {}", answer.text());
        let good = world.seen("GET /public/good", &[]).await;
        assert_ne!(bad.connection, good.connection, "{kind}");
    }
    // Its head was fine: what can still be told is that it did not end well.
    let mut raw = world.raw().await;
    raw.send(world.head("GET /public/malformed?kind=bad-chunk", &[])).await;
    let answer = raw.answer().await;
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 502 || !answer.complete), "{answer:?}");
    let bad = world.echo.last();
    assert_ne!(bad.connection, world.seen("GET /public/good", &[]).await.connection);
}

/// HTTP-20: an answer that nobody asked for is nobody's: the next request has its own.
#[tokio::test]
async fn answers_are_never_left_for_the_next() {
    let world = World::start().await;
    for _ in 0..5 {
        let answer = world.ask("GET /public/malformed?kind=unasked-answer", &[]).await;
        assert!(matches!((answer.status, &*answer.text()), (200, "ok") | (502, _)), "{answer:?}");
        for n in 0..3 {
            let answer = world.ask(&format!("GET /public/own?n={n}"), &[]).await;
            assert_eq!((answer.status, &answer.json()["target"]), (200, &format!("/public/own?n={n}").into()));
        }
    }
}

/// HTTP-29: away is 502, silent is 504, full is 503 with `Retry-After`; where the upstream is stays unsaid.
#[tokio::test]
async fn failures_have_their_statuses() {
    let (slow, away) = (Echo::start().await, free_port());
    let config = ConfigBuilder::new()
        .upstream("away", &format!("http://127.0.0.1:{away}"))
        .upstream("slow", &slow.url())
        .upstream("narrow", &slow.url())
        .upstream("nowhere", "http://upstream.invalid:8080")
        .upstream("socket", "unix:/nonexistent/vestibule-test.sock")
        .with("[upstreams.slow.timeouts]\nresponse = \"1s\"\n[upstreams.narrow]\nconnections = 1\ntimeouts.connect = \"1s\"");
    let config = ["away", "slow", "narrow", "nowhere", "socket"].into_iter().fold(config, |config, name| {
        config.route(&format!("path = \"/{name}\"\nupstream = \"{name}\"\naccess = \"public\""))
    });
    let gateway = Gateway::start(config).await;
    let host = gateway.address().to_string();
    let ask = async |target: &str, accept: &str| {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n")).await;
        raw.answer().await.unwrap()
    };
    let mut holding = Raw::connect(gateway.address()).await;
    holding.send(format!("GET /narrow/hang HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    until("the only connection", SOON, || slow.count() == 1).await;
    for (target, status) in [
        ("/away", 502),
        ("/slow/hang", 504),
        ("/narrow/x", 503),
        ("/nowhere", 502),
        ("/socket", 502),
        ("/slow/drop", 502),
    ] {
        for accept in ["application/json", "text/html"] {
            let answer = ask(target, accept).await;
            assert_eq!(answer.status, status, "{target}: {answer:?}");
            assert_eq!(answer.header("retry-after").is_some(), status == 503, "{target}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}");
            let told = format!("{:?} {}", answer.headers, answer.text());
            for secret in [&*away.to_string(), &*slow.address.port().to_string(), "invalid", "nonexistent", "narrow"] {
                assert!(!told.contains(secret), "{target} tells {secret}: {told}");
            }
        }
        if status == 503 {
            assert_eq!(slow.count(), 3, "only what was there before");
        }
    }
    drop(holding);
    until("room again", SOON, || slow.open_connections() == 0).await;
    assert_eq!(ask("/narrow/x", "*/*").await.status, 200);
}

/// Whatever is wrong with one answer of the upstream, the next request on the same connection is
/// served.
#[tokio::test]
async fn failures_cost_one_request() {
    let world = World::start().await;
    let h2 = world.h2().await;
    for target in ["/public/drop", "/public/malformed?kind=header-bytes", "/public/early?code=500"] {
        let answer = h2.send(Request::get(world.url(target)).body("").unwrap()).await.unwrap();
        assert!(answer.status >= 500, "{target}");
        let answer = h2.send(Request::get(world.url("/public")).body("").unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "on the same connection after {target}");
    }
}

//! The bounds on what a client may do.

use std::time::Duration;

use http::Request;

use crate::support::wait::until;
use crate::world::{SOON, World, statuses};

/// DOS-03: heads, targets and bodies at their limit pass and beyond it get 431, 414 and 413, in both versions of HTTP.
#[tokio::test]
async fn sizes_have_limits() {
    let world = World::with(|config| {
        config
            .with("[limits]\nheader_bytes = \"16KiB\"\nheader_count = 40\nbody_bytes = \"64KiB\"")
            .route("path = \"/large\"\nupstream = \"app\"\naccess = \"public\"\nbody_bytes = \"128KiB\"")
            .route("path = \"/any\"\nupstream = \"app\"\naccess = \"public\"\nbody_bytes = \"unlimited\"")
    })
    .await;
    let h2 = world.h2().await;
    let fields = |n: usize| (0..n).map(|at| format!("X-{at}: y")).collect::<Vec<_>>();
    let long = |n: usize| vec![format!("X-Long: {}", "y".repeat(n))];
    for (what, lines, target, status) in [
        ("few fields", fields(30), "/public".to_owned(), 200),
        ("many fields", fields(60), "/public".to_owned(), 431),
        ("long fields", long(14_000), "/public".to_owned(), 200),
        ("longer fields", long(20_000), "/public".to_owned(), 431),
        ("long target", vec![], format!("/public?{}", "q".repeat(7_900)), 200),
        ("longer target", vec![], format!("/public?{}", "q".repeat(9_000)), 414),
    ] {
        world.echo.forget();
        let some: Vec<&str> = lines.iter().map(String::as_str).collect();
        let answer = world.ask(&format!("GET {target}"), &some).await;
        assert_eq!((answer.status, world.echo.count()), (status, usize::from(status == 200)), "{what}");
        world.echo.forget();
        let mut request = Request::get(world.url(&target));
        for line in &lines {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let answer = h2.send(request.body("").unwrap()).await;
        let got = answer.as_ref().map_or(0, |answer| answer.status);
        // A head that is too long for the library ends its stream without a word.
        assert!(got == status || (status != 200 && got == 0), "{what} over HTTP/2: {answer:?}");
        assert_eq!(world.echo.count(), usize::from(status == 200), "{what} over HTTP/2");
    }
    for (target, length, status) in [
        ("/public", 65_536, 200),
        ("/public", 65_537, 413),
        ("/large", 131_072, 200),
        ("/large", 131_073, 413),
        ("/any", 1 << 20, 200),
    ] {
        for chunked in [false, true] {
            let body = "b".repeat(length);
            let mut raw = world.raw().await;
            world.echo.forget();
            if chunked {
                raw.send(world.head(&format!("POST {target}"), &["Transfer-Encoding: chunked"])).await;
                raw.send(format!("{length:x}\r\n{body}\r\n0\r\n\r\n")).await;
            } else {
                raw.send(world.head(&format!("POST {target}"), &[&format!("Content-Length: {length}")])).await;
                raw.send(&body).await;
            }
            let answer = raw.answer().await.unwrap();
            assert_eq!(answer.status, status, "{target} {length} chunked: {chunked}: {answer:?}");
            assert!(world.echo.requests().iter().all(|seen| seen.complete == (status == 200)), "{target} {length}");
        }
        let answer = h2.send(Request::post(world.url(target)).body("b".repeat(length)).unwrap()).await;
        assert_eq!(answer.unwrap().status, status, "{target} {length} over HTTP/2");
    }
}

/// Requests beyond `requests_in_flight` get 503 with `Retry-After` and nothing of them goes on; then there is room again.
#[tokio::test]
async fn requests_at_once_have_a_limit() {
    let world = World::with(|config| config.with("limits.requests_in_flight = 2")).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut raw = world.raw().await;
        raw.send(world.head("GET /public/hang", &[])).await;
        held.push(raw);
    }
    until("both at the upstream", SOON, || world.echo.count() == 2).await;
    let answer = world.ask("GET /public", &[]).await;
    assert_eq!((answer.status, world.echo.count()), (503, 2));
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()));
    held.clear();
    until("room again", SOON, || world.echo.open_connections() == 0).await;
    let answer = world.ask("GET /public", &[]).await;
    assert_eq!(answer.status, 200);
    let limited = world.gateway.metrics().await.sum("vestibule_limited_total", &[("kind", "requests_in_flight")]);
    assert_eq!(limited, 1.0);
}

/// Connections beyond the limit are told so and closed; those that were there go on.
#[tokio::test]
async fn connections_have_a_limit() {
    let world = World::with(|config| config.with("limits.connections = 3")).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut raw = world.raw().await;
        raw.send(world.head("GET /public", &[])).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
        held.push(raw);
    }
    let mut excess = world.raw().await;
    excess.send(world.head("GET /public", &[])).await;
    let answer = excess.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert!(answer.header("retry-after").is_some());
    assert!(excess.closes_within(SOON).await);
    for raw in &mut held {
        raw.send(world.head("GET /public", &[])).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    held.clear();
    crate::support::eventually("room again", SOON, async || {
        (world.ask("GET /public", &[]).await.status == 200).then_some(())
    })
    .await;
}

/// Bodies and heads that stall, and connections on which nothing happens, come to an end; a stream does not.
#[tokio::test]
async fn stalling_has_an_end() {
    let world = World::with(|config| {
        config.with("[limits]\nbody_idle_time = \"1s\"\nheader_time = \"1s\"\nidle_time = \"2s\"")
    })
    .await;
    let limit = Duration::from_secs(5);
    let mut stream = world.raw().await;
    stream.send(world.head("GET /public/sse?every=100", &[])).await;
    let (mut body, mut head, mut idle, mut silent) = tokio::join!(world.raw(), world.raw(), world.raw(), world.raw());
    body.send(world.head("POST /public/stall", &["Content-Length: 10"])).await;
    body.send("hello").await;
    head.send("GET /public HTTP/1.1\r\nHost: ").await;
    idle.send(world.head("GET /public", &[])).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let (body, head, idle, silent) =
        tokio::join!(body.rest(limit), head.rest(limit), idle.rest(limit), silent.rest(limit));
    assert_eq!((statuses(&body.0), body.1), (vec![408], true));
    assert!(matches!(statuses(&head.0)[..], [] | [408] | [400]) && head.1, "{head:?}");
    assert_eq!((idle.0.len(), idle.1), (0, true));
    assert_eq!((silent.0.len(), silent.1), (0, true));
    assert!(stream.take_until(b"data: 20\n\n", limit).await.is_some(), "the stream lives");
    let stalled = world.echo.requests().into_iter().find(|seen| seen.target == "/public/stall").unwrap();
    assert!(!stalled.complete);
}

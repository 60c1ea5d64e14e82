//! Streams at one replica, of a session that another one ends.

use std::time::{Duration, Instant};

use http::Method;

use crate::support::websocket::WebSocket;
use crate::support::{Ask, Raw, codec};
use crate::world::{SOON, World, cookies};

/// SESS-16: another replica closes WebSockets with 1008 and breaks streams off within `staleness`; so late that a request is refused.
#[tokio::test]
async fn streams_end_at_every_replica() {
    let world = World::with(|config| config.with("session.near_cache.staleness = \"1s\"")).await;
    let browser = world.signed_in().await;
    let line = cookies(&browser);
    let ask = Ask::fetch(Method::GET, world.url("/oauth2/session")).header("cookie", &line);
    let sid = world.replicas[0].browser().ask(ask).await.json()["sid"].as_str().unwrap().to_owned();

    let public = url::Url::parse(&world.url("/")).unwrap();
    let host = format!("Host: {}", &public[url::Position::BeforeHost..url::Position::AfterPort]);
    let origin = format!("Origin: {}", public.origin().ascii_serialization());
    let address = world.replicas[1].address();
    let lines = [host.clone(), format!("Cookie: {line}"), origin];
    let mut socket = WebSocket::open(Raw::connect(address).await, "/ws", &lines).await.expect("an open socket");
    socket.echoes("hello").await;
    let open = async |target: &str| {
        let mut raw = Raw::connect(address).await;
        raw.send(format!("GET {target} HTTP/1.1\r\n{host}\r\nCookie: {line}\r\n\r\n")).await;
        assert_eq!(raw.head().await.expect("an answer").status, 200);
        raw
    };
    let total = 64 * 1024 * 1024;
    let mut download = open(&format!("/big?bytes={total}")).await;
    let mut events = open("/sse?every=50").await;
    // They outlive the bound while the session lives.
    assert!(events.take_until(b"data: 30\n\n", SOON).await.is_some());
    socket.echoes("still here").await;

    let path = format!("/api/sessions/{sid}");
    world.replicas[0].admin("DELETE", &path, None).await.expect_status(204);
    let ended = Instant::now();
    let bound = Duration::from_millis(1700);
    let left = || bound.saturating_sub(ended.elapsed());
    assert_eq!(socket.next(left()).await.and_then(|frame| frame.close_code()), Some(1008));
    let (rest, closed) = events.rest(left()).await;
    assert!(closed, "the event stream goes on after {:?}", ended.elapsed());
    assert!(!codec::contains(&rest, b"\r\n0\r\n\r\n"), "a clean end");
    let (rest, closed) = download.rest(SOON).await;
    assert!(closed && rest.len() < total, "{} of {total} bytes", rest.len());
}

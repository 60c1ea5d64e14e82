//! What goes on running ends with its session.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Empty};

use crate::support::client::Browser;
use crate::support::codec;
use crate::support::raw::Raw;
use crate::support::websocket::WebSocket;
use crate::world::{SOON, World, cookie_line};

async fn websocket(world: &World, cookie: &str) -> WebSocket {
    let lines =
        [format!("Host: {}", world.host()), cookie.to_owned(), format!("Origin: {}", world.gateway.public_url())];
    let mut socket = WebSocket::open(world.raw().await, "/ws", &lines).await.expect("an open socket");
    socket.echoes("hello").await;
    socket
}

async fn get(world: &World, cookie: &str, target: &str, first: &[u8]) -> Raw {
    let mut raw = world.raw().await;
    raw.send(world.head(&format!("GET {target}"), &[cookie])).await;
    assert_eq!(raw.head().await.expect("an answer").status, 200);
    assert!(raw.take_until(first, SOON).await.is_some());
    raw
}

async fn end(world: &World, browser: &Browser) {
    let page = browser.fetch(world.url("/oauth2/session")).await.expect_status(200).json();
    let path = format!("/api/sessions/{}", page["sid"].as_str().unwrap());
    world.gateway.admin("DELETE", &path, None).await.expect_status(204);
}

/// SESS-16: on the replica that ends the session WebSockets close at once with 1008, event streams and downloads break off, over
/// HTTP/2 too; another session's go on.
#[tokio::test]
async fn streams_end_with_their_session() {
    let world = World::with(|config| config.with("session.near_cache.staleness = \"30s\"")).await;
    let (browser, other) = (world.signed_in().await, world.signed_in().await);
    let (cookie, others) = (cookie_line(&browser), cookie_line(&other));
    let total = 64 * 1024 * 1024;
    let mut socket = websocket(&world, &cookie).await;
    let mut events = get(&world, &cookie, "/sse?every=50", b"data: 0\n\n").await;
    let mut download = get(&world, &cookie, &format!("/big?bytes={total}"), b"").await;
    let mut other_socket = websocket(&world, &others).await;
    let mut other_events = get(&world, &others, "/sse?every=50", b"data: 0\n\n").await;
    let request = Request::get(world.url("/sse?every=50")).header("cookie", &cookie["Cookie: ".len()..]);
    let mut h2 = world.h2().await.start(request.body(Empty::new().boxed()).unwrap()).await.unwrap().into_body();
    assert!(tokio::time::timeout(SOON, h2.frame()).await.unwrap().unwrap().is_ok());

    end(&world, &browser).await;
    let at_once = Duration::from_secs(2);
    assert_eq!(socket.next(at_once).await.and_then(|frame| frame.close_code()), Some(1008));
    let (rest, closed) = events.rest(at_once).await;
    assert!(closed && !codec::contains(&rest, b"\r\n0\r\n\r\n"), "a clean end, or none");
    let (rest, closed) = download.rest(SOON).await;
    assert!(closed && rest.len() < total, "{} of {total} bytes", rest.len());
    let broken = async {
        while let Some(frame) = h2.frame().await {
            if frame.is_err() {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(at_once, broken).await.expect("an end"), "a clean end over HTTP/2");

    other_socket.echoes("still here").await;
    assert!(other_events.take_until(b"data: 9\n\n", SOON).await.is_some());
}

/// SESS-16: a session that expires takes its streams along, within the bound.
#[tokio::test]
async fn streams_end_when_their_session_expires() {
    let world =
        World::with(|config| config.with("[session]\nlifetime = \"2s\"\nidle = \"2s\"\nnear_cache.staleness = \"1s\""))
            .await;
    let cookie = world.cookie().await;
    let mut socket = websocket(&world, &cookie).await;
    let mut events = get(&world, &cookie, "/sse?every=50", b"data: 0\n\n").await;
    // Two seconds of life, one of staleness, and a little.
    let limit = Duration::from_millis(4500);
    assert_eq!(socket.next(limit).await.and_then(|frame| frame.close_code()), Some(1008));
    assert!(events.rest(Duration::from_secs(1)).await.1, "the event stream goes on");
}

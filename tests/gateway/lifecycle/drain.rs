//! SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use tokio::net::TcpStream;

use crate::support::h2::{H2Outcome, H2Raw};
use crate::support::wait::{eventually, until};
use crate::support::websocket::WebSocket;
use crate::support::{Answer, Browser, Raw, Signal};
use crate::world::{SOON, World};

/// OPS-08: what is under way when SIGTERM comes is finished, in both versions of HTTP; a WebSocket is closed with 1001, HTTP/2 told
/// by GOAWAY, `/readyz` says 503, nobody new is let in and left waiting, and then the process ends well.
#[tokio::test]
async fn what_is_under_way_is_finished() {
    let mut world = World::with(|config| config.with("limits.drain_time = \"20s\"")).await;
    let cookie = world.cookie().await;
    let host = world.host().to_owned();
    let mut slow = world.raw().await;
    slow.send(world.head("GET /public/slow?ms=1500", &[])).await;
    let mut idle = world.raw().await;
    idle.send(world.head("GET /public", &[])).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let h2 = world.h2().await;
    let request = Request::get(world.url("/slow?ms=1500")).header("cookie", cookie.trim_start_matches("Cookie: "));
    let stream = tokio::spawn(async move { h2.send(request.body("").unwrap()).await });
    let mut frames = H2Raw::connect(world.gateway.address()).await;
    let lines = vec![format!("Host: {host}"), format!("Origin: {}", world.gateway.public_url()), cookie.clone()];
    let mut socket = WebSocket::open(world.raw().await, "/ws", &lines).await.ok().unwrap();
    socket.echoes("before").await;
    until("both at the upstream", SOON, || {
        world.echo.requests().iter().filter(|seen| seen.target.contains("slow")).count() == 2
    })
    .await;
    let address = world.gateway.address();
    let ready = format!("{}/readyz", world.gateway.admin_url());

    world.gateway.signal(Signal::Term);
    let close = socket.next(SOON).await.unwrap();
    assert_eq!(close.close_code(), Some(1001));
    assert_eq!(frames.outcome(1, SOON).await, H2Outcome::GoAway(0));
    // It answers no PING, and the end of its connection is waited for.
    drop(frames);
    assert!(idle.closes_within(SOON).await, "a kept connection without a request is closed");
    assert_eq!(Browser::new().fetch(ready).await.status, 503);
    let new = async {
        let mut raw = Raw::over(Box::new(TcpStream::connect(address).await.ok()?));
        raw.send(format!("GET /public HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        raw.answer().await
    };
    let begun = Instant::now();
    let new: Option<Answer> = new.await;
    assert!(begun.elapsed() < Duration::from_secs(1), "a newcomer waited {:?} for {new:?}", begun.elapsed());
    assert!(new.is_none_or(|answer| answer.status == 200));

    let answer = slow.answer().await.unwrap();
    assert_eq!((answer.status, answer.complete), (200, true));
    let answer = stream.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.complete), (200, true));
    assert!(world.gateway.end(SOON).await.success());
    assert!(TcpStream::connect(address).await.is_err());
}

/// OPS-08: two replicas are restarted in turn under load: no request that a replica took fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_nothing() {
    let (one, two) = (World::start().await, World::start().await);
    let mut worlds = [one, two];
    let addresses = [worlds[0].gateway.address(), worlds[1].gateway.address()];
    let (stop, served, down) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(9)));
    let mut load = Vec::new();
    for client in 0..6 {
        let (stop, served, down) = (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&down));
        load.push(tokio::spawn(async move {
            let mut failed = Vec::new();
            let mut n = client;
            while !stop.load(Ordering::SeqCst) {
                n += 1;
                // As balancers do: one that refuses connections is left out.
                let at = if n % 2 == down.load(Ordering::SeqCst) { (n + 1) % 2 } else { n % 2 };
                let Ok(tcp) = TcpStream::connect(addresses[at]).await else { continue };
                let mut raw = Raw::over(Box::new(tcp));
                raw.send(format!("GET /public/slow?ms=20 HTTP/1.1\r\nHost: {}\r\n\r\n", addresses[at])).await;
                match raw.answer().await {
                    Some(answer) if answer.status == 200 && answer.complete => served.fetch_add(1, Ordering::SeqCst),
                    other => {
                        failed.push(format!("{at}: {other:?}"));
                        0
                    }
                };
            }
            failed
        }));
    }
    for (at, world) in worlds.iter_mut().enumerate() {
        let before = served.load(Ordering::SeqCst);
        until("load", SOON, || served.load(Ordering::SeqCst) > before + 30).await;
        // The process drains while the load goes on; nobody is told beforehand.
        assert!(world.gateway.stop().await.success());
        down.store(at, Ordering::SeqCst);
        let before = served.load(Ordering::SeqCst);
        until("load at the other", SOON, || served.load(Ordering::SeqCst) > before + 30).await;
        world.gateway.restart().await;
        down.store(9, Ordering::SeqCst);
    }
    stop.store(true, Ordering::SeqCst);
    let mut failed = Vec::new();
    for client in load {
        failed.extend(client.await.unwrap());
    }
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), served.load(Ordering::SeqCst));
}

/// OPS-08: draining has an end: `drain_time`, or a second SIGTERM.
#[tokio::test]
async fn draining_has_an_end() {
    for twice in [false, true] {
        let limit = if twice { "60s" } else { "1s" };
        let mut world = World::with(|config| config.with(&format!("limits.drain_time = \"{limit}\""))).await;
        let mut raw = world.raw().await;
        raw.send(world.head("GET /public/hang", &[])).await;
        until("the request", SOON, || world.echo.count() == 1).await;
        world.gateway.signal(Signal::Term);
        let ready = format!("{}/readyz", world.gateway.admin_url());
        let browser = Browser::new();
        eventually("draining", SOON, async || (browser.fetch(ready.clone()).await.status == 503).then_some(())).await;
        if twice {
            world.gateway.signal(Signal::Term);
        }
        world.gateway.end(Duration::from_secs(8)).await;
        assert!(raw.answer().await.is_none_or(|answer| answer.status >= 500 || !answer.complete));
    }
}

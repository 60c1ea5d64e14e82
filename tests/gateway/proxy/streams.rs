//! Bodies that flow: as they come, at the pace of who reads, and with an honest end.

use std::time::{Duration, Instant};

use http::{Method, Request};
use http_body_util::BodyExt;

use crate::support::codec::{hex, sha256};
use crate::support::wait::until;
use crate::support::{Ask, ConfigBuilder, Echo, Gateway};
use crate::world::{SOON, World};

const MIB: usize = 1024 * 1024;

/// HTTP-15: an event is with the client when it was written, long before the stream ends; over HTTP/2 too.
#[tokio::test]
async fn events_flow_as_they_come() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let cookie = crate::world::cookie_line(&browser);
    let mut raw = world.raw().await;
    raw.send(world.head("GET /sse?every=300", &[&cookie, "Accept: text/event-stream"])).await;
    assert_eq!(raw.head().await.unwrap().status, 200);
    let mut last = Instant::now();
    for n in 0..4 {
        let event = format!("data: {n}\n\n");
        assert!(raw.take_until(event.as_bytes(), SOON).await.is_some(), "{event}");
        // Events that were gathered would come at once.
        assert!(n == 0 || last.elapsed() > Duration::from_millis(100), "{n}: {:?}", last.elapsed());
        last = Instant::now();
    }
    let request = Request::get(world.url("/public/sse?every=50")).body(http_body_util::Empty::new().boxed()).unwrap();
    let mut body = world.h2().await.start(request).await.unwrap().into_body();
    let first = tokio::time::timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: 0\n\n"));
}

/// HTTP-15: 200 MiB go up and come down within flat memory, also while nobody reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_flat_whoever_is_slow() {
    let mut world = World::start().await;
    let part = vec![b'u'; MIB];
    let parts = 200;
    // What a connection needs once is there before the measure is taken.
    world.ask("GET /public/big?bytes=4000000", &[]).await;
    let before = world.gateway.process().resident_bytes();
    let grown = |world: &mut World| world.gateway.process().resident_bytes().saturating_sub(before) / MIB as u64;
    let mut most = 0;

    let mut raw = world.raw().await;
    raw.send(world.head("POST /public/upload", &[&format!("Content-Length: {}", parts * MIB)])).await;
    for _ in 0..parts {
        raw.send(&part).await;
        most = most.max(grown(&mut world));
    }
    let answer = tokio::time::timeout(Duration::from_secs(30), raw.answer()).await.unwrap().unwrap();
    let whole = hex(&sha256(&part.repeat(parts)));
    assert_eq!((answer.status, answer.json()["body_sha256"].as_str()), (200, Some(&*whole)));

    let mut raw = world.raw().await;
    raw.send(world.head(&format!("GET /public/big?bytes={}", parts * MIB), &[])).await;
    assert_eq!(raw.head().await.unwrap().status, 200);
    for _ in 0..20 {
        // Not a wait for something: nothing may happen.
        tokio::time::sleep(Duration::from_millis(20)).await;
        most = most.max(grown(&mut world));
    }
    let mut left = parts * MIB;
    while left > 0 {
        let got = raw.take(left.min(MIB), SOON).await.len();
        assert!(got > 0, "{left} bytes are missing");
        left -= got;
        most = most.max(grown(&mut world));
    }
    // A slow upstream holds the client back in the same way.
    let mut raw = world.raw().await;
    raw.send(world.head("POST /public/upload?pause=1000", &["Content-Length: 209715200"])).await;
    let pushed = async {
        for _ in 0..parts {
            raw.send(&part).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_millis(600), pushed).await;
    most = most.max(grown(&mut world));
    assert!(held.is_err(), "200 MiB went to an upstream that reads nothing");
    assert!(most < 32, "{most} MiB more than before");
}

/// HTTP-31: bodies, ranges, tags and codings are the application's: not a byte changes.
#[tokio::test]
async fn bodies_and_their_fields_are_not_touched() {
    let world = World::start().await;
    let answer = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/10\r\nETag: W/\"x\"\r\nContent-Encoding: gzip\r\n\
        Cache-Control: no-transform\r\nAccept-Ranges: bytes\r\nContent-Length: 5\r\n\r\n\x1f\u{0}abc";
    world.echo.answer_raw("/public/part", answer.as_bytes().to_vec());
    let got = world.ask("GET /public/part", &["Range: bytes=0-4", "If-Range: \"x\"", "Accept-Encoding: gzip"]).await;
    assert_eq!((got.status, got.body.as_slice()), (206, &b"\x1f\0abc"[..]));
    for (name, value) in [
        ("content-range", "bytes 0-4/10"),
        ("etag", "W/\"x\""),
        ("content-encoding", "gzip"),
        ("cache-control", "no-transform"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    let seen = world.echo.last();
    assert_eq!((seen.header("range"), seen.header("if-range")), (Some("bytes=0-4"), Some("\"x\"")));
}

/// HTTP-16: an answer that the upstream breaks off is an incomplete message, in every framing, over both versions.
#[tokio::test]
async fn broken_answers_have_no_clean_end() {
    let world = World::start().await;
    for mode in ["length", "chunked"] {
        let path = format!("/public/drop-mid?mode={mode}");
        let answer = world.ask(&format!("GET {path}"), &[]).await;
        assert_eq!((answer.status, answer.text().as_str(), answer.complete), (200, "hello", false), "{mode}");
        let answer = world.h2().await.send(Request::get(world.url(&path)).body("").unwrap()).await.unwrap();
        assert_eq!((answer.status, answer.complete), (200, false), "{mode} over HTTP/2");
    }
    // An upstream that dies while it speaks HTTP/2.
    let h2c = Echo::start_h2c().await;
    let config = ConfigBuilder::new().upstream("h2c", &h2c.url()).route("upstream = \"h2c\"\naccess = \"public\"");
    let gateway = Gateway::start(config).await;
    let client = crate::support::h2::H2::connect(gateway.address()).await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let body = futures_util::stream::unfold(receive, |mut receive| async {
        Some((Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(receive.recv().await?)), receive))
    });
    let request = Request::post(format!("{}/call", gateway.public_url())).header("content-type", "application/grpc");
    let request = request.body(http_body_util::StreamBody::new(body).boxed()).unwrap();
    let mut answer = client.start(request).await.unwrap().into_body();
    send.send(bytes::Bytes::from("one")).await.unwrap();
    assert!(tokio::time::timeout(SOON, answer.frame()).await.unwrap().unwrap().is_ok());
    h2c.stop().await;
    let end = tokio::time::timeout(SOON, answer.frame()).await.unwrap();
    assert!(end.is_some_and(|frame| frame.is_err()), "a clean end of a broken call");
}

/// HTTP-16: when the client leaves, the upstream is let go within a second; and what was counted as under way is over.
#[tokio::test]
async fn clients_that_leave_free_the_upstream() {
    let world = World::start().await;
    for target in ["/public/sse?every=20", "/public/hang", "/public/hang-mid"] {
        world.echo.forget();
        let mut raw = world.raw().await;
        raw.send(world.head(&format!("GET {target}"), &[])).await;
        until("the request", SOON, || world.echo.count() == 1).await;
        drop(raw);
        until(target, Duration::from_secs(1), || world.echo.open_connections() == 0).await;
    }
    let client = world.h2().await;
    let request = Request::get(world.url("/public/sse?every=20")).body(http_body_util::Empty::new().boxed()).unwrap();
    let answer = client.start(request).await.unwrap();
    assert_eq!(world.echo.open_connections(), 1);
    drop(answer);
    until("the reset stream", Duration::from_secs(1), || world.echo.open_connections() == 0).await;
    let metrics = world.gateway.metrics().await;
    assert_eq!(metrics.sum("vestibule_requests_in_flight", &[]), 0.0, "nothing is under way");
    assert_eq!(world.gateway.browser().ask(Ask::plain(Method::GET, world.url("/public"))).await.status, 200);
}

/// HTTP-23: interim answers of an application end here, whichever protocol the client speaks: what follows them arrives whole, and so does the
/// next answer on the connections.
#[tokio::test]
async fn interim_answers_are_taken_in() {
    let world = World::start().await;
    let hint =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nX-Last: yes\r\nContent-Length: 2\r\n\r\nok";
    world.echo.answer_raw("/public/hints", format!("{hint}HTTP/1.1 102 Processing\r\n\r\n{hint}{answer}"));
    let mut raw = world.raw().await;
    for path in ["/public/hints", "/public/hints", "/public/x"] {
        raw.send(world.head(&format!("GET {path}"), &[])).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, answer.complete, answer.interim.len()), (200, true, 0), "{path}");
        let hinted = path.ends_with("hints");
        assert_eq!((answer.header("x-last").is_some(), answer.text() == "ok"), (hinted, hinted), "{path}");
        assert_eq!((answer.header("link"), answer.header("set-cookie")), (None, None), "{path}");
    }
    let h2 = world.h2().await;
    for _ in 0..2 {
        let answer = h2.send(Request::get(world.url("/public/hints")).body("").unwrap()).await.unwrap();
        assert_eq!((answer.status, &answer.body[..], answer.complete), (200, &b"ok"[..], true));
    }
    assert_eq!(world.echo.connections(), 1, "the connection is kept");
}

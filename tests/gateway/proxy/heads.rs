//! Heads and bodies that could be read in two ways.

use std::time::Duration;

use crate::support::raw::exchange;
use crate::support::wait::until;
use crate::support::{Echo, Raw};
use crate::world::{SOON, World, statuses};

/// `HOST` is the right one.
const HEADS: &[&str] = &[
    // Both lengths, in each order and spelling.
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Codings.
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Lengths.
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1, 2\r\n\r\nab",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1, 1\r\n\r\na",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: +1\r\n\r\na",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0x1\r\n\r\na",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1 1\r\n\r\na",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length:\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent_Length: 5\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    // Line ends, control bytes, names.
    "GET /x HTTP/1.1\nHost: HOST\n\n",
    "GET /x HTTP/1.1\r\nHost: HOST\nX: y\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX: y\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX: \rY\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX: a\0b\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX\0: a\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX: y\r\n z\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX: y\r\n\tz\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX : y\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX Y: z\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\n: z\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nno colon\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: HOST\r\nX\u{e4}: y\r\n\r\n",
    // Request lines.
    "GET  /x HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "GET /x  HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "GET\t/x HTTP/1.1\r\nHost: HOST\r\n\r\n",
    " GET /x HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "GET /x\r\n\r\n",
    "GET /x HTTP/1.2\r\nHost: HOST\r\n\r\n",
    "GET /x HTTP/0.9\r\nHost: HOST\r\n\r\n",
    "GET /x http/1.1\r\nHost: HOST\r\n\r\n",
    "G@T /x HTTP/1.1\r\nHost: HOST\r\n\r\n",
];

/// What comes after a good head that says `Transfer-Encoding: chunked`.
const CHUNKS: &[&str] = &[
    "x\r\n",
    "0x1\r\na\r\n0\r\n\r\n",
    "+1\r\na\r\n0\r\n\r\n",
    "-1\r\n",
    " 1\r\na\r\n0\r\n\r\n",
    "1\na\r\n0\r\n\r\n",
    "1\r\na\n0\r\n\r\n",
    "1;\0\r\na\r\n0\r\n\r\n",
    "1;a\nb\r\na\r\n0\r\n\r\n",
    "1\r\naX0\r\n\r\n",
    "\r\n",
    "fffffffffffffffff\r\na\r\n0\r\n\r\n",
    "0\nX: y\r\n\r\n",
    "0\r\nX y: z\r\n\r\n",
];

async fn world() -> (World, Echo) {
    let h2c = Echo::start_h2c().await;
    let world = World::with(|config| {
        config.upstream("h2c", &h2c.url()).route("path = \"/h2c\"\nupstream = \"h2c\"\naccess = \"public\"")
    })
    .await;
    (world, h2c)
}

/// HTTP-01, HTTP-02, HTTP-03: a head that can be read in two ways is 400 and the end of its connection, whichever kind of
/// upstream is behind; neither it nor the request that follows is seen there.
#[tokio::test]
async fn ambiguous_heads_never_arrive() {
    let (world, h2c) = world().await;
    let mut expected = 0;
    for prefix in ["/public", "/h2c"] {
        for bad in HEADS {
            let bad = bad.replace("HOST", world.host()).replace("/x", &format!("{prefix}/bad"));
            let good = world.head(&format!("GET {prefix}/good"), &[]);
            let poison = world.head(&format!("GET {prefix}/poison"), &[]);
            let (bytes, closed) = exchange(world.gateway.address(), latin1(&format!("{good}{bad}{poison}"))).await;
            assert_eq!((statuses(&bytes), closed), (vec![200, 400], true), "{bad:?}: {}", text(&bytes));
            expected += 1;
        }
    }
    let seen = [world.echo.requests(), h2c.requests()].concat();
    assert!(seen.iter().all(|seen| seen.target.ends_with("/good")), "{seen:?}");
    assert_eq!(seen.len(), expected);
}

/// HTTP-02: a body whose chunks can be read in two ways never ends for the upstream, and nothing behind it arrives.
#[tokio::test]
async fn ambiguous_bodies_never_end() {
    let (world, h2c) = world().await;
    for prefix in ["/public", "/h2c"] {
        for body in CHUNKS {
            let head = world.head(&format!("POST {prefix}/bad"), &["Transfer-Encoding: chunked"]);
            let poison = world.head(&format!("GET {prefix}/poison"), &[]);
            let (bytes, closed) = exchange(world.gateway.address(), format!("{head}2\r\nab\r\n{body}{poison}")).await;
            assert_eq!((statuses(&bytes), closed), (vec![400], true), "{body:?}: {}", text(&bytes));
        }
    }
    let seen = [world.echo.requests(), h2c.requests()].concat();
    assert!(seen.iter().all(|seen| seen.target.ends_with("/bad") && !seen.complete), "{seen:?}");
}

/// HTTP-19: an answer before the end of the request's body leaves the connection in step, or closes it.
#[tokio::test]
async fn early_answers_leave_connections_in_step() {
    let world = World::with(|config| {
        config.route("path = \"/small\"\nupstream = \"app\"\naccess = \"public\"\nbody_bytes = \"1KiB\"")
    })
    .await;
    // A body that looks like a request to what stands behind it.
    let inner = world.head("GET /public/poison", &[]);
    let body = inner.repeat(2000 / inner.len() + 1);
    for (target, status) in [("/public/early?code=413", 413), ("/small", 413), ("/private", 401), ("/oauth2/none", 404)]
    {
        for whole in [true, false] {
            let mut raw = world.raw().await;
            raw.send(world.head(&format!("POST {target}"), &[&format!("Content-Length: {}", body.len())])).await;
            raw.send(if whole { &body } else { &body[..500] }).await;
            assert_eq!(raw.answer().await.map(|answer| answer.status), Some(status), "{target}");
            raw.send(world.head("GET /public/next", &[])).await;
            let (bytes, _) = raw.rest(Duration::from_millis(300)).await;
            assert!(matches!(statuses(&bytes)[..], [] | [200]), "{target}: {}", text(&bytes));
            assert!(bytes.is_empty() || text(&bytes).contains("/public/next"), "{target}: {}", text(&bytes));
        }
    }
    assert!(world.echo.requests().iter().all(|seen| seen.target != "/public/poison"));
}

/// HTTP-18: who calls is decided before the body is asked for, and other expectations are refused.
#[tokio::test]
async fn bodies_are_asked_for_after_the_decision() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    let lines = ["Expect: 100-continue", "Content-Length: 5", "X-Requested-With: test"];

    let mut raw = world.raw().await;
    raw.send(world.head("POST /x", &lines)).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!((answer.status, answer.interim.len(), world.echo.count()), (401, 0, 0));

    let mut raw = world.raw().await;
    raw.send(world.head("POST /x", &[&lines[..], &[&cookie]].concat())).await;
    assert!(raw.take_until(b"HTTP/1.1 100 Continue\r\n\r\n", SOON).await.is_some());
    raw.send("hello").await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    assert_eq!((world.echo.last().body.as_str(), world.echo.last().header("expect")), ("hello", None));

    world.echo.forget();
    let answer = world.ask("POST /public", &["Expect: 200-ok", "Content-Length: 0"]).await;
    assert_eq!((answer.status, world.echo.count()), (417, 0));
}

/// What a client half sends is never taken for whole, however long it waits with the rest.
#[tokio::test]
async fn half_a_body_is_not_a_request() {
    let world = World::start().await;
    let mut raw: Raw = world.raw().await;
    raw.send(world.head("POST /public/half", &["Content-Length: 10"])).await;
    raw.send("hello").await;
    until("the head at the upstream", SOON, || world.echo.count() == 1).await;
    drop(raw);
    until("the end of the connection", SOON, || world.echo.open_connections() == 0).await;
    assert!(!world.echo.last().complete);
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    crate::support::codec::latin1(bytes)
}

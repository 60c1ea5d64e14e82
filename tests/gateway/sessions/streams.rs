//! What goes on running ends with its session.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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

/// SESS-16: an upload whose answer has begun ends with its session too, however short that answer is.
#[tokio::test]
async fn an_upload_ends_with_its_session() {
    ends_an_upload_to(Taker::http1("o").await).await;
}

/// SESS-16: the same to an application that speaks HTTP/2.
#[tokio::test]
async fn an_upload_over_http2_ends_with_its_session() {
    ends_an_upload_to(Taker::http2(Some("o")).await).await;
}

/// SESS-16: over HTTP/2 an upload may go on behind the end of its answer, and ends with its session all the same.
#[tokio::test]
async fn an_upload_that_was_answered_ends_with_its_session() {
    ends_an_upload_to(Taker::http2(None).await).await;
}

/// SESS-16: an upload that nobody has answered yet ends with its session, and its client is told why.
#[tokio::test]
async fn an_upload_without_an_answer_ends_with_its_session() {
    let app = Taker::silent().await;
    let (world, browser, mut raw) = uploading_to(&app).await;
    let (taken, ()) = tokio::join!(app.takes_more(SOON), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        raw.send("1\r\nx\r\n").await;
    });
    taken.expect("the upload goes on");
    end(&world, &browser).await;
    let answer = raw.answer().await.expect("an answer");
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains(r#""login":"#), "{answer:?}");
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{answer:?}");
    raw.send("1\r\nx\r\n").await;
    assert!(app.takes_more(Duration::from_millis(500)).await.is_err(), "the upload outlives its session");
}

/// A signed-in upload that has begun.
async fn uploading_to(app: &Taker) -> (World, Browser, Raw) {
    let world = World::with(|config| {
        config
            .with("session.near_cache.staleness = \"30s\"")
            .upstream("taker", &app.url)
            .route("path = \"/take\"\nupstream = \"taker\"")
    })
    .await;
    let browser = world.signed_in().await;
    let origin = format!("Origin: {}", world.gateway.public_url());
    let mut raw = world.raw().await;
    raw.send(world.head("POST /take", &[&cookie_line(&browser), &origin, "Transfer-Encoding: chunked"])).await;
    (world, browser, raw)
}

async fn ends_an_upload_to(app: Taker) {
    let (world, browser, mut raw) = uploading_to(&app).await;
    assert_eq!(raw.head().await.expect("an answer").status, 200);
    let uploading = tokio::spawn(async move {
        loop {
            raw.send("1\r\nx\r\n").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    app.takes_more(SOON).await.expect("the upload goes on beside its answer");

    end(&world, &browser).await;
    // What was on its way still arrives.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let more = app.takes_more(Duration::from_secs(1)).await;
    uploading.abort();
    assert!(more.is_err(), "the upload outlives its session");
}

/// An application that answers each request before it has come, and then takes what comes.
struct Taker {
    url: String,
    taken: Arc<AtomicUsize>,
}

impl Taker {
    /// Its answer stops behind `half` of two bytes.
    async fn http1(half: &'static str) -> Self {
        Self::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{half}")).await
    }

    /// It answers nothing.
    async fn silent() -> Self {
        Self::answering(String::new()).await
    }

    async fn answering(answer: String) -> Self {
        let (listener, address) = listen().await;
        let app = Self { url: format!("http://{address}"), taken: Arc::default() };
        let taken = Arc::clone(&app.taken);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (taken, answer) = (Arc::clone(&taken), answer.clone());
                tokio::spawn(async move {
                    let mut piece = [0; 1024];
                    let _head = stream.read(&mut piece).await;
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    while let Ok(read @ 1..) = stream.read(&mut piece).await {
                        taken.fetch_add(read, Ordering::SeqCst);
                    }
                });
            }
        });
        app
    }

    /// The same, or with an answer that is over at once.
    async fn http2(half: Option<&'static str>) -> Self {
        let (listener, address) = listen().await;
        let app = Self { url: format!("h2c://{address}"), taken: Arc::default() };
        let taken = Arc::clone(&app.taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taken = Arc::clone(&taken);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (taken, mut upload) = (Arc::clone(&taken), request.into_body());
                    tokio::spawn(async move {
                        while let Some(Ok(frame)) = upload.frame().await {
                            taken.fetch_add(frame.data_ref().map_or(0, Bytes::len), Ordering::SeqCst);
                        }
                    });
                    async move {
                        let Some(half) = half else { return Ok(Response::new(Empty::new().boxed())) };
                        let half = Ok::<_, Infallible>(Frame::data(Bytes::from(half)));
                        let (half, rest) = (futures_util::stream::iter([half]), futures_util::stream::pending());
                        let body = StreamBody::new(futures_util::StreamExt::chain(half, rest)).boxed();
                        Response::builder().header("content-length", "2").body(body)
                    }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        app
    }

    /// Waits until it has taken more than now.
    async fn takes_more(&self, limit: Duration) -> Result<(), tokio::time::error::Elapsed> {
        let before = self.taken.load(Ordering::SeqCst);
        tokio::time::timeout(limit, async {
            while self.taken.load(Ordering::SeqCst) == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

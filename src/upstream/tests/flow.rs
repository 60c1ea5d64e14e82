//! What goes out, what comes back, and how much of it is held on the way.

use std::convert::Infallible;
use std::sync::atomic::AtomicU64;

use http_body::Frame;
use http_body_util::StreamBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

#[tokio::test]
async fn a_request_says_what_it_must_and_nothing_else() {
    let script = Script::always(OK).await;
    let upstream = script.upstream();
    let fields = [
        ("cookie", "a=b; __Host-vestibule=secret; c=d"),
        ("x-vestibule-identity", "forged"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-user", "forged"),
        ("connection", "x-hop"),
        ("x-hop", "gone"),
        ("te", "trailers"),
        ("accept", "text/html"),
    ];
    ask(&upstream, request("GET", "/a%20b?q=%2F", &fields, Body::empty())).await.unwrap();
    let head = script.heads().remove(0).to_ascii_lowercase();
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "get /a%20b?q=%2f http/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept: text/html",
            "connection: te",
            "cookie: a=b; c=d",
            "host: app.example.com",
            "te: trailers",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: app.example.com",
            "x-forwarded-proto: https",
            "x-vestibule-identity: token",
        ]
    );
}

#[tokio::test]
async fn the_host_is_the_one_that_is_configured() {
    let script = Script::always(OK).await;
    let port = script.address.port();
    for (wanted, expected) in [
        (HostHeader::Preserve, "app.example.com".to_owned()),
        (HostHeader::Upstream, format!("127.0.0.1:{port}")),
        (HostHeader::Named("inner.test".to_owned()), "inner.test".to_owned()),
    ] {
        let upstream = script.upstream_with(|settings| settings.host_header = wanted);
        ask(&upstream, get("/")).await.unwrap();
        let head = script.heads().pop().unwrap();
        assert!(head.contains(&format!("host: {expected}\r\n")), "{head}");
    }
}

/// HTTP-24: lengths of requests and answers are kept as they are meant.
#[tokio::test]
async fn lengths_are_kept() {
    let script = Script::always("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n").await;
    let answer = response(&script.upstream(), request("HEAD", "/", &[], Body::empty())).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "12345");
    assert!(http_body::Body::is_end_stream(answer.body()));

    let script = Script::new(|mut peer| async move {
        while let Some(head) = peer.head().await {
            if head.contains("content-length: 3") {
                peer.stream.read_exact(&mut [0; 3]).await.unwrap();
            } else if head.contains("transfer-encoding: chunked") {
                peer.stream.read_exact(&mut [0; 13]).await.unwrap();
            }
            peer.say(OK).await;
        }
    })
    .await;
    let upstream = script.upstream();
    let unsized_body = || {
        Body::stream(StreamBody::new(futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(
            bytes::Bytes::from("abc"),
        ))])))
    };
    for (method, fields, body, expected) in [
        ("POST", &[("content-length", "3")][..], Body::full("abc"), Some("content-length: 3")),
        ("POST", &[("content-length", "0")], Body::empty(), Some("content-length: 0")),
        ("POST", &[], Body::empty(), Some("content-length: 0")),
        ("GET", &[], Body::empty(), None),
        ("GET", &[("content-length", "3")], Body::full("abc"), Some("content-length: 3")),
        ("GET", &[("transfer-encoding", "chunked")], unsized_body(), Some("transfer-encoding: chunked")),
        ("QUERY", &[("transfer-encoding", "chunked")], unsized_body(), Some("transfer-encoding: chunked")),
    ] {
        ask(&upstream, request(method, "/", fields, body)).await.unwrap();
        let head = script.heads().pop().unwrap();
        let framing: Vec<&str> = head
            .lines()
            .filter(|line| line.starts_with("content-length") || line.starts_with("transfer-encoding"))
            .collect();
        assert_eq!(framing, expected.into_iter().collect::<Vec<_>>(), "{head}");
    }
}

/// HTTP-05, HTTP-25: hop-by-hop fields of an answer end here; repeated fields stay apart and in order; odd statuses pass.
#[tokio::test]
async fn an_answer_keeps_its_fields() {
    let script = Script::always(
        "HTTP/1.1 299 Odd\r\nSet-Cookie: a=1, x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nSet-Cookie: b=2\r\n\
         Keep-Alive: timeout=5\r\nETag: \"x\"\r\nContent-Encoding: gzip\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let answer = response(&script.upstream(), get("/")).await.unwrap();
    assert_eq!(answer.status(), 299);
    assert_eq!(answer.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1, x", "b=2"]);
    let mut names: Vec<&str> = answer.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-encoding", "content-length", "etag", "set-cookie"]);
}

/// HTTP-15: with a reader that stands still, the upstream soon stands still too.
#[tokio::test]
async fn a_slow_reader_holds_the_upstream_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let script = Script::new(move |mut peer| {
        let sent = Arc::clone(&counted);
        async move {
            peer.head().await;
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
            let block = vec![0; 64 * 1024];
            while peer.stream.write_all(&block).await.is_ok() {
                sent.fetch_add(block.len() as u64, Ordering::SeqCst);
            }
        }
    })
    .await;
    let upstream = script.upstream();
    let mut answer = response(&upstream, get("/")).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let held = sent.load(Ordering::SeqCst);
    // What is held is the kernel's; ours is one buffer.
    assert!(held < 32 * 1024 * 1024, "{held}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sent.load(Ordering::SeqCst), held);
}

/// HTTP-15: an upload is read no faster than the upstream takes it.
#[tokio::test]
async fn a_slow_upstream_holds_the_client_back() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let upstream = script.upstream();
    let polled = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&polled);
    let endless = futures_util::stream::repeat_with(move || {
        counted.fetch_add(64 * 1024, Ordering::SeqCst);
        Ok::<_, Infallible>(Frame::data(bytes::Bytes::from_static(&[0; 64 * 1024])))
    });
    let upload = request("POST", "/", &[("transfer-encoding", "chunked")], Body::stream(StreamBody::new(endless)));
    let _ = timeout(Duration::from_millis(500), upstream.send(upload)).await;
    assert!(polled.load(Ordering::SeqCst) < 32 * 1024 * 1024, "{polled:?}");
}

/// HTTP-15: an upload goes on while its answer has begun and nobody reads that, and a clean end of both frees the connection.
#[tokio::test]
async fn an_upload_goes_on_beside_its_answer() {
    let (whole, uploaded) = tokio::sync::mpsc::unbounded_channel();
    let script = Script::new(move |mut peer| {
        let whole = whole.clone();
        async move {
            while let Some(head) = peer.head().await {
                if head.starts_with("GET") {
                    peer.say(OK).await;
                    continue;
                }
                peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").await;
                peer.stream.read_exact(&mut vec![0; 8 * 1024 * 1024]).await.unwrap();
                let _ = whole.send(());
                peer.say("1\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n").await;
            }
        }
    })
    .await;
    let mut uploaded = uploaded;
    let upstream = script.upstream();
    let upload = request("POST", "/", &[("content-length", "8388608")], Body::full(vec![0; 8 * 1024 * 1024]));
    let answer = response(&upstream, upload).await.unwrap();
    timeout(Duration::from_secs(5), uploaded.recv()).await.unwrap().unwrap();
    let body = timeout(Duration::from_secs(5), Limited::new(answer.into_body(), 10).collect()).await.unwrap().unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "1");
    assert_eq!(body.to_bytes(), "abc");
    assert_eq!(ask(&upstream, get("/")).await.unwrap(), "ok");
    assert_eq!(script.connections(), 1);
}

/// The same with an answer of a known length: the connection is free as soon as both are over.
#[tokio::test]
async fn a_connection_is_free_after_an_answer_beside_an_upload() {
    let script = Script::new(|mut peer| async move {
        while let Some(head) = peer.head().await {
            if head.starts_with("GET") {
                peer.say(OK).await;
                continue;
            }
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").await;
            peer.stream.read_exact(&mut vec![0; 8 * 1024 * 1024]).await.unwrap();
            peer.say("c").await;
        }
    })
    .await;
    let upstream = script.upstream();
    let upload = request("POST", "/", &[("content-length", "8388608")], Body::full(vec![0; 8 * 1024 * 1024]));
    let answer = response(&upstream, upload).await.unwrap();
    let (mut body, mut received) = (answer.into_body(), Vec::new());
    // As a server does: nobody asks for the end of what is over.
    while !http_body::Body::is_end_stream(&body) {
        let frame = timeout(Duration::from_secs(5), body.frame()).await.unwrap().unwrap().unwrap();
        received.extend_from_slice(&frame.into_data().unwrap());
    }
    drop(body);
    assert_eq!(received, b"abc");
    assert_eq!(ask(&upstream, get("/")).await.unwrap(), "ok");
    assert_eq!(script.connections(), 1);
}

/// HTTP-16: an upload that breaks off after its answer has begun breaks that off too.
#[tokio::test]
async fn a_broken_upload_breaks_its_answer() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        peer.rest().await;
    })
    .await;
    let (breaks, broken) = tokio::sync::oneshot::channel::<()>();
    let body = futures_util::stream::unfold(Some(broken), |broken| async move {
        let _ = broken?.await;
        Some((Err::<Frame<bytes::Bytes>, _>(std::io::Error::other("planted")), None))
    });
    let upload =
        request("POST", "/", &[("transfer-encoding", "chunked")], Body::stream(StreamBody::new(Box::pin(body))));
    let upstream = script.upstream();
    let answer = response(&upstream, upload).await.unwrap();
    breaks.send(()).unwrap();
    assert!(text(answer).await.is_err());
    assert_eq!(upstream.metrics().open, 0);
}

/// HTTP-15: an event arrives when it is sent, not when a buffer is full.
#[tokio::test]
async fn events_are_passed_on_at_once() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        peer.say("3\r\na\n\n\r\n").await;
        peer.rest().await;
    })
    .await;
    let mut answer = response(&script.upstream(), get("/")).await.unwrap();
    let frame = timeout(Duration::from_millis(500), answer.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "a\n\n");
}

/// HTTP-22: over h2c: many streams on one connection, `te`, and trailers both ways without forbidden ones.
#[tokio::test]
async fn http2_by_prior_knowledge() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let echo = service_fn(async |request: Request<hyper::body::Incoming>| {
                assert_eq!(request.uri().authority().unwrap(), "app.example.com");
                assert!(!request.headers().contains_key("host") && request.headers()["te"] == "trailers");
                assert_eq!(request.headers()["x-vestibule-identity"], "token");
                Ok::<_, Infallible>(Response::new(request.into_body()))
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), echo));
        }
    });
    let upstream =
        Arc::new(Upstream::new(&settings(Target::H2c { host: "127.0.0.1".to_owned(), port }), owned()).unwrap());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move {
                let mut trailers = http::HeaderMap::new();
                for name in ["grpc-status", "x-vestibule-identity", "content-length", "set-cookie"] {
                    trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("0"));
                }
                let frames =
                    [Ok::<_, Infallible>(Frame::data(bytes::Bytes::from("abc"))), Ok(Frame::trailers(trailers))];
                let body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
                let fields = [("te", "trailers"), ("transfer-encoding", "chunked")];
                let answer = response(&upstream, request("POST", "/", &fields, body)).await.unwrap();
                let body = Limited::new(answer.into_body(), 1024).collect().await.unwrap();
                let trailers = body.trailers().unwrap();
                assert_eq!((trailers.len(), &trailers["grpc-status"]), (1, &HeaderValue::from_static("0")));
                assert_eq!(body.to_bytes(), "abc");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((connections.load(Ordering::SeqCst), upstream.metrics().connects), (1, 1));
}

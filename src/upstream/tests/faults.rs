//! Answers that are none, and connections that end.

use http_body_util::StreamBody;

use super::*;

/// HTTP-20: an answer that two readers could read in two ways is a 502, and its connection is not used again.
#[tokio::test]
async fn malformed_answers_are_refused() {
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let script = Script::always(bad).await;
        let upstream = script.upstream();
        let error = response(&upstream, get("/")).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Malformed { .. }), "{bad:?}: {error:?}");
        assert_eq!(error.status(), 502);
        let _ = response(&upstream, get("/")).await;
        assert_eq!(script.connections(), 2, "{bad:?}");
    }
}

/// HTTP-29: refused is 502, silence is 504, no room is 503, and the texts stay in the log.
#[tokio::test]
async fn failures_have_their_statuses() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let upstream = Upstream::new(&settings(Target::Http { host: "127.0.0.1".to_owned(), port }), owned()).unwrap();
    let error = response(&upstream, get("/")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Connect { .. }), "{error:?}");
    assert_eq!(error.status(), 502);
    assert_eq!(upstream.metrics().open, 0);

    let silent = Script::new(|mut peer| async move { peer.rest().await }).await;
    let upstream = silent.upstream_with(|settings| settings.response = Duration::from_millis(200));
    let error = response(&upstream, get("/")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::ResponseTimeout { .. }), "{error:?}");
    assert_eq!(error.status(), 504);

    let upstream = silent.upstream_with(|settings| {
        settings.connections = 1;
        settings.connect = Duration::from_millis(200);
    });
    let upstream = Arc::new(upstream);
    let first = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { upstream.send(get("/")).await.map(drop) }
    });
    while upstream.metrics().open == 0 || silent.heads().is_empty() && silent.connections() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = response(&upstream, get("/")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Overload { .. }), "{error:?}");
    assert_eq!((error.status().as_u16(), upstream.metrics().waits), (503, 1));
    first.abort();

    let no_tls = Target::Https { host: "127.0.0.1".to_owned(), port: Script::always(OK).await.address.port() };
    let no_tls = UpstreamSettings { connect: Duration::from_millis(300), ..settings(no_tls) };
    let error = response(&Upstream::new(&no_tls, owned()).unwrap(), get("/")).await.unwrap_err();
    assert!(error.status().is_server_error() && error.status() != 503, "{error:?}");

    let nowhere = settings(Target::Unix("/nowhere/at/all".into()));
    let error = response(&Upstream::new(&nowhere, owned()).unwrap(), get("/")).await.unwrap_err();
    assert_eq!(error.status(), 502);
}

/// HTTP-16: an upstream that dies in the middle of a body leaves an error where the end would be.
#[tokio::test]
async fn a_broken_body_is_an_error() {
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        let script = Script::new(move |mut peer| async move {
            peer.head().await;
            peer.say(half).await;
        })
        .await;
        let answer = response(&script.upstream(), get("/")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(text(answer).await.is_err(), "{half:?}");
    }
}

/// HTTP-16: nobody reads any more, so the upstream's connection is closed, also while it says nothing.
#[tokio::test]
async fn an_unread_answer_cancels_the_upstream() {
    let (closed, ended) = tokio::sync::mpsc::unbounded_channel();
    let script = Script::new(move |mut peer| {
        let closed = closed.clone();
        async move {
            peer.head().await;
            peer.say(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n:\n\r\n",
            )
            .await;
            peer.rest().await;
            let _ = closed.send(());
        }
    })
    .await;
    let mut ended = ended;
    let upstream = script.upstream();
    let mut answer = response(&upstream, get("/events")).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    drop(answer);
    timeout(Duration::from_secs(1), ended.recv()).await.unwrap().unwrap();

    let waiting = timeout(Duration::from_millis(100), upstream.send(get("/never")));
    let answer = waiting.await.unwrap().unwrap();
    drop(answer);
    timeout(Duration::from_secs(1), ended.recv()).await.unwrap().unwrap();
}

/// DOS-02: an answer that stalls ends with an error; one that drips goes on.
#[tokio::test]
async fn a_stalled_answer_has_an_end() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            peer.say("x").await;
        }
        peer.rest().await;
    })
    .await;
    let upstream = script.upstream_with(|settings| settings.idle = Some(Duration::from_millis(300)));
    let mut body = response(&upstream, get("/")).await.unwrap().into_body();
    let mut got = 0;
    let error = loop {
        match timeout(Duration::from_secs(5), body.frame()).await.unwrap().unwrap() {
            Ok(frame) => got += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert_eq!(got, 6);
    assert!(matches!(error.downcast_ref(), Some(UpstreamError::Stalled { .. })), "{error:?}");
}

/// The response time runs for an upload also where the last answer on its connection was allowed to take its time.
#[tokio::test]
async fn an_upload_does_not_inherit_the_last_answers_patience() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").await;
        // Longer than the response time, so that the connection's alarm is set anew for the idle time.
        tokio::time::sleep(Duration::from_millis(600)).await;
        peer.say("0\r\n\r\n").await;
        peer.rest().await;
    })
    .await;
    let upstream = script.upstream_with(|settings| {
        (settings.response, settings.idle) = (Duration::from_millis(300), Some(Duration::from_secs(60)));
    });
    assert_eq!(ask(&upstream, get("/")).await.unwrap(), "ok");
    let upload = request("POST", "/", &[("content-length", "1")], Body::full("x"));
    let error = timeout(Duration::from_secs(5), response(&upstream, upload)).await.expect("still waiting").unwrap_err();
    assert!(matches!(error, UpstreamError::ResponseTimeout { .. }), "{error:?}");
    assert_eq!(script.connections(), 1);
}

/// The response time does not run while an upload moves or its client is slow, and does when the upstream stops reading.
#[tokio::test]
async fn uploads_may_take_their_time() {
    let script = Script::new(|mut peer| async move {
        let head = peer.head().await.unwrap();
        if head.starts_with("POST /deaf") {
            return std::future::pending().await;
        }
        let mut all = Vec::new();
        while !all.ends_with(b"0\r\n\r\n") {
            all.push(peer.stream.read_u8().await.unwrap());
        }
        peer.say(OK).await;
    })
    .await;
    let upstream = script.upstream_with(|settings| settings.response = Duration::from_millis(250));
    let slow = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let frame = http_body::Frame::data(bytes::Bytes::from_static(b"x"));
        (sent < 6).then_some((Ok::<_, std::io::Error>(frame), sent + 1))
    });
    let upload = request("POST", "/", &[("transfer-encoding", "chunked")], Body::stream(StreamBody::new(slow)));
    assert_eq!(ask(&upstream, upload).await.unwrap(), "ok");

    let endless = futures_util::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(http_body::Frame::data(bytes::Bytes::from_static(&[0; 16 * 1024])))
    });
    let upload = request("POST", "/deaf", &[("transfer-encoding", "chunked")], Body::stream(StreamBody::new(endless)));
    let error = response(&upstream, upload).await.unwrap_err();
    assert!(matches!(error, UpstreamError::ResponseTimeout { .. }), "{error:?}");
}

/// A body that breaks off is the client's doing, and its cause can be found.
#[tokio::test]
async fn a_broken_upload_is_the_clients() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.rest().await;
    })
    .await;
    let broken = futures_util::stream::iter([
        Ok(http_body::Frame::data(bytes::Bytes::from_static(b"x"))),
        Err(std::io::Error::other("planted")),
    ]);
    let upload = request("POST", "/", &[("transfer-encoding", "chunked")], Body::stream(StreamBody::new(broken)));
    let error = response(&script.upstream(), upload).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Request { .. }), "{error:?}");
    assert_eq!(error.status(), 400);
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    let mut texts = Vec::new();
    while let Some(at) = cause {
        texts.push(at.to_string());
        cause = at.source();
    }
    assert!(texts.iter().any(|text| text == "planted"), "{texts:?}");
}

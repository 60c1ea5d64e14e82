//! Which connections are used again, by whom, and what is sent twice.

use super::*;

/// A warm pool makes no connections: the next request goes out on the last one.
#[tokio::test]
async fn connections_are_reused() {
    let script = Script::always(OK).await;
    let upstream = script.upstream();
    for _ in 0..50 {
        assert_eq!(ask(&upstream, get("/")).await.unwrap(), "ok");
    }
    let metrics = upstream.metrics();
    assert_eq!((script.connections(), metrics.connects, metrics.reuses, metrics.idle, metrics.open), (1, 1, 49, 1, 1));

    let chunked = Script::always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let empty = Script::always("HTTP/1.1 204 No Content\r\n\r\n").await;
    for script in [&chunked, &empty] {
        let upstream = script.upstream();
        for _ in 0..10 {
            ask(&upstream, get("/")).await.unwrap();
        }
        assert_eq!(script.connections(), 1);
    }
    // What a 204 must not have may still come.
    let script = Script::always("HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n").await;
    let upstream = script.upstream();
    for _ in 0..3 {
        let answer = response(&upstream, get("/")).await.unwrap();
        assert!(answer.headers().get("content-length").is_none());
    }
    assert_eq!((script.connections(), upstream.metrics().idle), (3, 0));
    for never in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let script = Script::always(never).await;
        let upstream = script.upstream();
        for _ in 0..3 {
            assert_eq!(ask(&upstream, get("/")).await.unwrap(), "ok");
        }
        assert_eq!((script.connections(), upstream.metrics().idle), (3, 0), "{never:?}");
    }
}

/// HTTP-30: a connection that was signed in, or is being signed in, serves no second request.
#[tokio::test]
async fn connection_bound_auth_is_not_shared() {
    for challenge in ["NTLM", "Negotiate", "Basic realm=x, Negotiate", "ntlm TlRMTVNTUAAB", "NTLM\tTlRMTVNTUAAB"] {
        let answer = format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n");
        let script = Script::always(Box::leak(answer.into_boxed_str())).await;
        let upstream = script.upstream();
        for _ in 0..2 {
            assert_eq!(response(&upstream, get("/")).await.unwrap().status(), 401);
        }
        assert_eq!(script.connections(), 2, "{challenge}");
    }
    let script = Script::always(OK).await;
    let upstream = script.upstream();
    for (credentials, connections) in [("NTLM abc", 1), ("negotiate abc", 2), ("Basic abc", 3), ("Bearer abc", 3)] {
        ask(&upstream, request("GET", "/", &[("authorization", credentials)], Body::empty())).await.unwrap();
        assert_eq!(script.connections(), connections, "{credentials}");
    }
}

/// HTTP-17: an upstream that closes kept connections, whenever it likes, costs no GET, and no POST is sent twice.
#[tokio::test]
async fn closed_connections_cost_nothing_and_nothing_runs_twice() {
    // Odd connections end on their second request, unanswered; even ones right after an answer.
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say(OK).await;
        if peer.number % 2 == 1 {
            peer.head().await;
        }
    })
    .await;
    let upstream = script.upstream();
    for at in 0..60 {
        assert_eq!(ask(&upstream, get(&format!("/get/{at}"))).await.unwrap(), "ok", "{at}");
    }
    assert!(upstream.metrics().retries > 0);

    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say(OK).await;
        if peer.number % 2 == 1 {
            peer.head().await;
        }
    })
    .await;
    let upstream = script.upstream();
    for at in 0..60 {
        let path = format!("/post/{at}");
        let _ = ask(&upstream, request("POST", &path, &[("content-length", "1")], Body::full("x"))).await;
        let _ = ask(&upstream, request("POST", &format!("{path}/e"), &[("content-length", "0")], Body::empty())).await;
    }
    let mut seen: Vec<String> = script.heads().iter().map(|head| head.lines().next().unwrap().to_owned()).collect();
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "a POST came twice");
}

/// A request that nobody wants any more gives its connection up, and a fresh failure is not repeated.
#[tokio::test]
async fn a_fresh_connection_is_not_tried_twice() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
    })
    .await;
    let upstream = script.upstream();
    let error = response(&upstream, get("/")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Closed { .. }), "{error:?}");
    assert_eq!((script.connections(), upstream.metrics().open), (1, 0));
}

/// The connections to an upstream are bounded, and those who wait get the ones that become free.
#[tokio::test]
async fn connections_are_bounded_and_handed_on() {
    let script = Script::new(|mut peer| async move {
        while peer.head().await.is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            peer.say(OK).await;
        }
    })
    .await;
    let upstream = Arc::new(script.upstream_with(|settings| settings.connections = 3));
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move { ask(&upstream, get("/")).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "ok");
    }
    assert!(script.connections() <= 3, "{}", script.connections());
    assert!(upstream.metrics().waits > 0);
    drop(upstream);
}

/// The response time begins with the request, not with the wait for a connection to send it on.
#[tokio::test]
async fn waiting_for_a_connection_is_no_waiting_for_an_answer() {
    let script = Script::new(|mut peer| async move {
        while let Some(head) = peer.head().await {
            let slow = if head.starts_with("GET /first") { 900 } else { 300 };
            tokio::time::sleep(Duration::from_millis(slow)).await;
            peer.say(OK).await;
        }
    })
    .await;
    let upstream = script.upstream_with(|settings| {
        settings.connections = 1;
        settings.response = Duration::from_millis(1000);
    });
    let second = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        ask(&upstream, get("/second")).await
    };
    let (first, second) = tokio::join!(ask(&upstream, get("/first")), second);
    assert_eq!((first.unwrap(), second.unwrap()), ("ok".to_owned(), "ok".to_owned()));
}

/// HTTP-29: where nothing can be shared yet, those who find no room are told that there is none, not that connecting takes too long.
#[tokio::test]
async fn those_who_wait_for_room_wait_for_room() {
    // SETTINGS with ENABLE_CONNECT_PROTOCOL (RFC 9113 section 6.5, RFC 8441 section 3), and nothing more.
    let script = Script::new(|mut peer| async move {
        peer.say([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1]).await;
        peer.rest().await;
    })
    .await;
    let mut settings = settings(Target::H2c { host: "127.0.0.1".to_owned(), port: script.address.port() });
    (settings.connections, settings.connect) = (1, Duration::from_millis(300));
    let upstream = Arc::new(Upstream::new(&settings, owned()).unwrap());
    let slot = upstream.pool.tunnel().await.unwrap();
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move { response(&upstream, get("/")).await.unwrap_err() })
        })
        .collect();
    // At once, not one after the other as each gives up.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(upstream.metrics().waits, 5);
    for task in tasks {
        let error = task.await.unwrap();
        assert!(matches!(error, UpstreamError::Overload { .. }), "{error:?}");
    }
    drop(slot);
}

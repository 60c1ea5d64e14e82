//! Slow, large and many clients.

use super::*;

fn short() -> LimitSettings {
    LimitSettings {
        header_time: Duration::from_millis(200),
        idle_time: Duration::from_millis(300),
        handshake_time: Duration::from_millis(200),
        header_bytes: 16 * 1024,
        ..LimitSettings::default()
    }
}

/// DOS-02: no byte, half a head, half a preface, and silence after a request: each has an end.
#[tokio::test]
async fn waiting_has_an_end() {
    let served = Served::new(short());
    for (sent, expected) in [
        ("", vec![]),
        ("GET / HTTP/1.1\r\nHost:", vec![]),
        ("PRI * HTTP/2.0\r\n", vec![]),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", vec![200]),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT", vec![200]),
    ] {
        let begun = tokio::time::Instant::now();
        assert_eq!(statuses(&served.talk(sent).await), expected, "{sent:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

/// DOS-02: a head that drips in has its limit from its first byte; an answer that takes long has none.
#[tokio::test]
async fn a_dripping_head_is_cut_off_and_a_long_answer_is_not() {
    let served = Served::new(short());
    let mut stream = served.connect().await;
    let begun = tokio::time::Instant::now();
    for byte in "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy".bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read_all(&mut stream).await, "");
    assert!(begun.elapsed() < Duration::from_secs(3));

    let mut stream = served.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    served.service.arrived.notified().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    served.service.go.notify_one();
    assert_eq!(statuses(&read_all(&mut stream).await), [200]);
}

/// DOS-02: who does not read what it asked for is cut off.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let served = Served::new(short());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let mut all = 0;
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        all += read;
    }
    assert!(all < 64 * 1024 * 1024, "{all}");
}

/// DOS-03: heads, fields and targets at and over their limits.
#[tokio::test]
async fn heads_have_limits() {
    let served = Served::new(LimitSettings { header_count: 50, ..short() });
    let get = |target: String, fields: String| {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")
    };
    let cases = [
        (get("/".to_owned(), format!("X: {}\r\n", "x".repeat(15_000))), 200),
        (get("/".to_owned(), format!("X: {}\r\n", "x".repeat(17_000))), 431),
        (get("/".to_owned(), format!("X: {}", "x".repeat(200_000))), 431),
        (get("/".to_owned(), "X: y\r\n".repeat(48)), 200),
        (get("/".to_owned(), "X: y\r\n".repeat(49)), 431),
        (get(format!("/{}", "x".repeat(8_100)), String::new()), 200),
        (get(format!("/{}", "x".repeat(8_300)), String::new()), 414),
    ];
    for (request, expected) in cases {
        assert_eq!(statuses(&served.talk(&request).await), [expected], "{}", request.len());
    }
}

/// DOS-03, DOS-02: a body over its limit is 413, one that stalls 408, with and without a length.
#[tokio::test]
async fn bodies_have_limits() {
    let echo = Echo { body_bytes: Some(10), body_idle: Some(Duration::from_millis(200)), ..Echo::default() };
    let served = Served::with(LimitSettings::default(), echo, Vec::new());
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    for (rest, expected) in [
        ("Content-Length: 10\r\n\r\n0123456789", 200),
        ("Content-Length: 11\r\n\r\n0123456789a", 413),
        ("Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n", 200),
        ("Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n6789a\r\n0\r\n\r\n", 413),
        ("Content-Length: 10\r\n\r\n01234", 408),
        ("Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n", 408),
    ] {
        assert_eq!(statuses(&served.talk(format!("{head}{rest}")).await), [expected], "{rest:?}");
    }
}

/// HTTP-19: an answer before the end of the request's body arrives, and what follows is in step or not answered at all.
#[tokio::test]
async fn an_early_answer_leaves_the_connection_in_step_or_closed() {
    let served = Served::new(LimitSettings::default());
    let small =
        "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = served.talk(format!("{small}GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
    assert!(matches!(statuses(&answers)[..], [413] | [413, 200]), "{answers}");

    let mut large = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 150000\r\n\r\n".to_vec();
    large.extend_from_slice(&vec![b'x'; 150_000]);
    assert_eq!(statuses(&served.talk(large).await), [413]);
    assert!(!served.seen().contains(&"/smuggled".to_owned()));
}

/// DOS-05: beyond the limit of connections: 503 with `Retry-After`, and room again as soon as one leaves.
#[tokio::test]
async fn the_excess_of_connections_is_turned_away() {
    let served = Served::new(LimitSettings { connections: 2, ..LimitSettings::default() });
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut first = served.connect().await;
    let mut second = served.connect().await;
    for stream in [&mut first, &mut second] {
        stream.write_all(get.as_bytes()).await.unwrap();
        read_until(stream, "\r\n\r\n").await;
    }
    let excess = served.talk(get).await;
    assert_eq!(statuses(&excess), [503]);
    assert!(excess.contains("Retry-After: "));
    drop(first);
    for attempt in 0.. {
        if statuses(&served.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await) == [200] {
            break;
        }
        assert!(attempt < 100);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

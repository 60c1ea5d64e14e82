//! Which host a request is for, and where it can go: nowhere but to what is configured.

use http::Request;

use crate::support::Echo;
use crate::support::h2::{H2Outcome, H2Raw};
use crate::world::{SOON, World};

/// HTTP-11, HTTP-12: exactly one valid host, a public one; nothing in a request opens a connection to anywhere else.
#[tokio::test]
async fn requests_name_one_public_host() {
    let world = World::start().await;
    let trap = Echo::start().await;
    let (host, elsewhere) = (world.host().to_owned(), trap.address.to_string());
    let port = host.rsplit(':').next().unwrap();
    for (head, status) in [
        (format!("GET /public HTTP/1.1\r\nHost: {host}\r\n\r\n"), 200),
        (format!("GET /public HTTP/1.1\r\nhOST:{host} \r\n\r\n"), 200),
        (format!("GET /public HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET /public HTTP/1.1\r\nHost: {host}\r\nHost: {elsewhere}\r\n\r\n"), 400),
        (format!("GET /public HTTP/1.1\r\nHost: {host}, {elsewhere}\r\n\r\n"), 400),
        ("GET /public HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /public HTTP/1.1\r\nHost:\r\n\r\n".to_owned(), 400),
        ("GET /public HTTP/1.0\r\n\r\n".to_owned(), 400),
        (format!("GET /public HTTP/1.1\r\nHost: user@{host}\r\n\r\n"), 400),
        (format!("GET /public HTTP/1.1\r\nHost: {host}/x\r\n\r\n"), 400),
        (format!("GET /public HTTP/1.1\r\nHost: {host}:1\r\n\r\n"), 400),
        (format!("GET /public HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"), 421),
        (format!("GET /public HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n"), 421),
        (format!("GET /public HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"), 421),
        // An absolute target, and targets that want to be somewhere else.
        (format!("GET http://{elsewhere}/public HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET http://{elsewhere}/public HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"), 421),
        (format!("GET http://169.254.169.254/latest HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET http://{host}@{elsewhere}/public HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET @{elsewhere}/public HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET //{elsewhere}/public HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("CONNECT {elsewhere} HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"), 405),
        (format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
        (format!("CONNECT /public HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET * HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
    ] {
        world.echo.forget();
        let answer = world.send(&head).await;
        assert_eq!(answer.status, status, "{head:?}: {}", answer.text());
        assert_eq!(world.echo.count(), usize::from(status == 200), "{head:?}");
    }
    // The absolute form of the right host is refused, or says the same as the origin form.
    world.echo.forget();
    let answer = world.send(format!("GET http://{host}/public/abs HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    match answer.status {
        200 => assert_eq!(world.echo.last().target, "/public/abs"),
        other => assert_eq!((other, world.echo.count()), (400, 0)),
    }
    assert_eq!(trap.connections(), 0);
}

/// HTTP-11: over HTTP/2 the authority decides, once, and a `host` may only repeat it.
#[tokio::test]
async fn http2_requests_name_one_public_host() {
    let world = World::start().await;
    let host = world.host().as_bytes().to_vec();
    let user = [b"user@", host.as_slice()].concat();
    type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;
    let base = || -> Fields<'_> { vec![(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/public")] };
    let cases: Vec<(&str, Fields<'_>, Option<u16>)> = vec![
        ("authority", vec![(b":authority", &host)], Some(200)),
        ("authority and the same host", vec![(b":authority", &host), (b"host", &host)], Some(200)),
        ("another host", vec![(b":authority", &host), (b"host", b"evil.example")], Some(400)),
        ("two hosts", vec![(b":authority", &host), (b"host", &host), (b"host", &host)], Some(400)),
        ("no authority", vec![], Some(400)),
        ("host alone", vec![(b"host", &host)], Some(400)),
        ("user information", vec![(b":authority", &user)], Some(400)),
        ("unknown", vec![(b":authority", b"evil.example")], Some(421)),
        ("two authorities", vec![(b":authority", &host), (b":authority", &host)], None),
    ];
    for (what, more, status) in cases {
        world.echo.forget();
        let mut h2 = H2Raw::connect(world.gateway.address()).await;
        h2.headers(1, true, &[base(), more].concat()).await;
        let outcome = h2.outcome(1, SOON).await;
        match status {
            Some(status) => assert_eq!(outcome, H2Outcome::Answered(Some(status)), "{what}"),
            None => assert!(matches!(outcome, H2Outcome::Reset(_) | H2Outcome::GoAway(_)), "{what}: {outcome:?}"),
        }
        assert_eq!(world.echo.count(), usize::from(status == Some(200)), "{what}");
    }
}

/// HTTP-14: an upgrade to anything but WebSocket is no upgrade, and TRACE and CONNECT are refused.
#[tokio::test]
async fn upgrades_and_methods_that_are_not_listed() {
    let world = World::start().await;
    for upgrade in ["h2c", "h2c, websocket2", "TLS/1.0", "foo"] {
        let lines = [
            "Connection: Upgrade, HTTP2-Settings",
            &format!("Upgrade: {upgrade}"),
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        ];
        let seen = world.seen("GET /public/h2c", &lines).await;
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(!seen.header(name).is_some_and(|value| value.to_lowercase().contains("upgrade")), "{seen:?}");
        }
        assert_eq!(seen.header("http2-settings"), None);
        assert_eq!(seen.header("upgrade"), None);
    }
    world.echo.forget();
    let answer = world.ask("TRACE /public", &[]).await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").is_some_and(|allow| !allow.contains("TRACE")));
    let request = Request::builder().method("TRACE").uri(world.url("/public")).body("").unwrap();
    assert_eq!(world.h2().await.send(request).await.unwrap().status, 405);
    assert_eq!(world.echo.count(), 0);
}

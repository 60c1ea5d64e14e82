//! WebSockets through the gateway.

use http::Method;

use crate::support::h2::{H2Outcome, H2Raw};
use crate::support::raw::Raw;
use crate::support::websocket::{Frame, WebSocket, accept};
use crate::support::{Ask, BadOp, ConfigBuilder, Echo, Gateway, TestCa};
use crate::world::{SOON, World, cookie_line};

/// The lines of a handshake beside those that [`WebSocket::open`] writes.
fn lines(world: &World, more: &[&str]) -> Vec<String> {
    let host = format!("Host: {}", world.host());
    std::iter::once(host).chain(more.iter().map(|&line| line.to_owned())).collect()
}

fn own_origin(world: &World) -> String {
    format!("Origin: {}", world.gateway.public_url())
}

/// HTTP-13: frames go both ways unchanged, the identity goes along, and a close closes both sides.
#[tokio::test]
async fn frames_go_both_ways() {
    let world = World::start().await;
    let (cookie, origin) = (world.cookie().await, own_origin(&world));
    let lines = lines(&world, &[&cookie, &origin, "Sec-WebSocket-Protocol: chat, superchat"]);
    let mut socket = WebSocket::open(world.raw().await, "/ws", &lines).await.ok().unwrap();
    assert_eq!(socket.answer.header("sec-websocket-protocol"), Some("chat"));
    let seen = world.echo.last();
    assert_eq!(seen.identity().unwrap()["sub"], "alice");
    assert_eq!((seen.header("cookie"), seen.header("upgrade")), (None, Some("websocket")));
    socket.echoes("hello").await;
    socket.echoes(&"long ".repeat(100_000)).await;
    socket.send(&Frame { last: true, opcode: 9, payload: b"ping".to_vec() }).await;
    assert_eq!(socket.next(SOON).await.map(|frame| frame.opcode), Some(10));
    socket.send(&Frame::close(1000, "bye")).await;
    assert_eq!(socket.next(SOON).await.and_then(|frame| frame.close_code()), Some(1000));
    assert_eq!(socket.next(SOON).await, None);
    crate::support::wait::until("the upstream's end", SOON, || world.echo.open_connections() <= 1).await;
}

/// HTTP-13, LOGIN-08: who calls is decided before the upstream hears of the handshake.
#[tokio::test]
async fn strangers_open_nothing() {
    let world = World::start().await;
    let origin = own_origin(&world);
    let answer = WebSocket::open(world.raw().await, "/ws", &lines(&world, &[&origin])).await.err().unwrap();
    assert_eq!((answer.status, answer.header("location"), answer.header("set-cookie")), (401, None, None));
    assert_eq!((world.echo.count(), world.echo.connections()), (0, 0));
}

/// HTTP-13: an answer that is no switch is an answer, and what the client sent behind its handshake is a request of its own,
/// judged as such.
#[tokio::test]
async fn a_refused_handshake_is_an_answer() {
    let world = World::start().await;
    let (cookie, origin) = (world.cookie().await, own_origin(&world));
    let handshake = [
        &*cookie,
        &origin,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for status in [200, 403, 404] {
        let mut raw = world.raw().await;
        raw.send(world.head(&format!("GET /ws-refuse?code={status}"), &handshake)).await;
        raw.send(world.head("GET /poison", &[])).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (status, "no"));
        let next = raw.answer().await;
        assert!(next.is_none_or(|next| next.status == 401), "the request behind it has no session");
    }
    // With half a head behind it, nothing of that is seen by the upstream either.
    let mut raw = world.raw().await;
    raw.send(format!("{}GET /poison HTTP/1.1\r\n", world.head("GET /ws-refuse?code=403", &handshake))).await;
    assert_eq!(raw.answer().await.unwrap().status, 403);
    assert!(world.echo.requests().iter().all(|seen| seen.target.starts_with("/ws-refuse")));
}

/// HTTP-13, HTTP-20: only a 101 that fits the request opens a tunnel.
#[tokio::test]
async fn a_switch_has_to_fit() {
    let world = World::start().await;
    let (cookie, origin) = (world.cookie().await, own_origin(&world));
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let good = accept(key);
    for (path, fields) in [
        ("/no-accept", "Connection: Upgrade\r\nUpgrade: websocket\r\n".to_owned()),
        ("/other-accept", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n".to_owned()),
        (
            "/two-accepts",
            format!(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {good}\r\nSec-WebSocket-Accept: {good}\r\n"
            ),
        ),
        ("/other-protocol", format!("Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: {good}\r\n")),
        ("/no-connection", format!("Upgrade: websocket\r\nSec-WebSocket-Accept: {good}\r\n")),
    ] {
        world.echo.answer_raw(path, format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n"));
        let key = format!("Sec-WebSocket-Key: {key}");
        let handshake =
            [&*cookie, &origin, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", &key];
        let answer = world.ask(&format!("GET {path}"), &handshake).await;
        assert_eq!(answer.status, 502, "{path}: {answer:?}");
    }
    // A handshake that is none is refused before anybody hears of it.
    world.echo.forget();
    for broken in [
        &["Sec-WebSocket-Version: 13"][..],
        &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
        &[
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ],
    ] {
        let handshake = [&[&*cookie, &origin, "Connection: Upgrade", "Upgrade: websocket"], broken].concat();
        let answer = world.ask("GET /ws", &handshake).await;
        assert_eq!((answer.status, world.echo.count()), (400, 0), "{broken:?}");
    }
}

/// CSRF-04: a handshake with the cookie has to come from our own origin, or from one that the route lists.
#[tokio::test]
async fn handshakes_with_a_cookie_show_their_origin() {
    let world = World::with(|config| {
        config
            .route("path = \"/listed\"\nupstream = \"app\"\ncross_site = [\"https://spa.example.com\"]")
            .route("path = \"/open\"\nupstream = \"app\"\ncross_site = \"allow\"")
    })
    .await;
    let (cookie, own) = (world.cookie().await, own_origin(&world));
    let port = world.host().rsplit(':').next().unwrap();
    for (path, origin, opens) in [
        ("/ws", Some(&*own), true),
        ("/ws", Some("Origin: https://evil.example"), false),
        ("/ws", Some(&*format!("Origin: https://127.0.0.1:{port}")), false),
        ("/ws", Some("Origin: http://127.0.0.1:1"), false),
        ("/ws", Some("Origin: null"), false),
        ("/ws", None, false),
        ("/listed/ws", Some("Origin: https://spa.example.com"), true),
        ("/listed/ws", Some("Origin: https://spa.example.com.evil.example"), false),
        ("/open/ws", Some("Origin: https://evil.example"), true),
    ] {
        world.echo.forget();
        let more: Vec<&str> = std::iter::once(&*cookie).chain(origin).collect();
        let opened = WebSocket::open(world.raw().await, path, &lines(&world, &more)).await;
        match opened {
            Ok(mut socket) => {
                assert!(opens, "{path} {origin:?}");
                socket.echoes("hello").await;
            }
            Err(answer) => {
                assert_eq!((opens, answer.status, world.echo.count()), (false, 403, 0), "{path} {origin:?}");
            }
        }
    }
}

/// An upgrade without a session's cookie on a public route is nobody's but the application's.
#[tokio::test]
async fn public_websockets_carry_nobody() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let more = ["Origin: https://evil.example", &*cookie_line(&browser)];
    let mut socket = WebSocket::open(world.raw().await, "/public/ws", &lines(&world, &more)).await.ok().unwrap();
    socket.echoes("hello").await;
    let seen = world.echo.last();
    assert_eq!((seen.identity_token(), seen.header("cookie")), (None, None));
    let metrics = world.gateway.metrics().await;
    assert!(metrics.sum("vestibule_tunnels", &[]) >= 1.0, "{:?}", metrics.names());
    browser.ask(Ask::fetch(Method::GET, world.url("/x"))).await.expect_status(200);
}

/// HTTP-13, HTTP-27: an upstream that speaks HTTP/2 only is asked by extended CONNECT, with and without TLS, and its client sees an
/// ordinary switch; a refusal is an answer.
#[tokio::test]
async fn http2_upstreams_take_websockets() {
    let ca = TestCa::new();
    for tls in [false, true] {
        let (op, echo) = (
            BadOp::start().await,
            if tls { Echo::start_h2(&ca, &["127.0.0.1"]).await } else { Echo::start_h2c().await },
        );
        echo.announce_websockets();
        let mut config = ConfigBuilder::usual(&op, &echo);
        if tls {
            config = config.with(&format!("upstreams.app.tls.ca = \"{}\"", ca.path().display()));
        }
        let gateway = Gateway::start(config).await;
        let browser = gateway.browser();
        crate::support::sign_in(&browser, &gateway, "/").await;
        let host = gateway.public_url().trim_start_matches("http://");
        let lines = [
            format!("Host: {host}"),
            format!("Origin: {}", gateway.public_url()),
            cookie_line(&browser),
            "Sec-WebSocket-Protocol: chat".to_owned(),
        ];
        for _ in 0..2 {
            let raw = Raw::connect(gateway.address()).await;
            let mut socket = WebSocket::open(raw, "/ws?a=b", &lines).await.unwrap();
            let seen = echo.last();
            assert_eq!(
                (seen.method.as_str(), seen.target.as_str(), seen.version.as_str()),
                ("CONNECT", "/ws?a=b", "HTTP/2.0")
            );
            assert_eq!((seen.header(":authority"), seen.header("sec-websocket-protocol")), (Some(host), Some("chat")));
            assert_eq!(seen.identity().unwrap()["sub"], "alice");
            for gone in ["sec-websocket-key", "connection", "upgrade", "cookie"] {
                assert_eq!(seen.header(gone), None, "{gone}");
            }
            socket.echoes("hello").await;
            socket.echoes(&"long ".repeat(100_000)).await;
            socket.send(&Frame::close(1000, "bye")).await;
            assert_eq!(socket.next(SOON).await, None);
        }
        // Its connections are the tunnels' own and go with them.
        crate::support::wait::until("the end of the tunnels", SOON, || echo.open_connections() <= 1).await;

        let mut socket = WebSocket::open(Raw::connect(gateway.address()).await, "/ws", &lines).await.unwrap();
        socket.echoes("hello").await;
        browser
            .ask(Ask::form(format!("{}/oauth2/logout", gateway.public_url()), &[("rd", "/")]))
            .await
            .expect_status(303);
        assert_eq!(
            socket.next(SOON).await.and_then(|frame| frame.close_code()),
            Some(1008),
            "it ends with its session"
        );
    }
}

/// HTTP-29: an upstream that speaks HTTP/2 only and does not take WebSockets over it gets none: 502, and the log says what to do.
#[tokio::test]
async fn http2_upstreams_without_websockets_are_not_asked() {
    let (op, echo) = (BadOp::start().await, Echo::start_h2c().await);
    let gateway =
        Gateway::start(ConfigBuilder::usual(&op, &echo).route("upstream = \"app\"\naccess = \"public\"")).await;
    let lines = [format!("Host: {}", gateway.address())];
    let answer = WebSocket::open(Raw::connect(gateway.address()).await, "/ws", &lines).await.err().unwrap();
    assert_eq!((answer.status, echo.count()), (502, 0));
    assert!(!answer.text().contains("HTTP/2"), "{}", answer.text());
    let told = async || gateway.logs().contains("SETTINGS_ENABLE_CONNECT_PROTOCOL").then_some(());
    crate::support::eventually("a line that says why", SOON, told).await;
}

/// CSRF-04, HTTP-27: the same over HTTP/2, where a WebSocket is an extended CONNECT: with the cookie it has to come from our own origin, and
/// the application hears of it as an ordinary handshake.
#[tokio::test]
async fn extended_connects_show_their_origin() {
    let world = World::start().await;
    let (cookie, own) = (world.cookie().await, world.gateway.public_url().to_owned());
    let (host, cookie) = (world.host().as_bytes(), &cookie.as_bytes()["Cookie: ".len()..]);
    for (origin, status) in [
        (Some(&*own), 200),
        (Some("https://evil.example"), 403),
        (Some("http://127.0.0.1:1"), 403),
        (Some("null"), 403),
        (None, 403),
    ] {
        world.echo.forget();
        let mut h2 = H2Raw::connect(world.gateway.address()).await;
        let mut fields: Vec<(&[u8], &[u8])> = vec![
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"http"),
            (b":path", b"/ws"),
            (b":authority", host),
            (b"sec-websocket-version", b"13"),
            (b"cookie", cookie),
        ];
        fields.extend(origin.map(|origin| (&b"origin"[..], origin.as_bytes())));
        h2.headers(1, false, &fields).await;
        assert_eq!(h2.outcome(1, SOON).await, H2Outcome::Answered(Some(status)), "{origin:?}");
        assert_eq!(world.echo.count(), usize::from(status == 200), "{origin:?}");
        if status == 200 {
            let seen = world.echo.last();
            assert_eq!((seen.method.as_str(), seen.header("upgrade")), ("GET", Some("websocket")));
            let frame = Frame::text("hello");
            h2.frame(0, 0, 1, &frame.encode(true)).await;
            let back = h2.next(SOON).await.expect("the echo");
            assert_eq!((back.kind, back.payload), (0, frame.encode(false)));
        }
    }
}

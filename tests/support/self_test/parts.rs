//! Whether the upstream, the clients and the rest of the support do what tests believe. Belongs to the `gateway` binary.
//!
//! Must never need another process.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::time::Duration;

use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::codec::{self, b64, sha256};
use crate::support::echo::Closing;
use crate::support::fault_proxy::{Mode, drawn};
use crate::support::h2::{H2, H2Outcome, H2Raw};
use crate::support::websocket::{Frame, WebSocket};
use crate::support::{Answer, Ask, Browser, ConfigBuilder, Echo, FaultProxy, Raw, Seen};

async fn exchange(echo: &Echo, request: &str) -> Answer {
    let mut raw = Raw::connect(echo.address).await;
    raw.send(request).await;
    raw.answer_to(request.split(' ').next().unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_upstream_shows_exact_bytes() {
    let echo = Echo::start().await;
    let head = "POST /a%2Fb;x?q=%20&q HTTP/1.1\r\nhOsT: h\r\nX_y:  a \r\nTransfer-Encoding: chunked\r\nCookie: a=b=c; =\"\r\n\r\n";
    let answer = exchange(&echo, &format!("{head}3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: t\r\n\r\n")).await;
    let seen = Seen::of_json(&answer.json());
    assert_eq!(seen.raw_head, head);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/a%2Fb;x?q=%20&q"));
    assert_eq!(seen.headers[0], ("hOsT".to_owned(), "h".to_owned()));
    assert_eq!(seen.cgi_variable("x-y"), ["a"]);
    assert_eq!((seen.body.as_str(), seen.body_bytes), ("abcde", 5));
    assert_eq!(seen.body_sha256, codec::hex(&sha256(b"abcde")));
    assert_eq!(seen.trailers, [("X-Late".to_owned(), "t".to_owned())]);
    assert_eq!(echo.last().raw_head, head);
    assert!(echo.last().complete);
}

#[tokio::test]
async fn the_upstream_does_what_paths_say() {
    let echo = Echo::start().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(exchange(&echo, &get("/x/status?code=299&body=hi")).await.status, 299);
    assert_eq!(exchange(&echo, &get("/status?code=204")).await.status, 204);
    assert_eq!(exchange(&echo, &get("/header?X-A=1&x-a=%C3%A4")).await.header_all("x-a"), ["1", "\u{e4}"]);
    assert_eq!(
        exchange(&echo, &get("/set-cookie?line=a%3Db&line=c%3Dd;%20Path%3D/")).await.header_all("set-cookie"),
        ["a=b", "c=d; Path=/"]
    );
    let big = exchange(&echo, &get("/big?bytes=300000&mode=chunked")).await;
    assert_eq!((big.body.len(), big.complete), (300_000, true));
    assert!(!exchange(&echo, &get("/drop-mid")).await.complete);
    assert!(!exchange(&echo, &get("/drop-mid?mode=chunked")).await.complete);
    assert_eq!(exchange(&echo, &get("/interim?count=2")).await.interim.len(), 2);
    assert_eq!(exchange(&echo, &get("/trailers?X-Sum=7")).await.trailer("x-sum"), Some("7"));
    assert_eq!(exchange(&echo, &get("/sse?every=1&count=3")).await.text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert_eq!(exchange(&echo, &get("/malformed?kind=two-lengths")).await.header_all("content-length"), ["5", "6"]);
    assert!(exchange(&echo, "HEAD /anything HTTP/1.1\r\nHost: h\r\n\r\n").await.body.is_empty());
    let early = "POST /early?code=413 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n";
    assert_eq!(exchange(&echo, early).await.status, 413);
    let expect = "PUT /upload HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok";
    let answer = exchange(&echo, expect).await;
    assert_eq!((answer.interim[0].0, answer.json()["body_bytes"].as_u64()), (100, Some(2)));

    let mut raw = Raw::connect(echo.address).await;
    raw.send(get("/hang")).await;
    assert!(!raw.closes_within(Duration::from_millis(50)).await);
    let open = echo.open_connections();
    drop(raw);
    crate::support::wait::until("the closed connection", Duration::from_secs(5), || echo.open_connections() < open)
        .await;

    echo.closing(Closing::OnSecondRequest);
    let mut raw = Raw::connect(echo.address).await;
    raw.send(get("/a")).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    raw.send(get("/b")).await;
    assert!(raw.answer().await.is_none());
    assert_eq!((echo.last().nth, echo.last().target.as_str()), (2, "/b"));
    echo.stop().await;
    assert!(tokio::net::TcpStream::connect(echo.address).await.is_err());
    echo.start_again().await;
    echo.answer_raw("/canned", "HTTP/1.1 201 Canned\r\nContent-Length: 0\r\n\r\n");
    echo.closing(Closing::Never);
    assert_eq!(exchange(&echo, &get("/canned")).await.status, 201);
}

#[tokio::test]
async fn the_upstream_speaks_websocket_and_http2() {
    let echo = Echo::start().await;
    let host = vec!["Host: h".to_owned()];
    let mut socket = WebSocket::open(Raw::connect(echo.address).await, "/ws", &host).await.ok().unwrap();
    socket.echoes("hello").await;
    socket.echoes(&"long ".repeat(20_000)).await;
    socket.send(&Frame::close(1000, "bye")).await;
    assert_eq!(socket.next(Duration::from_secs(5)).await.unwrap().close_code(), Some(1000));
    assert_eq!(echo.frames().len(), 3);
    let refused = WebSocket::open(Raw::connect(echo.address).await, "/ws-refuse?code=401", &host).await;
    assert_eq!(refused.err().unwrap().status, 401);

    let h2c = Echo::start_h2c().await;
    let client = H2::connect(h2c.address).await;
    let call = Request::post(format!("http://{}/svc/Method", h2c.address)).header("content-type", "application/grpc");
    let answer = client.send(call.body("frame").unwrap()).await.unwrap();
    assert_eq!(
        (answer.status, &answer.body[..], &answer.trailers["grpc-status"]),
        (200, &b"frame"[..], &"0".parse().unwrap())
    );
    let answer = client.send(Request::get(format!("http://{}/x", h2c.address)).body("").unwrap()).await.unwrap();
    let seen: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&seen["version"], &seen["target"]), (&json!("HTTP/2.0"), &json!("/x")));

    let mut frames = H2Raw::connect(h2c.address).await;
    let good: [(&[u8], &[u8]); 4] =
        [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"h"), (b":path", b"/y")];
    frames.headers(1, true, &good).await;
    assert_eq!(frames.outcome(1, Duration::from_secs(5)).await, H2Outcome::Answered(Some(200)));
    frames.headers(3, true, &[good.as_slice(), &[(b"connection", b"close")]].concat()).await;
    assert!(matches!(frames.outcome(3, Duration::from_secs(5)).await, H2Outcome::Reset(1)));
}

#[test]
fn cookies_are_kept_as_browsers_keep_them() {
    let https = url::Url::parse("https://app.example.test/a/b").unwrap();
    let http = url::Url::parse("http://app.example.test/").unwrap();
    for (url, line, kept) in [
        (&https, "a=1", true),
        (&https, "__Host-a=1; Secure; Path=/; HttpOnly", true),
        (&https, "__Host-a=1; Secure; HttpOnly", false),
        (&https, "__Host-a=1; Path=/", false),
        (&https, "__host-a=1; Secure; Path=/; Domain=app.example.test", false),
        (&https, "__Secure-a=1", false),
        (&https, "a=1; SameSite=None", false),
        (&https, "a=1; SameSite=None; Secure", true),
        (&https, "a=1; Domain=other.test", false),
        (&https, "a=1; Domain=example.test", true),
        (&https, "a=1; Max-Age=0", false),
        (&https, "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
        (&http, "a=1; Secure", false),
        (&http, "a=1; HttpOnly", true),
    ] {
        let mut jar = crate::support::client::Jar::default();
        jar.store(url, line, false);
        assert_eq!(jar.all().len(), usize::from(kept), "{line}");
    }
    let mut jar = crate::support::client::Jar::default();
    jar.store(&https, "deep=1", false);
    jar.store(&https, "wide=1; Path=/", false);
    assert_eq!(jar.header(&https, |_| true).unwrap(), "deep=1; wide=1");
    assert_eq!(jar.header(&url::Url::parse("https://app.example.test/ax").unwrap(), |_| true).unwrap(), "wide=1");
    assert_eq!(jar.header(&url::Url::parse("https://x.app.example.test/a").unwrap(), |_| true), None);
}

#[tokio::test]
async fn a_browser_says_where_requests_come_from() {
    let echo = Echo::start().await;
    let browser = Browser::new().resolve("*", echo.address);
    let base = "http://127.0.0.1:1234";
    browser.jar(|jar| {
        let url = url::Url::parse(base).unwrap();
        for (name, rule) in [("strict", "Strict"), ("lax", "Lax")] {
            jar.store(&url, &format!("{name}=1; Path=/; SameSite={rule}"), false);
        }
    });
    let foreign = "http://127.0.0.2:99";
    for (ask, site, mode, dest, cookies, origin) in [
        (Ask::navigation(base), "none", "navigate", "document", Some("strict=1; lax=1"), None),
        (Ask::navigation(base).caused_by(foreign), "cross-site", "navigate", "document", Some("lax=1"), None),
        (Ask::fetch(Method::GET, base), "same-origin", "cors", "empty", Some("strict=1; lax=1"), None),
        (Ask::fetch(Method::POST, base), "same-origin", "cors", "empty", Some("strict=1; lax=1"), Some(base)),
        (Ask::fetch(Method::GET, base).caused_by(foreign), "cross-site", "cors", "empty", None, Some(foreign)),
        (Ask::form(base, &[("a", "b")]).caused_by(foreign), "cross-site", "navigate", "document", None, Some(foreign)),
        (
            Ask::image(base).caused_by("http://127.0.0.1:99"),
            "same-site",
            "no-cors",
            "image",
            Some("strict=1; lax=1"),
            None,
        ),
        (Ask::frame(base).caused_by(foreign), "cross-site", "navigate", "iframe", None, None),
    ] {
        let what = format!("{ask:?}");
        let seen = Seen::of_page(&browser.ask(ask).await);
        assert_eq!(seen.header("sec-fetch-site"), Some(site), "{what}");
        assert_eq!(seen.header("sec-fetch-mode"), Some(mode), "{what}");
        assert_eq!(seen.header("sec-fetch-dest"), Some(dest), "{what}");
        assert_eq!(seen.header("cookie"), cookies, "{what}");
        assert_eq!(seen.header("origin"), origin, "{what}");
    }
    let seen = Seen::of_page(&browser.ask(Ask::plain(Method::GET, base).without_cookies()).await);
    assert_eq!(seen.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["host"]);
    assert!(codec::contains(&browser.received(), b"HTTP/1.1 200"));
}

#[tokio::test]
async fn the_proxy_breaks_and_heals() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let proxy = FaultProxy::round_robin(vec![one.address, two.address]).await;
    let browser = Browser::new().resolve("*", proxy.address);
    for _ in 0..4 {
        browser.fetch("http://127.0.0.1:1/").await.expect_status(200);
    }
    assert_eq!((one.count(), two.count()), (2, 2));
    let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut raw = Raw::connect(proxy.address).await;
    raw.send(get).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    proxy.set(Mode::Blackhole);
    raw.send(get).await;
    assert!(raw.take(1, Duration::from_millis(50)).await.is_empty());
    let mut late = Raw::connect(proxy.address).await;
    late.send(get).await;
    proxy.set(Mode::Pass);
    assert_eq!(late.answer().await.unwrap().status, 200);
    let (seed, most) = (7, Duration::from_millis(20));
    let waits = |way, piece| drawn(seed, most, way, piece);
    proxy.set(Mode::Jitter { seed, most });
    let connection = proxy.accepted();
    let mut slow = Raw::connect(proxy.address).await;
    let (begun, mut least) = (std::time::Instant::now(), Duration::ZERO);
    for piece in 0..10 {
        slow.send(get).await;
        assert_eq!(slow.answer().await.unwrap().status, 200);
        least += waits(connection * 2, piece);
    }
    assert!(least > Duration::ZERO && begun.elapsed() >= least, "{least:?}");
    let drawn: Vec<Duration> = (0..200).map(|piece| waits(0, piece)).collect();
    assert!(
        drawn.contains(&Duration::ZERO)
            && drawn.iter().any(|wait| *wait > most / 2)
            && drawn.iter().max() <= Some(&most)
    );
    assert!((0..200).any(|piece| waits(1, piece) != waits(0, piece)), "each way has its own");
    proxy.set(Mode::Pass);
    proxy.cut_once();
    assert!(raw.closes_within(Duration::from_secs(5)).await);
    browser.fetch("http://127.0.0.1:1/").await.expect_status(200);
    proxy.set(Mode::Cut);
    assert!(browser.attempt(Ask::navigation("http://127.0.0.1:1/")).await.is_err());
}

#[test]
fn configurations_are_laid_over_each_other() {
    let config = ConfigBuilder::new()
        .provider_at("corp", "https://id.example.test/", "me", "canary-secret")
        .upstream("app", "http://127.0.0.1:1")
        .with("session.idle = \"2s\"\n[session.near_cache]\nstaleness = \"0s\"");
    let table: toml::Table = config.text().parse().unwrap();
    assert_eq!(table["session"]["store"].as_str(), Some("memory"));
    assert_eq!(table["session"]["near_cache"]["staleness"].as_str(), Some("0s"));
    assert_eq!(table["routes"][0]["upstream"].as_str(), Some("app"));
    let table: toml::Table = config.route("path = \"/x\"\nupstream = \"app\"").text().parse().unwrap();
    assert_eq!(table["routes"].as_array().unwrap().len(), 1);
    assert!(!table.to_string().contains("canary-secret"), "secrets stand in files");
}

#[test]
fn metrics_are_read() {
    let text = "# HELP x y\nx_total{a=\"1\",b=\"q\\\"}\"} 2\nx_total{a=\"2\"} 3.5\nplain 7 1234\n# EOF\n";
    let metrics = crate::support::gateway::Metrics::parse(text);
    assert_eq!(
        (metrics.sum("x_total", &[]), metrics.sum("x_total", &[("b", "q\"}")]), metrics.sum("plain", &[])),
        (5.5, 2.0, 7.0)
    );
}

#[test]
fn leaks_are_found() {
    let secrets = vec!["canary-abcdefghijklmnop".to_owned(), "eyJh.eyJi.c2lnbmF0dXJlLW9mLWEtdG9rZW4".to_owned()];
    let leaks = |text: &str| crate::support::gateway::leaks(text.as_bytes(), &secrets).len();
    assert_eq!(leaks("nothing here"), 0);
    assert_eq!(leaks("x canary-abcdefghijklmnop y"), 1);
    assert_eq!(leaks(&b64(b"canary-abcdefghijklmnop")), 1);
    assert_eq!(leaks("…c2lnbmF0dXJlLW9mLWEtdG9rZW4"), 1);
}

//! The listener that only redirects, and HSTS.

use crate::support::h2::H2;
use crate::support::raw::{Answer, Raw};
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway, TestCa};

const NAME: &str = "app.example.test";

async fn gateway(ca: &TestCa, op: &BadOp, echo: &Echo, more: &str) -> Gateway {
    let issued = ca.issue(&[NAME]);
    let listeners = format!(
        "listeners = [
            {{ address = \"127.0.0.1:@PORT@\", certificates = [{{ certificate = \"{}\", key = \"{}\" }}] }},
            {{ address = \"127.0.0.1:0\", redirect = \"https\" }},
        ]\n{more}",
        issued.certificate.display(),
        issued.key.display()
    );
    let config = ConfigBuilder::usual(op, echo).tls(ca, NAME).with(&listeners);
    let config = config.upstream("away", "http://127.0.0.1:9");
    let config = config.route("path = \"/\"\nupstream = \"app\"");
    let config = config.route("path = \"/away\"\nupstream = \"away\"\naccess = \"public\"");
    Gateway::start(config.route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"")).await
}

async fn ask(mut raw: Raw, host: &str, start: &str, lines: &[&str]) -> Answer {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    raw.send(format!("{start} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).await;
    raw.answer_to(start.split(' ').next().unwrap()).await.unwrap()
}

/// TLS-03: the plain port sends readers to https and refuses everything else; credentials on it are an error; nothing is
/// forwarded and no cookie set.
#[tokio::test]
async fn the_plain_port_only_redirects() {
    let (ca, op, echo) = (TestCa::new(), BadOp::start().await, Echo::start().await);
    let gateway = gateway(&ca, &op, &echo, "").await;
    let host = gateway.public_url().trim_start_matches("https://").to_owned();
    let plain: std::net::SocketAddr = gateway.listeners()[1].trim_start_matches("http://").parse().unwrap();
    let page = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    for (start, lines, status) in [
        ("GET /a;b?c=%20&c", &page[..], 308),
        ("HEAD /public", &page, 308),
        ("GET /public", &["Accept: text/html"], 308),
        ("GET /oauth2/login", &page, 308),
        ("POST /public", &["Content-Length: 0"], 403),
        ("DELETE /public", &[], 403),
        ("OPTIONS /public", &[], 403),
        ("GET /api", &["Authorization: Bearer x"], 403),
        ("GET /api", &["Authorization: Basic eDp5", "Accept: text/html"], 403),
        ("GET /api", &["Cookie: __Host-vestibule=x", "Accept: application/json"], 403),
        ("POST /oauth2/logout", &["Content-Length: 0"], 403),
        ("GET //evil.example/", &page, 400),
        ("GET /a%5cb", &page, 400),
    ] {
        let answer = ask(Raw::connect(plain).await, &host, start, lines).await;
        assert_eq!(answer.status, status, "{start} {lines:?}: {answer:?}");
        let location = (status == 308).then(|| format!("https://{host}{}", start.split_once(' ').unwrap().1));
        assert_eq!(answer.header("location"), location.as_deref(), "{start}");
        assert_eq!((answer.header("set-cookie"), answer.header("strict-transport-security")), (None, None), "{start}");
    }
    let answer = ask(Raw::connect(plain).await, "evil.example", "GET /public", &page).await;
    assert_eq!((answer.status, answer.header("location")), (421, None));
    assert_eq!(
        (echo.count(), op.all_requests().iter().filter(|seen| seen.target.contains("authorize")).count()),
        (0, 0)
    );
}

/// TLS-04: every https answer carries HSTS, ours and forwarded ones, unless the application says it itself; the length is
/// configurable, and it can be off.
#[tokio::test]
async fn https_answers_carry_hsts() {
    let (ca, op, echo) = (TestCa::new(), BadOp::start().await, Echo::start().await);
    for (more, expected) in
        [("", Some("max-age=31536000")), ("hsts = \"1d\"", Some("max-age=86400")), ("hsts = \"off\"", None)]
    {
        let gateway = gateway(&ca, &op, &echo, more).await;
        let host = gateway.public_url().trim_start_matches("https://").to_owned();
        let page = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
        for (start, lines, status) in [
            ("GET /public", &[][..], 200),
            ("GET /public/status?code=404", &[], 404),
            ("GET /public/status?code=304", &[], 304),
            ("GET /public/status?code=500", &[], 500),
            ("GET /x", &page, 303),
            ("GET /x", &[], 401),
            ("GET /oauth2/login", &page, 303),
            ("GET /oauth2/signed_out", &[], 200),
            ("GET /oauth2/jwks", &[], 200),
            ("GET /oauth2/unknown", &[], 404),
            ("GET /a%5cb", &[], 400),
            ("TRACE /x", &[], 405),
            ("GET /away", &[], 502),
        ] {
            let raw = Raw::connect_tls(gateway.address(), NAME, &ca, &["http/1.1"]).await.unwrap();
            let answer = ask(raw, &host, start, lines).await;
            assert_eq!(answer.status, status, "{start}: {answer:?}");
            assert_eq!(
                answer.header_all("strict-transport-security"),
                expected.into_iter().collect::<Vec<_>>(),
                "{start}"
            );
        }
        let raw = Raw::connect_tls(gateway.address(), NAME, &ca, &["http/1.1"]).await.unwrap();
        let own = ask(raw, &host, "GET /public/header?Strict-Transport-Security=max-age%3D5", &[]).await;
        assert_eq!(own.header_all("strict-transport-security"), ["max-age=5"]);
    }
}

/// TLS-04, CACHE-03: what is refused before anybody reads the request carries the fields of our other answers too: heads that cannot be
/// read, whole or in pieces, alone or behind a request that was answered, too large ones, too long targets, CONNECT; over HTTP/2 as well.
#[tokio::test]
async fn refusals_of_heads_carry_hsts() {
    let (ca, op, echo) = (TestCa::new(), BadOp::start().await, Echo::start().await);
    let gateway = gateway(&ca, &op, &echo, "").await;
    let host = gateway.public_url().trim_start_matches("https://").to_owned();
    let check = |answer: &Answer, status: u16, secure: bool, what: &str| {
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        let hsts = answer.header_all("strict-transport-security");
        assert_eq!(hsts, if secure { vec!["max-age=31536000"] } else { vec![] }, "{what}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header_all(name), [value], "{what}: {name}");
        }
    };
    let long = "a".repeat(40_000);
    let good = format!("GET /public/status?code=204 HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (head, status) in [
        (format!("GET / HTTP/1.1\nHost: {host}\r\n\r\n"), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", "a".repeat(20_000)), 414),
        (format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
    ] {
        let what = &head[..head.len().min(40)];
        let mut raw = Raw::connect_tls(gateway.address(), NAME, &ca, &["http/1.1"]).await.unwrap();
        raw.send(&head).await;
        check(&raw.answer().await.unwrap(), status, true, what);

        // Behind one that is answered, in one piece with it.
        let mut raw = Raw::connect_tls(gateway.address(), NAME, &ca, &["http/1.1"]).await.unwrap();
        raw.send(format!("{good}{head}")).await;
        assert_eq!(raw.answer().await.unwrap().status, 204, "{what}");
        check(&raw.answer().await.unwrap(), status, true, what);

        let mut raw = Raw::connect_tls(gateway.address(), NAME, &ca, &["http/1.1"]).await.unwrap();
        let (first, rest) = head.split_at(head.len() / 2);
        raw.send(first).await;
        tokio::task::yield_now().await;
        raw.send(rest).await;
        check(&raw.answer().await.unwrap(), status, true, what);
    }
    // Over plain HTTP the same without it (RFC 6797 section 7.2).
    let plain: std::net::SocketAddr = gateway.listeners()[1].trim_start_matches("http://").parse().unwrap();
    let mut raw = Raw::connect(plain).await;
    raw.send("nonsense\r\n\r\n").await;
    check(&raw.answer().await.unwrap(), 400, false, "plain");
    assert_eq!(raw.answer().await.map(|answer| answer.status), None, "and that is the end");

    let h2 = H2::connect_tls(gateway.address(), NAME, &ca).await;
    let request = http::Request::get(format!("https://{host}/{}", "a".repeat(20_000))).body("").unwrap();
    let answer = h2.send(request).await.unwrap();
    assert_eq!(
        (answer.status, answer.headers["strict-transport-security"].to_str().unwrap()),
        (414, "max-age=31536000")
    );
}

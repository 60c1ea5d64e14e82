//! The listener that only redirects, and HSTS.

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

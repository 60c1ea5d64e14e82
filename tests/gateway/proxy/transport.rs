//! Every kind of listener before every kind of upstream.

use std::path::Path;

use http::Request;
use tempfile::TempDir;

use crate::support::h2::H2;
use crate::support::raw::{Answer, Raw};
use crate::support::tls::Flavour;
use crate::support::{ConfigBuilder, Echo, Gateway, TestCa, free_port};

const NAME: &str = "app.example.test";

/// A TLS, a plain and a Unix listener; whatever `routes` and `upstreams` say behind them.
async fn gateway(ca: &TestCa, config: ConfigBuilder) -> Gateway {
    let issued = ca.issue(&[NAME]);
    Gateway::start(config.tls(ca, NAME).with(&format!(
        "listeners = [
            {{ address = \"127.0.0.1:@PORT@\", certificates = [{{ certificate = \"{}\", key = \"{}\" }}] }},
            {{ address = \"127.0.0.1:0\" }},
            {{ address = \"unix:@DIR@/listener.sock\" }},
        ]",
        issued.certificate.display(),
        issued.key.display()
    )))
    .await
}

fn public(path: &str, upstream: &str) -> String {
    format!("path = \"{path}\"\nupstream = \"{upstream}\"\naccess = \"public\"")
}

/// TLS-06: over TLS both protocols by ALPN and no other; without TLS both by how a client begins; on a Unix socket; and to
/// http, https with HTTP/1.1 and with HTTP/2, h2c and Unix upstreams.
#[tokio::test]
async fn every_listener_reaches_every_upstream() {
    let (ca, dir) = (TestCa::new(), TempDir::new().unwrap());
    let socket = dir.path().join("upstream.sock");
    let upstreams = [
        ("http", Echo::start().await, "HTTP/1.1"),
        ("https", Echo::start_tls(&ca, &["127.0.0.1"]).await, "HTTP/1.1"),
        ("h2", Echo::start_h2(&ca, &["127.0.0.1"]).await, "HTTP/2.0"),
        ("h2c", Echo::start_h2c().await, "HTTP/2.0"),
        ("unix", Echo::start_unix(&socket).await, "HTTP/1.1"),
    ];
    let mut config = ConfigBuilder::new();
    for (name, echo, _) in &upstreams {
        let url = if *name == "unix" { format!("unix:{}", socket.display()) } else { echo.url() };
        config = config.upstream(name, &url).route(&public(&format!("/{name}"), name));
        if url.starts_with("https") {
            config = config.with(&format!("upstreams.{name}.tls.ca = \"{}\"", ca.path().display()));
        }
    }
    let gateway = gateway(&ca, config).await;
    let host = gateway.public_url().trim_start_matches("https://").to_owned();
    let tls = gateway.address();
    let [_, plain, unix] = gateway.listeners() else { panic!("three listeners: {:?}", gateway.listeners()) };
    let plain = plain.trim_start_matches("http://").parse().unwrap();

    for (name, echo, version) in &upstreams {
        let request = format!("POST /{name}/x?q HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello");
        let h1 = [
            ("TLS, HTTP/1.1", Raw::connect_tls(tls, NAME, &ca, &["http/1.1"]).await.unwrap()),
            ("TLS, no ALPN", Raw::connect_tls(tls, NAME, &ca, &[]).await.unwrap()),
            ("plain", Raw::connect(plain).await),
            ("Unix", Raw::connect_unix(Path::new(unix.trim_start_matches("unix:"))).await),
        ];
        for (what, mut raw) in h1 {
            let what = format!("{what} to {name}");
            raw.send(&request).await;
            let answer = raw.answer().await.unwrap();
            assert_eq!(answer.status, 200, "{what}: {answer:?}");
            let seen = echo.last();
            assert_eq!((seen.version.as_str(), seen.target.as_str()), (*version, &*format!("/{name}/x?q")), "{what}");
            assert_eq!((seen.body.as_str(), seen.header("x-forwarded-proto")), ("hello", Some("https")), "{what}");
            let named = seen.header("host").or(seen.header(":authority"));
            assert_eq!(named, Some(&*host), "{what}: the host that the browser sees");
        }
        let h2 = [("TLS, h2", H2::connect_tls(tls, NAME, &ca).await), ("plain, h2c", H2::connect(plain).await)];
        for (what, client) in h2 {
            let request = Request::post(format!("https://{host}/{name}/y")).body("again").unwrap();
            let answer = client.send(request).await.unwrap();
            assert_eq!((answer.status, answer.complete), (200, true), "{what} to {name}");
            assert_eq!((echo.last().target, echo.last().body.as_str()), (format!("/{name}/y"), "again"), "{what}");
        }
    }
    let agreed = Raw::connect_tls(tls, NAME, &ca, &["h2", "http/1.1"]).await.unwrap().alpn;
    assert_eq!(agreed.as_deref(), Some("h2"));
    let error = Raw::connect_tls(tls, NAME, &ca, &["smtp"]).await.err().expect("no overlap, no connection");
    assert!(error.to_string().to_lowercase().contains("application"), "{error}");
}

/// HTTP-29: an upstream whose certificate does not hold is a 502 and gets no request.
#[tokio::test]
async fn upstreams_are_who_their_certificates_say() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let upstreams = [
        ("unknown", Echo::start_tls(&other, &["127.0.0.1"]).await),
        ("misnamed", Echo::start_tls(&ca, &["elsewhere.test"]).await),
        ("expired", Echo::start_tls_flavour(&ca, &["127.0.0.1"], Flavour::Expired).await),
        ("nameless", Echo::start_tls_flavour(&ca, &["127.0.0.1"], Flavour::CommonNameOnly).await),
    ];
    let mut config = ConfigBuilder::new();
    for (name, echo) in &upstreams {
        config = config.upstream(name, &echo.url()).route(&public(&format!("/{name}"), name));
        config = config.with(&format!("upstreams.{name}.tls.ca = \"{}\"", ca.path().display()));
    }
    let gateway = Gateway::start(config).await;
    for (name, echo) in &upstreams {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(format!("GET /{name} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address())).await;
        let answer: Answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, echo.count()), (502, 0), "{name}");
        assert!(!answer.text().contains(&echo.address.port().to_string()), "{name}: {}", answer.text());
    }
}

/// ID-15: an upstream that refuses everybody without a certificate of its own authority answers through the gateway that has one, over
/// HTTP/1.1 and HTTP/2, and nobody else; a gateway without one, or with a stranger's, gets nothing out of it.
#[tokio::test]
async fn upstreams_can_ask_who_connects() {
    let (ca, clients, others) = (TestCa::new(), TestCa::new(), TestCa::new());
    let own = clients.issue_flavour(&["vestibule"], Flavour::Client);
    let stranger = others.issue_flavour(&["vestibule"], Flavour::Client);
    for alpn in ["http/1.1", "h2"] {
        let echo = Echo::start_mtls(&ca, &["127.0.0.1"], &clients, alpn).await;
        let mut config = ConfigBuilder::new();
        for (name, shown) in [("own", Some(&own)), ("none", None), ("stranger", Some(&stranger))] {
            let pair = shown.map_or_else(String::new, |shown| {
                format!("certificate = \"{}\"\nkey = \"{}\"", shown.certificate.display(), shown.key.display())
            });
            let tls = format!("[upstreams.{name}.tls]\nca = \"{}\"\n{pair}", ca.path().display());
            config = config.upstream(name, &echo.url()).with(&tls).route(&public(&format!("/{name}"), name));
        }
        let gateway = Gateway::start(config).await;
        for (path, status) in [("/own", 200), ("/none", 502), ("/stranger", 502)] {
            echo.forget();
            let mut raw = Raw::connect(gateway.address()).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address())).await;
            let answer = raw.answer().await.unwrap();
            assert_eq!((answer.status, echo.count()), (status, usize::from(status == 200)), "{alpn} {path}");
        }
        // Who goes there directly hears nothing either; over TLS 1.3 the refusal may come behind the handshake.
        echo.forget();
        if let Ok(mut direct) = Raw::connect_tls(echo.address, "127.0.0.1", &ca, &[alpn]).await {
            direct.send("GET /own HTTP/1.1\r\nHost: portal\r\n\r\n").await;
            assert!(direct.answer().await.is_none(), "{alpn}");
        }
        assert_eq!(echo.count(), 0, "{alpn}");
    }
}

/// A listener on port 0 says which port it got; the admin listener too.
#[tokio::test]
async fn listeners_report_their_ports() {
    let echo = Echo::start().await;
    let port = free_port();
    let text = format!(
        "public_url = \"http://127.0.0.1:{port}\"
        listeners = [{{ address = \"127.0.0.1:0\" }}, {{ address = \"[::1]:0\" }}]
        admin.address = \"127.0.0.1:0\"
        session.store = \"memory\"
        upstreams.app.url = \"{}\"
        routes = [{{ upstream = \"app\", access = \"public\" }}]",
        echo.url()
    );
    let gateway = Gateway::start(text).await;
    for address in gateway.listeners() {
        let address: std::net::SocketAddr = address.trim_start_matches("http://").parse().unwrap();
        assert_ne!(address.port(), 0);
        let mut raw = Raw::connect(address).await;
        raw.send(format!("GET /x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")).await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{address}");
    }
    assert_eq!(gateway.listeners().len(), 2);
    let alive = crate::support::Browser::new().fetch(format!("{}/livez", gateway.admin_url())).await;
    assert_eq!(alive.status, 200);
}

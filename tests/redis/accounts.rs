//! Ways to a store: accounts, database numbers, TLS, sockets; and what `check` says of them.

use std::time::Duration;

use tempfile::TempDir;

use crate::support::tls::write_secret;
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway, Redis, Site, TestCa, eventually, sign_in};
use crate::world::{ready, readyz, says};

/// The rights of the account in docs/operations.md.
pub(crate) fn documented_rights() -> String {
    let line = include_str!("../../docs/operations.md")
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER vestibule on >… "));
    line.expect("the account's line in the documentation").to_owned()
}

/// The documented account is enough for everything that a gateway does, through every door: TCP, TLS under one's own
/// authority, a socket; and the database is the one that the URL names.
#[tokio::test]
async fn every_documented_way_to_a_store_works() {
    let ca = TestCa::new();
    let redis = Redis::setup().user("gate-way", "p@ss/w%rd", &documented_rights()).tls(&ca).start().await;
    let account = "gate-way:p%40ss%2Fw%25rd";
    let socket = redis.socket();
    let tls = redis.tls_url();
    let (_, tls) = tls.split_once("@localhost:").unwrap();
    let tls = tls.trim_end_matches("/0");
    for (database, url) in [
        (3, format!("redis://{account}@{}/3", redis.address())),
        (4, format!("rediss://{account}@localhost:{tls}/4?ca={}", ca.path().display())),
        (5, format!("redis+unix://{account}@localhost{}?db=5", socket.display())),
    ] {
        let (op, echo) = (BadOp::start().await, Echo::start().await);
        let config =
            ConfigBuilder::usual(&op, &echo).file("store", &url).with("[session]\nstore = { file = \"@DIR@/store\" }");
        let gateway = Gateway::start(config).await;
        ready(&gateway).await;
        let browser = gateway.browser();
        sign_in(&browser, &gateway, "/").await;
        let refresh = crate::support::Ask::fetch(http::Method::POST, gateway.url("/oauth2/session/refresh"));
        browser.ask(refresh).await.expect_status(200);
        let list = gateway.admin("GET", "/api/sessions", None).await.expect_status(200).json();
        assert_eq!(list["sessions"].as_array().unwrap().len(), 1, "{database}");
        let all = serde_json::json!({"provider": "corp", "sub": "alice"});
        let revoked = gateway.admin("POST", "/api/revocations", Some(&all)).await.expect_status(200).json();
        assert_eq!(revoked["revoked"], 1, "{database}");
        assert_eq!(browser.fetch(gateway.url("/")).await.status, 401);
        assert!(redis.cli(&["INFO", "keyspace"]).contains(&format!("db{database}:keys=")), "{database}");
        assert!(!gateway.logs().contains("NOPERM") && !gateway.logs().contains("no-permission"), "{}", gateway.logs());
        assert!(!gateway.output().contains("p%40ss") && !gateway.output().contains("p@ss"));
    }
}

/// A certificate that nobody vouches for is refused, with a word in the log; nothing is ever sent in its stead in the clear.
#[tokio::test]
async fn a_store_with_an_unknown_certificate_is_refused() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let redis = Redis::setup().tls(&ca).start().await;
    for query in [String::new(), format!("?ca={}", other.path().display())] {
        let (op, echo) = (BadOp::start().await, Echo::start().await);
        let config = ConfigBuilder::usual(&op, &echo).store(&format!("{}{query}", redis.tls_url()));
        let gateway = Gateway::start(config).await;
        says(&gateway, "tls").await;
        assert_eq!(readyz(&gateway).await, 503);
        let page = gateway.browser().navigate(gateway.url("/")).await;
        assert_eq!(page.status, 503);
        eventually("no key", Duration::from_secs(1), || async { redis.keys().is_empty().then_some(()) }).await;
    }
}

/// TLS-09: `check` and `serve` refuse a store that is reached in the clear beyond loopback, unless told that it is meant.
#[tokio::test]
async fn plaintext_beyond_loopback_has_to_be_meant() {
    let dir = TempDir::new().unwrap();
    write_secret(&dir.path().join("secret"), "a server secret of more than thirty-two bytes".as_bytes());
    for (store, more, fine) in [
        ("redis://redis.example:6379/0", "", false),
        ("redis://10.1.2.3:6379/0", "", false),
        ("redis://[2001:db8::1]:6379/0", "", false),
        ("redis://redis.example:6379/0", "plaintext = false", false),
        ("redis://redis.example:6379/0", "plaintext = true", true),
        ("redis://127.0.0.1:6379/0", "", true),
        ("redis://[::1]:6379/0", "", true),
        ("redis://localhost:6379/0", "", true),
        ("rediss://redis.example:6379/0", "", true),
        ("redis-sentinel://127.0.0.1:26379/0?sentinelServiceName=main", "", true),
        ("redis-sentinel://redis.example:26379/0?sentinelServiceName=main", "", false),
        ("redis-sentinel://127.0.0.1:26379/0?sentinelServiceName=main&node=redis.example:26379", "", false),
        ("rediss-sentinel://redis.example:26379/0?sentinelServiceName=main", "", true),
        ("redis-cluster://127.0.0.1:7000?node=10.1.2.3:7000", "", false),
        ("redis-cluster://redis.example:7000", "plaintext = true", true),
        ("rediss-cluster://redis.example:7000?node=10.1.2.3:7000", "", true),
        ("redis+unix:///run/redis.sock", "", true),
    ] {
        let text = format!(
            "public_url = \"http://127.0.0.1:8080\"\n[session]\nstore = \"{store}\"\n{more}\n\
             secrets = [{{ file = \"secret\" }}]\n[upstreams.app]\nurl = \"http://127.0.0.1:9\"\n\
             [[routes]]\nupstream = \"app\"\naccess = \"public\"\n"
        );
        let file = dir.path().join("vestibule.toml");
        std::fs::write(&file, text).unwrap();
        let output = Gateway::command().arg("check").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), fine, "{store} {more}: {said}");
        if !fine {
            assert!(said.contains("session.store") && said.contains("session.plaintext"), "{said}");
            let serve = Gateway::command().arg("serve").arg("--config").arg(&file).output().unwrap();
            assert!(!serve.status.success(), "{store}");
        } else if more == "plaintext = true" {
            assert!(said.contains("warning"), "loud: {said}");
        }
    }
}

//! The pieces together: sockets, configuration, words.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::base::{SystemClock, SystemRandom};
use crate::config::Config;

async fn start() -> Demo {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = DemoOptions { listen: any, admin: any };
    Demo::start(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await.unwrap()
}

#[tokio::test]
async fn the_configuration_names_its_secrets_and_holds_none() {
    let demo = start().await;
    let text = demo.config_toml();
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["session"]["store"].as_str(), Some("memory"));
    assert_eq!(table["routes"].as_array().unwrap().len(), 3);
    let issuer = table["providers"]["demo"]["issuer"].as_str().unwrap();
    assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer}");
    assert!(table["public_url"].as_str().unwrap().starts_with("http://localhost:"));
    for (name, value) in demo.secrets() {
        assert!(text.contains(&format!("env = \"{name}\"")), "{name}");
        assert!(!text.contains(value.expose().as_str()), "{name}");
        assert!(!format!("{demo:?}").contains(value.expose().as_str()), "{name}");
    }
}

/// What the demo writes is what the gateway reads: nothing to complain about, and the names that its pages and cookies rely on.
#[tokio::test]
async fn the_gateway_accepts_the_configuration() {
    let demo = start().await;
    let config = Config::parse(&demo.config_toml(), Path::new("demo.toml"), &demo.environment());
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let front = &demo.configured.front;
    assert_eq!(config.network.public[0].host, "localhost");
    assert_eq!(config.network.public[0].port, front.listen.port());
    assert_eq!(config.network.endpoints, "/oauth2");
    assert_eq!(config.cookie.name, COOKIE);
    assert_eq!(config.providers.len(), 1);
    assert_eq!(config.providers[0].redirect_uri.as_str(), format!("{}/oauth2/callback", front.public_url()));
    assert!(config.admin.token.is_some());
}

#[tokio::test]
async fn the_welcome_says_what_to_open_and_is_plain_unless_coloured() {
    let demo = start().await;
    let plain = demo.welcome.text(false);
    assert!(plain.contains(&demo.configured.front.public_url()));
    assert!(plain.contains("ada@example.com") && plain.contains("analytical"));
    assert!(!plain.contains('\x1b'));
    assert!(demo.welcome.text(true).contains('\x1b'));
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_stop() {
    let demo = start().await;
    let provider = demo.provider.0.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(demo.run(async move {
        let _ = stopped.await;
    }));
    let ask = async |host: &str| {
        let mut stream = tokio::net::TcpStream::connect(provider).await.unwrap();
        let request =
            format!("GET /.well-known/openid-configuration HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask(&provider.to_string()).await.starts_with("HTTP/1.1 200"));
    // A page of somebody else, whose name was made to point here.
    assert!(ask("rebound.example").await.starts_with("HTTP/1.1 421"));
    stop.send(()).unwrap();
    running.await.unwrap();
}

//! Whether Chromium starts and can be looked into. Belongs to the `browser` binary.
//!
//! Must never need the gateway.

#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::json;

use crate::support::{Chromium, Echo};

#[tokio::test]
async fn chromium_starts_and_shows_its_cookies() {
    let echo = Echo::start().await;
    let chromium = Chromium::setup().all_hosts_here().start().await;
    let line = "sid=1;%20HttpOnly;%20SameSite=Strict;%20Path=/";
    let url = format!("http://app.example.test:{}/set-cookie?line={}", echo.address.port(), line.replace('=', "%3D"));
    chromium.goto(&url).await;
    let cookies = chromium.cookies().await;
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let cookie = &cookies[0];
    assert_eq!((cookie.name.as_str(), cookie.value.as_str(), cookie.domain.as_str()), ("sid", "1", "app.example.test"));
    assert!(cookie.http_only && !cookie.secure && cookie.session);
    assert_eq!(cookie.same_site.as_deref(), Some("Strict"));

    let seen = echo.requests().into_iter().find(|seen| seen.target.starts_with("/set-cookie")).unwrap();
    assert_eq!(seen.header("sec-fetch-site"), None, "http beyond loopback has no Fetch metadata");
    chromium.goto(&format!("http://localhost:{}/page", echo.address.port())).await;
    let seen = echo.requests().into_iter().find(|seen| seen.target == "/page").unwrap();
    assert_eq!(seen.header("sec-fetch-mode"), Some("navigate"));

    assert_eq!(
        chromium.run("return (await fetch('/status?code=299')).status + arguments[0]", vec![json!(1)]).await,
        300
    );
    chromium.dark(true).await;
    assert_eq!(chromium.run("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]).await, true);
    chromium.size(390, 844).await;
    assert_eq!(chromium.run("return innerWidth", vec![]).await, 390);
    let picture = chromium.picture().await;
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 1000);
    chromium.screenshot("self-test").await;
    assert!(chromium.text().await.contains("GET"));
    chromium.goto(&format!("http://localhost:{}/slow?ms=10", echo.address.port())).await;
    chromium.wait_for_url(|url| url.ends_with("ms=10")).await;
    chromium.clear_cookies().await;
    assert!(chromium.cookies().await.is_empty());
}

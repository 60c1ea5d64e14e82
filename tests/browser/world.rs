//! What most of these tests stand on: a gateway under a name of its own, over https, with other sites beside it.
//!
//! Must never use a name that could be looked up: every name leads to this machine.

use http::Method;
use serde_json::json;

use crate::support::chromium::{Setup, StoredCookie};
use crate::support::{Ask, BadOp, Browser, Chromium, ConfigBuilder, Echo, Gateway, NodeOp, Site, TestCa};

/// The host of the application.
pub(crate) const APP: &str = "app.test";
/// Another host of the same site.
pub(crate) const SIBLING: &str = "blog.app.test";
/// Another site.
pub(crate) const ELSEWHERE: &str = "elsewhere.test";
/// The session cookie over https.
pub(crate) const SESSION: &str = "__Host-vestibule";

/// `https://app.test:…` in front of `echo`, and `other`, a server for pages of other hosts.
pub(crate) struct World {
    pub(crate) op: BadOp,
    pub(crate) echo: Echo,
    pub(crate) other: Echo,
    pub(crate) gateway: Gateway,
    pub(crate) chromium: Chromium,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|config| config).await
    }

    pub(crate) async fn with(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        Self::at(BadOp::start().await, Chromium::setup(), change).await
    }

    /// At a provider that has been told something already, for a browser that is set up in some way.
    pub(crate) async fn at(op: BadOp, setup: Setup, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let (ca, echo) = (TestCa::new(), Echo::start().await);
        let other = Echo::start_tls(&ca, &[SIBLING, ELSEWHERE]).await;
        let config = ConfigBuilder::usual(&op, &echo)
            .route("path = \"/\"\nupstream = \"app\"")
            .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"")
            .tls(&ca, APP);
        let gateway = Gateway::start(change(config)).await;
        let chromium = setup.all_hosts_here().any_certificate().start().await;
        Self { op, echo, other, gateway, chromium }
    }

    /// With a session, on `path`; what echo saw meanwhile is forgotten.
    pub(crate) async fn signed_in(&self, path: &str) {
        let url = self.gateway.url(path);
        self.chromium.goto(&url).await;
        assert_eq!(self.chromium.url().await, url);
        assert_eq!(self.cookie(SESSION).await.map(|cookie| cookie.http_only), Some(true));
        self.echo.forget();
    }

    /// A page of another host; its URL.
    pub(crate) fn page(&self, host: &str, path: &str, html: &str) -> String {
        html_page(&self.other, path, html);
        format!("https://{host}:{}{path}", self.other.address.port())
    }

    /// The cookie of that name, as the browser keeps it.
    pub(crate) async fn cookie(&self, name: &str) -> Option<StoredCookie> {
        self.chromium.cookies().await.into_iter().find(|cookie| cookie.name == name)
    }

    /// Whether a request with the browser's session cookie still gets through, asked from outside of the browser.
    pub(crate) async fn session_lives(&self) -> bool {
        let Some(cookie) = self.cookie(SESSION).await else { return false };
        let ask = Ask::plain(Method::GET, self.gateway.url("/oauth2/session"));
        let ask = ask.header("cookie", &format!("{SESSION}={}", cookie.value));
        self.gateway.browser().ask(ask).await.status == 200
    }

    /// How often echo was asked for `path`: browsers also ask for icons.
    pub(crate) fn seen(&self, path: &str) -> usize {
        self.echo.requests().iter().filter(|seen| seen.target.split('?').next() == Some(path)).count()
    }
}

/// Makes `server` answer `path` with that page.
pub(crate) fn html_page(server: &Echo, path: &str, html: &str) {
    html_page_with(server, path, "no-cache", html);
}

/// The same, with that `Cache-Control`.
pub(crate) fn html_page_with(server: &Echo, path: &str, cache_control: &str, html: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: {cache_control}");
    let html = format!("<!DOCTYPE html><html lang=\"en\"><link rel=\"icon\" href=\"data:,\"><title>x</title>{html}");
    server.answer_raw(path, format!("{head}\r\nContent-Length: {}\r\n\r\n{html}", html.len()));
}

/// A gateway on plain loopback at the npm provider, which asks who you are. Both under different names, so that they share no cookies.
pub(crate) async fn at_node_op() -> (NodeOp, Echo, Gateway) {
    let (op, echo) = (NodeOp::start().await, Echo::start().await);
    let config = ConfigBuilder::new()
        .provider_at("node", op.issuer(), &op.client_id, &op.client_secret)
        .upstream("app", &echo.url())
        .with("public_url = \"http://localhost:@PUBLIC_PORT@\"");
    let gateway = Gateway::start(config).await;
    op.register(&gateway).await;
    (op, echo, gateway)
}

/// Fills in the form of the npm provider.
pub(crate) async fn fill_in(chromium: &Chromium, user: &str) {
    chromium.type_into("input[name=login]", user).await;
    chromium.type_into("input[name=password]", "any").await;
    chromium.click("button[type=submit]").await;
}

/// Sets a cookie as if somebody else had.
pub(crate) async fn plant(chromium: &Chromium, url: &str, name: &str, value: &str, path: &str) {
    let cookie = json!({"cookies": [{"name": name, "value": value, "url": url, "path": path}]});
    chromium.devtools("Storage.setCookies", cookie).await;
}

/// A client that is no browser and has no cookie.
pub(crate) fn nobody() -> Browser {
    Browser::new()
}

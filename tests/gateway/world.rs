//! What most of these tests stand on: a gateway between a provider and an upstream, with a route of each kind.
//!
//! Must never change a byte of what a test sends.

use std::time::Duration;

use crate::support::client::Browser;
use crate::support::h2::H2;
use crate::support::raw::{Answer, Raw};
use crate::support::wait::eventually;
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway, Seen, Site, sign_in};

/// The three of them. `/public` is public, `/optional` optional, everything else behind a session.
pub(crate) struct World {
    pub(crate) op: BadOp,
    pub(crate) echo: Echo,
    pub(crate) gateway: Gateway,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|config| config).await
    }

    /// With what `change` adds.
    pub(crate) async fn with(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let (op, echo) = (BadOp::start().await, Echo::start().await);
        let config = ConfigBuilder::usual(&op, &echo)
            .route("path = \"/\"\nupstream = \"app\"")
            .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"")
            .route("path = \"/optional\"\nupstream = \"app\"\naccess = \"optional\"");
        let gateway = Gateway::start(change(config)).await;
        // The signing keys come a moment after the listeners.
        let ready = format!("{}/readyz", gateway.admin_url());
        let plain = Browser::new();
        eventually("readiness", SOON, async || (plain.fetch(ready.clone()).await.status == 200).then_some(())).await;
        Self { op, echo, gateway }
    }

    /// What browsers call the gateway.
    pub(crate) fn host(&self) -> &str {
        self.gateway.public_url().split_once("://").unwrap().1
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.gateway.url(path)
    }

    /// A browser with a session; what the upstream saw meanwhile is forgotten.
    pub(crate) async fn signed_in(&self) -> Browser {
        let browser = self.gateway.browser();
        sign_in(&browser, &self.gateway, "/").await;
        self.echo.forget();
        browser
    }

    /// The whole `Cookie` line of a new session.
    pub(crate) async fn cookie(&self) -> String {
        cookie_line(&self.signed_in().await)
    }

    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(self.gateway.address()).await
    }

    pub(crate) async fn h2(&self) -> H2 {
        H2::connect(self.gateway.address()).await
    }

    /// A head with the right `Host`; `start` is method and target.
    pub(crate) fn head(&self, start: &str, lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{start} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", self.host())
    }

    /// One request without a body on a connection of its own.
    pub(crate) async fn ask(&self, start: &str, lines: &[&str]) -> Answer {
        self.send(self.head(start, lines)).await
    }

    /// These bytes on a connection of their own, and the first answer.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut raw = self.raw().await;
        let head = bytes.as_ref().starts_with(b"HEAD ");
        raw.send(bytes).await;
        raw.answer_to(if head { "HEAD" } else { "GET" }).await.expect("an answer")
    }

    /// The same, when the upstream has to have answered: what it saw.
    pub(crate) async fn seen(&self, start: &str, lines: &[&str]) -> Seen {
        let answer = self.ask(start, lines).await;
        assert_eq!(answer.status, 200, "{start} {lines:?}: {answer:?}");
        self.echo.last()
    }
}

/// The `Cookie` line of a browser, with the session's cookie alone: the provider's, of the same host, would come along.
pub(crate) fn cookie_line(browser: &Browser) -> String {
    format!("Cookie: vestibule={}", browser.cookie("vestibule").expect("a session"))
}

/// The statuses of all answers in `bytes`, interim ones too.
pub(crate) fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = crate::support::codec::latin1(bytes);
    let found = text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok());
    found.collect()
}

/// Long enough for anything that is going to happen.
pub(crate) const SOON: Duration = Duration::from_secs(5);

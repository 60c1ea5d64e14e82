//! What most of these tests stand on: a gateway between a provider and an upstream.
//!
//! Must never be kinder to the gateway than a browser, a provider or an application is.

use std::time::Duration;

use crate::support::client::Browser;
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway, Site, eventually, sign_in};

/// Long enough for anything that is going to happen.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// The three of them. `/public` is public, everything else behind a session.
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
        Self::around(BadOp::start().await, change).await
    }

    /// With that provider.
    pub(crate) async fn around(op: BadOp, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let echo = Echo::start().await;
        let config = with_public(ConfigBuilder::usual(&op, &echo));
        let gateway = Gateway::start(change(config)).await;
        ready(&gateway).await;
        Self { op, echo, gateway }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.gateway.url(path)
    }

    /// A browser with a session.
    pub(crate) async fn signed_in(&self) -> Browser {
        let browser = self.gateway.browser();
        sign_in(&browser, &self.gateway, "/").await;
        browser
    }
}

/// Two routes: `/public` for everybody, the rest for who is signed in.
pub(crate) fn with_public(config: ConfigBuilder) -> ConfigBuilder {
    config
        .route("path = \"/\"\nupstream = \"app\"")
        .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"")
}

/// Waits until a gateway is ready: the signing keys come a moment after the listeners.
pub(crate) async fn ready(gateway: &Gateway) {
    let (plain, url) = (Browser::new(), format!("{}/readyz", gateway.admin_url()));
    eventually("a ready gateway", Duration::from_secs(15), || async {
        (plain.fetch(url.clone()).await.status == 200).then_some(())
    })
    .await;
}

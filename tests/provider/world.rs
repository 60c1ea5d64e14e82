//! A gateway with sessions in Redis, between the npm provider and an upstream.
//!
//! Must never configure more than a user of that provider would.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::{Ask, Browser, ConfigBuilder, Echo, Gateway, NodeOp, Page, Redis, Site, eventually};

pub(crate) struct World {
    pub(crate) op: NodeOp,
    pub(crate) echo: Echo,
    pub(crate) redis: Redis,
    pub(crate) gateway: Gateway,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(json!({}), "").await
    }

    /// With options of the provider's, and what is written in addition about it in the configuration.
    pub(crate) async fn with(options: Value, provider: &str) -> Self {
        let op = NodeOp::start_with(options).await;
        let config = ConfigBuilder::new()
            .provider_at("corp", op.issuer(), &op.client_id, &op.client_secret)
            .with(&format!("[providers.corp]\n{provider}"));
        Self::of(op, config).await
    }

    /// As a client that is registered with the public half of a key; `file` holds the private one.
    pub(crate) async fn with_key(public: Value, file: &str) -> Self {
        let client = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public]}});
        let op = NodeOp::start_with(json!({ "client": client })).await;
        let config = ConfigBuilder::new().file("client.key", file).with(&format!(
            "[providers.corp]\nissuer = \"{}\"\nclient_id = \"{}\"\nclient_key = {{ file = \"@DIR@/client.key\" }}",
            op.issuer(),
            op.client_id
        ));
        Self::of(op, config).await
    }

    async fn of(op: NodeOp, config: ConfigBuilder) -> Self {
        let (echo, redis) = (Echo::start().await, Redis::start().await);
        let config = config
            .upstream("app", &echo.url())
            .with("[upstreams.app.identity]\nclaims = [\"email\", \"groups\"]")
            .redis(&redis);
        let gateway = Gateway::start(config).await;
        op.register(&gateway).await;
        eventually("a ready gateway", Duration::from_secs(15), || async {
            let ask = Ask::plain(Method::GET, format!("{}/readyz", gateway.admin_url()));
            (Browser::new().ask(ask).await.status == 200).then_some(())
        })
        .await;
        Self { op, echo, redis, gateway }
    }

    /// Goes to a path as somebody who may have to sign in, and lands there.
    pub(crate) async fn land(&self, browser: &Browser, path: &str, user: &str) -> Page {
        let url = self.gateway.url(path);
        let page = self.op.sign_in(browser, &url, user).await;
        assert_eq!((page.status, page.url.as_str()), (200, &*url), "{}\n{}", page.text(), self.op.output());
        page
    }

    pub(crate) async fn get(&self, browser: &Browser, path: &str) -> Page {
        browser.fetch(self.gateway.url(path)).await
    }

    pub(crate) fn sessions(&self) -> usize {
        self.redis.records().len()
    }
}

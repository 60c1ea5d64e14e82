//! What most of these tests stand on: two replicas on one Redis, between a provider and an upstream.
//!
//! Must never look into a replica: what it knows shows in what it answers.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use url::Url;

use crate::support::redis::Reply;
use crate::support::{
    Ask, BadOp, Browser, ConfigBuilder, Echo, Gateway, Page, Redis, Replicas, Site, eventually, sign_in,
};

/// The default of `session.near_cache.staleness`: so late may a replica learn of a revocation.
pub(crate) const STALENESS: Duration = Duration::from_secs(2);

/// Long enough for anything that is going to happen.
pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) struct World {
    pub(crate) op: BadOp,
    pub(crate) echo: Echo,
    pub(crate) redis: Redis,
    pub(crate) replicas: Replicas,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|config| config).await
    }

    /// With what `change` adds.
    pub(crate) async fn with(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
        let config = change(ConfigBuilder::usual(&op, &echo).redis(&redis));
        let replicas = Replicas::start(config, 2).await;
        for gateway in replicas.all() {
            ready(gateway).await;
        }
        Self { op, echo, redis, replicas }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.replicas.url(path)
    }

    /// That browser at one replica.
    pub(crate) fn at(&self, replica: usize, browser: &Browser) -> Browser {
        self.replicas[replica].through(browser)
    }

    /// A browser that signed in at the first replica.
    pub(crate) async fn signed_in(&self) -> Browser {
        let browser = self.replicas[0].browser();
        sign_in(&browser, &self.replicas, "/").await;
        browser
    }

    /// The same as somebody else than alice.
    pub(crate) async fn signed_in_as(&self, user: &str) -> Browser {
        self.op.script(|script| {
            script.user(user).new_sid_each_time();
        });
        self.signed_in().await
    }

    /// What a script with these cookies gets from `/` of one replica, whatever is in anybody's jar by now.
    pub(crate) async fn replay(&self, replica: usize, cookies: &str) -> Page {
        let ask = Ask::fetch(Method::GET, self.url("/")).header("cookie", cookies);
        self.replicas[replica].browser().ask(ask).await
    }

    /// Waits until both replicas refuse these cookies, no longer than the bound, and asks once more.
    pub(crate) async fn refused_everywhere(&self, cookies: &str) {
        let since = Instant::now();
        for replica in [0, 1] {
            let limit = STALENESS.saturating_sub(since.elapsed()) + Duration::from_millis(200);
            eventually("a refusal of a session that has ended", limit, || async {
                (self.replay(replica, cookies).await.status == 401).then_some(())
            })
            .await;
        }
        for replica in [0, 1] {
            assert_eq!(self.replay(replica, cookies).await.status, 401, "refused once, and then let in");
        }
    }

    /// Where the provider sends the browser back to, in a login for `path` begun at the first replica.
    pub(crate) async fn callback(&self, browser: &Browser, path: &str) -> Url {
        let browser = self.at(0, browser);
        let login = browser.step(self.url(path)).await;
        let authorize = login.location().unwrap_or_else(|| panic!("no login: {login:?}"));
        browser.step(authorize).await.location().expect("the way back")
    }

    /// `POST /api/revocations` at one replica: how many sessions it ended.
    pub(crate) async fn revoke(&self, replica: usize, what: &Value) -> u64 {
        let page = self.replicas[replica].admin("POST", "/api/revocations", Some(what)).await;
        page.expect_status(200).json()["revoked"].as_u64().expect("a number")
    }

    /// The names of all sessions' records.
    pub(crate) fn records(&self) -> Vec<String> {
        records(&self.redis)
    }
}

pub(crate) fn records(redis: &Redis) -> Vec<String> {
    redis.records()
}

/// What is left of a key's life in milliseconds.
pub(crate) fn life(redis: &Redis, key: &str) -> Option<Duration> {
    match redis.command(&["PTTL", key]) {
        Reply::Number(left @ 0..) => Some(Duration::from_millis(left.unsigned_abs())),
        _ => None,
    }
}

/// The `Cookie` line of a browser, to be kept whatever happens to its jar.
pub(crate) fn cookies(browser: &Browser) -> String {
    browser.cookies().iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
}

/// Whether the answer sets a session cookie, rather than deleting one.
pub(crate) fn opens_session(page: &Page) -> bool {
    page.set_cookies().iter().any(|line| line.strip_prefix("vestibule=").is_some_and(|rest| !rest.starts_with(';')))
}

/// The status of `/readyz`.
pub(crate) async fn readyz(gateway: &Gateway) -> u16 {
    Browser::new().ask(Ask::plain(Method::GET, format!("{}/readyz", gateway.admin_url()))).await.status
}

/// Waits until a gateway is ready.
pub(crate) async fn ready(gateway: &Gateway) {
    eventually("a ready gateway", Duration::from_secs(15), || async { (readyz(gateway).await == 200).then_some(()) })
        .await;
}

/// Waits until a gateway has logged that the store is away for this reason.
pub(crate) async fn says(gateway: &Gateway, reason: &str) {
    let is = |line: &Value| line["fields"]["reason"] == reason || line["reason"] == reason;
    eventually(&format!("the reason {reason} in the log"), SOON, || async {
        gateway.log_lines().iter().any(is).then_some(())
    })
    .await;
}

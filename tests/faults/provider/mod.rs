//! Row "provider down": sessions go on, new logins get a 503, the gateway starts all the same, and recovers by itself.

mod discovery;
mod keys;
mod logout;
mod refresh;
mod start;
mod token;
mod userinfo;

use url::Url;

use crate::detour::{Detour, Way};
use crate::support::client::{Browser, Page};
use crate::support::{BadOp, ConfigBuilder, Endpoint, eventually};
use crate::world::{SOON, World};

/// A world whose way to one endpoint of the provider can break; `member` is that endpoint's name in the metadata.
struct Broken {
    world: World,
    way: Detour,
}

impl Broken {
    async fn at(member: &'static str, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        Self::from_the_start(member, Way::Open, change).await
    }

    /// One that the gateway finds in that state.
    async fn from_the_start(
        member: &'static str,
        found: Way,
        change: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Self {
        let op = BadOp::start().await;
        let way = Detour::to(op.address()).await;
        way.set(found);
        op.script(|script| {
            let path = match member {
                "token_endpoint" => "/token",
                "jwks_uri" => "/jwks",
                "userinfo_endpoint" => "/userinfo",
                "revocation_endpoint" => "/revoke",
                other => panic!("no way to {other}"),
            };
            let url = way.url(path);
            script.discovery(move |document| document[member] = url.clone().into());
        });
        Self { world: World::around(op, change).await, way }
    }

    fn breaks(&self, way: &Way) {
        self.way.set(way.clone());
    }

    fn heals(&self) {
        self.way.set(Way::Open);
    }
}

/// Begins a login for `path` and lets the provider say yes: where it sends the browser back to, not visited yet.
async fn callback(world: &World, browser: &Browser, path: &str) -> Url {
    let page = browser.step(world.url(path)).await.expect_status(303);
    let authorize = page.location().expect("a redirect to the provider");
    browser.step(authorize).await.expect_status(303).location().expect("a redirect to the callback")
}

/// What a failed login leaves: a page that says so and a way to try again, no session, no attempt, nothing told about
/// the provider.
fn assert_not_signed_in(world: &World, browser: &Browser, page: &Page, what: &str) {
    assert!(matches!(page.status, 502 | 503), "{what}: {page:?}");
    assert_eq!(page.header("retry-after").is_some(), page.status == 503, "{what}: {page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{what}: {page:?}");
    assert!(page.text().contains("/oauth2/login"), "{what}: no way to try again: {}", page.text());
    let told = format!("{:?} {}", page.headers, page.text());
    let port = world.op.address().port().to_string();
    assert!(!told.contains(&port) && !told.contains("canary"), "{what}: {told}");
    let left: Vec<String> = browser.cookies().into_iter().map(|cookie| cookie.name).collect();
    assert!(!left.iter().any(|name| name.contains("vestibule")), "{what}: {left:?} are left");
}

/// The `reason` of the newest `login_failed` in the audit log, when there have been so many of them.
async fn reason(world: &World, nth: usize) -> String {
    let failed = eventually(&format!("login_failed number {nth}"), SOON, || async {
        let mut events = world.gateway.audit_events();
        events.retain(|event| event["event"] == "login_failed");
        // The line is written before the answer, and read by a thread of its own.
        (events.len() >= nth).then_some(events)
    })
    .await;
    assert_eq!(failed.len(), nth, "{failed:?}");
    failed[nth - 1]["reason"].as_str().expect("a reason").to_owned()
}

/// How many logins ended at the token endpoint of the provider itself.
fn redeemed(world: &World) -> usize {
    assert_eq!(world.op.count(Endpoint::Other), 0, "the provider was asked for something that it does not have");
    world.op.grants("authorization_code")
}

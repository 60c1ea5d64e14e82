//! Logins from the first redirect to the landing, and everything that must not become one.

mod attempts;
mod form_post;
mod loops;
mod rate;
mod refusals;
mod replacing;
mod request;
mod step_up;
mod targets;
mod third_party;

use url::Url;

use crate::support::client::{Ask, Browser, Page};
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway};
use crate::world::World;

/// A world around a provider that was told something before the gateway first asked it.
pub(crate) async fn world_at(op: BadOp, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> World {
    let echo = Echo::start().await;
    let gateway = Gateway::start(change(ConfigBuilder::usual(&op, &echo))).await;
    World { op, echo, gateway }
}

/// Begins a login for `path` and lets the provider say yes: where it sends the browser back to, not visited yet.
pub(crate) async fn callback(world: &World, browser: &Browser, path: &str) -> Url {
    let page = browser.step(world.url(path)).await.expect_status(303);
    answered(browser, &page).await
}

/// What the provider answers to the redirect in `page`.
pub(crate) async fn answered(browser: &Browser, page: &Page) -> Url {
    let authorize = page.location().expect("a redirect to the provider");
    browser.step(authorize).await.expect_status(303).location().expect("a redirect to the callback")
}

/// The value of one query parameter, which must be there exactly once.
pub(crate) fn param(url: &Url, name: &str) -> String {
    let values: Vec<String> =
        url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect();
    assert_eq!(values.len(), 1, "{name} in {url}: {values:?}");
    values.into_iter().next().unwrap()
}

/// The URL with a query parameter changed, or taken away.
pub(crate) fn with_param(url: &Url, name: &str, value: Option<&str>) -> Url {
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(&pairs);
    url
}

/// A browser with the same cookies, so that what it does costs the first one none of its own.
pub(crate) fn twin(browser: &Browser) -> Browser {
    let (twin, cookies) = (browser.stranger(), browser.jar(|jar| jar.clone()));
    twin.jar(|jar| *jar = cookies);
    twin
}

/// Who is signed in, as a script learns it.
pub(crate) async fn who(world: &World, browser: &Browser) -> Option<String> {
    let page = browser.fetch(world.url("/oauth2/userinfo")).await;
    match page.status {
        200 => Some(page.json()["sub"].as_str().expect("a sub").to_owned()),
        401 => None,
        other => panic!("userinfo answered {other}: {page:?}"),
    }
}

/// Whether that very session cookie still opens something.
pub(crate) async fn opens(world: &World, cookie: &str) -> bool {
    let ask = Ask::fetch(http::Method::GET, world.url("/oauth2/userinfo"));
    let page = world.gateway.browser().ask(ask.header("cookie", &format!("{SESSION}={cookie}"))).await;
    assert!(matches!(page.status, 200 | 401), "{page:?}");
    page.status == 200
}

/// Name of the session cookie where the public URL is plain http on loopback.
pub(crate) const SESSION: &str = "vestibule";

/// An origin of somebody else.
pub(crate) const ELSEWHERE: &str = "https://evil.example";

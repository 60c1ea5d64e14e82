//! What the provider's answers must hold before anybody is signed in by them.

mod answers;
mod claims;
mod keys;
mod signatures;

use crate::login::{SESSION, who};
use crate::support::badop::Script;
use crate::support::{Browser, Endpoint};
use crate::world::World;

/// A world that also asks userinfo: so that it can be seen not to.
async fn world() -> World {
    World::with(|config| config.with("providers.corp.userinfo = true")).await
}

/// One login by a provider that behaves as `change` says.
async fn log_in(world: &World, change: impl FnOnce(&mut Script)) -> (Browser, crate::support::Page) {
    world.op.behave();
    world.op.script(change);
    let browser = world.gateway.browser();
    let page = browser.navigate(world.url("/")).await;
    (browser, page)
}

/// The login works.
async fn accepted(world: &World, what: &str, change: impl FnOnce(&mut Script)) -> Browser {
    let (browser, page) = log_in(world, change).await;
    assert_eq!(page.status, 200, "{what}: {page:?}");
    assert!(browser.cookie(SESSION).is_some(), "{what}");
    browser
}

/// The login fails, by the rules for all failures (TOK-19): no session, no further call to the provider or the application, a page
/// that says nothing but a reference, and a log that has `reason`.
async fn refused(world: &World, what: &str, reason: &str, change: impl FnOnce(&mut Script)) {
    world.op.forget();
    let (echoed, events) = (world.echo.count(), world.gateway.audit_events().len());
    let (browser, page) = log_in(world, change).await;
    assert!(matches!(page.status, 400 | 502), "{what}: {page:?}");
    assert_eq!(browser.cookie(SESSION), None, "{what}");
    assert_eq!(who(world, &browser).await, None, "{what}");
    for (endpoint, times) in [
        (Endpoint::Authorize, 1),
        (Endpoint::Token, 1),
        (Endpoint::Userinfo, 0),
        (Endpoint::Revocation, 0),
        (Endpoint::Introspection, 0),
        (Endpoint::EndSession, 0),
        (Endpoint::Other, 0),
    ] {
        assert_eq!(world.op.count(endpoint), times, "{what}: {endpoint:?}");
    }
    assert_eq!(world.echo.count(), echoed, "{what}: the application heard of it");

    let failed = crate::support::eventually(&format!("the log line of {what}"), crate::world::SOON, || async {
        let events = world.gateway.audit_events().split_off(events);
        events.into_iter().find(|event| event["event"] == "login_failed")
    })
    .await;
    let told = failed["reason"].as_str().unwrap();
    assert!(told.contains(reason), "{what}: {told}");
    let (text, reference) = (page.text(), failed["request_id"].as_str().unwrap().to_owned());
    assert!(text.contains("You are not signed in") && text.contains(&reference), "{what}: {text}");
    assert!(!text.contains(told), "{what}: the page says why");
}

//! Browsers that keep no cookies, providers whose clock is wrong: nothing goes round for ever.

use super::{SESSION, who};
use crate::support::client::Page;
use crate::support::{Browser, Endpoint};
use crate::world::World;

/// LOGIN-16: with cookies off the provider is visited a few times at most, and a page says why.
#[tokio::test]
async fn a_browser_without_cookies_is_told() {
    let world = World::start().await;
    let browser = world.gateway.browser().without_cookies();
    let page = browser.navigate(world.url("/")).await.expect_status(400);
    assert!(page.text().contains("cookie") && page.text().contains("/oauth2/login"), "{}", page.text());
    let authorizes = world.op.count(Endpoint::Authorize);
    assert!((1..=3).contains(&authorizes), "{authorizes}");
    assert_eq!(world.op.count(Endpoint::Token), 0);
}

/// LOGIN-16: a session cookie that never comes back ends on the same page after a few logins; once the browser keeps it, the
/// page's link signs in.
#[tokio::test]
async fn a_session_cookie_that_does_not_stay_is_told() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    let page = forgetful(&browser, world.url("/")).await;
    assert_eq!(page.status, 400, "{page:?}");
    // Whichever of the causes it was.
    for cause in ["cookie", "stronger or more recent sign-in"] {
        assert!(page.text().contains(cause), "{}", page.text());
    }
    let authorizes = world.op.count(Endpoint::Authorize);
    assert!((2..=5).contains(&authorizes), "{authorizes}");

    browser.navigate(world.url("/oauth2/login")).await.expect_status(200);
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));
    // People who sign in now and then are not in a loop.
    for _ in 0..5 {
        browser.navigate(world.url("/oauth2/login?rd=/again")).await.expect_status(200);
    }
}

/// LOGIN-16: a clock that is an hour wrong is no reason to try again.
#[tokio::test]
async fn a_wrong_clock_ends_on_a_page() {
    let world = World::start().await;
    for wrong in [3600_i64, -3600] {
        world.op.behave();
        world.op.forget();
        world.op.script(|script| {
            script.id_token_claims(move |claims| {
                for name in ["iat", "exp", "auth_time"] {
                    claims[name] = (claims[name].as_i64().unwrap() + wrong).into();
                }
            });
        });
        let page = world.gateway.browser().navigate(world.url("/")).await;
        assert!(matches!(page.status, 400 | 502), "{page:?}");
        assert_eq!((world.op.count(Endpoint::Authorize), world.op.count(Endpoint::Token)), (1, 1));
    }
}

/// Follows redirects and loses the session cookie at every step.
async fn forgetful(browser: &Browser, url: String) -> Page {
    let mut page = browser.step(url).await;
    for _ in 0..60 {
        browser.jar(|jar| jar.remove(SESSION));
        let Some(next) = page.location().filter(|_| page.is_redirect()) else { return page };
        page = browser.step(next).await;
    }
    panic!("60 redirects and no end");
}

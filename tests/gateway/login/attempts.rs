//! Several logins of one browser, one login of several browsers.

use tokio::task::JoinSet;
use url::Url;

use super::{SESSION, answered, callback, param, twin, who};
use crate::support::Endpoint;
use crate::world::World;

/// LOGIN-02: a callback opened in another browser redeems nothing and makes nobody somebody else; it does not spoil the login of
/// the browser that began it either.
#[tokio::test]
async fn a_login_belongs_to_the_browser_that_began_it() {
    let world = World::start().await;
    let (ann, bob) = (world.gateway.browser(), world.gateway.browser());
    world.op.script(|script| {
        script.user("ann").new_sid_each_time();
    });
    let back = callback(&world, &ann, "/ann").await;

    world.op.script(|script| {
        script.user("bob");
    });
    let page = bob.step(back.clone()).await.expect_status(303);
    assert_eq!(world.op.count(Endpoint::Token), 0);
    let own = page.location().unwrap();
    assert_ne!(param(&own, "state"), param(&back, "state"), "a login of its own");
    assert_eq!(bob.cookie(SESSION), None);
    let page = bob.navigate(own).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/"));
    assert_eq!(who(&world, &bob).await.as_deref(), Some("bob"));
    assert!(world.op.requests(Endpoint::Token).iter().all(|sent| sent.param("code") != Some(&param(&back, "code"))));

    // Nor does a login of one's own that is under way vouch for another's callback.
    let carl = world.gateway.browser();
    callback(&world, &carl, "/carl").await;
    let redeemed = world.op.count(Endpoint::Token);
    carl.step(back.clone()).await.expect_status(303);
    assert_eq!((world.op.count(Endpoint::Token), carl.cookie(SESSION)), (redeemed, None));

    let page = ann.navigate(back).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/ann"));
    assert_eq!(who(&world, &ann).await.as_deref(), Some("ann"));
}

/// LOGIN-05: of 20 callbacks at once one redeems the code; the others are sent on or refused.
#[tokio::test]
async fn one_callback_redeems_once() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    let back = callback(&world, &browser, "/target").await;
    let gate = world.op.hold(Endpoint::Token);
    let mut running = JoinSet::new();
    for _ in 0..20 {
        let (browser, back) = (browser.clone(), back.clone());
        running.spawn(async move { browser.step(back).await });
    }
    // The first is at the provider: all others have to be answered without it.
    gate.arrived().await;
    let mut answers = Vec::new();
    while answers.len() < 19 {
        answers.push(running.join_next().await.unwrap().unwrap());
    }
    assert!(answers.iter().all(|page| page.set_cookies().iter().all(|line| !line.starts_with("vestibule="))));
    gate.open();
    answers.push(running.join_next().await.unwrap().unwrap());
    for page in &answers {
        assert!(matches!(page.status, 303 | 400), "{page:?}");
        if let Some(location) = page.location() {
            assert!(location.as_str().starts_with(&world.url("/")), "{location}");
        }
    }
    assert_eq!(world.op.count(Endpoint::Token), 1);
    assert_eq!(answers[19].location().unwrap().as_str(), world.url("/target"));
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));
}

/// LOGIN-07: two tabs sign in at once; the later finishes first, and both land on their own page.
#[tokio::test]
async fn tabs_do_not_disturb_each_other() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    let one = callback(&world, &browser, "/one?1").await;
    let two = callback(&world, &browser, "/two?2").await;
    for (back, path) in [(two, "/two?2"), (one, "/one?1")] {
        let page = browser.navigate(back).await.expect_status(200);
        assert_eq!(page.url.as_str(), world.url(path));
    }
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));
}

/// LOGIN-09: 100 pages opened without a session leave at most five attempts of ten minutes and a Cookie header below 4 KB;
/// the newest still works, and clears its own; the oldest goes first.
#[tokio::test]
async fn pending_attempts_are_bounded() {
    let world = World::start().await;
    for filler in [0, 600, 2200] {
        let browser = world.gateway.browser();
        let url = Url::parse(&world.url("/")).unwrap();
        let (mut newest, mut before_it) = (None, None);
        for n in 0..100 {
            let page = browser.step(world.url(&format!("/page/{n}?{}", "f".repeat(filler)))).await.expect_status(303);
            let set = page.set_cookies();
            let made: Vec<_> = set.iter().filter(|line| !line.contains("Max-Age=0")).collect();
            assert!(made.len() == 1 && made[0].contains("Max-Age=600"), "{set:?}");
            let header = browser.jar(|jar| jar.header(&url, |_| true)).unwrap();
            assert!(header.len() < 4096, "{} bytes of cookies", header.len());
            assert!(browser.cookies().len() <= 5);
            before_it = newest.replace(page);
        }
        let back = answered(&browser, &newest.unwrap()).await;
        if filler < 1000 {
            // The oldest went, so that the one before the newest works too.
            let before_it = answered(&browser, &before_it.unwrap()).await;
            let page = twin(&browser).navigate(before_it).await.expect_status(200);
            assert_eq!(page.url.path(), "/page/98", "with {filler} bytes");
        }
        let pending = || browser.cookies().iter().filter(|cookie| cookie.name.contains("-login-")).count();
        let before = pending();
        let page = browser.navigate(back).await.expect_status(200);
        assert!(page.url.path() == "/page/99" && page.url.query().unwrap_or_default().len() == filler, "{}", page.url);
        assert_eq!(pending(), before - 1);
    }
}

/// A callback that comes back a second time lands; without a session the login starts over once, then stops.
#[tokio::test]
async fn stale_callbacks_land_or_start_over_once() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    let back = callback(&world, &browser, "/target").await;
    browser.step(back.clone()).await.expect_status(303);
    let session = browser.cookie(SESSION);
    for _ in 0..3 {
        let page = browser.step(back.clone()).await.expect_status(303);
        assert_eq!(page.location().unwrap().origin(), Url::parse(&world.url("")).unwrap().origin());
        assert_eq!(browser.cookie(SESSION), session, "the session is the same");
    }
    assert_eq!(world.op.count(Endpoint::Token), 1);

    // Somebody who keeps the address of a callback, and no session.
    let other = world.gateway.browser();
    let page = other.step(back.clone()).await.expect_status(303);
    let again = answered(&other, &page).await;
    other.jar(|jar| jar.clear());
    let page = other.step(again).await.expect_status(400);
    assert!(page.text().contains("/oauth2/login"), "a way on: {}", page.text());
    assert_eq!(world.op.count(Endpoint::Token), 1);

    // A script is not sent anywhere.
    let page = world.gateway.browser().fetch(back).await;
    assert!(matches!(page.status, 400 | 401) && page.location().is_none(), "{page:?}");
    // What is no answer of a provider at all.
    for query in ["", "?code=x", "?state=", "?state=x", "?state=x&code=y&code=z", "?state=x&code=y&error=z"] {
        let page =
            world.gateway.browser().step(world.url(&format!("/oauth2/callback{query}"))).await.expect_status(400);
        assert!(page.set_cookies().is_empty() && page.text().contains("<html"), "{query}: {page:?}");
    }
}

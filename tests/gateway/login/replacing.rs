//! A login in a browser that has a session already.

use super::{ELSEWHERE, SESSION, answered, opens, who};
use crate::support::client::Ask;
use crate::support::codec;
use crate::world::World;

/// LOGIN-20, SESS-02: another site's link or frame changes nothing; only a finished login gives a new session, and ends the old.
#[tokio::test]
async fn a_session_goes_only_when_the_next_one_stands() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let first = browser.cookie(SESSION).unwrap();
    let login = world.url("/oauth2/login");

    let page = browser.ask(Ask::frame(&login).caused_by(ELSEWHERE)).await.expect_status(401);
    assert_eq!((page.location(), page.set_cookies().len()), (None, 0));
    browser.ask(Ask::image(&login).caused_by(ELSEWHERE)).await.expect_status(401);
    let started = browser.ask(Ask::navigation(&login).caused_by(ELSEWHERE)).await.expect_status(303);
    assert_eq!(browser.cookie(SESSION).as_deref(), Some(first.as_str()));
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));

    // A login that fails leaves the session alone, too.
    world.op.script(|script| {
        script.id_token_claims(|claims| claims["nonce"] = "wrong".into());
    });
    let failed = browser.step(&login).await;
    let page = browser.step(answered(&browser, &failed).await).await;
    assert_eq!(page.status, 502);
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));

    world.op.behave();
    world.op.script(|script| {
        script.user("bob");
    });
    browser.step(answered(&browser, &started).await).await.expect_status(303);
    let second = browser.cookie(SESSION).unwrap();
    assert_ne!(first, second);
    assert_eq!(who(&world, &browser).await.as_deref(), Some("bob"));
    assert!(!opens(&world, &first).await, "the old session has ended");

    // The same person again is a new session as well (step-up).
    browser.navigate(world.url("/oauth2/login?prompt=login&acr_values=gold")).await.expect_status(200);
    let third = browser.cookie(SESSION).unwrap();
    assert!(third != second && !opens(&world, &second).await && opens(&world, &third).await);
    for cookie in [&first, &second, &third] {
        assert_eq!(codec::from_b64url(cookie).map(|bytes| bytes.len()), Some(32), "256 bits");
    }
}

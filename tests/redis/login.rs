//! Logins that two replicas share, and those that a revocation overtakes.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Ask, Endpoint};
use crate::world::{World, cookies, opens_session};

/// LOGIN-05: of twenty equal callbacks at two replicas one redeems the code; the others lead to the application.
#[tokio::test]
async fn a_callback_that_comes_twenty_times_redeems_once() {
    let world = World::start().await;
    let browser = world.replicas[0].browser();
    let callback = world.callback(&browser, "/wanted").await;
    // Long enough for all to come while the first is under way.
    world.op.script(|script| {
        script.delay(Endpoint::Token, Duration::from_millis(300));
    });
    let line = cookies(&browser);
    let mut asked = JoinSet::new();
    for n in 0..20 {
        let browser = world.at(n % 2, &browser.stranger());
        let ask = Ask::navigation(callback.as_str()).header("cookie", &line);
        asked.spawn(async move { (browser.ask(ask).await, browser) });
    }
    let pages = asked.join_all().await;
    assert_eq!(world.op.count(Endpoint::Token), 1);
    for (page, _) in &pages {
        assert!(page.status == 303 || page.status == 400, "{page:?}");
    }
    let winners: Vec<_> = pages.iter().filter(|(page, _)| opens_session(page)).collect();
    let [(page, winner)] = winners[..] else { panic!("{} sessions", winners.len()) };
    assert_eq!(page.location().unwrap().as_str(), world.url("/wanted"));
    assert_eq!(world.records().len(), 1);
    let line = cookies(winner);
    for replica in [0, 1] {
        assert_eq!(world.replay(replica, &line).await.status, 200);
    }
}

/// A state is burnt for every replica, also when it comes back with a code that nobody has redeemed.
#[tokio::test]
async fn a_state_is_redeemed_once_among_replicas() {
    let world = World::start().await;
    let browser = world.replicas[0].browser();
    let login = browser.step(world.url("/wanted")).await.location().unwrap();
    let callback = browser.step(login.as_str()).await.location().unwrap();
    let fresh = browser.step(login.as_str()).await.location().unwrap();
    assert_ne!(callback, fresh, "another code");
    let line = cookies(&browser);
    let ask = |url: &url::Url| Ask::navigation(url.as_str()).header("cookie", &line);
    assert!(opens_session(&world.replicas[0].browser().ask(ask(&callback)).await));
    for url in [&callback, &fresh] {
        let page = world.replicas[1].browser().ask(ask(url)).await.expect_status(303);
        assert!(!opens_session(&page));
        assert_eq!(page.location().unwrap().as_str(), world.url("/wanted"));
    }
    assert_eq!((world.op.count(Endpoint::Token), world.records().len()), (1, 1));
}

/// A revocation at one replica that comes between the provider's answer and the session's first write at another wins, and
/// a login that begins after it is none of its business.
#[tokio::test]
async fn a_revocation_overtakes_the_login_under_way() {
    let world = World::start().await;
    let whom = || {
        [
            json!({"provider": "corp", "sub": "alice"}),
            json!({"provider": "corp", "provider_sid": world.op.last_sid()}),
            json!({"all": true}),
        ]
    };
    for case in 0..3 {
        let browser = world.replicas[0].browser();
        let callback = world.callback(&browser, "/").await;
        let gate = world.op.hold(Endpoint::Token);
        let login = tokio::spawn({
            let browser = browser.clone();
            async move { browser.step(callback).await }
        });
        gate.arrived().await;
        let whom = whom()[case].clone();
        assert_eq!(world.revoke(1, &whom).await, 0, "there is no session yet");
        gate.open();
        let page = login.await.unwrap().expect_status(403);
        assert!(!opens_session(&page) && browser.cookie("vestibule").is_none(), "{whom}");
        assert_eq!(world.records(), [""; 0], "{whom}");
        world.op.behave();
        let again = world.signed_in().await;
        for replica in [0, 1] {
            assert_eq!(world.replay(replica, &cookies(&again)).await.status, 200, "{whom}");
        }
        world.revoke(0, &json!({"all": true})).await;
    }
}

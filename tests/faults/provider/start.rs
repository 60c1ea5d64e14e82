//! The provider is down when the gateway starts.

use std::time::{Duration, Instant};

use http::Method;

use crate::support::client::Ask;
use crate::support::{BadOp, ConfigBuilder, Echo, Endpoint, Redis, Replicas, Site, eventually, sign_in};
use crate::world::{ready, with_public};

/// Row "provider down", OPS-07: a replica that starts while the provider is away serves the sessions of before, tells
/// new logins to come again, lets people sign out, and signs people in when the provider is back, without another
/// start.
#[tokio::test]
async fn sessions_of_before_are_served() {
    let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
    let config = with_public(ConfigBuilder::usual(&op, &echo).redis(&redis));
    let mut replicas = Replicas::start(config, 2).await;
    for gateway in replicas.all() {
        ready(gateway).await;
    }
    let at = |replicas: &Replicas, browser: &_| replicas[0].through(browser);
    let browser = replicas[1].browser();
    let leaving = replicas[1].browser();
    for browser in [&browser, &leaving] {
        sign_in(browser, &replicas, "/").await;
    }
    let cookie = browser.cookie("vestibule");
    op.stop().await;
    for gateway in replicas.all_mut() {
        let begun = Instant::now();
        gateway.restart().await;
        ready(gateway).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "the provider is not waited for");
    }
    op.forget();
    let signed_in = at(&replicas, &browser);
    for _ in 0..3 {
        signed_in.fetch(replicas.url("/")).await.expect_status(200);
        signed_in.navigate(replicas.url("/deep")).await.expect_status(200);
        let who = signed_in.fetch(replicas.url("/oauth2/userinfo")).await.expect_status(200).json();
        assert_eq!((&who["sub"], &who["email"]), (&"alice".into(), &"alice@example.test".into()));
        assert!(echo.last().identity_token().is_some());
    }
    // To refresh is to ask the provider. The session does not care.
    let ask = Ask::fetch(Method::POST, replicas.url("/oauth2/session/refresh"));
    let page = signed_in.ask(ask).await.expect_status(503);
    assert!(page.header("retry-after").is_some() && page.set_cookies().is_empty());
    let page = replicas[0].browser().step(replicas.url("/")).await.expect_status(503);
    assert!(page.header("retry-after").is_some());

    let leaving = at(&replicas, &leaving);
    let (line, begun) = (format!("vestibule={}", leaving.cookie("vestibule").unwrap()), Instant::now());
    let page = leaving.ask(Ask::form(replicas.url("/oauth2/logout"), &[("a", "b")])).await.expect_status(303);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(page.location().unwrap().as_str(), replicas.url("/oauth2/signed_out"));
    assert_eq!(leaving.cookie("vestibule"), None);
    let replay = Ask::fetch(Method::GET, replicas.url("/")).header("cookie", &line);
    replicas[1].browser().ask(replay).await.expect_status(401);

    op.start_again().await;
    eventually("a login", Duration::from_secs(15), || async {
        (replicas[0].browser().step(replicas.url("/")).await.status == 303).then_some(())
    })
    .await;
    sign_in(&replicas[0].browser(), &replicas, "/").await;
    signed_in.fetch(replicas.url("/")).await.expect_status(200);
    assert_eq!(signed_in.cookie("vestibule"), cookie);
    assert_eq!((op.grants("refresh_token"), op.reuses()), (0, 0));
    assert!(op.count(Endpoint::Discovery) >= 1);
}

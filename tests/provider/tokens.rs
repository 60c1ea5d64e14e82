//! Keys and tokens that change while people work.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{Ask, Site, eventually};
use crate::world::World;

/// TOK-08: the provider changes its keys, with the old ones left published or not: the next login works, without a restart.
#[tokio::test]
async fn logins_survive_a_change_of_keys() {
    let world = World::start().await;
    let before = world.gateway.browser();
    world.land(&before, "/", "alice").await;
    for keep in [true, false] {
        world.op.rotate_keys(keep).await;
        let browser = world.gateway.browser();
        world.land(&browser, "/", "bob").await;
        assert_eq!(world.echo.last().identity().unwrap()["sub"], "bob", "{keep}");
        // A refresh brings an ID token under the new key.
        before.ask(Ask::fetch(Method::POST, world.gateway.url("/oauth2/session/refresh"))).await.expect_status(200);
        world.get(&before, "/").await.expect_status(200);
    }
}

/// Refresh tokens rotate with each use, and the provider ends the family at the first reuse: refreshes by use, by request, and many at
/// once never get there.
#[tokio::test]
async fn refreshes_rotate() {
    // Half of this life is over after two seconds.
    let world = World::with(json!({"access_token_ttl": 4}), "").await;
    let browser = world.gateway.browser();
    world.land(&browser, "/", "alice").await;
    let refresh = || Ask::fetch(Method::POST, world.gateway.url("/oauth2/session/refresh"));
    for _ in 0..3 {
        let session = browser.ask(refresh()).await.expect_status(200).json();
        assert_eq!((&session["sub"], &session["refreshable"]), (&json!("alice"), &json!(true)));
    }
    let refreshes = async || world.gateway.metrics().await.sum("vestibule_refreshes_total", &[("kind", "fresh")]);
    let by_hand = refreshes().await;
    assert!(by_hand >= 3.0, "{by_hand}");
    let many = futures_util::future::join_all((0..10).map(|_| browser.ask(refresh())));
    assert!(many.await.iter().all(|page| page.status == 200));
    let before = refreshes().await;
    eventually("a refresh by use", Duration::from_secs(8), || async {
        world.get(&browser, "/").await.expect_status(200);
        (refreshes().await > before).then_some(())
    })
    .await;
    world.get(&browser, "/").await.expect_status(200);
    assert_eq!(world.sessions(), 1);
    assert!(!world.op.output().contains("grant.error"), "{}", world.op.output());
}

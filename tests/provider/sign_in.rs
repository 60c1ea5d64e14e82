//! Signing in, with every algorithm that the provider has.

use serde_json::json;

use crate::support::gateway::assert_holds_none;
use crate::world::World;

/// People sign in, whatever the provider signs with; the application and scripts learn who they are.
#[tokio::test]
async fn people_sign_in_with_every_algorithm() {
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        // Off, the ID token itself carries the claims.
        let world = World::with(json!({"alg": algorithm, "conform": false}), "").await;
        let browser = world.gateway.browser();
        world.land(&browser, "/deep/link?a=%20b", "alice").await;
        let seen = world.echo.last();
        assert_eq!(seen.target, "/deep/link?a=%20b", "{algorithm}");
        let identity = seen.identity().unwrap();
        assert_eq!(
            (&identity["sub"], &identity["email"], &identity["groups"], &identity["provider"]),
            (&json!("alice"), &json!("alice@example.test"), &json!(["staff", "dev"]), &json!("corp")),
            "{algorithm}"
        );
        let info = world.get(&browser, "/oauth2/userinfo").await.expect_status(200).json();
        assert_eq!((&info["sub"], &info["email"]), (&json!("alice"), &json!("alice@example.test")), "{algorithm}");
        assert_eq!(world.sessions(), 1);
        assert_holds_none("what the browser got", &browser.received(), &world.gateway.secrets());
    }
}

/// By the standard the claims of scopes come from the userinfo endpoint: they are there when it is asked, and not before.
#[tokio::test]
async fn claims_come_from_the_userinfo_endpoint_when_it_is_asked() {
    for (asks, email) in [("userinfo = true", json!("bob@example.test")), ("userinfo = false", json!(null))] {
        let world = World::with(json!({}), asks).await;
        let browser = world.gateway.browser();
        world.land(&browser, "/", "bob").await;
        let identity = world.echo.last().identity().unwrap();
        assert_eq!((&identity["sub"], &identity["email"]), (&json!("bob"), &email));
        assert_eq!(world.get(&browser, "/oauth2/userinfo").await.json()["email"], email);
    }
}

/// Two people at two browsers, and one who changes who they are in one browser: a new session each time, never a mixture.
#[tokio::test]
async fn people_stay_apart() {
    let world = World::start().await;
    let (alice, bob) = (world.gateway.browser(), world.gateway.browser());
    world.land(&alice, "/", "alice").await;
    world.land(&bob, "/", "bob").await;
    for (browser, sub) in [(&alice, "alice"), (&bob, "bob"), (&alice, "alice")] {
        world.get(browser, "/").await.expect_status(200);
        assert_eq!(world.echo.last().identity().unwrap()["sub"], sub);
    }
    let before = alice.cookie("vestibule");
    let page = world.op.sign_in(&alice, &world.login("prompt=login"), "carol").await;
    assert_eq!(page.status, 200, "{}\n{}", page.text(), world.op.output());
    assert_ne!(alice.cookie("vestibule"), before);
    assert_eq!(world.get(&alice, "/oauth2/session").await.json()["sub"], "carol");
    assert_eq!(world.sessions(), 2, "the session before is gone");
}

impl World {
    fn login(&self, query: &str) -> String {
        crate::support::Site::url(&self.gateway, &format!("/oauth2/login?rd=/&{query}"))
    }
}

//! Signing in, with every algorithm that the provider has.

use http::Method;
use serde_json::{Value, json};
use vestibule::jose::SigningKey;

use crate::support::gateway::assert_holds_none;
use crate::support::{Ask, Site};
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

/// CLI-02: a provider that knows our public key alone takes our assertions, by each kind of key and either form of file: for codes, for
/// refresh tokens, and with them the session goes on.
#[tokio::test]
async fn a_client_with_a_key_signs_people_in() {
    let samples: Value = serde_json::from_str(include_str!("../../src/jose/sample_keys.json")).unwrap();
    for (kind, form) in [("P-256", "jwk"), ("RSA", "pem"), ("Ed25519", "jwk")] {
        let mut key = samples[kind]["jwk"].clone();
        key["kid"] = json!("portal-2026");
        let file = if form == "jwk" { key.to_string() } else { samples[kind]["pem"].as_str().unwrap().to_owned() };
        if form == "pem" {
            let private = SigningKey::of_every_algorithm(file.as_bytes()).unwrap();
            key["kid"] = json!(private[0].kid());
        }
        key.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x", "y", "n", "e", "kid"].contains(&&**name));
        let world = World::with_key(key, &file).await;
        let browser = world.gateway.browser();
        world.land(&browser, "/", "alice").await;
        let refresh = Ask::fetch(Method::POST, world.gateway.url("/oauth2/session/refresh"));
        let session = browser.ask(refresh).await.expect_status(200).json();
        assert_eq!(session["sub"], "alice", "{kind}");
        assert_holds_none("what the gateway logs", world.gateway.logs().as_bytes(), &world.gateway.secrets());
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

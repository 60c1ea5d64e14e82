//! Which claims go along, and in what form.

use http::Method;
use serde_json::json;

use crate::support::client::Ask;
use crate::support::eventually;
use crate::world::{SOON, World};

/// ID-12: an upstream learns what its configuration names and nothing else: by default nothing.
#[tokio::test]
async fn only_named_claims_go_along() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    let claims = world.seen("GET /x", &[&cookie]).await.identity().unwrap();
    for name in ["email", "name", "groups", "preferred_username", "email_verified", "nonce", "at_hash"] {
        assert!(claims.get(name).is_none(), "{name}: {claims}");
    }

    let world = World::with(|config| {
        config.with("[upstreams.app.identity]\nclaims = [\"email\", \"groups\", \"absent\"]\nheaders = { X-User = \"sub\", X-Mail = \"email\", X-None = \"absent\" }")
    })
    .await;
    let seen = world.seen("GET /x", &[&world.cookie().await]).await;
    let claims = seen.identity().unwrap();
    assert_eq!((&claims["email"], &claims["groups"]), (&json!("alice@example.test"), &json!(["staff", "dev"])));
    assert!(claims.get("name").is_none() && claims.get("absent").is_none(), "{claims}");
    assert_eq!(
        (seen.header("x-user"), seen.header("x-mail"), seen.header("x-none")),
        (Some("alice"), Some("alice@example.test"), None)
    );
}

/// LOGIN-19: the scope that was granted counts, for the upstream's token and headers and for a route that requires it: what was asked for
/// when the provider says nothing, less when it grants less, also when a refresh narrows it. No claim of that name stands in for it.
#[tokio::test]
async fn the_granted_scope_counts() {
    let world = World::with(|config| {
        config
            .with("[upstreams.app.identity]\nclaims = [\"scope\"]\nheaders = { X-Scope = \"scope\" }")
            .with("providers.corp.scopes = [\"openid\", \"email\", \"orders\"]")
            .route("path = \"/orders\"\nupstream = \"app\"\nrequire = { scope = [\"orders\"] }")
    })
    .await;
    world.op.set_claim("alice", "scope", "openid orders admin");
    let narrowed = |scope: serde_json::Value| {
        move |answer: &mut serde_json::Value| match &scope {
            serde_json::Value::Null => drop(answer.as_object_mut().unwrap().remove("scope")),
            scope => answer["scope"] = scope.clone(),
        }
    };
    for (granted, scope, status) in [
        (json!(null), "openid email orders", 200),
        (json!("openid email orders"), "openid email orders", 200),
        (json!("openid email"), "openid email", 403),
        (json!("openid ordersx"), "openid ordersx", 403),
    ] {
        world.op.behave();
        world.op.script(|script| {
            script.token_answer(narrowed(granted.clone()));
        });
        let cookie = world.cookie().await;
        let seen = world.seen("GET /x", &[&cookie]).await;
        assert_eq!(seen.identity().unwrap()["scope"], scope, "{granted}");
        assert_eq!(seen.header("x-scope"), Some(scope), "{granted}");
        assert_eq!(world.ask("GET /orders", &[&cookie]).await.status, status, "{granted}");
    }

    world.op.behave();
    let browser = world.signed_in().await;
    browser.fetch(world.url("/orders")).await.expect_status(200);
    world.op.script(|script| {
        script.refresh_answer(narrowed(json!("openid")));
    });
    browser.ask(Ask::fetch(Method::POST, world.url("/oauth2/session/refresh"))).await.expect_status(200);
    browser.fetch(world.url("/orders")).await.expect_status(403);
    browser.fetch(world.url("/x")).await.expect_status(200);
    assert_eq!(world.echo.last().identity().unwrap()["scope"], "openid");
}

/// ID-12, OPS-04: a list that does not fit is an error that names it in the log; never a part of it, and never a request without the
/// identity that it is about. The next request is answered.
#[tokio::test]
async fn long_lists_are_whole_or_refused() {
    let world = World::with(|config| {
        config
            .with("[upstreams.app.identity]\nclaims = [\"groups\"]")
            .upstream("plain", "http://127.0.0.1:9")
            .with("[upstreams.plain.identity]\nheaders = { X-Groups = \"groups\" }")
            .route("path = \"/plain\"\nupstream = \"plain\"")
    })
    .await;
    let groups: Vec<String> = (0..200).map(|n| format!("group-{n}")).collect();
    world.op.set_claim("alice", "groups", json!(groups));
    let cookie = world.cookie().await;
    let seen = world.seen("GET /x", &[&cookie]).await;
    assert_eq!(seen.identity().unwrap()["groups"], json!(groups), "what fits is whole");

    for (many, at_login) in [(2_000, false), (5_000, true)] {
        let groups: Vec<String> = (0..many).map(|n| format!("group-{n}")).collect();
        world.op.set_claim("alice", "groups", json!(groups));
        let browser = world.gateway.browser();
        world.echo.forget();
        let page = browser.navigate(world.url("/x")).await;
        // Beyond the longest ID token that is read there is not even a session.
        assert_eq!(
            (page.status, page.url.path() == "/x"),
            if at_login { (502, false) } else { (500, true) },
            "{page:?}"
        );
        if !at_login {
            browser.navigate(world.url("/plain")).await.expect_status(500);
            browser.navigate(world.url("/public")).await.expect_status(200);
            world.echo.forget();
        }
        assert_eq!(world.echo.count(), 0, "nothing was forwarded");
        let said = if at_login { "the token is too long" } else { "the largest claims: groups" };
        let logs = eventually(said, SOON, async || Some(world.gateway.logs()).filter(|logs| logs.contains(said))).await;
        assert!(!logs.contains("group-1999"), "the log names the claim, not its value");
    }
}

/// ID-13: what cannot stand in a field is encoded so that decoding gives it back, or refused; one field it is in any case.
#[tokio::test]
async fn plain_headers_are_one_well_formed_field() {
    let world = World::with(|config| {
        config.with("[upstreams.app.identity]\nheaders = { X-Name = \"name\", X-Groups = \"groups\" }")
    })
    .await;
    for (name, expected) in [
        (json!("Ada"), Some("Ada")),
        (json!("Zoë Åström"), Some("Zo%C3%AB %C3%85str%C3%B6m")),
        (json!("100% \u{1F600}"), Some("100%25 %F0%9F%98%80")),
        (json!("tab\there"), Some("tab%09here")),
        (json!(""), None),
        (json!(7), Some("7")),
    ] {
        world.op.set_claim("alice", "name", name.clone());
        world.op.set_claim("alice", "groups", json!(["a,b", "c d"]));
        let seen = world.seen("GET /x", &[&world.cookie().await]).await;
        assert_eq!(seen.header_all("x-name"), expected.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(seen.header_all("x-groups"), ["a%2Cb,c%20d"]);
    }
    for name in ["Ada\r\nX-Groups: root", "Ada\nEve", "Ada\rEve", "Ada\u{0}"] {
        world.op.set_claim("alice", "name", name);
        let browser = world.gateway.browser();
        world.echo.forget();
        let page = browser.navigate(world.url("/x")).await;
        assert_eq!((page.status, world.echo.count()), (500, 0), "{name:?}");
    }
}

//! What scripts read: `userinfo` and `session`, member by member.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::login::{ELSEWHERE, SESSION};
use crate::support::client::Ask;
use crate::support::{Endpoint, codec, gateway::assert_holds_none};
use crate::world::World;

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// SESS-19: `userinfo` has its documented members and the configured claims, `no-store`, and no token.
#[tokio::test]
async fn userinfo_has_its_shape() {
    let world =
        World::with(|config| config.with("providers.corp.claims = { team = \"org.team\", missing = \"org.none\" }"))
            .await;
    world.op.set_claim("alice", "org", json!({"team": "blue", "secret": "x"}));
    let browser = world.signed_in().await;
    let page = browser.fetch(world.url("/oauth2/userinfo")).await.expect_status(200);
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.set_cookies().is_empty());
    let mut shown = page.json();
    // Whatever else a session keeps, these are the documented ones, with these values.
    let expected = json!({
        "sub": "alice", "provider": "corp", "email": "alice@example.test", "name": "Alice Example",
        "preferred_username": "alice", "groups": ["staff", "dev"], "team": "blue",
        "user": "alice", "preferredUsername": "alice",
    });
    shown.as_object_mut().unwrap().retain(|name, _| expected.get(name).is_some());
    assert_eq!(shown, expected);
    let text = page.text();
    assert!(!text.contains("secret") && !text.contains("nonce") && !text.contains("at_hash"), "{text}");
    assert_holds_none("userinfo", &page.body, &world.op.issued_secrets());

    // Somebody of whom nothing is known has the same members.
    world.op.script(|script| {
        script.user("bob").id_token_claims(|claims| {
            for name in ["email", "name", "preferred_username", "groups"] {
                drop(claims.as_object_mut().unwrap().remove(name));
            }
        });
    });
    let shown = world.signed_in().await.fetch(world.url("/oauth2/userinfo")).await.json();
    for (name, value) in [
        ("sub", json!("bob")),
        ("email", json!(null)),
        ("name", json!(null)),
        ("preferred_username", json!(null)),
        ("preferredUsername", json!(null)),
        ("groups", json!([])),
    ] {
        assert_eq!(shown.get(name), Some(&value), "{name}: {shown}");
    }
}

/// SESS-19: `session` tells the time left and nothing that opens anything.
#[tokio::test]
async fn session_has_its_shape() {
    let world = World::with(|config| config.with("session.lifetime = \"12h\"\nsession.idle = \"30m\"")).await;
    let browser = world.gateway.browser();
    browser.navigate(world.url("/oauth2/login?acr_values=gold&rd=/")).await.expect_status(200);
    let identity = world.echo.last().identity().unwrap();
    let page = browser.fetch(world.url("/oauth2/session")).await.expect_status(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let shown = page.json();
    let documented = [
        "sid",
        "provider",
        "sub",
        "created",
        "expires",
        "expires_in",
        "idle_expires_in",
        "access_token_expires_in",
        "refreshable",
        "auth_time",
        "acr",
    ];
    assert_eq!(members(&shown), documented.into_iter().collect());
    assert_eq!((&shown["provider"], &shown["sub"], &shown["acr"]), (&json!("corp"), &json!("alice"), &json!("gold")));
    assert_eq!(shown["refreshable"], json!(true));
    assert_eq!(shown["sid"], identity["sid"], "the reference that the application sees");
    for (name, most) in [("expires_in", 43_200), ("idle_expires_in", 1800), ("access_token_expires_in", 300)] {
        let left = shown[name].as_i64().unwrap();
        assert!((most - 15..=most).contains(&left), "{name}: {shown}");
    }
    for name in ["created", "expires", "auth_time"] {
        let text = shown[name].as_str().unwrap();
        assert!(text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T', "{name}: {text}");
    }
    let mut secrets = world.op.issued_secrets();
    secrets.push(browser.cookie(SESSION).unwrap());
    assert_holds_none("session", &page.body, &secrets);
    // The reference opens nothing.
    let cookie = format!("{SESSION}={}", shown["sid"].as_str().unwrap());
    let ask = Ask::fetch(Method::GET, world.url("/oauth2/session")).header("cookie", &cookie);
    world.gateway.browser().ask(ask).await.expect_status(401);

    world.op.script(|script| {
        script
            .without_refresh_token()
            .id_token_claims(|claims| drop(claims.as_object_mut().unwrap().remove("auth_time")));
    });
    let shown = world.signed_in().await.fetch(world.url("/oauth2/session")).await.json();
    assert_eq!(members(&shown), documented.into_iter().collect());
    assert_eq!(
        (&shown["refreshable"], &shown["auth_time"], &shown["acr"]),
        (&json!(false), &json!(null), &json!(null))
    );
}

/// SESS-19: without a session 401 as a problem document; no other site can read an answer, no other method changes one.
#[tokio::test]
async fn endpoints_refuse_in_documented_ways() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    for name in ["userinfo", "session"] {
        let url = world.url(&format!("/oauth2/{name}"));
        let page = world.gateway.browser().fetch(&url).await.expect_status(401);
        assert_eq!(page.header("content-type"), Some("application/problem+json"));
        let problem = page.json();
        let named = ["type", "title", "status", "detail", "request_id", "login"];
        assert_eq!(members(&problem), named.into_iter().collect());
        assert_eq!(problem["login"], json!(world.url("/oauth2/login")));
        assert!(page.set_cookies().is_empty() && page.header("cache-control") == Some("no-store"));

        // A dead cookie is deleted, and nothing new is set.
        let dead = format!("{SESSION}={}", codec::b64url(&codec::random_bytes(32)));
        let page =
            world.gateway.browser().ask(Ask::fetch(Method::GET, &url).header("cookie", &dead)).await.expect_status(401);
        assert!(matches!(&page.set_cookies()[..], [line] if line.contains("Max-Age=0")), "{page:?}");

        let ask = Ask::fetch(Method::GET, &url)
            .caused_by(ELSEWHERE)
            .header("cookie", &crate::world::cookie_line(&browser)[8..]);
        let page = browser.ask(ask).await;
        assert_eq!(page.header("access-control-allow-origin"), None, "{page:?}");
        assert_eq!(page.header("access-control-allow-credentials"), None);

        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let page = browser.ask(Ask::fetch(method.clone(), &url)).await;
            assert_eq!((page.status, page.header("allow")), (405, Some("GET, HEAD")), "{method} {name}");
        }
    }
    browser.ask(Ask::fetch(Method::GET, world.url("/oauth2/session/refresh"))).await.expect_status(405);
    for path in ["/oauth2", "/oauth2/", "/oauth2/nothing", "/oauth2/userinfo/x", "/oauth2/login/x"] {
        browser.fetch(world.url(path)).await.expect_status(404);
    }
    assert_eq!((world.echo.count(), world.op.count(Endpoint::EndSession)), (0, 0));
}

//! Logout tokens with one thing wrong each.

use serde_json::{Value, json};

use super::{send, session_of};
use crate::login::opens;
use crate::support::Key;
use crate::world::World;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

type Change = fn(&mut Value);

fn without(claims: &mut Value, name: &str) {
    claims.as_object_mut().unwrap().remove(name);
}

/// LOGOUT-06: every rule of a logout token, one broken at a time: 400, and the session lives; the whole one ends it. TOK-12: so it is
/// with an ID token.
#[tokio::test]
async fn a_token_that_does_not_hold_ends_nothing() {
    let world = World::start().await;
    let (cookie, sid) = session_of(&world, "alice").await;
    let id_token = world.op.last_id_token();
    let secret = world.op.client().secret.into_bytes();
    let refused = async |what: String, token: &str| {
        let page = send(&world, token).await;
        assert_eq!((page.status, page.header("cache-control")), (400, Some("no-store")), "{what}: {page:?}");
        assert!(page.json()["error"].is_string(), "{what}");
        assert!(opens(&world, &cookie).await, "{what} ended the session");
    };

    let claims: [(&str, Change); 22] = [
        ("another iss", |claims| claims["iss"] = "https://evil.example".into()),
        ("iss with a slash", |claims| claims["iss"] = format!("{}/", claims["iss"].as_str().unwrap()).into()),
        ("no iss", |claims| without(claims, "iss")),
        ("another aud", |claims| claims["aud"] = "somebody-else".into()),
        ("a list of other aud", |claims| claims["aud"] = json!(["one", "two"])),
        ("no aud", |claims| without(claims, "aud")),
        ("expired", |claims| claims["exp"] = (claims["exp"].as_i64().unwrap() - 1000).into()),
        ("no exp", |claims| without(claims, "exp")),
        ("from the future", |claims| claims["iat"] = (claims["iat"].as_i64().unwrap() + 1000).into()),
        ("no iat", |claims| without(claims, "iat")),
        ("no jti", |claims| without(claims, "jti")),
        ("an empty jti", |claims| claims["jti"] = "".into()),
        ("no events", |claims| without(claims, "events")),
        ("another event", |claims| claims["events"] = json!({"http://schemas.openid.net/event/other": {}})),
        ("events as a list", |claims| claims["events"] = json!([EVENT])),
        ("an event that is no object", |claims| claims["events"] = json!({EVENT: true})),
        ("a nonce", |claims| claims["nonce"] = "n".into()),
        ("an empty nonce", |claims| claims["nonce"] = "".into()),
        ("a null nonce", |claims| claims["nonce"] = Value::Null),
        ("nobody", |claims| {
            without(claims, "sub");
            without(claims, "sid");
        }),
        ("a sid that is no text", |claims| claims["sid"] = 7.into()),
        ("an empty sub", |claims| claims["sub"] = "".into()),
    ];
    for (what, change) in claims {
        world.op.behave();
        world.op.script(|script| {
            script.logout_token_claims(change);
        });
        refused(what.to_owned(), &world.op.logout_token(Some("alice"), Some(&sid))).await;
    }
    for key in [
        Key::None("none"),
        Key::None("NONE"),
        Key::Hs256(secret),
        Key::Rsa1024,
        Key::Unknown,
        Key::Forged,
        Key::Flipped(Box::new(Key::Es256)),
    ] {
        world.op.behave();
        let what = format!("{key:?}");
        world.op.script(|script| {
            script.sign_with(key);
        });
        refused(what, &world.op.logout_token(Some("alice"), Some(&sid))).await;
    }
    world.op.behave();
    refused("an ID token".to_owned(), &id_token).await;
    send(&world, &world.op.logout_token(Some("alice"), Some(&sid))).await.expect_status(200);
    assert!(!opens(&world, &cookie).await);
}

/// LOGOUT-10, all but the strict mode, which there is not: a `typ` of another kind is refused; absent and generic ones are not.
#[tokio::test]
async fn the_kind_has_to_fit() {
    let world = World::start().await;
    let kinds: [(Change, bool); 8] = [
        (|header| header["typ"] = "at+jwt".into(), false),
        (|header| header["typ"] = "vestibule+jwt".into(), false),
        (|header| header["typ"] = "application/at+jwt".into(), false),
        (|header| header["typ"] = 7.into(), false),
        (|header| without(header, "typ"), true),
        (|header| header["typ"] = "JWT".into(), true),
        (|header| header["typ"] = "logout+jwt".into(), true),
        (|header| header["typ"] = "application/logout+jwt".into(), true),
    ];
    for (n, (change, holds)) in kinds.into_iter().enumerate() {
        world.op.behave();
        let (cookie, sid) = session_of(&world, "alice").await;
        world.op.script(|script| {
            script.logout_token_header(change);
        });
        let page = send(&world, &world.op.logout_token(None, Some(&sid))).await;
        assert_eq!(page.status, if holds { 200 } else { 400 }, "kind {n}: {page:?}");
        assert_eq!(opens(&world, &cookie).await, !holds, "kind {n}");
    }
}

//! The claims of ID tokens.

use serde_json::{Value, json};

use super::{accepted, refused, world};
use crate::login::{answered, who};
use crate::support::Endpoint;
use crate::world::World;

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Sets members; `null` takes them away.
fn set(claims: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
}

/// TOK-03, TOK-04, TOK-05, TOK-06, TOK-17, TOK-19: each claim that does not hold makes no session, no further call, and a page
/// without reasons.
#[tokio::test]
async fn claims_that_do_not_hold() {
    let world = world().await;
    let issuer = world.op.issuer().to_owned();
    let me = world.op.client().id;
    let other_case = issuer.replace("http", "HTTP");
    let cases = [
        ("`iss`", json!({"iss": format!("{issuer}x")})),
        ("`iss`", json!({"iss": format!("{issuer}/")})),
        ("`iss`", json!({ "iss": other_case })),
        ("`iss` is missing", json!({"iss": null})),
        ("`iss` is malformed", json!({"iss": [issuer]})),
        ("`aud`", json!({"aud": "somebody else"})),
        ("`aud` is missing", json!({"aud": null})),
        ("`aud`", json!({"aud": []})),
        ("`aud`", json!({"aud": [me, "somebody else"]})),
        ("`aud`", json!({"aud": [me, "somebody else"], "azp": me})),
        ("`azp`", json!({"azp": "somebody else"})),
        ("`exp` is missing", json!({"exp": null})),
        ("`iat` is missing", json!({"iat": null})),
        ("`sub` is missing", json!({"sub": null})),
        ("expired", json!({"exp": now() - 360})),
        ("issued in the future", json!({"iat": now() + 600})),
        ("not valid yet", json!({"nbf": now() + 600})),
        ("`exp` is malformed", json!({"exp": (now() + 300).to_string()})),
        ("`iat` is malformed", json!({"iat": true})),
        ("`nbf` is malformed", json!({"nbf": "soon"})),
        ("`sub` is malformed", json!({"sub": 7})),
        ("`sub` is malformed", json!({"sub": ""})),
        ("`sub` is malformed", json!({"sub": "x".repeat(256)})),
        ("`sub` is malformed", json!({"sub": ["alice"]})),
        ("`aud` is malformed", json!({"aud": {"me": 1}})),
        ("`nonce` is malformed", json!({"nonce": ["n"]})),
        ("`sid` is malformed", json!({"sid": 3})),
        ("`at_hash`", json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"})),
        ("`at_hash`", json!({"at_hash": 1})),
    ];
    for (reason, changes) in cases {
        let what = changes.to_string();
        refused(&world, &what, reason, |script| {
            script.id_token_claims(move |claims| set(claims, &changes));
        })
        .await;
    }
}

/// TOK-04, TOK-05: what is unusual and good is accepted.
#[tokio::test]
async fn claims_that_hold() {
    let world = world().await;
    let me = world.op.client().id;
    for changes in [
        json!({}),
        json!({"aud": [me]}),
        json!({"azp": me}),
        json!({"iat": now() + 8, "nbf": now() + 8}),
        json!({"exp": now() - 8}),
        json!({"at_hash": null}),
        json!({"sub": "alice", "sid": null, "auth_time": null}),
    ] {
        accepted(&world, &changes.to_string(), |script| {
            let changes = changes.clone();
            script.id_token_claims(move |claims| set(claims, &changes));
        })
        .await;
    }
}

/// TOK-06, TOK-12, TOK-19: malformed payloads and headers, other kinds of token.
#[tokio::test]
async fn shapes_that_do_not_hold() {
    let world = world().await;
    type Change = fn(&str) -> String;
    let payloads: [(&str, Change); 6] = [
        ("twice", |payload| payload.replacen('{', r#"{"sub":"mallory","#, 1)),
        ("twice", |payload| payload.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1)),
        ("", |payload| format!("[{payload}]")),
        ("", |payload| payload.trim_end_matches('}').to_owned()),
        ("", |_| String::new()),
        ("", |payload| format!("{payload}{payload}")),
    ];
    for (reason, change) in payloads {
        refused(&world, &change("{…}"), reason, |script| {
            script.id_token_payload(move |payload| *payload = change(payload));
        })
        .await;
    }
    for (reason, header) in [
        ("extension", json!({"crit": ["exp"]})),
        ("extension", json!({"crit": ["b64"], "b64": false})),
        ("", json!({"crit": []})),
        ("another kind", json!({"typ": "at+jwt"})),
        ("another kind", json!({"typ": "logout+jwt"})),
        ("another kind", json!({"typ": "vestibule+jwt"})),
    ] {
        refused(&world, &header.to_string(), reason, |script| {
            script.id_token_header(move |into| set(into, &header));
        })
        .await;
    }
    for token in ["", "a.b", "a.b.c.d.e", "....", "not a token", "e30.e30.e30"] {
        refused(&world, token, "ID token", |script| {
            script.token_answer(move |answer| answer["id_token"] = token.into());
        })
        .await;
    }
    refused(&world, "no ID token", "there is none", |script| {
        script.token_answer(|answer| drop(answer.as_object_mut().unwrap().remove("id_token")));
    })
    .await;
}

/// TOK-16, TOK-19: demanded freshness and strength are checked, whatever the provider says.
#[tokio::test]
async fn demanded_freshness_and_strength() {
    let world = World::start().await;
    for (query, claims, good) in [
        ("max_age=60", json!({}), true),
        ("max_age=60", json!({"auth_time": now() - 3600}), false),
        ("max_age=60", json!({"auth_time": null}), false),
        ("max_age=60", json!({"auth_time": now() + 3600}), false),
        ("max_age=7200", json!({"auth_time": now() - 3600}), true),
        ("acr_values=gold", json!({}), true),
        ("acr_values=gold%20silver", json!({"acr": "silver"}), true),
        ("acr_values=gold", json!({"acr": "silver"}), false),
        ("acr_values=gold", json!({"acr": null}), false),
        ("acr_values=gold", json!({"acr": ["gold"]}), false),
    ] {
        let what = format!("{query} {claims}");
        world.op.behave();
        world.op.script(|script| {
            script.id_token_claims(move |into| set(into, &claims));
        });
        let browser = world.gateway.browser();
        let page = browser.step(world.url(&format!("/oauth2/login?{query}"))).await.expect_status(303);
        let page = browser.step(answered(&browser, &page).await).await;
        assert_eq!(page.status, if good { 303 } else { 502 }, "{what}: {page:?}");
        assert_eq!(who(&world, &browser).await.is_some(), good, "{what}");
    }
    assert_eq!(world.echo.count(), 0);
    assert_eq!(world.op.count(Endpoint::Revocation), 0);
}

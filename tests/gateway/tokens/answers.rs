//! Token and userinfo answers.

use serde_json::{Value, json};

use super::{accepted, log_in, refused, world};
use crate::login::{SESSION, who};
use crate::support::Endpoint;
use crate::world::World;

/// TOK-13: userinfo for another person ends the login; nothing of it is believed.
#[tokio::test]
async fn userinfo_is_about_the_same_person() {
    let world = world().await;
    for sub in [json!("mallory"), json!(null), json!(7), json!("Alice"), json!(["alice"])] {
        let echoed = world.echo.count();
        let (browser, page) = log_in(&world, |script| {
            let sub = sub.clone();
            script.userinfo_answer(move |answer| answer["sub"] = sub.clone());
        })
        .await;
        assert!(matches!(page.status, 400 | 502), "{sub}: {page:?}");
        assert_eq!((browser.cookie(SESSION), who(&world, &browser).await), (None, None), "{sub}");
        assert_eq!(world.echo.count(), echoed, "{sub}");
    }
    let browser = accepted(&world, "the right one", |script| {
        script.userinfo_answer(|answer| answer["email"] = "fresh@example.test".into());
    })
    .await;
    assert_eq!(browser.fetch(world.url("/oauth2/userinfo")).await.json()["email"], "fresh@example.test");
}

/// TOK-14: a missing or odd `expires_in` is the configured lifetime, neither for ever nor a failure.
#[tokio::test]
async fn odd_lifetimes_are_the_configured_one() {
    let world = World::with(|config| config.with("providers.corp.access_token_lifetime = \"200s\"")).await;
    for (given, from, to) in [
        (None, 190, 200),
        (Some(json!(null)), 190, 200),
        (Some(json!(0)), 190, 200),
        (Some(json!(-5)), 190, 200),
        (Some(json!("300")), 190, 200),
        (Some(json!("soon")), 190, 200),
        (Some(json!([1])), 190, 200),
        (Some(json!(9_007_199_254_740_992_u64)), 190, 200),
        (Some(json!(1e300)), 190, 200),
        (Some(json!(100)), 90, 100),
    ] {
        let what = format!("{given:?}");
        let browser = accepted(&world, &what, |script| {
            script.token_answer(move |answer| match &given {
                Some(value) => answer["expires_in"] = value.clone(),
                None => drop(answer.as_object_mut().unwrap().remove("expires_in")),
            });
        })
        .await;
        let left =
            browser.fetch(world.url("/oauth2/session")).await.json()["access_token_expires_in"].as_i64().unwrap();
        assert!((from..=to).contains(&left), "{what}: {left}");
    }
}

/// TOK-14: without `expires_in` a refresh comes by the configured lifetime.
#[tokio::test]
async fn without_a_lifetime_refreshes_come_by_the_default() {
    let world = World::with(|config| config.with("providers.corp.access_token_lifetime = \"1s\"")).await;
    let browser = accepted(&world, "no expires_in", |script| {
        script.token_answer(|answer| drop(answer.as_object_mut().unwrap().remove("expires_in")));
    })
    .await;
    crate::support::eventually("a refresh", crate::world::SOON, || async {
        browser.fetch(world.url("/")).await.expect_status(200);
        (world.op.grants("refresh_token") > 0).then_some(())
    })
    .await;
}

/// TOK-15: `token_type` is Bearer in any case, and nothing else.
#[tokio::test]
async fn token_types() {
    let world = world().await;
    let give = |value: Value| {
        move |answer: &mut Value| match &value {
            Value::Null => drop(answer.as_object_mut().unwrap().remove("token_type")),
            value => answer["token_type"] = value.clone(),
        }
    };
    for good in ["bEARER", "bearer", "BEARER"] {
        accepted(&world, good, |script| {
            script.token_answer(give(good.into()));
        })
        .await;
    }
    for bad in [json!("mac"), json!("DPoP"), json!("Bearer "), json!(""), json!(null), json!(["Bearer"])] {
        let what = format!("token_type {bad}");
        refused(&world, &what, "token endpoint gave an unusable answer", |script| {
            script.token_answer(give(bad));
        })
        .await;
    }
}

/// TOK-19: token answers that are none end on the same page; what is merely away says so and may be tried again.
#[tokio::test]
async fn token_answers_that_are_none() {
    let world = world().await;
    for (status, kind, body) in [
        (200, "text/html", "<html>hello</html>"),
        (200, "application/json", "{"),
        (200, "application/json", "[]"),
        (200, "application/json", "{}"),
        (200, "application/json", r#"{"token_type":"Bearer","access_token":""}"#),
        (400, "application/json", r#"{"error":"invalid_grant"}"#),
        (401, "application/json", r#"{"error":"invalid_client"}"#),
    ] {
        refused(&world, body, "token endpoint", |script| {
            script.answer(Endpoint::Token, status, kind, body);
        })
        .await;
    }
    let (browser, page) = log_in(&world, |script| {
        script.fail(Endpoint::Token, 503);
    })
    .await;
    assert_eq!((page.status, browser.cookie(SESSION)), (503, None), "{page:?}");
    assert!(page.header("retry-after").is_some());
    accepted(&world, "healed", |_| {}).await;
}

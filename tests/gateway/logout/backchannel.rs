//! The endpoint that takes logout tokens: what it answers, and which sessions end.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::{BACK, send, session_at_other, session_of, two_providers};
use crate::login::{ELSEWHERE, SESSION, opens};
use crate::support::client::Ask;
use crate::support::{Page, codec};
use crate::world::World;

fn no_store(page: &Page) {
    assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
}

/// LOGOUT-05: 200 for a valid token, also when it comes again or finds no session; 400 as JSON for one that is none; never stored.
#[tokio::test]
async fn answers_are_exact() {
    let world = World::start().await;
    let (cookie, sid) = session_of(&world, "alice").await;
    let token = world.op.logout_token(Some("alice"), Some(&sid));
    for _ in 0..2 {
        no_store(&send(&world, &token).await.expect_status(200));
        assert!(!opens(&world, &cookie).await);
    }
    for (sub, sid) in [(Some("nobody"), None), (None, Some("no-such-sid")), (Some("alice"), None)] {
        no_store(&send(&world, &world.op.logout_token(sub, sid)).await.expect_status(200));
    }
    for invalid in ["", "x", "a.b.c", "..", &token[..token.len() - 4], &format!("{token}x"), &format!("{token}.x")] {
        let page = send(&world, invalid).await.expect_status(400);
        no_store(&page);
        assert_eq!(page.header("content-type"), Some("application/json"), "{invalid}");
        let answer = page.json();
        assert_eq!(answer["error"], "invalid_request", "{invalid}");
        assert!(answer["error_description"].is_string() && !page.text().contains(&token[..20]), "{answer}");
    }
}

/// LOGOUT-07: a `sid` ends that session, a `sub` alone ends all of the person's; never those of others, nor of the same names at
/// another issuer.
#[tokio::test]
async fn only_the_right_sessions_end() {
    let (world, other) = two_providers().await;
    let first = world.signed_in().await;
    let (first_sid, first) = (world.op.last_sid(), first.cookie(SESSION).unwrap());
    let (second, _) = session_of(&world, "alice").await;
    let (third, _) = session_of(&world, "alice").await;
    let (bob, _) = session_of(&world, "bob").await;
    // The same person and, by the shared jar of one host, the same `sid` at the other issuer.
    let url = url::Url::parse(&world.url("/")).unwrap();
    let browser = world.gateway.browser();
    browser.jar(|jar| jar.plant(&url, "badop_sid", &first_sid));
    let abroad = session_at_other(&world, &browser).await;
    assert_eq!(other.last_sid(), first_sid);

    let lives = async |expected: [bool; 5]| {
        for (n, cookie) in [&first, &second, &third, &bob, &abroad].into_iter().enumerate() {
            assert_eq!(opens(&world, cookie).await, expected[n], "session {n} of {expected:?}");
        }
    };
    lives([true; 5]).await;
    // What the other issuer signs, ends nothing here, whatever it says.
    let claims = |issuer: &str| {
        json!({
            "iss": issuer, "aud": world.op.client().id, "iat": now(), "exp": now() + 100, "jti": codec::random_name("j"),
            "sub": "alice", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        })
    };
    let forged = other.sign(&crate::support::Key::Es256, json!({}), &claims(world.op.issuer()));
    send(&world, &forged).await.expect_status(400);
    lives([true; 5]).await;
    // It names the person as well, and still means that session.
    send(&world, &world.op.logout_token(Some("alice"), Some(&first_sid))).await.expect_status(200);
    lives([false, true, true, true, true]).await;
    send(&world, &world.op.logout_token(Some("alice"), None)).await.expect_status(200);
    lives([false, false, false, true, true]).await;
    send(&world, &other.logout_token(Some("bob"), None)).await.expect_status(200);
    lives([false, false, false, true, true]).await;
    send(&world, &other.logout_token(Some("alice"), Some(&first_sid))).await.expect_status(200);
    lives([false, false, false, true, false]).await;
}

/// LOGOUT-08: no cookie and no origin of ours is needed, other fields do not count; anything but one token in a small form is refused.
#[tokio::test]
async fn only_a_form_post_counts() {
    let world = World::start().await;
    let url = world.url(BACK);
    let post = |body: String| {
        Ask::plain(Method::POST, &url)
            .without_cookies()
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    let stranger = world.gateway.browser();
    let (cookie, sid) = session_of(&world, "alice").await;
    let token = world.op.logout_token(Some("alice"), Some(&sid));
    let refused = [
        (Ask::plain(Method::GET, format!("{url}?logout_token={token}")), 405),
        (Ask::navigation(format!("{url}?logout_token={token}")), 405),
        (Ask::plain(Method::POST, format!("{url}?logout_token={token}")), 400),
        (
            Ask::plain(Method::POST, format!("{url}?logout_token={token}"))
                .header("content-type", "application/x-www-form-urlencoded")
                .body("a=b"),
            400,
        ),
        (Ask::plain(Method::PUT, &url).body(format!("logout_token={token}")), 405),
        (Ask::plain(Method::POST, &url).json(&json!({"logout_token": token})), 400),
        (
            Ask::plain(Method::POST, &url).header("content-type", "text/plain").body(format!("logout_token={token}")),
            400,
        ),
        (post(format!("logout_token={token}&logout_token={token}")), 400),
        (post(format!("logout_token={token}&x=1&logout_token=x")), 400),
        (post("a=b".to_owned()), 400),
        (post(String::new()), 400),
    ];
    for (ask, status) in refused {
        let what = format!("{ask:?}");
        let page = stranger.ask(ask).await;
        assert_eq!((page.status, page.location()), (status, None), "{what}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
        assert!(opens(&world, &cookie).await, "{what}");
    }
    // A megabyte: answered, and not read to its end.
    let mut raw = world.raw().await;
    let announced = format!("Content-Length: {}", 1024 * 1024);
    let lines = ["Content-Type: application/x-www-form-urlencoded", &*announced];
    raw.send(world.head(&format!("POST {BACK}"), &lines)).await;
    raw.send(format!("logout_token={token}&pad={}", "x".repeat(96 * 1024))).await;
    // Well before whoever sends nothing more is given up on.
    let answer = tokio::time::timeout(Duration::from_secs(5), raw.answer()).await.ok().flatten();
    let answer = answer.expect("an answer before the end of the body");
    assert!(matches!(answer.status, 400 | 413), "{answer:?}");
    assert!(opens(&world, &cookie).await);

    let foreign = post(format!("a=b&logout_token={token}&rd=https%3A%2F%2Fevil.example&sid=x"))
        .header("origin", ELSEWHERE)
        .header("sec-fetch-site", "cross-site");
    let page = stranger.ask(foreign).await.expect_status(200);
    assert!(page.location().is_none() && page.set_cookies().is_empty());
    assert!(!opens(&world, &cookie).await);
}

/// LOGOUT-11: a logout token that comes again after a new login leaves the new session alone.
#[tokio::test]
async fn a_replay_harms_nobody() {
    let world = World::start().await;
    for with_sid in [false, true] {
        let (old, sid) = session_of(&world, "alice").await;
        let token = world.op.logout_token(Some("alice"), with_sid.then_some(&*sid));
        send(&world, &token).await.expect_status(200);
        assert!(!opens(&world, &old).await);
        let (new, _) = session_of(&world, "alice").await;
        for _ in 0..3 {
            send(&world, &token).await.expect_status(200);
            assert!(opens(&world, &new).await, "with sid: {with_sid}");
        }
        // Another token with the same words is another logout.
        send(&world, &world.op.logout_token(Some("alice"), None)).await.expect_status(200);
        assert!(!opens(&world, &new).await);
    }
}

/// LOGOUT-08, DOS-06: logout tokens that do not hold are limited for each address; a provider that signs out many people at once is not.
#[tokio::test]
async fn forged_tokens_are_limited_and_true_ones_are_not() {
    let world =
        World::with(|config| config.with("limits.logins_per_minute = 5\nnetwork.trusted_proxies = [\"127.0.0.1\"]"))
            .await;
    let (cookie, sid) = session_of(&world, "alice").await;
    let post = async |address: &str, token: &str| {
        let ask = Ask::plain(Method::POST, world.url(BACK))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-forwarded-for", address)
            .body(codec::form(&[("logout_token", token)]));
        world.gateway.browser().ask(ask).await
    };
    for n in 0..50 {
        post("192.0.2.1", &world.op.logout_token(Some(&format!("user-{n}")), None)).await.expect_status(200);
    }
    for _ in 0..5 {
        post("192.0.2.2", "forged").await.expect_status(400);
    }
    let page = post("198.51.100.7, 192.0.2.2", "forged").await.expect_status(429);
    let wait: u64 = page.header("retry-after").expect("how long").parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    no_store(&page);
    assert_eq!(world.gateway.metrics().await.sum("vestibule_limited_total", &[("kind", "failed_logout_tokens")]), 1.0);
    assert!(opens(&world, &cookie).await);
    post("192.0.2.1", &world.op.logout_token(Some("alice"), Some(&sid))).await.expect_status(200);
    assert!(!opens(&world, &cookie).await);
}

/// A provider that may not send logout tokens ends nothing.
#[tokio::test]
async fn it_can_be_turned_off() {
    let world =
        World::with(|config| config.with("[providers.corp.logout]\nback_channel = false\nfront_channel = false")).await;
    let (cookie, sid) = session_of(&world, "alice").await;
    send(&world, &world.op.logout_token(Some("alice"), Some(&sid))).await.expect_status(400);
    let query = codec::form(&[("iss", world.op.issuer()), ("sid", &sid)]);
    world.gateway.browser().step(world.url(&format!("/oauth2/logout/frontchannel?{query}"))).await.expect_status(400);
    assert!(opens(&world, &cookie).await);
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

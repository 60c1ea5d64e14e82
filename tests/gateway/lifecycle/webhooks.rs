//! Other systems learn of sessions by signed requests.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::Value;

use crate::support::client::Ask;
use crate::support::codec::random_name;
use crate::support::wait::eventually;
use crate::support::{Echo, Seen};
use crate::world::{SOON, World};

/// A sign-in, a sign-out and a logout by the provider are told, each once, signed, and with nothing that opens anything.
#[tokio::test]
async fn the_life_of_sessions_is_told() {
    let (siem, secret) = (Echo::start().await, random_name("webhook-secret-of-some-length-"));
    let table = format!(
        "[webhooks.siem]\nurl = \"{}/hook?key=in-the-url\"\nsecret = {{ file = \"@DIR@/siem\" }}\n\
         events = [\"session.started\", \"session.ended\"]",
        siem.url(),
    );
    let world =
        World::with(|config| config.with(&table).file("siem", &format!("whsec_{}\n", STANDARD.encode(&secret)))).await;
    let (alice, bob) = (world.signed_in().await, world.signed_in().await);
    let cookie = alice.cookie("vestibule").unwrap();
    alice.ask(Ask::fetch(Method::POST, world.url("/oauth2/logout"))).await.expect_status(200);
    let token = world.op.logout_token(Some(&subject(&world, &bob).await), None);
    let told = Ask::plain(Method::POST, world.url("/oauth2/logout/backchannel"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={token}"));
    bob.ask(told).await.expect_status(200);

    let seen = eventually("four events", SOON, async || Some(siem.requests()).filter(|seen| seen.len() >= 4)).await;
    let events: Vec<Value> = seen.iter().map(|seen| verified(seen, &secret)).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let (started, ended) = (of("session.started"), of("session.ended"));
    assert_eq!((started.len(), ended.len()), (2, 2), "{events:?}");
    let mut reasons: Vec<&str> = ended.iter().map(|event| event["data"]["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["logout", "provider"]);
    for event in ended {
        assert!(started.iter().any(|one| one["data"]["sid"] == event["data"]["sid"]), "{events:?}");
    }
    let all = format!("{seen:?}");
    assert!(!all.contains(&cookie) && !all.contains("eyJ"), "{all}");
    // Counted when the receiver's answer has come, which is after the receiver has seen the event.
    eventually("four deliveries counted", SOON, async || {
        let metrics = world.gateway.browser().fetch(format!("{}/metrics", world.gateway.admin_url())).await;
        metrics.text().contains("vestibule_webhook_delivered_total{webhook=\"siem\"} 4\n").then_some(())
    })
    .await;
}

async fn subject(world: &World, browser: &crate::support::Browser) -> String {
    let page = browser.fetch(world.url("/oauth2/userinfo")).await.expect_status(200);
    page.json()["sub"].as_str().unwrap().to_owned()
}

/// What a receiver has to do (Standard Webhooks, "Verifying webhook authenticity").
fn verified(seen: &Seen, secret: &str) -> Value {
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/hook?key=in-the-url"));
    let field = |name: &str| {
        let found = seen.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name}: {seen:?}"))
    };
    assert_eq!(field("content-type"), "application/json");
    let signed = format!("{}.{}.{}", field("webhook-id"), field("webhook-timestamp"), seen.body);
    let tag = STANDARD.decode(field("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes(), &tag)
        .expect("our signature");
    serde_json::from_str(&seen.body).unwrap()
}

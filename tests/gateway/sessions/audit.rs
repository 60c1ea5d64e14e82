//! The audit trail.

use http::Method;
use serde_json::{Value, json};

use crate::login::{SESSION, answered};
use crate::support::client::Ask;
use crate::support::{Browser, Endpoint, codec};
use crate::world::{SOON, World};

/// OPS-03: one scripted run writes exactly these events, in order, each with who, which session, from where and why; input with line
/// breaks breaks no line.
#[tokio::test]
async fn a_run_leaves_exactly_its_events() {
    let world = World::with(|config| {
        config.route("path = \"/admins\"\nupstream = \"app\"\nrequire = { groups = [\"admins\"] }")
    })
    .await;
    let browser = world.gateway.browser();
    let mut sids = Vec::new();

    world.op.script(|script| {
        script.deny("access_denied", "no\r\n{\"target\":\"vestibule::audit\",\"event\":\"logout\"}\n");
    });
    browser.navigate(world.url("/a%0Ab?c=%0A")).await;
    browser.navigate(world.url("/")).await.expect_status(403);
    world.op.behave();
    world.op.script(|script| {
        script.id_token_claims(|claims| claims["nonce"] = "wr\nong".into());
    });
    browser.navigate(world.url("/")).await.expect_status(502);
    world.op.behave();

    sids.push(sign_in(&world, &browser).await);
    let page = browser.ask(Ask::fetch(Method::GET, world.url("/admins")).header("user-agent", "a\tb \"}")).await;
    page.expect_status(403);
    world.op.script(|script| {
        script.user("bob");
    });
    sids.push(sign_in(&world, &browser).await);
    browser.ask(Ask::form(world.url("/oauth2/logout"), &[("rd", "/\n{}")])).await.expect_status(303);
    world.op.behave();

    sids.push(sign_in(&world, &browser).await);
    world.op.end_grants();
    browser.ask(Ask::fetch(Method::POST, world.url("/oauth2/session/refresh"))).await.expect_status(401);
    sids.push(sign_in(&world, &browser).await);
    world.gateway.admin("DELETE", &format!("/api/sessions/{}", sids[3]), None).await.expect_status(204);
    browser.fetch(world.url("/")).await.expect_status(401);
    sids.push(sign_in(&world, &browser).await);
    sids.push(sign_in(&world, &world.gateway.browser()).await);
    let others = Ask::fetch(Method::POST, world.url("/oauth2/sessions/revoke"))
        .header("content-type", "application/json")
        .body("{\"others\": true}");
    assert_eq!(browser.ask(others).await.expect_status(200).json()["revoked"], 1);
    crate::logout::send(&world, &world.op.logout_token(Some("alice"), None)).await.expect_status(200);
    // In browsers of their own: one that signs in over and over is told that it goes round in circles.
    sids.push(sign_in(&world, &world.gateway.browser()).await);
    let frame = codec::form(&[("iss", world.op.issuer()), ("sid", &world.op.last_sid())]);
    let frame = Ask::frame(world.url(&format!("/oauth2/logout/frontchannel?{frame}")));
    browser.ask(frame.caused_by(world.op.issuer())).await.expect_status(200);
    sids.push(sign_in(&world, &world.gateway.browser()).await);
    let body = json!({"provider": "corp", "sub": "alice"});
    let revoked = world.gateway.admin("POST", "/api/revocations", Some(&body)).await.expect_status(200).json();
    assert_eq!(revoked["revoked"], 1);

    // event, sub, which session of the list, what the reason says
    let expected: [(&str, Option<&str>, Option<usize>, &str); 19] = [
        ("login_failed", None, None, "access_denied"),
        ("login_failed", None, None, "`nonce`"),
        ("login_succeeded", Some("alice"), Some(0), ""),
        ("access_denied", Some("alice"), Some(0), "groups"),
        ("login_succeeded", Some("bob"), Some(1), ""),
        ("session_ended", Some("alice"), Some(0), "new login"),
        ("logout", Some("bob"), Some(1), ""),
        ("login_succeeded", Some("alice"), Some(2), ""),
        ("refresh_failed", Some("alice"), Some(2), "refresh token"),
        ("login_succeeded", Some("alice"), Some(3), ""),
        ("admin_action", None, Some(3), "end one"),
        ("login_succeeded", Some("alice"), Some(4), ""),
        ("login_succeeded", Some("alice"), Some(5), ""),
        ("revoked", Some("alice"), Some(4), "of their own"),
        ("revoked", Some("alice"), None, "the provider"),
        ("login_succeeded", Some("alice"), Some(6), ""),
        ("revoked", None, None, "by a frame"),
        ("login_succeeded", Some("alice"), Some(7), ""),
        ("admin_action", Some("alice"), None, "revoke a user"),
    ];
    crate::support::eventually("the last event", SOON, || async {
        trail(&world).into_iter().find(|event| event["event"] == "admin_action" && event["sid"].is_null())
    })
    .await;
    let mut events = trail(&world);
    // A new login ends the old session after its own stands; either order of the two lines is right.
    for at in 1..events.len() {
        if events[at - 1]["event"] == "session_ended" {
            events.swap(at - 1, at);
            break;
        }
    }
    let words: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let wanted: Vec<&str> = expected.iter().map(|one| one.0).collect();
    assert_eq!(words, wanted);
    for (event, (word, sub, session, reason)) in events.iter().zip(expected) {
        assert_eq!(event["sid"].as_str(), session.map(|at| sids[at].as_str()), "{event}");
        assert_eq!(event["sub"].as_str(), sub, "{event}");
        assert!(event["reason"].as_str().unwrap_or_default().contains(reason), "{event}");
        // Who failed to sign in is not known, nor whose session a frame names; where, is.
        let known = sub.is_some() || matches!(word, "login_failed" | "revoked");
        assert_eq!((event["issuer"].is_string(), event["provider"] == "corp"), (known, known), "{event}");
        assert_eq!(event["address"], "127.0.0.1", "{event}");
        let counted = matches!(word, "revoked" | "admin_action").then_some(1);
        assert_eq!(event["count"].as_u64(), counted, "{event}");
        if word != "admin_action" {
            assert!(event["request_id"].as_str().is_some_and(|id| id.len() >= 16), "{event}");
        }
    }
    for line in world.gateway.logs().lines() {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed["timestamp"].as_str().is_some_and(|time| time.contains('T')), "{line}");
    }
    assert_eq!(world.op.count(Endpoint::Other), 0);
}

/// The events, without those that come with time and not with the run.
fn trail(world: &World) -> Vec<Value> {
    world.gateway.audit_events().into_iter().filter(|event| event["event"] != "keys_rotated").collect()
}

/// Signs in anew and says which session that is.
async fn sign_in(world: &World, browser: &Browser) -> String {
    let page = browser.step(world.url("/oauth2/login?rd=/")).await.expect_status(303);
    browser.step(answered(browser, &page).await).await.expect_status(303);
    assert!(browser.cookie(SESSION).is_some());
    browser.fetch(world.url("/oauth2/session")).await.expect_status(200).json()["sid"].as_str().unwrap().to_owned()
}

/// `telemetry.access_log` decides whether requests are written down; audit events are written either way.
#[tokio::test]
async fn access_lines_can_be_switched_off() {
    for written in [true, false] {
        let world = World::with(|config| config.with(&format!("telemetry.access_log = {written}"))).await;
        world.signed_in().await.fetch(world.url("/oauth2/session")).await.expect_status(200);
        world.gateway.audit_event("login_succeeded").await;
        let lines = world.gateway.output().contains("vestibule::access");
        assert_eq!(lines, written);
    }
}

/// OPS-03: however few lines are asked for, by the file or the environment, who signed in stands in the log; no other line of that level
/// does. Only saying so leaves them out.
#[tokio::test]
async fn no_filter_silences_the_trail() {
    for (file, environment) in
        [("warn", None), ("off", None), ("vestibule::audit=off", None), ("info", Some("off")), ("info", Some("error"))]
    {
        let world = World::with(|config| {
            let config = config.with(&format!("telemetry.log = \"{file}\""));
            environment.map_or(config.clone(), |filter| config.environment("RUST_LOG", filter))
        })
        .await;
        let browser = world.signed_in().await;
        browser.ask(Ask::form(world.url("/oauth2/logout"), &[("rd", "/")])).await.expect_status(303);
        world.gateway.audit_event("login_succeeded").await;
        world.gateway.audit_event("logout").await;
        for line in world.gateway.log_lines() {
            let quiet = matches!(line["level"].as_str(), Some("WARN" | "ERROR"));
            assert!(quiet || line["target"] == "vestibule::audit", "{file} {environment:?}: {line}");
        }
    }
    let world = World::with(|config| config.with("telemetry.audit = []")).await;
    world.signed_in().await.fetch(world.url("/last")).await.expect_status(200);
    let lines = async || world.gateway.logs().contains("/last").then_some(());
    crate::support::eventually("the last request's line", SOON, lines).await;
    assert!(!world.gateway.logs().contains("vestibule::audit"));
    assert!(world.gateway.logs().contains("Nothing is written about who signed in"), "and it is warned of");
}

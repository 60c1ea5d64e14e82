//! Logouts that come while something else is going on.

use std::time::Duration;

use super::{BACK, send};
use crate::login::{SESSION, callback, opens};
use crate::support::{Browser, Endpoint, codec};
use crate::world::World;

/// LOGOUT-09: a logout that comes between the provider's token answer and the new session's record prevents that session.
#[tokio::test]
async fn a_login_under_way_is_ended_too() {
    let world = World::start().await;
    world.cookie().await;
    for by_sid in [true, false] {
        let browser = world.gateway.browser();
        let back = callback(&world, &browser, "/").await;
        let sid = world.op.last_sid();
        let gate = world.op.hold(Endpoint::Token);
        let logout = async {
            gate.arrived().await;
            let (sub, sid) = if by_sid { (None, Some(&*sid)) } else { (Some("alice"), None) };
            send(&world, &world.op.logout_token(sub, sid)).await.expect_status(200);
            gate.open();
        };
        let (page, ()) = tokio::join!(browser.step(back), logout);
        assert_eq!(page.status, 403, "by sid: {by_sid}: {page:?}");
        assert_eq!(browser.cookie(SESSION), None);
        let page = world.gateway.admin("GET", "/api/sessions?provider=corp&sub=alice", None).await.expect_status(200);
        let left = page.json()["sessions"].as_array().unwrap().len();
        assert_eq!(left, usize::from(by_sid), "only what was there before may be there");
        world.op.script(|script| {
            script.heal(Endpoint::Token);
        });
        // The next login is none of that logout's business.
        world.cookie().await;
        world
            .gateway
            .admin("POST", "/api/revocations", Some(&serde_json::json!({"provider": "corp", "sub": "alice"})))
            .await;
        world.cookie().await;
    }
}

/// LOGOUT-12: a provider that calls back before it answers its own end-session request is answered at once, whoever began.
#[tokio::test]
async fn the_provider_may_call_back_meanwhile() {
    let world = World::start().await;
    let uri = world.url(BACK);
    world.op.change_client(|client| client.backchannel_logout_uri = Some(uri));
    world.op.script(|script| {
        script.calls_back_at_end_session();
    });
    for begun_here in [true, false] {
        let browser: Browser = world.signed_in().await;
        let cookie = browser.cookie(SESSION).unwrap();
        let hint = world.op.last_id_token();
        let logout = async {
            if begun_here {
                browser.submit(world.url("/oauth2/logout"), &[("a", "b")]).await.expect_status(200)
            } else {
                let query = codec::form(&[("id_token_hint", &hint)]);
                browser.navigate(format!("{}/end_session?{query}", world.op.issuer())).await.expect_status(200)
            }
        };
        let page = tokio::time::timeout(Duration::from_secs(5), logout).await.expect("no deadlock");
        assert_eq!(page.url.path(), if begun_here { "/oauth2/signed_out" } else { "/end_session" });
        assert!(!opens(&world, &cookie).await, "begun here: {begun_here}");
        let sub = world.gateway.admin("GET", "/api/sessions", None).await.json();
        assert_eq!(sub["sessions"].as_array().map(Vec::len), Some(0));
    }
    let told = world.gateway.audit_events().into_iter().filter(|event| event["event"] == "revoked").count();
    assert_eq!(told, 2, "both times the provider called");
}

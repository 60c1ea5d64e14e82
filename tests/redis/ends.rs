//! The ends that a session can come to, seen from every replica.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::support::{Ask, eventually};
use crate::world::{SOON, World, cookies};

/// SESS-05: signed in at one replica is known at the other; signed out at one is refused at the other, within the bound.
#[tokio::test]
async fn signing_out_at_one_replica_counts_at_all() {
    let world = World::start().await;
    for (out, other) in [(0, 1), (1, 0)] {
        let browser = world.signed_in().await;
        let line = cookies(&browser);
        for replica in [0, 1, other] {
            assert_eq!(world.replay(replica, &line).await.status, 200);
        }
        let ask = Ask::fetch(Method::POST, world.url("/oauth2/logout"));
        world.at(out, &browser).ask(ask).await.expect_status(200);
        assert_eq!(world.replay(out, &line).await.status, 401, "this replica knows at once");
        world.refused_everywhere(&line).await;
        assert_eq!(world.records(), [""; 0]);
    }
}

/// SESS-04: both limits hold at both replicas: the idle one without traffic, the absolute one with constant traffic and
/// with tokens that are refreshed all the time.
#[tokio::test]
async fn sessions_end_by_idleness_and_by_age() {
    let world = World::with(|config| config.with("[session]\nidle = \"2s\"\nlifetime = \"5s\"")).await;
    world.op.script(|script| {
        script.expires_in(1);
    });
    let idle = cookies(&world.signed_in_as("idle").await);
    let busy = cookies(&world.signed_in_as("busy").await);
    let begun = Instant::now();
    let is_idle = async {
        // Asking would be activity: time itself is what passes here.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        for replica in [1, 0] {
            assert_eq!(world.replay(replica, &idle).await.status, 401);
        }
    };
    let is_busy = async {
        let mut asked = 0;
        let ended = eventually("the absolute limit", Duration::from_secs(8), || {
            asked += 1;
            let replica = asked % 2;
            let (world, busy) = (&world, &busy);
            async move { (world.replay(replica, busy).await.status == 401).then(Instant::now) }
        })
        .await;
        let lived = ended - begun;
        assert!(lived > Duration::from_secs(4) && lived < Duration::from_secs(6), "{lived:?}");
    };
    tokio::join!(is_idle, is_busy);
    assert!(world.op.grants("refresh_token") >= 2, "it was refreshed, and that extended nothing");
    world.refused_everywhere(&busy).await;
}

/// SESS-17: operators see all sessions of a user from any replica, and end one, all of a user, or everybody's; both replicas obey.
#[tokio::test]
async fn operators_end_sessions_on_all_replicas() {
    let world = World::start().await;
    let mut alice = Vec::new();
    for _ in 0..5 {
        alice.push(cookies(&world.signed_in_as("alice").await));
    }
    let bob = cookies(&world.signed_in_as("bob").await);

    let list = async |replica: usize, query: &str| {
        let page = world.replicas[replica].admin("GET", &format!("/api/sessions{query}"), None).await;
        page.expect_status(200).json()["sessions"].as_array().unwrap().clone()
    };
    assert_eq!(list(0, "").await.len(), 6);
    let hers = list(1, "?provider=corp&sub=alice").await;
    assert_eq!(hers.len(), 5);
    for one in &hers {
        assert_eq!(
            (&one["sub"], &one["provider"], &one["address"]),
            (&json!("alice"), &json!("corp"), &json!("127.0.0.1"))
        );
    }

    let ask = Ask::fetch(Method::GET, world.url("/oauth2/session")).header("cookie", &alice[0]);
    let sid = world.replicas[0].browser().ask(ask).await.json()["sid"].as_str().unwrap().to_owned();
    let path = format!("/api/sessions/{sid}");
    world.replicas[1].admin("DELETE", &path, None).await.expect_status(204);
    world.refused_everywhere(&alice[0]).await;
    world.replicas[0].admin("DELETE", &path, None).await.expect_status(404);

    let whom = json!({"provider": "corp", "sub": "alice"});
    assert_eq!(world.revoke(0, &whom).await, 4);
    for line in &alice {
        world.refused_everywhere(line).await;
    }
    assert_eq!(world.revoke(1, &whom).await, 0);
    assert_eq!((world.replay(0, &bob).await.status, world.replay(1, &bob).await.status), (200, 200));
    assert_eq!(list(0, "").await.len(), 1);

    world.revoke(1, &json!({"all": true})).await;
    world.refused_everywhere(&bob).await;
    let again = cookies(&world.signed_in_as("alice").await);
    assert_eq!(world.replay(1, &again).await.status, 200);
    eventually("the audit trail", SOON, || async {
        (world.replicas[0].audit_events().iter().filter(|event| event["event"] == "admin_action").count() == 1)
            .then_some(())
    })
    .await;
}

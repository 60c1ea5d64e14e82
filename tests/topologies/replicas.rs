//! `near_cache.replicas`: nothing is acknowledged, and nothing confirmed, that a failover could undo.

use std::time::Instant;

use crate::support::eventually;
use crate::support::redis::Sentinel;
use crate::world::{AS_WATCHED, LONG, SLACK, STALENESS, World, behind_sentinel, watched};

const ONE: &str = "session.near_cache.replicas = 1";

/// SESS-05: a primary that is cut off from its replica acknowledges no revocation and confirms no beat; when they are together again, both.
#[tokio::test]
async fn a_primary_without_its_replica_acknowledges_nothing() {
    let mut sentinel = Sentinel::with(behind_sentinel, watched()).await;
    let world = World::with(&sentinel.url(AS_WATCHED), |config| config.with(ONE)).await;
    world.near(LONG).await;
    assert!(!world.replicas.output().contains("nothing waits for"), "something does");
    let people = world.people(2).await;
    sentinel[1].pause();
    let since = Instant::now();
    for _ in 0..2 {
        let page = world.revoke(0, &people[0]).await.expect_status(503);
        assert!(page.header("retry-after").is_some(), "{page:?}");
    }
    for replica in [0, 1] {
        eventually("a near cache that is not confirmed", STALENESS + SLACK, || async {
            world.confirmed_age(replica).await.is_none_or(|age| age > STALENESS).then_some(())
        })
        .await;
    }
    println!("no confirmation {:?} after the cut", since.elapsed());
    // The store answers reads, so who was not revoked is served by asking it; and so it stays.
    for replica in [0, 1] {
        assert_eq!(world.ask(replica, &people[1]).await.status, 200);
        assert!(world.confirmed_age(replica).await.is_none_or(|age| age > STALENESS));
    }
    sentinel[1].go_on();
    eventually("an acknowledgement", LONG, || async {
        (world.revoke(0, &people[0]).await.status == 200).then_some(())
    })
    .await;
    world.refused_everywhere(&people[0]).await;
    world.near(LONG).await;
}

/// SESS-05: what was acknowledged survives the primary that dies at once.
#[tokio::test]
async fn an_acknowledged_revocation_survives_a_failover() {
    let mut sentinel = Sentinel::with(behind_sentinel, watched()).await;
    let world = World::with(&sentinel.url(AS_WATCHED), |config| config.with(ONE)).await;
    let people = world.people(6).await;
    world.all_served(&people, LONG).await;
    for person in &people[..5] {
        world.revoke(0, person).await.expect_status(200);
    }
    sentinel[0].kill().await;
    sentinel.failed_over(0).await;
    for person in &people[..5] {
        for replica in [0, 1] {
            eventually("an answer", LONG, || async {
                let status = world.ask(replica, person).await.status;
                assert!(matches!(status, 401 | 503), "{status} for somebody whose end was acknowledged");
                (status == 401).then_some(())
            })
            .await;
        }
    }
    // With the only replica in the place of the primary there is none left to wait for.
    assert_eq!(world.revoke(0, &people[5]).await.status, 503);
}

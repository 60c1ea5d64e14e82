//! Sentinels are servers like others: they stand still, die, and are replaced.

use crate::support::eventually;
use crate::support::redis::Sentinel;
use crate::traffic::Traffic;
use crate::world::{AS_WATCHED, LONG, World, behind_sentinel, watched};

/// SESS-13: one sentinel that stands still is not asked for ever: the next attempt asks the next.
#[tokio::test]
async fn a_sentinel_that_stands_still_holds_nothing_up() {
    for silent in 0..3 {
        let mut sentinel = Sentinel::start().await;
        sentinel.sentinel_mut(silent).pause();
        let world = World::start(&sentinel.url("")).await;
        let people = world.people(2).await;
        // Every connection is made anew, several times: each sentinel's turn comes.
        for _ in 0..3 {
            sentinel[0].cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            world.all_served(&people, LONG).await;
            world.near(LONG).await;
        }
    }
}

/// With all sentinels gone service goes on for as long as the connections last, and again when the sentinels are back.
#[tokio::test]
async fn sentinels_that_are_gone_are_missed_only_when_needed() {
    let mut sentinel = Sentinel::with(behind_sentinel, watched()).await;
    let world = World::start(&sentinel.url(AS_WATCHED)).await;
    let (people, gone) = (world.people(4).await, world.person("gone", 0).await);
    world.near(LONG).await;
    for n in 0..3 {
        sentinel.sentinel_mut(n).kill().await;
    }
    let traffic = Traffic::start(&world, &people);
    world.revoke(0, &gone).await.expect_status(200);
    world.refused_everywhere(&gone).await;
    sentinel[0].cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    eventually("503", LONG, || async { (world.ask(0, &people[0]).await.status == 503).then_some(()) }).await;
    // One that knows the primary is enough.
    sentinel.sentinel_mut(1).start_again().await;
    world.all_served(&people, LONG).await;
    traffic.stop(&world).await;
    world.near(LONG).await;
}

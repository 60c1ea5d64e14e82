//! Slots of a cluster that move to another node, key by key, while people go on.

use crate::support::redis::Cluster;
use crate::traffic::{Traffic, is_served};
use crate::world::{LONG, World, in_cluster};

/// The names of all sessions' records, wherever they lie.
fn records(cluster: &Cluster, nodes: usize) -> Vec<String> {
    let keys = (0..nodes).filter(|node| !cluster[*node].cli(&["ROLE"]).starts_with("slave"));
    let mut records: Vec<_> = keys.flat_map(|node| cluster[node].records()).collect();
    records.sort();
    records.dedup();
    records
}

/// SESS-13: slots with sessions in them move to a new node. While a key lies on neither side for sure there may be a 503; nothing is
/// lost, and nobody is signed out.
#[tokio::test]
async fn slots_move_under_traffic() {
    let mut cluster = Cluster::with(in_cluster).await;
    let world = World::start(&cluster.url("")).await;
    let people = world.people(6).await;
    let new = cluster.add().await;
    let before = records(&cluster, new + 1);
    assert_eq!(before.len(), people.len());
    let traffic = Traffic::start(&world, &people);
    let mut slots: Vec<u16> = before.iter().map(|key| cluster.slot(key)).collect();
    slots.sort_unstable();
    slots.dedup();
    for slot in slots.iter().take(4) {
        cluster
            .move_slot(*slot, new, async || {
                // Not only the traffic beside: each step is seen by somebody.
                for person in &people {
                    is_served(&world.ask(0, person).await);
                }
            })
            .await;
        assert_eq!(cluster.owner(*slot, new), new);
    }
    world.all_served(&people, LONG).await;
    let (served, unavailable) = traffic.stop(&world).await;
    println!("moving slots: {served} served, {unavailable} times 503");
    assert_eq!(records(&cluster, new + 1), before);
    assert!(!records(&cluster, new + 1).is_empty());
    // The new node counts: what lies there is told about, too.
    world.near(LONG).await;
    for person in &people[..3] {
        world.revoke(1, person).await.expect_status(200);
        world.refused_everywhere(person).await;
    }
    world.all_served(&people[3..], LONG).await;
}

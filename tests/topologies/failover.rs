//! A primary that dies or stands still while people go on: nobody is signed out, and soon after the store is back, so are we.

use std::time::{Duration, Instant};

use crate::support::redis::{Cluster, Redis, Sentinel};
use crate::support::{eventually, free_port};
use crate::traffic::Traffic;
use crate::world::{AS_WATCHED, LONG, Person, World, behind_sentinel, in_cluster, watched};

/// After a plain client could write again. Two seconds are meant; a busy machine adds its own.
const BACK: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Kill,
    Stop,
}

impl How {
    async fn take_away(self, server: &mut Redis) {
        match self {
            Self::Kill => server.kill().await,
            Self::Stop => server.pause(),
        }
    }

    async fn give_back(self, server: &mut Redis) {
        match self {
            Self::Kill => server.start_again().await,
            Self::Stop => server.go_on(),
        }
    }
}

/// Waits until the replicas of a primary have what it has by now: what they lack a failover would lose, and with it whoever
/// just signed in.
async fn replicated(primary: &Redis) {
    let info = || primary.cli(&["INFO", "replication"]);
    let number = |text: &str, name: &str| {
        text.split(['\n', ',']).find_map(|part| part.trim().strip_prefix(name)?.parse::<u64>().ok())
    };
    let written = number(&info(), "master_repl_offset:").expect("an offset");
    eventually("a replica that keeps up", LONG, || {
        let had = number(&info(), "offset=");
        async move { had.filter(|had| *had >= written) }
    })
    .await;
}

/// A plain client can write at the new primary by now: so should we soon.
async fn is_back(world: &World, people: &[Person], what: &str) {
    let back = Instant::now();
    world.all_served(people, BACK).await;
    let after = back.elapsed();
    println!("{what}: service {after:?} after the store was back");
    assert!(after < BACK, "{what}: {after:?}");
}

/// Everything works: what is near is confirmed, tokens are renewed, whoever is revoked is refused.
async fn is_whole(world: &World, people: &[Person]) {
    world.all_served(people, LONG).await;
    world.near(LONG).await;
    world.refresh(0, &people[0]).await.expect_status(200);
    world.revoke(1, &people[1]).await.expect_status(200);
    world.refused_everywhere(&people[1]).await;
    world.all_served(&people[2..], LONG).await;
}

fn is_replica(server: &Redis) -> bool {
    server.try_command(&["ROLE"]).is_ok_and(|role| role.text().starts_with("slave"))
}

async fn over_sentinels(how: How) {
    let mut sentinel = Sentinel::with(behind_sentinel, watched()).await;
    let world = World::start(&sentinel.url(AS_WATCHED)).await;
    let people = world.people(6).await;
    replicated(&sentinel[0]).await;
    let traffic = Traffic::start(&world, &people);
    how.take_away(&mut sentinel[0]).await;
    sentinel.failed_over(0).await;
    let new = sentinel.primary();
    eventually("a write", LONG, || {
        let written = sentinel[new].cli(&["SET", "probe", "1"]) == "OK";
        async move { written.then_some(()) }
    })
    .await;
    is_back(&world, &people, &format!("sentinels, {how:?}")).await;
    how.give_back(&mut sentinel[0]).await;
    eventually("an old primary that follows", LONG, || {
        let follows = is_replica(&sentinel[0]);
        async move { follows.then_some(()) }
    })
    .await;
    let (served, unavailable) = traffic.stop(&world).await;
    println!("sentinels, {how:?}: {served} served, {unavailable} times 503");
    is_whole(&world, &people).await;
}

async fn over_a_cluster(how: How) {
    let mut cluster = Cluster::with(in_cluster).await;
    let world = World::start(&cluster.url("")).await;
    let people = world.people(9).await;
    for primary in 0..3 {
        replicated(&cluster[primary]).await;
    }
    let probe = (0..).map(|n| format!("probe{n}")).find(|probe| cluster.slot(probe) < 5461).unwrap();
    let traffic = Traffic::start(&world, &people);
    how.take_away(&mut cluster[0]).await;
    cluster.failed_over(0).await;
    let new = cluster.owner(0, 1);
    eventually("a write", LONG, || {
        let written = cluster[new].cli(&["SET", &probe, "1"]) == "OK";
        async move { written.then_some(()) }
    })
    .await;
    is_back(&world, &people, &format!("cluster, {how:?}")).await;
    how.give_back(&mut cluster[0]).await;
    eventually("an old primary that follows", LONG, || {
        let follows = is_replica(&cluster[0]);
        async move { follows.then_some(()) }
    })
    .await;
    let (served, unavailable) = traffic.stop(&world).await;
    println!("cluster, {how:?}: {served} served, {unavailable} times 503");
    is_whole(&world, &people).await;
}

/// SESS-13, I4: the primary behind sentinels is killed.
#[tokio::test]
async fn a_primary_behind_sentinels_dies() {
    over_sentinels(How::Kill).await;
}

/// SESS-13, I4: the primary behind sentinels stands still, with all connections open, and goes on when another one has its place.
#[tokio::test]
async fn a_primary_behind_sentinels_stands_still() {
    over_sentinels(How::Stop).await;
}

/// SESS-13, I4: one primary of a cluster is killed.
#[tokio::test]
async fn a_primary_of_a_cluster_dies() {
    over_a_cluster(How::Kill).await;
}

/// SESS-13, I4: one primary of a cluster stands still, and goes on when another one has its place.
#[tokio::test]
async fn a_primary_of_a_cluster_stands_still() {
    over_a_cluster(How::Stop).await;
}

/// SESS-13: the places that the URL names may be gone one day, all of them; a gateway that runs knows the others.
#[tokio::test]
async fn a_cluster_is_found_again_where_it_went() {
    let mut cluster = Cluster::with(in_cluster).await;
    // Of two places that are named, one is where nobody is, and the other is about to die.
    let url = cluster.url("");
    let (account, _) = url.rsplit_once('@').unwrap();
    let url = format!("{account}@{}?node=127.0.0.1:{}", cluster[0].address(), free_port());
    let world = World::start(&url).await;
    let people = world.people(4).await;
    for primary in 0..3 {
        replicated(&cluster[primary]).await;
    }
    let traffic = Traffic::start(&world, &people);
    cluster[0].kill().await;
    cluster.failed_over(0).await;
    is_back(&world, &people, "cluster without its named node").await;
    traffic.stop(&world).await;
}

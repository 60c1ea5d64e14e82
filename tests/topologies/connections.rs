//! A replica of the gateway has several connections to the store. Any of them may die alone.

use std::time::{Duration, Instant};

use crate::support::fault_proxy::Mode;
use crate::support::redis::{Redis, Sentinel};
use crate::support::{FaultProxy, eventually};
use crate::traffic::Traffic;
use crate::world::{AS_WATCHED, LONG, STALENESS, World, behind_sentinel, single, watched};

/// The numbers of connections whose line in `CLIENT LIST` is like that.
fn clients(redis: &Redis, like: impl Fn(&str) -> bool) -> Vec<String> {
    let list = redis.cli(&["CLIENT", "LIST", "TYPE", "normal"]);
    let ours = list.lines().filter(|line| line.contains("user=gateway") && like(line));
    ours.filter_map(|line| line.split(' ').find_map(|part| part.strip_prefix("id="))).map(str::to_owned).collect()
}

/// Redis tells of changes over it.
fn is_told(line: &str) -> bool {
    line.split(' ').any(|part| part.strip_prefix("flags=").is_some_and(|flags| flags.contains('t')))
}

fn kill(redis: &Redis, clients: &[String]) {
    for client in clients {
        assert_eq!(redis.cli(&["CLIENT", "KILL", "ID", client]), "1");
    }
}

/// SESS-05: the connection over which changes are told dies, again and again. Everybody is served meanwhile, and whoever is revoked is
/// refused in time.
#[tokio::test]
async fn the_near_caches_connection_dies_alone() {
    let redis = single().start().await;
    let world = World::start(&redis.url()).await;
    world.near(LONG).await;
    let people = world.people(8).await;
    let traffic = Traffic::start(&world, &people[4..]);
    for person in &people[..4] {
        let told = clients(&redis, is_told);
        assert_eq!(told.len(), 2, "one for each replica");
        kill(&redis, &told);
        world.revoke(0, person).await.expect_status(200);
        world.refused_everywhere(person).await;
        let since = Instant::now();
        eventually("new connections", LONG, || {
            let new = clients(&redis, is_told);
            let both = new.len() == 2 && new.iter().all(|one| !told.contains(one));
            async move { both.then_some(()) }
        })
        .await;
        world.near(Duration::from_secs(5)).await;
        println!("the near cache was confirmed again after {:?}", since.elapsed());
    }
    let (_, unavailable) = traffic.stop(&world).await;
    assert_eq!(unavailable, 0, "the other connection was there all the time");
}

/// With `near_cache.replicas` there are two more connections, on which replicas are waited for. When they die nothing is confirmed or
/// acknowledged until they are back, which is soon.
#[tokio::test]
async fn the_connections_that_wait_for_replicas_die_alone() {
    let sentinel = Sentinel::with(behind_sentinel, watched()).await;
    let change = |config: crate::support::ConfigBuilder| config.with("session.near_cache.replicas = 1");
    let world = World::with(&sentinel.url(AS_WATCHED), change).await;
    world.near(LONG).await;
    let people = world.people(6).await;
    let traffic = Traffic::start(&world, &people[3..]);
    for person in &people[..3] {
        // Whoever waits now, or did so last: from the second time on, both kinds of both replicas.
        kill(&sentinel[0], &clients(&sentinel[0], |line| line.contains("cmd=wait")));
        let since = Instant::now();
        eventually("an acknowledgement", Duration::from_secs(5), || async {
            (world.revoke(0, person).await.status == 200).then_some(())
        })
        .await;
        world.refused_everywhere(person).await;
        world.near(Duration::from_secs(5)).await;
        println!("everything was confirmed again after {:?}", since.elapsed());
    }
    let (_, unavailable) = traffic.stop(&world).await;
    assert_eq!(unavailable, 0, "what is read waits for no replica");
}

/// SESS-13: a way that breaks for a moment under a crowd, in ways that leave much behind that was not sent, is used again within two seconds
/// (five on a busy machine) also when hardly anybody asks any more.
#[tokio::test]
async fn a_way_that_broke_under_a_crowd_is_used_by_few() {
    for mode in [Mode::Cut, Mode::SwallowAnswers, Mode::Blackhole] {
        let redis = single().start().await;
        let way = FaultProxy::start(redis.address()).await;
        let world = World::start(&redis.url_at(way.address)).await;
        let people = world.people(12).await;
        let traffic = Traffic::start(&world, &people);
        way.set(mode);
        // Until the near cache is not to be trusted any more, and everybody asks the store.
        for replica in [0, 1] {
            eventually("503", STALENESS * 4, || async {
                (world.ask(replica, &people[0]).await.status == 503).then_some(())
            })
            .await;
        }
        traffic.stop(&world).await;
        way.set(Mode::Pass);
        let since = Instant::now();
        world.all_served(&people[..1], Duration::from_secs(5)).await;
        println!("{mode:?}: service after {:?}", since.elapsed());
        world.near(Duration::from_secs(10)).await;
        world.revoke(0, &people[1]).await.expect_status(200);
        world.refused_everywhere(&people[1]).await;
    }
}

//! The real binary over each topology: what one replica does, the other knows.

use crate::support::TestCa;
use crate::support::redis::{Cluster, Sentinel};
use crate::support::wait::until;
use crate::world::{AS_WATCHED, LONG, World, behind_sentinel, in_cluster, single, watched};

/// Sign-in at one replica, requests and a refresh at the other, sign-out of one person by whichever. `loose` says whether the store has
/// replicas that nothing waits for: then each gateway says so at its start.
async fn serves(url: &str, loose: bool) {
    let world = World::start(url).await;
    world.near(LONG).await;
    for gateway in world.replicas.all() {
        let warned = || gateway.logs().contains("replicas that nothing waits for");
        match loose {
            true => until("a warning", LONG, warned).await,
            false => assert!(!warned()),
        }
    }
    let people = world.people(6).await;
    world.all_served(&people, LONG).await;
    for (n, person) in people.iter().enumerate() {
        let before = world.op.grants("refresh_token");
        world.refresh(1 - n % 2, person).await.expect_status(200);
        assert_eq!(world.op.grants("refresh_token"), before + 1);
    }
    world.all_served(&people, LONG).await;
    for (n, person) in people.iter().enumerate().take(4) {
        world.revoke(n % 2, person).await.expect_status(200);
        world.refused_everywhere(person).await;
    }
    world.all_served(&people[4..], LONG).await;
    let output = world.replicas.output();
    assert!(!output.contains("no-permission") && !output.contains("NOPERM"), "{output}");
    assert!(!output.contains("pass-word") && !output.contains("watch-word"));
}

/// TLS-09, SESS-05: one server, over TLS under an authority of one's own, with an account of the least rights.
#[tokio::test]
async fn one_server_with_tls_and_an_account() {
    let ca = TestCa::new();
    let redis = single().tls(&ca).start().await;
    serves(&format!("{}?ca={}", redis.tls_url(), ca.path().display()), false).await;
}

/// SESS-05: the same in the clear.
#[tokio::test]
async fn one_server_with_an_account() {
    let redis = single().start().await;
    serves(&redis.url(), false).await;
}

/// SESS-05: a primary that sentinels name, with accounts of the least rights at both.
#[tokio::test]
async fn behind_sentinels() {
    let sentinel = Sentinel::with(behind_sentinel, watched()).await;
    serves(&sentinel.url(AS_WATCHED), true).await;
}

/// SESS-05: a cluster of three primaries, with an account of the least rights.
#[tokio::test]
async fn over_a_cluster() {
    let cluster = Cluster::with(in_cluster).await;
    serves(&cluster.url(""), true).await;
}

/// TLS-09, SESS-05: sentinels and servers that speak TLS among each other and with us.
#[tokio::test]
async fn behind_sentinels_with_tls() {
    let ca = TestCa::new();
    let sentinel = Sentinel::with(|| behind_sentinel().tls(&ca), watched()).await;
    serves(&sentinel.url(&format!("{AS_WATCHED}&ca={}", ca.path().display())), true).await;
}

/// TLS-09, SESS-05: a cluster whose nodes speak TLS among each other and with us.
#[tokio::test]
async fn over_a_cluster_with_tls() {
    let ca = TestCa::new();
    let setup = {
        let ca = ca.clone();
        move || in_cluster().tls(&ca)
    };
    let cluster = Cluster::with(setup).await;
    serves(&cluster.url(&format!("&ca={}", ca.path().display())), true).await;
}

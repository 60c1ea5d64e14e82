//! The contract of stores, the near cache's part included, over each topology.

use std::sync::Arc;
use std::time::Duration;

use vestibule::base::{Secret, SystemClock};
use vestibule::session::contract::RealTime;
use vestibule::session::{RedisStore, SessionStore as _};
use vestibule::store_contract;

use crate::support::redis::{Cluster, Sentinel};
use crate::support::{Redis, TestCa, eventually};
use crate::world::{AS_WATCHED, LONG, behind_sentinel, in_cluster, single, watched};

async fn connected(url: String) -> (RedisStore, RealTime) {
    // A cluster that was told to forget everything is busy for a moment, and so may be the machine.
    let store = RedisStore::connect(&Secret::new(url), Duration::from_secs(2), Arc::new(SystemClock)).unwrap();
    eventually("a connection", LONG, || async {
        (store.ping().await.is_ok() && store.away_since().is_none()).then_some(())
    })
    .await;
    (store, RealTime)
}

mod over_tls {
    use super::*;

    store_contract!(in turn start(), empty);

    async fn start() -> (Redis, TestCa) {
        let ca = TestCa::new();
        (single().tls(&ca).start().await, ca)
    }

    async fn empty((redis, ca): &(Redis, TestCa)) -> (RedisStore, RealTime) {
        assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
        connected(format!("{}?ca={}", redis.tls_url(), ca.path().display())).await
    }
}

mod behind_sentinels {
    use super::*;

    store_contract!(in turn Sentinel::with(behind_sentinel, watched()), empty);

    async fn empty(sentinel: &Sentinel) -> (RedisStore, RealTime) {
        assert_eq!(sentinel[sentinel.primary()].cli(&["FLUSHALL"]), "OK");
        connected(sentinel.url(AS_WATCHED)).await
    }
}

mod over_a_cluster {
    use super::*;

    store_contract!(in turn Cluster::with(in_cluster), empty);

    async fn empty(cluster: &Cluster) -> (RedisStore, RealTime) {
        for primary in cluster.primaries(0) {
            assert_eq!(cluster[primary].cli(&["FLUSHALL"]), "OK");
        }
        connected(cluster.url("")).await
    }
}

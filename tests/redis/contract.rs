//! The contract of stores, over a Redis as operators set it up (an account with the rights that the documentation names,
//! TCP) and in memory.

use std::sync::Arc;
use std::time::Duration;

use vestibule::base::{Secret, SystemClock};
use vestibule::session::contract::RealTime;
use vestibule::session::{MemoryStore, RedisStore, SessionStore as _};
use vestibule::store_contract;
use vestibule::testing::ManualClock;

use crate::accounts::documented_rights;
use crate::support::{Redis, eventually};

mod redis {
    use super::*;

    store_contract!(in turn start(), empty);

    async fn start() -> Redis {
        Redis::setup().user("gateway", "pass-word", &documented_rights()).start().await
    }

    async fn empty(redis: &Redis) -> (RedisStore, RealTime) {
        assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
        let url = Secret::new(redis.url());
        let store = RedisStore::connect(&url, Duration::from_secs(1), Arc::new(SystemClock)).unwrap();
        eventually("a connection", Duration::from_secs(5), || async { store.ping().await.ok() }).await;
        (store, RealTime)
    }
}

mod memory {
    use super::*;

    store_contract!(async {
        let clock = ManualClock::default();
        (MemoryStore::new(Arc::new(clock.clone())), clock, ())
    });
}

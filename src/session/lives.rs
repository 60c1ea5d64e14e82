//! Many lives of sessions by chance over the memory store, and what breaks when something is left out.
//!
//! The model and the acts are the contract's (`contract::life`), which lives some of them over every store.

use std::sync::Arc;

use super::MemoryStore;
use super::contract::{Break, live, seeds};
use super::store::SessionStore;
use crate::testing::ManualClock;

fn memory() -> Arc<dyn SessionStore> {
    Arc::new(MemoryStore::new(Arc::new(ManualClock::default())))
}

/// SESS-04, SESS-05, SESS-07, LOGOUT-09: whatever people, providers, operators and time do in whatever order, and whichever answers of the
/// store are lost. A failure names its seed: `SEED=n cargo test --lib session::lives` lives it again.
#[tokio::test]
async fn every_life_is_as_the_model_says() {
    for seed in seeds(1..=400) {
        live(&memory(), seed, Break::Nothing).await.unwrap_or_else(|why| panic!("SEED={seed} {why}"));
    }
}

/// The model notices each part that is left out.
#[tokio::test]
async fn every_broken_part_is_noticed() {
    for broken in [Break::LateWrites, Break::Tombstones, Break::Numbers, Break::Records, Break::Uses] {
        let mut noticed = None;
        for seed in 1..=400 {
            noticed = live(&memory(), seed, broken).await.err();
            if noticed.is_some() {
                break;
            }
        }
        assert!(noticed.is_some(), "{broken:?} was not noticed");
    }
}

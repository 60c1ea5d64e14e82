//! A real redis-server: two replicas, outages, what lies in the store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::large_futures,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod world;

mod accounts;
mod backchannel;
mod contract;
mod ends;
mod hosts;
mod keys;
mod killed;
mod login;
mod outage;
mod refresh;
mod refusals;
mod start;
mod store;
mod streams;

#[path = "../support/self_test/store.rs"]
mod store_self_test;

//! Redis as operators run it: over TLS, with accounts, behind Sentinel, as a cluster. Real servers, several processes each.
//!
//! | what | where |
//! |---|---|
//! | the contract of stores, over each of them | `contract.rs` |
//! | the real binary, two replicas, over each of them | `service.rs` |
//! | a primary that dies or stands still, under traffic; the old one that comes back | `failover.rs` |
//! | a slot that moves, under traffic | `migration.rs` |
//! | what `near_cache.replicas` promises | `replicas.rs` |
//! | one of several connections that dies alone | `connections.rs` |
//! | sentinels that stand still or are gone | `sentinels.rs` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::large_futures,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests may fail loudly, and say what they measured"
)]

#[path = "../support/mod.rs"]
mod support;

mod traffic;
mod world;

mod connections;
mod contract;
mod failover;
mod migration;
mod replicas;
mod sentinels;
mod service;

//! The eight invariants of the design, each as a test of its name: under calm, and under chaos.
//!
//! Two replicas of the real binary, each with a way of its own to one real Redis, before a provider and an application behind ways that
//! break too. People do what people do, ways are cut, stalled, slowed, half-open or say things twice, all drawn from a seed, and what
//! everybody asked and was told is written down ([`history`]) and judged ([`invariants`]). `SEED=n` runs another one, or one again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::large_futures,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod configurations;
mod history;
mod invariants;
mod people;
mod weather;
mod world;

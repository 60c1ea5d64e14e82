//! The certified `oidc-provider` as the other side.

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

mod sign_in;
mod sign_out;
mod tokens;
mod world;

#[path = "../support/self_test/node.rs"]
mod node_self_test;

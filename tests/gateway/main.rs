//! The real binary against a scriptable provider (`badop`) and an upstream that shows the exact bytes it got (`echo`).

// None of this is the product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::large_futures,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod login;
mod logout;
mod sessions;
mod tokens;

mod world;

mod identity;
mod lifecycle;
mod proxy;

#[path = "../support/self_test/badop.rs"]
mod badop_self_test;
#[path = "../support/self_test/parts.rs"]
mod parts_self_test;

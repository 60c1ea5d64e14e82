//! Headless Chromium: what a real browser stores, sends and shows.

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

mod world;

mod cookies;
mod cross_site;
mod demo;
mod form_post;
mod login;
mod logout;
mod look;
mod pages;
mod return_targets;

#[path = "../support/self_test/chromium.rs"]
mod chromium_self_test;

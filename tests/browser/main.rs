//! Headless Chromium: what a real browser stores, sends and shows.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/self_test/chromium.rs"]
mod chromium_self_test;

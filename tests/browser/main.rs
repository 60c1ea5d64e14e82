//! Headless Chromium: what a real browser stores, sends and shows.

#[path = "../support/mod.rs"]
mod support;

mod world;

mod cookies;
mod cross_site;
mod demo;
mod login;
mod logout;
mod look;
mod pages;
mod return_targets;

#[path = "../support/self_test/chromium.rs"]
mod chromium_self_test;

//! The real binary against a scriptable provider (`badop`) and an upstream that shows the exact bytes it got (`echo`).

#[path = "../support/mod.rs"]
mod support;

mod login;
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

//! The certified `oidc-provider` from npm as the other side.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/self_test/node.rs"]
mod node_self_test;

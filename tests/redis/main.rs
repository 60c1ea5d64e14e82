//! A real redis-server: two replicas, outages, what lies in the store.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/self_test/store.rs"]
mod store_self_test;

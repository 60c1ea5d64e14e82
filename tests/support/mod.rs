//! The other sides of the gateway: providers, an upstream, a store, browsers, and the gateway's own process.
//!
//! Must never share code with the product: a mistake that both sides make would not be seen.
//!
//! Included by every integration test binary with `#[path = "../support/mod.rs"] mod support;`.

// Each binary uses a part of this tree, and none of it is the product.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::large_futures,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests may fail loudly, read the clock and make randomness"
)]

pub mod badop;
pub mod chromium;
pub mod client;
pub mod codec;
pub mod echo;
pub mod fault_proxy;
pub mod gateway;
pub mod h2;
pub mod node_op;
pub mod process;
pub mod raw;
pub mod redis;
pub mod tls;
pub mod wait;
pub mod websocket;

pub use badop::{BadOp, Endpoint, Key};
pub use chromium::Chromium;
pub use client::{Ask, Browser, Page, sign_in};
pub use echo::{Echo, Seen};
pub use fault_proxy::FaultProxy;
pub use gateway::{ConfigBuilder, Gateway, Replicas, Site};
pub use node_op::NodeOp;
pub use process::{Process, Signal};
pub use raw::{Answer, Raw};
pub use redis::Redis;
pub use tls::TestCa;
pub use wait::{eventually, free_port};

//! Vestibule: a reverse-proxy authentication gateway.
//!
//! The modules stand in the order of their layers; imports only point upwards, and `tests/layers.rs` says so.
//! ARCHITECTURE.md is the map.

// ---- ground
pub mod base;
pub mod telemetry;
// ---- rules: pure, no sockets, no clock
pub mod jose;
pub mod web;

pub mod route;
// ---- services: each owns one outside party, none knows the others
pub mod identity;
pub mod oidc;
pub mod server;
pub mod session;
pub mod upstream;
// ---- the story
pub mod access;
pub mod webhook;

pub mod endpoints;

pub mod gateway;
// ---- assembly
pub mod admin;

pub mod config;

pub mod app;

pub mod cli;
pub mod demo;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

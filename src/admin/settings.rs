//! What the admin listener needs to be told.

use std::net::SocketAddr;

use crate::base::Secret;

/// Metrics, health and the admin API.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Never a public address by default; port 0 picks one.
    pub address: SocketAddr,
    /// Bearer token for `/api/`; without it `/api/` is off.
    pub token: Option<Secret<String>>,
    /// Stay ready when the store is away.
    pub ready_without_store: bool,
}

//! What the session service needs to be told.

use std::time::Duration;

use crate::base::Secret;

/// Which store.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// In this process; gone when it ends.
    Memory,
    /// Redis, by its URL: `redis:`, `rediss:`, `redis-sentinel:`, `redis-cluster:` or `redis+unix:`. May hold a password.
    Redis(Secret<String>),
}

/// The near cache's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearCacheSettings {
    /// How many sessions it may hold.
    pub sessions: usize,
    /// How late a replica may learn of a revocation; zero asks the store every time.
    pub staleness: Duration,
    /// How long an open stream goes on while the store cannot confirm.
    pub streams: Duration,
    /// How many Redis replicas must have a beat before it counts.
    pub replicas: u32,
}

/// The session service's settings.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Which store.
    pub store: StoreSettings,
    /// Newest first: the first seals, all open. At least one, of at least 32 bytes each.
    pub secrets: Vec<Secret<Vec<u8>>>,
    /// Ends after this long without activity.
    pub idle: Duration,
    /// Ends after this long in any case.
    pub lifetime: Duration,
    /// At most this many sessions of one user: the oldest makes room.
    pub per_user: Option<u32>,
    /// For one call of the store.
    pub deadline: Duration,
    /// The near cache's bounds.
    pub near_cache: NearCacheSettings,
}

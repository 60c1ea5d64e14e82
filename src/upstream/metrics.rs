//! What an upstream's connections do, in plain counters.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters and levels of one upstream.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(super) connects: AtomicU64,
    pub(super) connect_failures: AtomicU64,
    pub(super) reuses: AtomicU64,
    pub(super) waits: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) open: AtomicUsize,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections made since the start.
    pub connects: u64,
    /// Attempts at one that failed.
    pub connect_failures: u64,
    /// Requests that went out on a connection that was there.
    pub reuses: u64,
    /// Requests that had to wait because all connections were taken.
    pub waits: u64,
    /// Requests sent a second time.
    pub retries: u64,
    /// Connections open now.
    pub open: usize,
    /// Of them, those that wait for a request (HTTP/1.1).
    pub idle: usize,
}

impl Metrics {
    /// All of them now, with the connections that the pool holds.
    #[must_use]
    pub fn snapshot(&self, idle: usize) -> Snapshot {
        Snapshot {
            connects: self.connects.load(Ordering::Relaxed),
            connect_failures: self.connect_failures.load(Ordering::Relaxed),
            reuses: self.reuses.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
            idle,
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

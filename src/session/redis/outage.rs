//! Whether the store is away: said once when it goes and once when it is back, however many requests notice.
//!
//! Never decides anything about a request; each of those asks the store itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use crate::base::{Clock, Timestamp};
use crate::session::store::Unavailable;

/// What is known of the store's presence. Begins as away, since it has not answered yet.
#[derive(Debug)]
pub(super) struct Outage {
    clock: Arc<dyn Clock>,
    /// Milliseconds since the epoch, or `HERE`.
    since: AtomicI64,
    /// Whether a command failed since the watch last looked.
    failed: AtomicBool,
    /// Whether one of those failures can only be healed by another connection.
    reconnect: AtomicBool,
    /// Whether the store has answered once: until then nothing is *back*.
    met: AtomicBool,
    /// Which reasons were logged since it went, a bit each.
    said: AtomicU32,
}

impl Outage {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let since = AtomicI64::new(clock.now().unix_millis());
        let (failed, reconnect, met) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
        Self { clock, since, failed, reconnect, met, said: AtomicU32::new(0) }
    }

    /// A command got no answer.
    pub(super) fn report(&self, reason: Unavailable) {
        self.failed.store(true, Ordering::Relaxed);
        self.missed(reason);
    }

    /// The watch got no answer.
    pub(super) fn missed(&self, reason: Unavailable) {
        // The primary that we knew is a replica now, or the account changed: this connection will never be good again.
        if matches!(reason, Unavailable::ReadOnly | Unavailable::Credentials) {
            self.reconnect.store(true, Ordering::Relaxed);
        }
        let now = self.clock.now().unix_millis();
        let _ = self.since.compare_exchange(HERE, now, Ordering::AcqRel, Ordering::Relaxed);
        let said = self.said.fetch_or(bit(reason), Ordering::Relaxed);
        if said == 0 {
            tracing::warn!(reason = reason.as_str(), "the session store is away");
        } else if said & bit(reason) == 0 && !matches!(reason, Unavailable::Deadline | Unavailable::Disconnected) {
            // Those two follow from any other; another that follows from them may be the cause.
            tracing::warn!(reason = reason.as_str(), "the session store is still away");
        }
    }

    /// There is a new connection: what failed before says nothing of it.
    pub(super) fn reconnected(&self) {
        self.failed.store(false, Ordering::Relaxed);
        self.reconnect.store(false, Ordering::Relaxed);
    }

    /// The watch got an answer. The store is back when no command failed in between either.
    pub(super) fn answered(&self) {
        if self.failed.swap(false, Ordering::Relaxed) {
            return;
        }
        let since = self.since.swap(HERE, Ordering::AcqRel);
        if since == HERE {
            return;
        }
        self.said.store(0, Ordering::Relaxed);
        let away = self.clock.now().since(Timestamp::from_unix_millis(since));
        if self.met.swap(true, Ordering::Relaxed) {
            tracing::info!(seconds = away.as_secs(), "the session store is back");
        } else {
            tracing::info!("the session store is connected");
        }
    }

    /// Whether another connection is needed; asking forgets it.
    pub(super) fn wants_reconnect(&self) -> bool {
        self.reconnect.swap(false, Ordering::Relaxed)
    }

    /// Whether this reason was logged since the store went.
    #[cfg(test)]
    pub(super) fn said(&self, reason: Unavailable) -> bool {
        self.said.load(Ordering::Relaxed) & bit(reason) != 0
    }

    /// Whether the store has answered once since the start.
    pub(super) fn met(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }

    pub(super) fn away_since(&self) -> Option<Timestamp> {
        let since = self.since.load(Ordering::Acquire);
        (since != HERE).then(|| Timestamp::from_unix_millis(since))
    }
}

fn bit(reason: Unavailable) -> u32 {
    1 << (reason as u32)
}

const HERE: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::ManualClock;

    #[test]
    fn it_begins_away_and_is_back_only_after_a_quiet_round() {
        let clock = ManualClock::default();
        let outage = Outage::new(Arc::new(clock.clone()));
        assert_eq!(outage.away_since(), Some(clock.now()));
        assert!(!outage.met());
        outage.answered();
        assert_eq!(outage.away_since(), None);
        assert!(outage.met());
        clock.advance(Duration::from_secs(1));
        outage.report(Unavailable::ReadOnly);
        let since = clock.now();
        clock.advance(Duration::from_secs(1));
        outage.report(Unavailable::ReadOnly);
        assert_eq!(outage.away_since(), Some(since));
        outage.answered();
        assert_eq!(outage.away_since(), Some(since), "pings answer while commands fail");
        outage.answered();
        assert_eq!(outage.away_since(), None);
        assert!(outage.wants_reconnect());
        assert!(!outage.wants_reconnect());
        assert!(!outage.said(Unavailable::ReadOnly));
        outage.report(Unavailable::Disconnected);
        outage.missed(Unavailable::Disconnected);
        outage.reconnected();
        outage.answered();
        assert_eq!(outage.away_since(), None, "an old connection's failures are not the new one's");
    }
}

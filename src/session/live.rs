//! A session that was found alive, with what this process knows of it beyond its record.
//!
//! It is no permission: a decision is made from it anew for each request.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::model::Session;
use super::names::{Name, indexes};
use super::store::Member;
use super::token::{SessionKey, SessionToken};
use crate::base::{Shelf, Timestamp};

/// A live session.
pub struct LiveSession {
    token: SessionToken,
    session: Session,
    version: u64,
    idle: Duration,
    bytes: u64,
    last_seen: AtomicI64,
    shelf: Shelf,
}

impl LiveSession {
    pub(super) fn new(
        token: SessionToken,
        session: Session,
        version: u64,
        last_seen: Timestamp,
        idle: Duration,
    ) -> Self {
        let (bytes, last_seen) = (session.bytes(), AtomicI64::new(last_seen.unix_millis()));
        Self { token, session, version, idle, bytes, last_seen, shelf: Shelf::default() }
    }

    /// What the browser holds.
    #[must_use]
    pub fn token(&self) -> &SessionToken {
        &self.token
    }

    /// Its name in the store and in logs.
    #[must_use]
    pub fn key(&self) -> &SessionKey {
        self.token.key()
    }

    /// The record.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The turn in which the record was read.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was last used, to a tenth of the idle time.
    #[must_use]
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// When it ends if nobody uses it any more.
    #[must_use]
    pub fn idle_expires(&self) -> Timestamp {
        (self.last_seen() + self.idle).min(self.session.expires)
    }

    /// One thing of each type that another layer keeps with the session, made at the first call. It lives as long as this
    /// reading of the session: a new version of the record begins without.
    pub fn attached<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> &T {
        self.shelf.get_or_put(make)
    }

    /// What it weighs in memory, about.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes a use. Answers whether this call was the one that moved the moment.
    pub(super) fn saw(&self, before: Timestamp, now: Timestamp) -> bool {
        let (before, now) = (before.unix_millis(), now.unix_millis());
        self.last_seen.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Notes a use that the store knows of.
    pub(super) fn was_seen(&self, at: Timestamp) {
        self.last_seen.fetch_max(at.unix_millis(), Ordering::Relaxed);
    }

    pub(super) fn member(&self) -> Member {
        Member { key: *self.key(), born: self.session.born, created: self.session.created }
    }

    /// The indexes that name it.
    pub(super) fn indexes(&self) -> Vec<Name> {
        let session = &self.session;
        indexes(self.key(), &session.issuer, &session.subject, session.provider_sid.as_deref())
    }
}

impl fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSession")
            .field("key", self.key())
            .field("sid", &self.session.sid)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::contract::sample_session;
    use crate::testing::SeededRandom;

    fn live(idle: Duration) -> LiveSession {
        let created = Timestamp::from_unix_seconds(1000);
        let token = SessionToken::generate(&SeededRandom::new(1));
        LiveSession::new(token, sample_session("u", 0, created), 1, created, idle)
    }

    /// SESS-04: the idle end is never later than the absolute one.
    #[test]
    fn idle_ends_no_later_than_the_session() {
        let session = live(Duration::from_secs(60));
        assert_eq!(session.idle_expires(), session.last_seen() + Duration::from_secs(60));
        assert_eq!(live(Duration::MAX).idle_expires(), session.session().expires);
    }
}

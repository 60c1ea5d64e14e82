//! What a session store can do: one command at a time, each on the keys of one slot, and a list of such steps where a store does
//! several at once.
//!
//! Nothing here decides anything: the protocol above is written once, in `Sessions`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::names::Name;
use super::near_cache::NearCache;
use super::steps::{self, Step};
use super::token::SessionKey;
use crate::base::{Blame, Blamed, Timestamp};

/// A store of sessions. Every method but `carry_out` is one atomic command, and expiry is judged by the store's own clock.
///
/// An error says nothing of whether the command was carried out. No command is ever sent twice by the store itself, except
/// reads. `contract` says what each of them has to do, for every store alike.
#[async_trait]
pub trait SessionStore: Send + Sync + fmt::Debug + 'static {
    /// Writes a session's record and its operators' record, unless there is a record already. Answers whether it wrote.
    async fn create_session(&self, key: &SessionKey, new: NewRecord<'_>, ttl: Duration) -> Result<bool, StoreError>;

    /// Reads a session's record and when it was last used.
    async fn read_session(&self, key: &SessionKey) -> Result<Option<StoredSession>, StoreError>;

    /// Reads when a session was last used, if that was ever noted.
    async fn read_activity(&self, key: &SessionKey) -> Result<Option<Timestamp>, StoreError>;

    /// Writes `record` over the record with version `expected`, keeping its expiry.
    async fn replace_session(&self, key: &SessionKey, expected: u64, record: &Record) -> Result<Swap, StoreError>;

    /// Deletes all that is kept of a session. `None` when there was no record.
    async fn delete_session(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError>;

    /// The same, but only if it was last used at `seen`: somebody who came back in the meantime keeps the session.
    async fn delete_unseen(&self, key: &SessionKey, seen: Option<Timestamp>) -> Result<Option<Removed>, StoreError>;

    /// Notes that a session was used, if there is one; an earlier moment never replaces a later one. Answers whether there is.
    async fn touch_session(&self, key: &SessionKey, at: Timestamp) -> Result<bool, StoreError>;

    /// Reads a session's operators' record and when it was last used.
    async fn read_operator(&self, key: &SessionKey) -> Result<Option<StoredOperator>, StoreError>;

    /// Writes a session's operators' record anew if there is one, keeping its expiry. Answers whether there was.
    async fn replace_operator(&self, key: &SessionKey, sealed: &[u8]) -> Result<bool, StoreError>;

    /// Puts a member into an index, trims expired ones, and lets the index live at least as long as the member.
    async fn add_member(&self, index: &Name, member: &Member, ttl: Duration) -> Result<(), StoreError>;

    /// Reads part of an index. Who follows `next` to the end has seen every member that was there all the time, some
    /// perhaps twice.
    async fn scan_members(&self, index: &Name, cursor: Option<&str>) -> Result<MemberPage, StoreError>;

    /// Takes members out of an index.
    async fn remove_members(&self, index: &Name, members: &[Member]) -> Result<(), StoreError>;

    /// Takes the next number of a sequence, from 1.
    async fn next_number(&self, name: &Name) -> Result<u64, StoreError>;

    /// Reads a number; 0 where none was written.
    async fn read_number(&self, name: &Name) -> Result<u64, StoreError>;

    /// Writes a number over a smaller one or none, never over a greater one. It lives for at least `ttl` from now, or for
    /// ever.
    async fn raise_number(&self, name: &Name, to: u64, ttl: Option<Duration>) -> Result<(), StoreError>;

    /// Sets a mark that was not there. Answers whether it did; the expiry of one that was there stays.
    async fn mark_once(&self, name: &Name, ttl: Duration) -> Result<bool, StoreError>;

    /// Sets a mark, or sets it anew.
    async fn mark(&self, name: &Name, ttl: Duration) -> Result<(), StoreError>;

    /// Whether there is such a mark.
    async fn is_marked(&self, name: &Name) -> Result<bool, StoreError>;

    /// Remembers which session a name stands for.
    async fn point(&self, name: &Name, to: &SessionKey, ttl: Duration) -> Result<(), StoreError>;

    /// Which session a name stands for.
    async fn follow(&self, name: &Name) -> Result<Option<SessionKey>, StoreError>;

    /// Forgets a name made by [`SessionStore::point`].
    async fn unpoint(&self, name: &Name) -> Result<(), StoreError>;

    /// Takes a lease that nobody holds.
    async fn acquire_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError>;

    /// Extends a lease that `owner` still holds.
    async fn renew_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError>;

    /// Gives back a lease that `owner` still holds.
    async fn release_lease(&self, name: &Name, owner: &str) -> Result<bool, StoreError>;

    /// Reads a value that all replicas share.
    async fn read_shared(&self, name: &Name) -> Result<Option<Record>, StoreError>;

    /// Writes a shared value over the one with version `expected`, or where there is none. It lives for ever.
    async fn swap_shared(&self, name: &Name, expected: Option<u64>, record: &Record) -> Result<bool, StoreError>;

    /// Carries out steps stage by stage, those of one stage in any order, and answers each step's number in the order of the steps.
    ///
    /// Each step may also meet with others' commands before and after it. An error says nothing of how far it came; what was carried
    /// out stays.
    async fn carry_out(&self, stages: &[&[Step<'_>]]) -> Result<Vec<u64>, StoreError> {
        steps::one_by_one(self, stages).await
    }

    /// Answers once everything that was written before is as safe as the operator wants it: with `near_cache.replicas`, when so
    /// many replicas have it. What comes before an acknowledgement.
    async fn settle(&self) -> Result<(), StoreError>;

    /// Begins to tell `near` what changes. Only what is read through the answer is told about; the telling ends with it.
    ///
    /// Has to be called within a Tokio runtime.
    fn track(&self, near: Arc<NearCache>) -> Box<dyn TrackedReads>;

    /// Asks whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// What was asked of it so far.
    fn counters(&self) -> &StoreCounters;

    /// Since when it has not answered properly; `None` while it does.
    fn away_since(&self) -> Option<Timestamp>;

    /// Whether it has answered once since the start.
    fn has_answered(&self) -> bool;
}

/// Reads that a near cache is told about: when what was read changes, it hears of that, and what it hears later is newer than
/// what was read.
#[async_trait]
pub trait TrackedReads: Send + Sync + fmt::Debug + 'static {
    /// Reads a session's record. When it was last used nobody is told about: that changes nothing that a decision rests on.
    async fn read_record(&self, key: &SessionKey) -> Result<Option<Record>, StoreError>;
}

/// Sealed bytes and the turn they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Goes up with each write.
    pub version: u64,
    /// What is kept.
    pub sealed: Bytes,
}

/// What creating a session writes.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// The session.
    pub record: &'a Record,
    /// What operators see of it.
    pub operator: &'a [u8],
}

/// What reading a session finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The session.
    pub record: Record,
    /// When it was last used, if that was ever noted.
    pub seen: Option<Timestamp>,
}

/// What reading an operators' record finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOperator {
    /// What operators see.
    pub sealed: Bytes,
    /// When the session was last used, if that was ever noted.
    pub seen: Option<Timestamp>,
}

/// What is left of a session that was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Its operators' record: it says in which indexes the session is named.
    pub operator: Option<Bytes>,
}

/// How a conditional write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written.
    Replaced,
    /// Somebody wrote before: the version is another one.
    Conflict,
    /// There is nothing to write over.
    Gone,
}

/// What an index says of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Which session.
    pub key: SessionKey,
    /// The number that its login read: it decides which revocations cover it.
    pub born: u64,
    /// When it began: it decides who makes room.
    pub created: Timestamp,
}

impl Member {
    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let member = Self {
            key: SessionKey::parse(parts.next()?)?,
            born: parts.next()?.parse().ok()?,
            created: Timestamp::from_unix_millis(parts.next()?.parse().ok()?),
        };
        parts.next().is_none().then_some(member)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.key, self.born, self.created.unix_millis())
    }
}

/// Part of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberPage {
    /// The members.
    pub members: Vec<Member>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// Counts what was asked of a store.
#[derive(Debug, Default)]
pub struct StoreCounters {
    commands: AtomicU64,
    errors: AtomicU64,
    reconnects: AtomicU64,
}

impl StoreCounters {
    pub(super) fn command(&self) {
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    /// Commands issued.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// Commands that got no proper answer.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Connections made anew.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }
}

/// Why there is no answer. Never the same as "there is no such session".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot answer now.
    #[error("the session store cannot answer ({0})")]
    Unavailable(Unavailable),
    /// The store holds something under our name that we did not put there, or answered what nobody asked.
    #[error("the session store answered {0}")]
    Nonsense(&'static str),
    /// A shared value was sealed by none of our secrets.
    #[error("the session store holds something that none of our secrets opens")]
    Unreadable,
    /// Something could not be sealed for it, or a new session's key was taken.
    #[error("a session cannot be stored: {0}")]
    Unstorable(&'static str),
}

impl Blamed for StoreError {
    fn blame(&self) -> Blame {
        match self {
            Self::Unavailable(_) => Blame::Store,
            Self::Nonsense(_) | Self::Unreadable | Self::Unstorable(_) => Blame::Bug,
        }
    }
}

/// Why a store cannot answer, in a word for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unavailable {
    /// It did not answer in time.
    Deadline,
    /// There is no connection.
    Disconnected,
    /// Too much is waiting for it already.
    Overload,
    /// It does not take writes: a replica, or a primary that has lost its replicas.
    ReadOnly,
    /// It has no room left.
    OutOfMemory,
    /// It is starting or busy with a script.
    Loading,
    /// The cluster is on the move.
    Moved,
    /// Too few of its replicas have what was written.
    Replicas,
    /// Our account may not do this.
    NoPermission,
    /// Our user or password is wrong.
    Credentials,
    /// TLS failed.
    Tls,
    /// Something else that it said.
    Refused,
}

impl Unavailable {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Disconnected => "disconnected",
            Self::Overload => "overload",
            Self::ReadOnly => "read-only",
            Self::OutOfMemory => "out-of-memory",
            Self::Loading => "loading",
            Self::Moved => "moved",
            Self::Replicas => "replicas",
            Self::NoPermission => "no-permission",
            Self::Credentials => "credentials",
            Self::Tls => "tls",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::token::SessionToken;
    use crate::testing::SeededRandom;

    #[test]
    fn members_are_read_back_and_nothing_else_is() {
        let key = *SessionToken::generate(&SeededRandom::new(1)).key();
        let member = Member { key, born: u64::MAX, created: Timestamp::from_unix_millis(-5) };
        assert_eq!(Member::parse(&member.to_string()), Some(member));
        for wrong in
            ["", "a.1.2", &format!("{key}"), &format!("{key}.1"), &format!("{key}.1.2.3"), &format!("{key}.-1.2")]
        {
            assert_eq!(Member::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_store_that_cannot_answer_is_the_stores_fault() {
        assert_eq!(StoreError::Unavailable(Unavailable::ReadOnly).blame(), Blame::Store);
        assert_eq!(StoreError::Nonsense("x").blame(), Blame::Bug);
    }
}

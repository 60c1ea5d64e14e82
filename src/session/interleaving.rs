//! The protocol of `models/revocation_race.py` as it is written, command by command, over the store in memory.
//!
//! A login, a refresh of its session and two revocations run at once; between any two of their store commands any of them may
//! go on or stop for ever. The property is the model's, judged in every state.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use super::contract::{ISSUER, Replica, sample_login, sample_meta};
use super::names::Name;
use super::store::{
    Member, MemberPage, NewRecord, Record, Removed, SessionStore, StoreCounters, StoreError, StoredOperator,
    StoredSession, Swap,
};
use super::token::SessionKey;
use super::{Created, LiveSession, Lookup, MemoryStore};
use crate::base::Timestamp;
use crate::testing::{ManualClock, SeededRandom};

/// A way to break the store's promises, as the model's variants do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// "the number may be overwritten by a smaller one"
    MaxWrite,
    /// "no look after the session was written"
    Look,
    /// "a revocation also removes members that are younger than it": here they look older than they are.
    OnlyOlder,
    /// "a refresh writes back without compare-and-set"
    CompareAndSet,
}

/// Lets one command through each time it is told to.
#[derive(Debug)]
struct Stepped {
    inner: MemoryStore,
    turn: AtomicBool,
    broken: Broken,
    /// The highest number that was taken.
    numbers: AtomicU64,
}

impl Stepped {
    async fn turn(&self) {
        std::future::poll_fn(|_| {
            if self.turn.swap(false, Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

macro_rules! stepped {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
            self.turn().await;
            self.inner.$name($($arg),*).await
        })*
    };
}

#[async_trait]
impl SessionStore for Stepped {
    async fn create_session(&self, key: &SessionKey, new: NewRecord<'_>, ttl: Duration) -> Result<bool, StoreError> {
        self.turn().await;
        self.inner.create_session(key, new, ttl).await
    }
    async fn read_session(&self, key: &SessionKey) -> Result<Option<StoredSession>, StoreError> {
        self.turn().await;
        self.inner.read_session(key).await
    }
    async fn replace_session(&self, key: &SessionKey, expected: u64, record: &Record) -> Result<Swap, StoreError> {
        self.turn().await;
        if self.broken == Broken::CompareAndSet && self.inner.read_session(key).await?.is_none() {
            let new = NewRecord { record, operator: b"" };
            self.inner.create_session(key, new, Duration::from_secs(60)).await?;
            return Ok(Swap::Replaced);
        }
        self.inner.replace_session(key, expected, record).await
    }
    async fn delete_session(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        self.turn().await;
        self.inner.delete_session(key).await
    }
    async fn delete_unseen(&self, key: &SessionKey, seen: Option<Timestamp>) -> Result<Option<Removed>, StoreError> {
        self.turn().await;
        self.inner.delete_unseen(key, seen).await
    }
    async fn touch_session(&self, key: &SessionKey, at: Timestamp) -> Result<bool, StoreError> {
        self.turn().await;
        self.inner.touch_session(key, at).await
    }
    async fn read_operator(&self, key: &SessionKey) -> Result<Option<StoredOperator>, StoreError> {
        self.turn().await;
        self.inner.read_operator(key).await
    }
    async fn replace_operator(&self, key: &SessionKey, sealed: &[u8]) -> Result<bool, StoreError> {
        self.turn().await;
        self.inner.replace_operator(key, sealed).await
    }
    async fn add_member(&self, index: &Name, member: &Member, ttl: Duration) -> Result<(), StoreError> {
        self.turn().await;
        self.inner.add_member(index, member, ttl).await
    }
}

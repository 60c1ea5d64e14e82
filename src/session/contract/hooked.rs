//! A store in front of another that is told of every command first: to fail it, to hold it, or to write it down.
//!
//! Tests alone put one there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::base::Timestamp;
use crate::session::names::Name;
use crate::session::near_cache::NearCache;
use crate::session::store::{
    Member, MemberPage, NewRecord, Record, Removed, SessionStore, StoreCounters, StoreError, StoredOperator,
    StoredSession, Swap, TrackedReads,
};
use crate::session::token::SessionKey;

/// Is told of commands before and after they are carried out.
#[async_trait]
pub trait Hook: Send + Sync + std::fmt::Debug + 'static {
    /// `command` is the method's name, `on` the session's key or the name in the store. An error is its answer.
    async fn before(&self, command: &'static str, on: &str) -> Result<(), StoreError>;

    /// The same once it was carried out. An error is its answer all the same: the true one is lost.
    async fn after(&self, _command: &'static str, _on: &str) -> Result<(), StoreError> {
        Ok(())
    }

    /// What is found in an index.
    fn scanned(&self, page: MemberPage) -> MemberPage {
        page
    }
}

/// The store in front.
#[derive(Debug)]
pub struct Hooked<H> {
    pub inner: Arc<dyn SessionStore>,
    pub hook: Arc<H>,
}

/// Carries a command out between the two calls of the hook.
async fn told<H: Hook, T>(
    hook: &H,
    command: &'static str,
    on: &str,
    carry_out: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    hook.before(command, on).await?;
    let answer = carry_out.await?;
    hook.after(command, on).await?;
    Ok(answer)
}

#[async_trait]
impl<H: Hook> SessionStore for Hooked<H> {
    async fn create_session(&self, key: &SessionKey, new: NewRecord<'_>, ttl: Duration) -> Result<bool, StoreError> {
        told(&*self.hook, "create_session", &key.to_string(), self.inner.create_session(key, new, ttl)).await
    }

    async fn read_session(&self, key: &SessionKey) -> Result<Option<StoredSession>, StoreError> {
        told(&*self.hook, "read_session", &key.to_string(), self.inner.read_session(key)).await
    }

    async fn read_activity(&self, key: &SessionKey) -> Result<Option<Timestamp>, StoreError> {
        told(&*self.hook, "read_activity", &key.to_string(), self.inner.read_activity(key)).await
    }

    async fn replace_session(&self, key: &SessionKey, expected: u64, record: &Record) -> Result<Swap, StoreError> {
        told(&*self.hook, "replace_session", &key.to_string(), self.inner.replace_session(key, expected, record)).await
    }

    async fn delete_session(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        told(&*self.hook, "delete_session", &key.to_string(), self.inner.delete_session(key)).await
    }

    async fn delete_unseen(&self, key: &SessionKey, seen: Option<Timestamp>) -> Result<Option<Removed>, StoreError> {
        told(&*self.hook, "delete_unseen", &key.to_string(), self.inner.delete_unseen(key, seen)).await
    }

    async fn touch_session(&self, key: &SessionKey, at: Timestamp) -> Result<bool, StoreError> {
        told(&*self.hook, "touch_session", &key.to_string(), self.inner.touch_session(key, at)).await
    }

    async fn read_operator(&self, key: &SessionKey) -> Result<Option<StoredOperator>, StoreError> {
        told(&*self.hook, "read_operator", &key.to_string(), self.inner.read_operator(key)).await
    }

    async fn replace_operator(&self, key: &SessionKey, sealed: &[u8]) -> Result<bool, StoreError> {
        told(&*self.hook, "replace_operator", &key.to_string(), self.inner.replace_operator(key, sealed)).await
    }

    async fn add_member(&self, index: &Name, member: &Member, ttl: Duration) -> Result<(), StoreError> {
        told(&*self.hook, "add_member", index.as_str(), self.inner.add_member(index, member, ttl)).await
    }

    async fn scan_members(&self, index: &Name, cursor: Option<&str>) -> Result<MemberPage, StoreError> {
        let page = told(&*self.hook, "scan_members", index.as_str(), self.inner.scan_members(index, cursor)).await?;
        Ok(self.hook.scanned(page))
    }

    async fn remove_members(&self, index: &Name, members: &[Member]) -> Result<(), StoreError> {
        told(&*self.hook, "remove_members", index.as_str(), self.inner.remove_members(index, members)).await
    }

    async fn next_number(&self, name: &Name) -> Result<u64, StoreError> {
        told(&*self.hook, "next_number", name.as_str(), self.inner.next_number(name)).await
    }

    async fn read_number(&self, name: &Name) -> Result<u64, StoreError> {
        told(&*self.hook, "read_number", name.as_str(), self.inner.read_number(name)).await
    }

    async fn raise_number(&self, name: &Name, to: u64, ttl: Option<Duration>) -> Result<(), StoreError> {
        told(&*self.hook, "raise_number", name.as_str(), self.inner.raise_number(name, to, ttl)).await
    }

    async fn mark_once(&self, name: &Name, ttl: Duration) -> Result<bool, StoreError> {
        told(&*self.hook, "mark_once", name.as_str(), self.inner.mark_once(name, ttl)).await
    }

    async fn mark(&self, name: &Name, ttl: Duration) -> Result<(), StoreError> {
        told(&*self.hook, "mark", name.as_str(), self.inner.mark(name, ttl)).await
    }

    async fn is_marked(&self, name: &Name) -> Result<bool, StoreError> {
        told(&*self.hook, "is_marked", name.as_str(), self.inner.is_marked(name)).await
    }

    async fn point(&self, name: &Name, to: &SessionKey, ttl: Duration) -> Result<(), StoreError> {
        told(&*self.hook, "point", name.as_str(), self.inner.point(name, to, ttl)).await
    }

    async fn follow(&self, name: &Name) -> Result<Option<SessionKey>, StoreError> {
        told(&*self.hook, "follow", name.as_str(), self.inner.follow(name)).await
    }

    async fn unpoint(&self, name: &Name) -> Result<(), StoreError> {
        told(&*self.hook, "unpoint", name.as_str(), self.inner.unpoint(name)).await
    }

    async fn acquire_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        told(&*self.hook, "acquire_lease", name.as_str(), self.inner.acquire_lease(name, owner, ttl)).await
    }

    async fn renew_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        told(&*self.hook, "renew_lease", name.as_str(), self.inner.renew_lease(name, owner, ttl)).await
    }

    async fn release_lease(&self, name: &Name, owner: &str) -> Result<bool, StoreError> {
        told(&*self.hook, "release_lease", name.as_str(), self.inner.release_lease(name, owner)).await
    }

    async fn read_shared(&self, name: &Name) -> Result<Option<Record>, StoreError> {
        told(&*self.hook, "read_shared", name.as_str(), self.inner.read_shared(name)).await
    }

    async fn swap_shared(&self, name: &Name, expected: Option<u64>, record: &Record) -> Result<bool, StoreError> {
        told(&*self.hook, "swap_shared", name.as_str(), self.inner.swap_shared(name, expected, record)).await
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.inner.settle().await
    }

    fn track(&self, near: Arc<NearCache>) -> Box<dyn TrackedReads> {
        Box::new(HookedReads { inner: self.inner.track(near), hook: Arc::clone(&self.hook) })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        told(&*self.hook, "ping", "", self.inner.ping()).await
    }

    fn counters(&self) -> &StoreCounters {
        self.inner.counters()
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.inner.away_since()
    }

    fn has_answered(&self) -> bool {
        self.inner.has_answered()
    }
}

/// Its tracked reads: to the hook they are reads like others.
#[derive(Debug)]
struct HookedReads<H> {
    inner: Box<dyn TrackedReads>,
    hook: Arc<H>,
}

#[async_trait]
impl<H: Hook> TrackedReads for HookedReads<H> {
    async fn read_record(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        told(&*self.hook, "read_session", &key.to_string(), self.inner.read_record(key)).await
    }
}

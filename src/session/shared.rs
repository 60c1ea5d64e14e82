//! What replicas share beside sessions: marks for what is used once, leases, and values that all of them keep.
//!
//! Nothing here knows what it is for; names come from the callers and are never those of strangers alone.

use std::time::Duration;

use super::Sessions;
use super::names::Name;
use super::seal::Purpose;
use super::store::{Record, StoreError};
use crate::base::Secret;

impl Sessions {
    /// Uses `name` up for `ttl`, once among all replicas. Answers whether this call was the one.
    ///
    /// # Errors
    ///
    /// When the store cannot say.
    pub async fn burn(&self, name: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.store.mark_once(&Name::burnt(name), ttl).await
    }

    /// Whether a name was burnt.
    ///
    /// # Errors
    ///
    /// When the store cannot say.
    pub async fn is_burnt(&self, name: &str) -> Result<bool, StoreError> {
        self.store.is_marked(&Name::burnt(name)).await
    }

    /// Takes the lease `name` for `owner`, a value that nobody else uses. Answers whether nobody held it.
    ///
    /// # Errors
    ///
    /// When the store cannot say; the lease may be held then until it ends.
    pub async fn acquire_lease(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.store.acquire_lease(&Name::lease(name), owner, ttl).await
    }

    /// Extends a lease to `ttl` from now. Answers whether `owner` still held it; if not, somebody else may.
    ///
    /// # Errors
    ///
    /// When the store cannot say.
    pub async fn renew_lease(&self, name: &str, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.store.renew_lease(&Name::lease(name), owner, ttl).await
    }

    /// Gives a lease back. Answers whether `owner` still held it.
    ///
    /// # Errors
    ///
    /// When the store cannot say; the lease ends by itself.
    pub async fn release_lease(&self, name: &str, owner: &str) -> Result<bool, StoreError> {
        self.store.release_lease(&Name::lease(name), owner).await
    }

    /// Reads a value that all replicas keep, with its version. One that an old secret sealed is sealed anew.
    ///
    /// # Errors
    ///
    /// When the store cannot answer, or holds a value that none of our secrets opens.
    pub async fn managed_read(&self, name: &str) -> Result<Option<(Secret<Vec<u8>>, u64)>, StoreError> {
        let Some(record) = self.store.read_shared(&Name::managed(name)).await? else { return Ok(None) };
        let aad = managed_aad(name, record.version);
        let Some(mut opened) = self.ring.open(Purpose::ManagedKeys, &aad, &record.sealed) else {
            return Err(StoreError::Unreadable);
        };
        let value = Secret::new(std::mem::take(&mut *opened.plain));
        // Where a neighbour wrote in between, ours is not needed, and the version that we saw still says so.
        if !opened.newest && self.managed_swap(name, Some(record.version), value.expose()).await? {
            return Ok(Some((value, record.version.saturating_add(1))));
        }
        Ok(Some((value, record.version)))
    }

    /// Writes a value that all replicas keep, over the version that was read or where none was. Answers whether it did.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: it may have been written.
    pub async fn managed_swap(&self, name: &str, expected: Option<u64>, value: &[u8]) -> Result<bool, StoreError> {
        let version = expected.unwrap_or(0).saturating_add(1);
        let sealed = self.ring.seal(Purpose::ManagedKeys, &managed_aad(name, version), value, &*self.random);
        let record = Record { version, sealed: sealed.into() };
        self.store.swap_shared(&Name::managed(name), expected, &record).await
    }
}

fn managed_aad(name: &str, version: u64) -> Vec<u8> {
    [&version.to_be_bytes()[..], name.as_bytes()].concat()
}

//! The store in this process: for the demo, tests and small installations.
//!
//! It never outlives the process and never grows without bound: what has expired is swept a little with each write.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::names::Name;
use super::near_cache::NearCache;
use super::store::{Member, StoreCounters, StoreError, Unavailable};
use super::token::SessionKey;
use crate::base::{Clock, Timestamp};

mod commands;

/// A store that lives and dies with this process; clones are the same store. Expiry is judged by the clock that it was given.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    shelf: Arc<Mutex<Shelf>>,
    counters: Arc<StoreCounters>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, shelf: Arc::default(), counters: Arc::default() }
    }

    /// How many keys it holds, expired ones that were not swept yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shelf at this moment. Every command takes it once, which is what makes a command atomic.
    fn at(&self) -> (MutexGuard<'_, Shelf>, Timestamp) {
        self.counters.command();
        (self.shelf.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }
}

/// Everything by name, and by when it ends.
#[derive(Debug, Default)]
struct Shelf {
    entries: HashMap<Name, Entry>,
    expiries: BTreeSet<(Timestamp, Name)>,
    /// Who is told of changes, before a command answers.
    near: Vec<Weak<NearCache>>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    expires: Option<Timestamp>,
}

/// What a key holds. Reading a key as something that it is not finds nothing; names keep the kinds apart.
#[derive(Debug)]
enum Value {
    Record { version: u64, bytes: Bytes },
    Bytes(Bytes),
    Number(u64),
    Moment(Timestamp),
    Members(Members),
}

/// An index, by member and by expiry.
#[derive(Debug, Default)]
struct Members {
    expires: BTreeMap<Member, Timestamp>,
    order: BTreeSet<(Timestamp, Member)>,
}

impl Members {
    fn insert(&mut self, member: Member, expires: Timestamp) {
        self.remove(&member);
        self.expires.insert(member, expires);
        self.order.insert((expires, member));
    }

    fn remove(&mut self, member: &Member) {
        if let Some(expires) = self.expires.remove(member) {
            self.order.remove(&(expires, *member));
        }
    }

    fn trim(&mut self, now: Timestamp) {
        while let Some((expires, member)) = self.order.first().copied()
            && expires <= now
        {
            self.order.pop_first();
            self.expires.remove(&member);
        }
    }
}

impl Shelf {
    fn get(&self, name: &Name, now: Timestamp) -> Option<&Entry> {
        self.entries.get(name).filter(|entry| entry.expires.is_none_or(|expires| expires > now))
    }

    fn get_mut(&mut self, name: &Name, now: Timestamp) -> Option<&mut Entry> {
        self.entries.get_mut(name).filter(|entry| entry.expires.is_none_or(|expires| expires > now))
    }

    /// Writes a key with its expiry, over whatever is there.
    fn put(&mut self, name: Name, value: Value, expires: Option<Timestamp>, now: Timestamp) -> Result<(), StoreError> {
        self.sweep(now);
        self.remove(&name, now);
        if self.entries.len() >= MOST_ENTRIES {
            return Err(StoreError::Unavailable(Unavailable::OutOfMemory));
        }
        if let Some(expires) = expires {
            self.expiries.insert((expires, name.clone()));
        }
        self.entries.insert(name, Entry { value, expires });
        Ok(())
    }

    /// Gives a key another expiry.
    fn expire(&mut self, name: &Name, expires: Timestamp, now: Timestamp) {
        if let Some(entry) = self.get_mut(name, now) {
            let old = entry.expires.replace(expires);
            if let Some(old) = old {
                self.expiries.remove(&(old, name.clone()));
            }
            self.expiries.insert((expires, name.clone()));
        }
    }

    /// Takes a key away. `None` when it had expired.
    fn remove(&mut self, name: &Name, now: Timestamp) -> Option<Value> {
        let entry = self.entries.remove(name)?;
        if let Some(expires) = entry.expires {
            self.expiries.remove(&(expires, name.clone()));
        }
        entry.expires.is_none_or(|expires| expires > now).then_some(entry.value)
    }

    /// Tells of a session that is another one now, or none.
    fn tell(&self, key: &SessionKey) {
        self.near.iter().filter_map(Weak::upgrade).for_each(|near| near.changed(key));
    }

    /// Tells of a generation that is another one now.
    fn tell_generation(&self, generation: u64) {
        for near in self.near.iter().filter_map(Weak::upgrade) {
            near.generation_changed();
            near.know_generation(near.generation_turn(), generation);
        }
    }

    /// A little with each write: what comes in is outpaced, and no write pays for a backlog.
    fn sweep(&mut self, now: Timestamp) {
        for _ in 0..SWEEP {
            let Some((expires, name)) = self.expiries.first().cloned() else { return };
            if expires > now {
                return;
            }
            self.expiries.pop_first();
            self.entries.remove(&name);
        }
    }
}

/// The end of something that is written now.
fn until(now: Timestamp, ttl: Duration) -> Timestamp {
    now + ttl
}

/// At this many keys, a few per session, it takes no more.
const MOST_ENTRIES: usize = 2_000_000;
/// How many expired keys one write sweeps.
const SWEEP: usize = 8;
/// How many members one scan returns.
const PAGE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::contract::store_contract;
    use crate::session::store::SessionStore as _;
    use crate::testing::ManualClock;

    fn store() -> (MemoryStore, ManualClock) {
        let clock = ManualClock::default();
        (MemoryStore::new(Arc::new(clock.clone())), clock)
    }

    store_contract!(async {
        let (store, clock) = store();
        (store, clock, ())
    });

    /// Marks that strangers cause do not pile up.
    #[tokio::test]
    async fn what_has_expired_is_swept_by_later_writes() {
        let (store, clock) = store();
        for round in 0..100 {
            for mark in 0..10 {
                let name = Name::attempt(&format!("{round} {mark}"));
                assert!(store.mark_once(&name, Duration::from_secs(60)).await.unwrap());
            }
            clock.advance(Duration::from_secs(10));
        }
        assert!(store.len() <= 70, "{}", store.len());
    }
}

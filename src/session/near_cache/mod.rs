//! Sessions that this process has opened, kept honest by the store's invalidations.
//!
//! It knows sessions that live and nothing else: "there is none" is never kept. And what the store has not confirmed within
//! `staleness` is not served, whatever happened to the network in between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::live::LiveSession;
use super::settings::NearCacheSettings;
use super::token::SessionKey;
use super::watches::Watches;

/// The near cache of one process.
///
/// The store tells it what changed ([`NearCache::changed`]), how far it has heard everything ([`NearCache::confirm`]), and when
/// it may have missed something ([`NearCache::close`]).
#[derive(Debug)]
pub struct NearCache {
    staleness: Duration,
    started: Instant,
    sessions: Cache<SessionKey, Arc<LiveSession>, ByBytes>,
    /// Reads under way, spread over several locks by key.
    reads: [Mutex<Reads>; SHARDS],
    /// Whether reads are told about from now on: only those may enter.
    open: AtomicBool,
    /// Milliseconds from `started` to the newest confirmed moment, and `NEVER` before the first.
    confirmed: AtomicU64,
    generation: Generation,
    watches: Arc<Watches>,
    counters: NearCacheCounters,
}

impl NearCache {
    pub(super) fn new(settings: &NearCacheSettings, watches: Arc<Watches>) -> Self {
        let bytes = u64::try_from(settings.sessions).unwrap_or(u64::MAX).saturating_mul(SESSION_BYTES);
        Self {
            staleness: settings.staleness,
            started: Instant::now(),
            sessions: Cache::with_weighter(settings.sessions, bytes, ByBytes),
            reads: std::array::from_fn(|_| Mutex::default()),
            open: AtomicBool::new(false),
            confirmed: AtomicU64::new(NEVER),
            generation: Generation::default(),
            watches,
            counters: NearCacheCounters::default(),
        }
    }

    /// A session, and the generation to judge it by. `None` when it is not here, or nothing here may be trusted `now`, which is no
    /// earlier than the request that asks.
    pub(super) fn get(&self, key: &SessionKey, now: Instant) -> Option<(Arc<LiveSession>, u64)> {
        let found = self.generation_at(now).and_then(|generation| Some((self.sessions.get(key)?, generation)));
        let counter = if found.is_some() { &self.counters.hits } else { &self.counters.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// What is here of a session, however old: for what may only be done once it has ended.
    pub(super) fn held(&self, key: &SessionKey) -> Option<Arc<LiveSession>> {
        self.sessions.peek(key)
    }

    /// The number of the last revocation of everybody. `None` when nothing here may be trusted now.
    pub(super) fn generation(&self) -> Option<u64> {
        self.generation_at(Instant::now())
    }

    fn generation_at(&self, now: Instant) -> Option<u64> {
        if self.age_at(now)? > self.staleness {
            return None;
        }
        self.generation.known()
    }

    /// How long ago the newest moment was before which everything has been heard. `None` before the first.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age_at(Instant::now())
    }

    fn age_at(&self, now: Instant) -> Option<Duration> {
        match self.confirmed.load(Ordering::Acquire) {
            NEVER => None,
            ALWAYS => Some(Duration::ZERO),
            confirmed => {
                Some(now.saturating_duration_since(self.started).saturating_sub(Duration::from_millis(confirmed)))
            }
        }
    }

    /// Announces a read. It has to be announced before the store is asked: what the store tells in between is then known here.
    pub(super) fn announce(&self, key: SessionKey) -> Reading<'_> {
        let mut reads = self.shard(&key);
        let read = reads.entry(key).or_default();
        read.readers += 1;
        read.spoilt |= !self.open.load(Ordering::Acquire);
        drop(reads);
        Reading { cache: self, key }
    }

    /// The store says that a session changed.
    pub fn changed(&self, key: &SessionKey) {
        self.counters.invalidations.fetch_add(1, Ordering::Relaxed);
        self.forget(key);
        self.watches.wake(key);
    }

    /// A session was changed from here: nobody in this process shall see it as it was.
    pub(super) fn forget(&self, key: &SessionKey) {
        let mut reads = self.shard(key);
        if let Some(read) = reads.get_mut(key) {
            read.spoilt = true;
        }
        // Under the lock: a read that is about to enter either did so before, or is spoilt now.
        self.sessions.remove(key);
    }

    /// The store says that the generation changed: nothing is trusted until it is read again.
    pub fn generation_changed(&self) {
        self.counters.invalidations.fetch_add(1, Ordering::Relaxed);
        self.generation.changed();
        self.watches.wake_all();
    }

    /// Announces that the generation is read, as [`NearCache::announce`] does for a session.
    pub fn generation_turn(&self) -> u64 {
        self.generation.turn()
    }

    /// The generation that was read in this turn. It counts unless it changed in between; answers whether it does.
    pub fn know_generation(&self, turn: u64, generation: u64) -> bool {
        self.generation.know(turn, generation)
    }

    /// Everybody was revoked from here: it counts at once.
    pub(super) fn raise_generation(&self, to: u64) {
        self.generation.raise(to);
    }

    /// Everything that the store acknowledged before `at` has been heard.
    pub fn confirm(&self, at: Instant) {
        if self.open.load(Ordering::Acquire) {
            // Rounded down, so never later than it was; and the first millisecond is none that counts.
            let millis = u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(NEVER);
            self.confirmed.fetch_max(millis, Ordering::AcqRel);
        }
    }

    /// The store lives in this process and tells of everything before it answers.
    pub fn confirm_always(&self) {
        self.open();
        self.confirmed.store(ALWAYS, Ordering::Release);
    }

    /// From now on reads are told about. Only after [`NearCache::close`], and after the store was asked to tell.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Whether reads are told about.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// The way to the store is gone: nothing comes in any more, also of what is being read. What is here is served for as long
    /// as it was confirmed.
    pub fn pause(&self) {
        self.open.store(false, Ordering::Release);
        for shard in &self.reads {
            lock(shard).values_mut().for_each(|read| read.spoilt = true);
        }
    }

    /// Something may have been missed: everything is forgotten, also what is being read, and nothing is trusted.
    pub fn close(&self) {
        self.pause();
        let confirmed = self.confirmed.swap(NEVER, Ordering::AcqRel);
        self.generation.changed();
        self.sessions.clear();
        if confirmed != NEVER {
            self.counters.forgotten.fetch_add(1, Ordering::Relaxed);
            self.watches.wake_all();
        }
    }

    /// How often the store should confirm.
    #[must_use]
    pub fn beat(&self) -> Duration {
        (self.staleness / 4).min(Duration::from_millis(500))
    }

    /// How long a confirmation may take before something is wrong with it.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.staleness.max(Duration::from_secs(1))
    }

    /// What was counted so far.
    #[must_use]
    pub fn metrics(&self) -> NearCacheMetrics {
        let counters = &self.counters;
        NearCacheMetrics {
            hits: counters.hits.load(Ordering::Relaxed),
            misses: counters.misses.load(Ordering::Relaxed),
            sessions: self.sessions.len(),
            bytes: self.sessions.weight(),
            invalidations: counters.invalidations.load(Ordering::Relaxed),
            forgotten: counters.forgotten.load(Ordering::Relaxed),
            age: self.age(),
        }
    }

    fn shard(&self, key: &SessionKey) -> MutexGuard<'_, Reads> {
        let [.., last] = *key.as_bytes();
        // The remainder is always within the array.
        lock(self.reads.get(usize::from(last) % SHARDS).unwrap_or(&self.reads[0]))
    }
}

/// A read that was announced.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    cache: &'a NearCache,
    key: SessionKey,
}

impl Reading<'_> {
    /// Puts what was read in, unless the store told of a change since the announcement.
    pub(super) fn enter(self, live: &Arc<LiveSession>) {
        let reads = self.cache.shard(&self.key);
        if reads.get(&self.key).is_some_and(|read| !read.spoilt) {
            self.cache.sessions.insert(self.key, Arc::clone(live));
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut reads = self.cache.shard(&self.key);
        if let Some(read) = reads.get_mut(&self.key) {
            read.readers -= 1;
            if read.readers == 0 {
                reads.remove(&self.key);
            }
        }
    }
}

type Reads = HashMap<SessionKey, Read>;

/// Reads of one session that are under way.
#[derive(Debug, Default)]
struct Read {
    readers: usize,
    /// It changed since the first of them was announced, or nobody would have told.
    spoilt: bool,
}

/// The generation, or that it is not known.
#[derive(Debug)]
struct Generation {
    value: AtomicU64,
    /// Goes up whenever the value may have changed.
    turn: Mutex<u64>,
}

impl Default for Generation {
    fn default() -> Self {
        Self { value: AtomicU64::new(UNKNOWN), turn: Mutex::new(0) }
    }
}

impl Generation {
    fn known(&self) -> Option<u64> {
        let value = self.value.load(Ordering::Acquire);
        (value != UNKNOWN).then_some(value)
    }

    fn turn(&self) -> u64 {
        *lock(&self.turn)
    }

    fn changed(&self) {
        let mut turn = lock(&self.turn);
        *turn += 1;
        self.value.store(UNKNOWN, Ordering::Release);
    }

    fn know(&self, read_in: u64, value: u64) -> bool {
        let turn = lock(&self.turn);
        let counts = *turn == read_in;
        if counts {
            self.value.store(value, Ordering::Release);
        }
        counts
    }

    fn raise(&self, to: u64) {
        let turn = lock(&self.turn);
        if let Some(value) = self.known()
            && value < to
        {
            self.value.store(to, Ordering::Release);
        }
        drop(turn);
    }
}

/// Counts since the start, and what is there now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NearCacheMetrics {
    /// Requests that asked the store nothing.
    pub hits: u64,
    /// Requests that had to.
    pub misses: u64,
    /// Sessions held.
    pub sessions: usize,
    /// Their weight.
    pub bytes: u64,
    /// Changes that the store told of.
    pub invalidations: u64,
    /// How often everything was forgotten, because something may have been missed.
    pub forgotten: u64,
    /// How long ago the newest confirmed moment was; `None` before the first.
    pub age: Option<Duration>,
}

#[derive(Debug, Default)]
struct NearCacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    invalidations: AtomicU64,
    forgotten: AtomicU64,
}

/// Sessions count by what they hold: many small ones, or few with large tokens.
#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<SessionKey, Arc<LiveSession>> for ByBytes {
    fn weight(&self, _: &SessionKey, live: &Arc<LiveSession>) -> u64 {
        live.bytes()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `near_cache.sessions` counts as one: an ordinary session with its tokens.
pub(super) const SESSION_BYTES: u64 = 8 * 1024;
/// Nothing was ever confirmed, or everything was forgotten since.
const NEVER: u64 = 0;
/// The store cannot be out of sight.
const ALWAYS: u64 = u64::MAX;
/// The generation has to be read.
const UNKNOWN: u64 = u64::MAX;
/// Over how many locks reads are spread.
const SHARDS: usize = 16;

#[cfg(test)]
mod tests;

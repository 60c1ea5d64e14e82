//! Sessions: what is known of a signed-in browser, kept sealed in a store that every replica shares.
//!
//! It never says "there is no such session" when the store could not answer, and never brings back one that has ended.
//!
//! `SessionStore` is the store, command by command; the protocol above it (`create`, `load`, `end`, `revoke`) is written
//! once, here, for every store. `models/revocation_race.py` walks through it.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Blame, Blamed, Clock, Random, Timestamp};

#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod create;
mod end;
mod happening;
#[cfg(test)]
mod interleaving;
mod list;
mod live;
#[cfg(test)]
mod lives;
mod load;
mod memory;
mod model;
mod names;
mod near_cache;
mod operator;
mod redis;
mod revoke;
mod seal;
mod settings;
mod shared;
mod steps;
mod store;
mod token;
mod touch;
mod watch;
mod watches;

pub use self::create::{Born, Created};
pub use self::end::Replaced;
pub use self::happening::{Ended, Happening, What, Witness};
pub use self::list::{Filter, Page};
pub use self::live::LiveSession;
pub use self::load::{Absence, Lookup};
pub use self::memory::MemoryStore;
pub use self::model::{NewSession, OperatorMeta, Session, Summary, Tokens};
pub use self::names::Name;
pub use self::near_cache::{NearCache, NearCacheMetrics};
pub use self::redis::{AddressError, RedisStore};
pub use self::revoke::Turn;
#[cfg(any(test, feature = "testing"))]
pub use self::seal::read_record;
pub use self::seal::{Opened, Purpose, Ring, SECRET_BYTES, SealError};
pub use self::settings::{NearCacheSettings, SessionSettings, StoreSettings};
pub use self::steps::Step;
pub use self::store::{
    Member, MemberPage, NewRecord, Record, Removed, SessionStore, StoreCounters, StoreError, StoredOperator,
    StoredSession, Swap, TrackedReads, Unavailable,
};
pub use self::token::{SessionKey, SessionToken, Sid};
pub use self::watches::Watch;

use self::touch::Touches;
use self::watches::Watches;

/// The session service.
#[derive(Debug)]
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    ring: Ring,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    idle: Duration,
    lifetime: Duration,
    per_user: Option<u32>,
    touches: Touches,
    watches: Arc<Watches>,
    /// None where every request asks the store.
    near: Option<Near>,
    witnesses: Vec<Arc<dyn Witness>>,
}

/// The near cache, and the reads that may fill it.
#[derive(Debug)]
struct Near {
    cache: Arc<NearCache>,
    reads: Box<dyn TrackedReads>,
}

impl Near {
    /// How old what it serves may be.
    fn age(&self) -> Duration {
        self.cache.generation().and_then(|_| self.cache.age()).unwrap_or_default()
    }
}

impl Sessions {
    /// The service over a store that is there. Has to be called within a Tokio runtime, on which it keeps one task.
    ///
    /// # Errors
    ///
    /// When the secrets cannot be used, or outside a runtime.
    pub fn new(
        settings: SessionSettings,
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SessionError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| SessionError::Runtime)?;
        let ring = Ring::new(&settings.secrets)?;
        let touches = Touches::start(Arc::clone(&store), settings.idle, &runtime);
        let SessionSettings { idle, lifetime, per_user, near_cache, .. } = settings;
        let watches = Arc::new(Watches::new(near_cache.staleness, near_cache.streams));
        let near = (!near_cache.staleness.is_zero()).then(|| {
            let cache = Arc::new(NearCache::new(&near_cache, Arc::clone(&watches)));
            Near { reads: store.track(Arc::clone(&cache)), cache }
        });
        Ok(Self { store, ring, clock, random, idle, lifetime, per_user, touches, watches, near, witnesses: Vec::new() })
    }

    /// The service over the configured store. A Redis that is away is one that is away, now as later: the service begins to
    /// connect and goes on.
    ///
    /// # Errors
    ///
    /// When the secrets or the store's URL cannot be used, or outside a Tokio runtime.
    pub fn connect(
        settings: SessionSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SessionError> {
        let _runtime = tokio::runtime::Handle::try_current().map_err(|_| SessionError::Runtime)?;
        let store: Arc<dyn SessionStore> = match &settings.store {
            StoreSettings::Memory => Arc::new(MemoryStore::new(Arc::clone(&clock))),
            StoreSettings::Redis(url) => {
                let store = RedisStore::connect(url, settings.deadline, Arc::clone(&clock))?;
                Arc::new(store.with_replicas(settings.near_cache.replicas)?)
            }
        };
        Self::new(settings, store, clock, random)
    }

    /// The same service, which also tells `witness` what happens. Before it is used.
    #[must_use]
    pub fn with_witness(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witnesses.push(witness);
        self
    }

    /// Tells what happened, if anybody wants to know.
    fn saw(&self, happening: impl FnOnce(Timestamp) -> Happening) {
        if !self.witnesses.is_empty() {
            let happening = happening(self.clock.now());
            self.witnesses.iter().for_each(|witness| witness.saw(&happening));
        }
    }

    /// The server's secrets, for what others seal.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Asks whether the store answers.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    /// Whether the store answered properly when last asked. Asks nothing.
    #[must_use]
    pub fn available(&self) -> bool {
        self.away_since().is_none()
    }

    /// Since when the store has been away.
    #[must_use]
    pub fn away_since(&self) -> Option<Timestamp> {
        self.store.away_since()
    }

    /// Whether the store has answered once since the start. Asks nothing.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.store.has_answered()
    }

    /// What was counted so far.
    #[must_use]
    pub fn metrics(&self) -> SessionMetrics {
        let store = self.store.counters();
        SessionMetrics {
            commands: store.commands(),
            errors: store.errors(),
            reconnects: store.reconnects(),
            touches_dropped: self.touches.dropped(),
            watched: self.watches.len(),
            near_cache: self.near.as_ref().map(|near| near.cache.metrics()),
        }
    }

    /// This process ended a session: nobody here shall see it any more.
    fn ended(&self, key: &SessionKey, why: Ended) {
        self.changed(key);
        self.watches.ended(key, why);
    }

    /// This process changed a session: nobody here shall see it as it was.
    fn changed(&self, key: &SessionKey) {
        if let Some(near) = &self.near {
            near.cache.forget(key);
        }
    }

    /// Notes that a session is in use, soon and off the request's path; at most once per tenth of the idle time, and never
    /// for a session that has ended.
    pub fn touch(&self, live: &LiveSession, now: Timestamp) {
        self.touches.touch(live, now);
    }
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionMetrics {
    /// Commands that the store was asked.
    pub commands: u64,
    /// Commands without a proper answer.
    pub errors: u64,
    /// Connections made anew.
    pub reconnects: u64,
    /// Uses that were not noted, because too many waited.
    pub touches_dropped: u64,
    /// Sessions that have something running now.
    pub watched: usize,
    /// The near cache's; `None` where there is none.
    pub near_cache: Option<NearCacheMetrics>,
}

/// Why the service cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The secrets cannot be used.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store's URL cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Called outside a Tokio runtime.
    #[error("the session service needs a Tokio runtime")]
    Runtime,
}

impl Blamed for SessionError {
    fn blame(&self) -> Blame {
        Blame::Bug
    }
}

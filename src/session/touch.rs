//! Noting that sessions are in use, off the requests' path and at a bounded rate.
//!
//! A note never makes a request wait and never brings a session to life: what cannot be noted is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::live::LiveSession;
use super::store::SessionStore;
use super::token::SessionKey;
use crate::base::Timestamp;

/// The queue of notes, and what was noted lately.
#[derive(Debug)]
pub(super) struct Touches {
    /// A tenth of the idle time: no session is noted more often.
    every: Duration,
    queue: mpsc::Sender<(SessionKey, Timestamp)>,
    recent: Arc<Cache<SessionKey, Timestamp>>,
    dropped: AtomicU64,
}

impl Touches {
    /// Starts the task that writes the notes. It ends when this is dropped.
    pub(super) fn start(store: Arc<dyn SessionStore>, idle: Duration, runtime: &Handle) -> Self {
        let (queue, notes) = mpsc::channel(QUEUE);
        let recent = Arc::new(Cache::new(RECENT));
        runtime.spawn(write(store, notes, Arc::clone(&recent)));
        Self { every: idle / 10, queue, recent, dropped: AtomicU64::new(0) }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether a use of a session that began at `created` can have been noted by now: none is before that.
    pub(super) fn may_have_noted(&self, created: Timestamp, now: Timestamp) -> bool {
        now.since(created) >= self.every
    }

    /// When a use of a session was noted from here, if that was lately: whoever used it elsewhere since can only have moved it on.
    pub(super) fn noted_lately(&self, key: &SessionKey, now: Timestamp) -> Option<Timestamp> {
        self.recent.get(key).filter(|noted| now < *noted + self.every)
    }

    pub(super) fn touch(&self, live: &LiveSession, now: Timestamp) {
        let before = live.last_seen();
        // Of requests that come at once, the one that moves the moment notes it.
        if now < before + self.every || !live.saw(before, now) {
            return;
        }
        // Another reading of the same session may have been noted a moment ago, before the store knew.
        if self.noted_lately(live.key(), now).is_some() {
            return;
        }
        self.recent.insert(*live.key(), now);
        if self.queue.try_send((*live.key(), now)).is_err() {
            self.recent.remove(live.key());
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(
    store: Arc<dyn SessionStore>,
    mut notes: mpsc::Receiver<(SessionKey, Timestamp)>,
    recent: Arc<Cache<SessionKey, Timestamp>>,
) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    while notes.recv_many(&mut batch, AT_ONCE).await > 0 {
        let (store, recent) = (&store, &recent);
        join_all(batch.drain(..).map(|(key, at)| async move {
            if let Err(error) = store.touch_session(&key, at).await {
                tracing::debug!(%key, %error, "a session's use was not noted");
                recent.remove(&key);
            }
        }))
        .await;
    }
}

/// How many notes may wait.
const QUEUE: usize = 4096;
/// How many are written at once.
const AT_ONCE: usize = 64;
/// How many sessions are remembered as noted lately. One that is forgotten too soon is noted once more.
const RECENT: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::contract::sample_session;
    use crate::session::store::{NewRecord, Record};
    use crate::session::token::SessionToken;
    use crate::session::{MemoryStore, Name};
    use crate::testing::{ManualClock, SeededRandom};

    const IDLE: Duration = Duration::from_secs(100);

    fn live(seed: u64, at: Timestamp) -> LiveSession {
        let token = SessionToken::generate(&SeededRandom::new(seed));
        LiveSession::new(token, sample_session("u", 0, at), 1, at, IDLE)
    }

    /// SESS-20 (the rate of writes): however many requests, a session is noted once per tenth of its idle time.
    #[tokio::test]
    async fn a_session_is_noted_once_per_tenth_of_its_idle_time() {
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        let touches = Touches::start(store.clone(), IDLE, &Handle::current());
        let start = crate::base::Clock::now(&clock);
        let first = live(1, start);
        let record = Record { version: 1, sealed: bytes::Bytes::new() };
        let new = NewRecord { record: &record, operator: b"" };
        assert!(store.create_session(first.key(), new, Duration::from_secs(1000)).await.unwrap());
        let before = store.counters().commands();
        for second in 0..50 {
            for _ in 0..20 {
                // Each request reads the session anew, as without a near cache.
                touches.touch(&live(1, start), start + Duration::from_secs(second));
                touches.touch(&first, start + Duration::from_secs(second));
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(store.counters().commands() - before, 4);
        let stored = store.read_session(first.key()).await.unwrap().unwrap();
        assert_eq!(stored.seen, Some(start + Duration::from_secs(40)));
    }

    /// SESS-07: a late note leaves nothing behind for a session that has ended.
    #[tokio::test]
    async fn a_note_for_a_dead_session_writes_nothing() {
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        let touches = Touches::start(store.clone(), IDLE, &Handle::current());
        let start = crate::base::Clock::now(&clock);
        let dead = live(1, start);
        touches.touch(&dead, start + Duration::from_secs(50));
        while store.counters().commands() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(store.is_empty());
        assert!(!store.is_marked(&Name::activity(dead.key())).await.unwrap());
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_counted() {
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        let touches = Touches::start(store, IDLE, &Handle::current());
        let start = crate::base::Clock::now(&clock);
        // One thread, so the writer has no turn until we wait.
        for seed in 0..QUEUE as u64 + 10 {
            touches.touch(&live(seed, start), start + Duration::from_secs(50));
        }
        assert_eq!(touches.dropped(), 10);
    }
}

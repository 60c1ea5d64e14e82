//! Who has something running for which session in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::happening::Ended;
use super::token::SessionKey;

/// Tells when a session has ended.
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<Option<Ended>>);

impl Watch {
    pub(super) fn new(ended: watch::Receiver<Option<Ended>>) -> Self {
        Self(ended)
    }

    /// Resolves when the session has ended, or nobody could confirm for too long that it lives.
    pub async fn ended(mut self) -> Ended {
        // A sender that is gone without a word can tell nothing any more either.
        self.0.wait_for(Option::is_some).await.ok().and_then(|ended| *ended).unwrap_or(Ended::Revoked)
    }
}

/// The sessions of this process that have something running.
#[derive(Debug)]
pub(super) struct Watches {
    every: Duration,
    patience: Duration,
    running: Mutex<HashMap<SessionKey, Running>>,
}

/// What runs for one session.
#[derive(Debug)]
struct Running {
    ended: watch::Sender<Option<Ended>>,
    /// Something is new about it.
    look: Arc<Notify>,
}

impl Watches {
    /// Looks `every` so often, and gives up on a session when the store has not confirmed it for `patience`.
    pub(super) fn new(every: Duration, patience: Duration) -> Self {
        Self { every: every.clamp(SOONEST, LATEST), patience, running: Mutex::default() }
    }

    /// The session changed in the store: whoever watches it has to look.
    pub(super) fn wake(&self, key: &SessionKey) {
        if let Some(running) = self.lock().get(key) {
            running.look.notify_one();
        }
    }

    /// Nobody knows what changed: everybody has to look.
    pub(super) fn wake_all(&self) {
        self.lock().values().for_each(|running| running.look.notify_one());
    }

    /// This process ended the session.
    pub(super) fn ended(&self, key: &SessionKey, why: Ended) {
        if let Some(running) = self.lock().remove(key) {
            running.ended.send_replace(Some(why));
        }
    }

    /// This process ended every session.
    pub(super) fn all_ended(&self) {
        for (_, running) in self.lock().drain() {
            running.ended.send_replace(Some(Ended::Revoked));
        }
    }

    /// How often to look.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// How long a session goes on unconfirmed.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// How many sessions have something running.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The receiver; and for the first one, what wakes whoever has to look from now on.
    pub(super) fn join(&self, key: SessionKey) -> (watch::Receiver<Option<Ended>>, Option<Arc<Notify>>) {
        let mut running = self.lock();
        match running.get(&key) {
            Some(running) => (running.ended.subscribe(), None),
            None => {
                let ((ended, receiver), look) = (watch::channel(None), Arc::<Notify>::default());
                running.insert(key, Running { ended, look: Arc::clone(&look) });
                (receiver, Some(look))
            }
        }
    }

    /// Whether nobody listens any more; the entry is gone then.
    pub(super) fn leave(&self, key: &SessionKey) -> bool {
        let mut running = self.lock();
        match running.get(key) {
            Some(running) if running.ended.receiver_count() > 0 => false,
            Some(_) => {
                running.remove(key);
                true
            }
            None => true,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looking more often would ask the store for nothing,
const SOONEST: Duration = Duration::from_millis(250);
/// and an idle end should not be noticed too late.
const LATEST: Duration = Duration::from_secs(2);

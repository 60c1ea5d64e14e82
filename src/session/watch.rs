//! Streams belong to sessions: whatever is still running for a session is told when it ends.
//!
//! What this process ends itself is told at once. What others end is found by asking the store, once per `staleness` for each
//! session that has something running, however much that is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Sessions;
use super::live::LiveSession;
use super::load::Lookup;
use super::token::{SessionKey, SessionToken};
use crate::base::Timestamp;

/// Tells when a session has ended.
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<bool>);

impl Watch {
    /// Resolves when the session has ended, or nobody could confirm for too long that it lives.
    pub async fn ended(mut self) {
        // A sender that is gone without a word can tell nothing any more either.
        let _ = self.0.wait_for(|ended| *ended).await;
    }
}

/// The sessions of this process that have something running.
#[derive(Debug)]
pub(super) struct Watches {
    every: Duration,
    patience: Duration,
    running: Mutex<HashMap<SessionKey, watch::Sender<bool>>>,
}

impl Watches {
    /// Asks the store `every` so often, and gives up on a session when the store has not confirmed it for `patience`.
    pub(super) fn new(every: Duration, patience: Duration) -> Self {
        Self { every: every.max(Duration::from_millis(250)), patience, running: Mutex::default() }
    }

    /// This process ended the session.
    pub(super) fn ended(&self, key: &SessionKey) {
        if let Some(running) = self.lock().remove(key) {
            running.send_replace(true);
        }
    }

    /// This process ended every session.
    pub(super) fn all_ended(&self) {
        for (_, running) in self.lock().drain() {
            running.send_replace(true);
        }
    }

    /// How many sessions have something running.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The receiver, and whether it is the first one: then somebody has to start asking.
    fn join(&self, key: SessionKey) -> (watch::Receiver<bool>, bool) {
        let mut running = self.lock();
        match running.get(&key) {
            Some(sender) => (sender.subscribe(), false),
            None => {
                let (sender, receiver) = watch::channel(false);
                running.insert(key, sender);
                (receiver, true)
            }
        }
    }

    /// Whether nobody listens any more; the entry is gone then.
    fn leave(&self, key: &SessionKey) -> bool {
        let mut running = self.lock();
        match running.get(key) {
            Some(sender) if sender.receiver_count() > 0 => false,
            Some(_) => {
                running.remove(key);
                true
            }
            None => true,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionKey, watch::Sender<bool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Watches a session for something that goes on running.
    pub fn watch(self: &Arc<Self>, live: &LiveSession) -> Watch {
        let (receiver, first) = self.watches.join(*live.key());
        if first {
            let (sessions, token, key) = (Arc::clone(self), live.token().clone(), *live.key());
            tokio::spawn(async move { sessions.ask_on(&token, &key).await });
        }
        Watch(receiver)
    }

    /// Asks for as long as anybody listens.
    async fn ask_on(&self, token: &SessionToken, key: &SessionKey) {
        let mut confirmed = self.clock.now();
        loop {
            tokio::time::sleep(self.watches.every).await;
            if self.watches.leave(key) {
                return;
            }
            let asked = self.clock.now();
            if self.is_over(token, &mut confirmed, asked).await {
                self.watches.ended(key);
                return;
            }
        }
    }

    async fn is_over(&self, token: &SessionToken, confirmed: &mut Timestamp, asked: Timestamp) -> bool {
        match self.load(token, asked).await {
            Ok(Lookup::Found(_)) => {
                *confirmed = asked;
                false
            }
            Ok(Lookup::Absent(_)) => true,
            Err(_) => asked.since(*confirmed) > self.watches.patience,
        }
    }
}

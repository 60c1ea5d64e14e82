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
use super::load::{Absence, Lookup};
use super::token::{SessionKey, SessionToken};
use crate::base::Timestamp;

/// Why a session ended, as far as this process knows: what another replica ended is `Revoked` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The person signed out, or signed in anew.
    Logout,
    /// Somebody ended it.
    Revoked,
    /// Nobody used it for too long.
    Idle,
    /// It reached its end.
    Expired,
    /// The provider ended it.
    Provider,
    /// A newer session of the same user took its room.
    Limit,
}

impl Ended {
    /// The word that scripts read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Provider => "provider",
            Self::Limit => "limit",
        }
    }
}

impl From<Absence> for Ended {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::Idle => Self::Idle,
            Absence::Expired => Self::Expired,
            Absence::Unknown | Absence::Revoked | Absence::Unreadable => Self::Revoked,
        }
    }
}

/// Tells when a session has ended.
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<Option<Ended>>);

impl Watch {
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
    running: Mutex<HashMap<SessionKey, watch::Sender<Option<Ended>>>>,
}

impl Watches {
    /// Asks the store `every` so often, and gives up on a session when the store has not confirmed it for `patience`.
    pub(super) fn new(every: Duration, patience: Duration) -> Self {
        Self { every: every.max(Duration::from_millis(250)), patience, running: Mutex::default() }
    }

    /// This process ended the session.
    pub(super) fn ended(&self, key: &SessionKey, why: Ended) {
        if let Some(running) = self.lock().remove(key) {
            running.send_replace(Some(why));
        }
    }

    /// This process ended every session.
    pub(super) fn all_ended(&self) {
        for (_, running) in self.lock().drain() {
            running.send_replace(Some(Ended::Revoked));
        }
    }

    /// How many sessions have something running.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The receiver, and whether it is the first one: then somebody has to start asking.
    fn join(&self, key: SessionKey) -> (watch::Receiver<Option<Ended>>, bool) {
        let mut running = self.lock();
        match running.get(&key) {
            Some(sender) => (sender.subscribe(), false),
            None => {
                let (sender, receiver) = watch::channel(None);
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

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionKey, watch::Sender<Option<Ended>>>> {
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
            if let Some(why) = self.is_over(token, &mut confirmed, asked).await {
                self.watches.ended(key, why);
                return;
            }
        }
    }

    async fn is_over(&self, token: &SessionToken, confirmed: &mut Timestamp, asked: Timestamp) -> Option<Ended> {
        match self.load(token, asked).await {
            Ok(Lookup::Found(_)) => {
                *confirmed = asked;
                None
            }
            Ok(Lookup::Absent(absence)) => Some(absence.into()),
            Err(_) => (asked.since(*confirmed) > self.watches.patience).then_some(Ended::Revoked),
        }
    }
}

//! Streams belong to sessions: whatever is still running for a session is told when it ends.
//!
//! What this process ends itself is told at once. What others end is found as for a request: the store tells the near cache, which
//! wakes who watches the session; and once per `staleness` each of them looks whether that is still confirmed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::live::LiveSession;
use super::load::{Absence, Lookup};
use super::store::{StoreError, Unavailable};
use super::token::{SessionKey, SessionToken};
use super::{Near, Sessions};
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

    /// How many sessions have something running.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The receiver; and for the first one, what wakes whoever has to look from now on.
    fn join(&self, key: SessionKey) -> (watch::Receiver<Option<Ended>>, Option<Arc<Notify>>) {
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
    fn leave(&self, key: &SessionKey) -> bool {
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

impl Sessions {
    /// Watches a session for something that goes on running.
    pub fn watch(self: &Arc<Self>, live: &LiveSession) -> Watch {
        let (receiver, first) = self.watches.join(*live.key());
        if let Some(look) = first {
            let (sessions, token, key) = (Arc::clone(self), live.token().clone(), *live.key());
            tokio::spawn(async move { sessions.look_on(&token, &key, &look).await });
        }
        Watch(receiver)
    }

    /// Looks for as long as anybody listens. The first look is at once: from then on the store tells of changes.
    async fn look_on(&self, token: &SessionToken, key: &SessionKey, look: &Notify) {
        let mut confirmed = self.clock.now();
        loop {
            if self.watches.leave(key) {
                return;
            }
            let asked = self.clock.now();
            let left = (confirmed + self.watches.patience).since(asked);
            match self.look(token, asked, left).await {
                Ok(Lookup::Found(_)) => {
                    // What the near cache served was true then, not now.
                    confirmed = asked - self.near.as_ref().map_or(Duration::ZERO, Near::age);
                }
                Ok(Lookup::Absent(absence)) => return self.watches.ended(key, absence.into()),
                Err(_) if self.clock.now().since(confirmed) >= self.watches.patience => {
                    return self.watches.ended(key, Ended::Revoked);
                }
                Err(_) => {}
            }
            let pause = self.watches.every.min(left.saturating_sub(LAST_LOOK)).max(SOONEST);
            tokio::select! {
                () = look.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// A look that does not outlast the patience; whoever had none left to begin with, such as a process that was stopped, gets a
    /// whole one.
    async fn look(&self, token: &SessionToken, asked: Timestamp, left: Duration) -> Result<Lookup, StoreError> {
        let look = self.find(token, asked);
        if left.is_zero() {
            return look.await;
        }
        tokio::time::timeout(left, look).await.unwrap_or(Err(StoreError::Unavailable(Unavailable::Deadline)))
    }
}

/// Looking more often would ask the store for nothing,
const SOONEST: Duration = Duration::from_millis(250);
/// and an idle end should not be noticed too late.
const LATEST: Duration = Duration::from_secs(2);
/// Before patience ends there is time for a look that gets no answer.
const LAST_LOOK: Duration = Duration::from_secs(1);

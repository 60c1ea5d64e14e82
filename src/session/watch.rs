//! Streams belong to sessions: whatever is still running for a session is told when it ends.
//!
//! What this process ends itself is told at once. What others end is found as for a request: the store tells the near cache, which
//! wakes who watches the session; and once per `staleness` each of them looks whether that is still confirmed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::happening::Ended;
use super::live::LiveSession;
use super::load::{Absence, Lookup};
use super::store::{StoreError, Unavailable};
use super::token::{SessionKey, SessionToken};
use super::watches::Watch;
use super::{Near, Sessions};
use crate::base::Timestamp;

impl From<Absence> for Ended {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::Idle => Self::Idle,
            Absence::Expired => Self::Expired,
            Absence::Unknown | Absence::Revoked | Absence::Unreadable => Self::Revoked,
        }
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
        Watch::new(receiver)
    }

    /// Looks for as long as anybody listens. The first look is at once: from then on the store tells of changes.
    async fn look_on(&self, token: &SessionToken, key: &SessionKey, look: &Notify) {
        let (mut confirmed, mut failed) = (self.clock.now(), false);
        loop {
            if self.watches.leave(key) {
                return;
            }
            let asked = self.clock.now();
            let left = self.patience_from(confirmed, asked);
            if failed && left.is_zero() {
                return self.watches.ended(key, Ended::Revoked);
            }
            match self.look(token, asked, left).await {
                Ok((Lookup::Found(_), at)) => (confirmed, failed) = (at, false),
                Ok((Lookup::Absent(absence), _)) => return self.watches.ended(key, absence.into()),
                Err(_) => failed = true,
            }
            let left = self.patience_from(confirmed, self.clock.now());
            let soonest = if failed { SOONEST.min(left) } else { SOONEST };
            tokio::select! {
                () = look.notified() => {}
                () = tokio::time::sleep(self.watches.every().min(left.saturating_sub(self.last_look())).max(soonest)) => {}
            }
        }
    }

    /// Looks, and answers for which moment that holds. What is near and was confirmed too long ago leaves no time to ask later, so
    /// the store is asked now.
    async fn look(
        &self,
        token: &SessionToken,
        asked: Timestamp,
        left: Duration,
    ) -> Result<(Lookup, Timestamp), StoreError> {
        // Before the look: what is found near is then no older.
        let at = asked - self.near.as_ref().map_or(Duration::ZERO, Near::age);
        let found = within(left, self.find(token, asked)).await?;
        let left = self.patience_from(at, asked);
        if at < asked && left < self.last_look() && matches!(found, Lookup::Found(_)) {
            return Ok((within(left, self.load(token, asked)).await?, asked));
        }
        Ok((found, at))
    }

    /// How long before patience ends there is a look that may get no answer.
    fn last_look(&self) -> Duration {
        LAST_LOOK.min(self.watches.patience() / 4)
    }

    fn patience_from(&self, confirmed: Timestamp, now: Timestamp) -> Duration {
        (confirmed + self.watches.patience()).since(now)
    }
}

/// A look that does not outlast the patience; whoever had none left to begin with, such as a process that was stopped, gets a whole
/// one.
async fn within(left: Duration, look: impl Future<Output = Result<Lookup, StoreError>>) -> Result<Lookup, StoreError> {
    if left.is_zero() {
        return look.await;
    }
    tokio::time::timeout(left, look).await.unwrap_or(Err(StoreError::Unavailable(Unavailable::Deadline)))
}

/// Soon, where patience ends.
const SOONEST: Duration = Duration::from_millis(250);
/// Such a look has so long, but a short patience is not spent on looks alone.
const LAST_LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::*;
    use crate::base::{Clock, SystemRandom};
    use crate::session::contract::{Hook, Hooked};
    use crate::session::contract::{sample_login, sample_meta, sample_settings};
    use crate::session::{Created, MemoryStore};

    /// Goes as the runtime's time does.
    #[derive(Clone, Copy, Debug)]
    struct RuntimeClock(Instant);

    impl Clock for RuntimeClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_seconds(1_767_225_600) + self.0.elapsed()
        }
    }

    /// Answers nothing once it is silent.
    #[derive(Debug, Default)]
    struct Silence(AtomicBool);

    #[async_trait]
    impl Hook for Silence {
        async fn before(&self, _: &'static str, _: &str) -> Result<(), StoreError> {
            if self.0.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                return Err(StoreError::Unavailable(Unavailable::Deadline));
            }
            Ok(())
        }
    }

    /// SESS-16: what nobody can confirm ends when patience does, however long the store takes to say nothing.
    #[tokio::test(start_paused = true)]
    async fn patience_ends_when_it_should() {
        for patience in [1, 2, 3, 30].map(Duration::from_secs) {
            let clock = RuntimeClock(Instant::now());
            let inner = Arc::new(MemoryStore::new(Arc::new(clock)));
            let silence = Arc::new(Silence::default());
            let store = Arc::new(Hooked { inner, hook: Arc::clone(&silence) });
            let mut settings = sample_settings();
            (settings.near_cache.staleness, settings.near_cache.streams) = (Duration::ZERO, patience);
            let sessions = Arc::new(Sessions::new(settings, store, Arc::new(clock), Arc::new(SystemRandom)).unwrap());
            let born = sessions.burn_attempt("state", clock.now()).await.unwrap().unwrap();
            let created = sessions.create(sample_login("u1"), born, sample_meta(), clock.now()).await.unwrap();
            let Created::Created(live) = created else { panic!("revoked") };
            let mut ended = Box::pin(sessions.watch(&live).ended());
            assert!(tokio::time::timeout(patience * 3, &mut ended).await.is_err(), "a store that answers ends nothing");
            silence.0.store(true, Ordering::SeqCst);
            let silent = Instant::now();
            assert_eq!(ended.await, Ended::Revoked);
            // The last word of the store was at most one look before it fell silent.
            assert!(silent.elapsed() <= patience, "{patience:?}: {:?}", silent.elapsed());
            assert!(silent.elapsed() + Duration::from_secs(2) >= patience, "{patience:?}: {:?}", silent.elapsed());
        }
    }
}

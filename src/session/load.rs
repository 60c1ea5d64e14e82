//! From a cookie to a live session.
//!
//! Three outcomes, never mixed up: found, absent, and a store that cannot say.

use std::sync::Arc;

use super::live::LiveSession;
use super::names::Name;
use super::store::{StoreError, StoredSession, Unavailable};
use super::token::{SessionKey, SessionToken};
use super::{Near, Sessions};
use crate::base::Timestamp;

/// What looking a cookie up found.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// A live session.
    Found(Arc<LiveSession>),
    /// None: the cookie opens nothing any more.
    Absent(Absence),
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absence {
    /// The store knows none: it ended, or never was.
    Unknown,
    /// Nobody used it for too long.
    Idle,
    /// It reached its end.
    Expired,
    /// Everybody was signed out since it began.
    Revoked,
    /// There is a record, but not one that we wrote for this cookie.
    Unreadable,
}

impl Absence {
    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Sessions {
    /// Looks a cookie up: in the near cache as long as that can be trusted, else in the store.
    ///
    /// What ended elsewhere is found here for at most `near_cache.staleness` after it was acknowledged there, and what ended
    /// here not at all.
    ///
    /// # Errors
    ///
    /// When the store would have to say, and cannot. That is never the same as [`Lookup::Absent`].
    pub async fn find(&self, token: &SessionToken, now: Timestamp) -> Result<Lookup, StoreError> {
        // Asking the store is boxed: a connection whose sessions are near keeps no room for it.
        let Some(near) = &self.near else { return Box::pin(self.load(token, now)).await };
        let key = token.key();
        match near.cache.get(&key) {
            Some((live, generation)) if judge(&live, generation, now).is_none() => Ok(Lookup::Found(live)),
            // What looks over here may have been used elsewhere: only the store says that it is over.
            Some((near, _)) => {
                let found = Box::pin(self.load(token, now)).await?;
                if let Lookup::Found(live) = &found {
                    near.was_seen(live.last_seen());
                }
                Ok(found)
            }
            None => Box::pin(self.enter(near, token, key, now)).await,
        }
    }

    /// Looks a cookie up in the store, so that the next one finds it near.
    async fn enter(
        &self,
        near: &Near,
        token: &SessionToken,
        key: SessionKey,
        now: Timestamp,
    ) -> Result<Lookup, StoreError> {
        let Some(generation) = near.cache.generation().filter(|_| near.cache.is_open()) else {
            return self.load(token, now).await;
        };
        let reading = near.cache.announce(key);
        let stored = match near.reads.read_session(&key).await {
            Ok(stored) => stored,
            // The way on which changes are told may be gone while the other is not.
            Err(StoreError::Unavailable(Unavailable::Disconnected)) => return self.load(token, now).await,
            Err(error) => return Err(error),
        };
        let read = match self.open(token, stored, generation) {
            Ok(read) => read,
            Err(absence) => return Ok(Lookup::Absent(absence)),
        };
        if judge(&read.live, generation, now).is_some() {
            return self.load(token, now).await;
        }
        let live = Arc::new(read.live);
        reading.enter(&live);
        Ok(Lookup::Found(live))
    }

    /// Looks a cookie up in the store itself.
    ///
    /// # Errors
    ///
    /// When the store cannot say. That is never the same as [`Lookup::Absent`].
    pub async fn load(&self, token: &SessionToken, now: Timestamp) -> Result<Lookup, StoreError> {
        for _ in 0..COMEBACKS {
            let Read { live, seen, generation } = match self.read(token).await? {
                Ok(read) => read,
                Err(absence) => return Ok(Lookup::Absent(absence)),
            };
            let Some(absence) = judge(&live, generation, now) else { return Ok(Lookup::Found(Arc::new(live))) };
            let removed = if absence == Absence::Idle {
                // Somebody may have come back on another replica between our reading and our judging.
                match self.store.delete_unseen(live.key(), seen).await? {
                    None => continue,
                    removed => removed,
                }
            } else {
                // Whether it can be deleted now or not, it is over.
                self.store.delete_session(live.key()).await.unwrap_or_default()
            };
            self.changed(live.key());
            if removed.is_some() {
                self.saw_end(&live, absence.into());
                self.forget(&live.indexes(), &live.member(), Some(&live.session().sid)).await;
            }
            return Ok(Lookup::Absent(absence));
        }
        Err(StoreError::Unavailable(Unavailable::Overload))
    }

    /// Reads a session and the generation as the store has them now.
    async fn read(&self, token: &SessionToken) -> Result<Result<Read, Absence>, StoreError> {
        let (key, generation) = (token.key(), Name::generation());
        let (stored, generation) =
            tokio::try_join!(self.store.read_session(&key), self.store.read_number(&generation))?;
        Ok(self.open(token, stored, generation))
    }

    /// Opens what the store had.
    fn open(&self, token: &SessionToken, stored: Option<StoredSession>, generation: u64) -> Result<Read, Absence> {
        let stored = stored.ok_or(Absence::Unknown)?;
        let Some(opened) = self.ring.open_record(token, stored.record.version, &stored.record.sealed) else {
            let key = token.key();
            tracing::warn!(%key, "a session record was not made for its cookie by a secret that is known here");
            return Err(Absence::Unreadable);
        };
        let session = opened.plain;
        let last_seen = stored.seen.map_or(session.created, |seen| seen.max(session.created));
        let live = LiveSession::new(token.clone(), session, stored.record.version, last_seen, self.idle);
        Ok(Read { live, seen: stored.seen, generation })
    }
}

/// What the store had, before it is judged.
struct Read {
    live: LiveSession,
    seen: Option<Timestamp>,
    generation: u64,
}

/// Why a session that was read is over, if it is.
fn judge(live: &LiveSession, generation: u64, now: Timestamp) -> Option<Absence> {
    if live.session().born < generation {
        Some(Absence::Revoked)
    } else if live.session().expires <= now {
        Some(Absence::Expired)
    } else if live.idle_expires() <= now {
        Some(Absence::Idle)
    } else {
        None
    }
}

/// How often a session may come back to life under our eyes before we give up; once is rare.
const COMEBACKS: u32 = 3;

//! From a cookie to a live session.
//!
//! Three outcomes, never mixed up: found, absent, and a store that cannot say.

use std::sync::Arc;

use tokio::time::Instant;

use super::live::LiveSession;
use super::model::Session;
use super::names::Name;
use super::store::{Record, StoreError, StoredSession, Unavailable};
use super::token::SessionToken;
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
        self.find_since(token, now, Instant::now()).await
    }

    /// The same for a request that began a moment ago, at `began`: the bound holds for what began after it.
    ///
    /// # Errors
    ///
    /// As [`Sessions::find`].
    pub async fn find_since(&self, token: &SessionToken, now: Timestamp, began: Instant) -> Result<Lookup, StoreError> {
        // Asking the store is boxed: a connection whose sessions are near keeps no room for it.
        let Some(near) = &self.near else { return Box::pin(self.load(token, now)).await };
        match near.cache.get(token.key(), began) {
            Some((live, generation)) if judge(&live, generation, now).is_none() => Ok(Lookup::Found(live)),
            // What looks over here may have been used elsewhere: only the store says that it is over.
            Some((near, _)) => {
                let found = Box::pin(self.load(token, now)).await?;
                if let Lookup::Found(live) = &found {
                    near.was_seen(live.last_seen());
                }
                Ok(found)
            }
            None => Box::pin(self.enter(near, token, now)).await,
        }
    }

    /// Looks a cookie up in the store, so that the next one finds it near.
    async fn enter(&self, near: &Near, token: &SessionToken, now: Timestamp) -> Result<Lookup, StoreError> {
        let Some(generation) = near.cache.generation().filter(|_| near.cache.is_open()) else {
            return self.load(token, now).await;
        };
        let reading = near.cache.announce(*token.key());
        let record = match near.reads.read_record(token.key()).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Lookup::Absent(Absence::Unknown)),
            // The way on which changes are told may be gone while the other is not.
            Err(StoreError::Unavailable(Unavailable::Disconnected)) => return self.load(token, now).await,
            Err(error) => return Err(error),
        };
        let Some(session) = self.open(token, &record) else { return Ok(Lookup::Absent(Absence::Unreadable)) };
        // The request that follows a login is spared the question, and so is the one whose answer is known here.
        let seen = match self.touches.noted_lately(token.key(), now) {
            None if self.touches.may_have_noted(session.created, now) => self.store.read_activity(token.key()).await?,
            noted => noted,
        };
        let live = Arc::new(self.live(token, session, record.version, seen));
        if judge(&live, generation, now).is_some() {
            return self.load(token, now).await;
        }
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
        let (stored, generation) = tokio::try_join!(self.store.read_session(key), self.store.read_number(&generation))?;
        let Some(StoredSession { record, seen }) = stored else { return Ok(Err(Absence::Unknown)) };
        let Some(session) = self.open(token, &record) else { return Ok(Err(Absence::Unreadable)) };
        Ok(Ok(Read { live: self.live(token, session, record.version, seen), seen, generation }))
    }

    /// Opens what the store had.
    fn open(&self, token: &SessionToken, record: &Record) -> Option<Session> {
        let opened = self.ring.open_record(token, record.version, &record.sealed);
        if opened.is_none() {
            tracing::warn!(key = %token.key(), "a session record was not made for its cookie by a secret that is known here");
        }
        opened.map(|opened| opened.plain)
    }

    fn live(&self, token: &SessionToken, session: Session, version: u64, seen: Option<Timestamp>) -> LiveSession {
        let last_seen = seen.map_or(session.created, |seen| seen.max(session.created));
        LiveSession::new(token.clone(), session, version, last_seen, self.idle)
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

//! The end of a session, and its next version.
//!
//! The record goes first and its names after it: a session that lives is always found by a revocation.

use std::sync::Arc;

use super::Sessions;
use super::happening::{Ended, Happening, What};
use super::live::LiveSession;
use super::model::Session;
use super::names::Name;
use super::operator::OperatorRecord;
use super::store::{Member, Record, StoreError, Swap};
use super::token::{SessionKey, Sid};
use crate::base::Timestamp;

/// How writing a session's next version ended.
#[derive(Clone, Debug)]
pub enum Replaced {
    /// It stands.
    Replaced(Arc<LiveSession>),
    /// Somebody wrote before: load again.
    Conflict,
    /// The session has ended: what was to be written belongs to nobody.
    Gone,
}

impl Sessions {
    /// Ends a session. Answers whether it was still there.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: the session may live, and the call may be repeated.
    pub async fn end(&self, live: &LiveSession, why: Ended) -> Result<bool, StoreError> {
        let there = self.store.delete_session(live.key()).await?.is_some();
        self.ended(live.key(), why);
        if there {
            self.saw_end(live, why);
            self.forget(&live.indexes(), &live.member(), Some(&live.session().sid)).await;
        }
        // Also when an earlier call has deleted it: that one may not have been told whether it is safe.
        self.store.settle().await?;
        Ok(there)
    }

    /// Ends the session with a public reference. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    pub async fn end_sid(&self, sid: &Sid) -> Result<bool, StoreError> {
        let there = match self.store.follow(&Name::sid(sid)).await? {
            Some(key) => self.take_away(&key, Ended::Revoked).await?,
            None => false,
        };
        self.store.settle().await?;
        Ok(there)
    }

    /// Writes `session` as the next version of `live`, if `live` is still the current one. Its end does not move, and
    /// what names it (sid, user, provider's sid, origin, beginning) stays what it is in `live`.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: it may have been written. Repeating it is safe; the answer is then
    /// [`Replaced::Conflict`], and loading again shows what stands.
    pub async fn replace(&self, live: &LiveSession, session: Session, now: Timestamp) -> Result<Replaced, StoreError> {
        let was = live.session();
        let session = Session {
            sid: was.sid.clone(),
            provider: Arc::clone(&was.provider),
            issuer: was.issuer.clone(),
            subject: was.subject.clone(),
            provider_sid: was.provider_sid.clone(),
            origin: was.origin.clone(),
            born: was.born,
            created: was.created,
            expires: was.expires,
            ..session
        };
        if session.expires <= now {
            return Ok(Replaced::Gone);
        }
        let version = live.version().saturating_add(1);
        let sealed = self
            .ring
            .seal_record(live.token(), version, &session, &*self.random)
            .map_err(|_| StoreError::Unstorable("it cannot be sealed"))?;
        let swap = self.store.replace_session(live.key(), live.version(), &Record { version, sealed }).await;
        // Also when nobody knows whether it was written.
        self.changed(live.key());
        match swap? {
            Swap::Replaced => {}
            Swap::Conflict => return Ok(Replaced::Conflict),
            Swap::Gone => return Ok(Replaced::Gone),
        }
        let next = LiveSession::new(live.token().clone(), session, version, live.last_seen(), self.idle);
        Ok(Replaced::Replaced(Arc::new(next)))
    }

    /// Tells of the end of a session whose record this process took away.
    pub(super) fn saw_end(&self, live: &LiveSession, why: Ended) {
        self.saw(|at| Happening::of(live.session(), What::Ended(why), at));
    }

    /// Takes the names of a session away whose record is gone. Should the store be away by now, they expire, and until then
    /// they name nothing.
    pub(super) async fn forget(&self, indexes: &[Name], member: &Member, sid: Option<&Sid>) {
        for index in indexes {
            if let Err(error) = self.store.remove_members(index, std::slice::from_ref(member)).await {
                tracing::debug!(%error, key = %member.key, "an index keeps the name of a session that ended");
            }
        }
        if let Some(sid) = sid
            && let Err(error) = self.store.unpoint(&Name::sid(sid)).await
        {
            tracing::debug!(%error, key = %member.key, "the reference of a session that ended is kept");
        }
    }

    /// Deletes a session without its cookie, and what names it. Answers whether it was there.
    pub(super) async fn take_away(&self, key: &SessionKey, why: Ended) -> Result<bool, StoreError> {
        // Nobody else can open the record; once the store tells of its end it is not here either.
        let held = self.near.as_ref().and_then(|near| near.cache.held(key));
        let removed = self.store.delete_session(key).await?;
        self.ended(key, why);
        // Without a record it may be one that is being made: its names are not ours to take away.
        let Some(removed) = removed else { return Ok(false) };
        let operator = removed.operator.as_deref().and_then(|sealed| OperatorRecord::open(&self.ring, key, sealed));
        if let Some(operator) = operator {
            let operator = operator.plain;
            self.saw(|at| Happening::of_record(&operator, What::Ended(why), at));
            self.forget(&operator.indexes(key), &operator.member(key), operator.sid().as_ref()).await;
        }
        if let Some(held) = held {
            self.witnesses.iter().for_each(|witness| witness.left_behind(&held));
        }
        Ok(true)
    }
}

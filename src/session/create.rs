//! From a login to a session, against every revocation that may come in between.
//!
//! The order of the steps is the protocol: read the number, write the indexes, write the session, *look*.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;

use super::Sessions;
use super::happening::{Ended, Happening, What};
use super::live::LiveSession;
use super::model::{NewSession, OperatorMeta, Session};
use super::names::Name;
use super::operator::OperatorRecord;
use super::store::{Member, NewRecord, Record, StoreError};
use super::token::{SessionToken, Sid};
use crate::base::Timestamp;

/// Proof that a login's state was burnt, with the sequence's number from before the provider was asked. Revocations with a
/// greater number cover the session that comes of it, whenever it is written.
#[derive(Debug)]
#[must_use = "a burnt state opens nothing a second time"]
pub struct Born {
    number: u64,
    at: Timestamp,
}

impl Born {
    /// The number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// How a login ended.
#[derive(Clone, Debug)]
pub enum Created {
    /// There is a session.
    Created(Arc<LiveSession>),
    /// A revocation came in between: there is none.
    Revoked,
}

impl Sessions {
    /// Redeems a login attempt's state, once among all replicas. `None` when it was redeemed before.
    ///
    /// # Errors
    ///
    /// When the store cannot say.
    pub async fn burn_attempt(&self, state: &str, now: Timestamp) -> Result<Option<Born>, StoreError> {
        if !self.store.mark_once(&Name::attempt(state), ATTEMPT).await? {
            return Ok(None);
        }
        let number = self.store.read_number(&Name::sequence()).await?;
        Ok(Some(Born { number, at: now }))
    }

    /// Makes a session of a login, under a token that no browser has ever held.
    ///
    /// # Errors
    ///
    /// When the store cannot answer. There is no session then that anybody holds a cookie for.
    pub async fn create(
        &self,
        new: NewSession,
        born: Born,
        meta: OperatorMeta,
        now: Timestamp,
    ) -> Result<Created, StoreError> {
        // What a revocation leaves for logins to find does not live for ever.
        if now.since(born.at) > ATTEMPT {
            return Ok(Created::Revoked);
        }
        let token = SessionToken::generate(&*self.random);
        let session = self.session(new, &born, now);
        let live = LiveSession::new(token, session, FIRST, now, self.idle);
        match self.store_new(&live, &meta).await {
            Ok(true) => {
                self.saw(|at| Happening::of(live.session(), What::Started, at));
                Ok(Created::Created(Arc::new(live)))
            }
            Ok(false) => {
                self.discard(&live).await?;
                Ok(Created::Revoked)
            }
            Err(error) => {
                // Nobody will ever hold its cookie; if the store is really away, its expiry will do.
                let _ = self.discard(&live).await;
                Err(error)
            }
        }
    }

    /// Writes a new session. Answers whether it may live.
    async fn store_new(&self, live: &LiveSession, meta: &OperatorMeta) -> Result<bool, StoreError> {
        let (key, session) = (live.key(), live.session());
        let sealed = self
            .ring
            .seal_record(live.token(), FIRST, session, &*self.random)
            .map_err(|_| StoreError::Unstorable("it cannot be sealed"))?;
        let operator = OperatorRecord::new(session, meta).seal(&self.ring, key, &*self.random);
        // Index first: whoever revokes has to find the session however soon it comes after.
        self.enter_names(live).await?;
        let record = Record { version: FIRST, sealed };
        if !self.store.create_session(key, NewRecord { record: &record, operator: &operator }, self.lifetime).await? {
            return Err(StoreError::Unstorable("its key was taken"));
        }
        if self.is_revoked(session).await? {
            return Ok(false);
        }
        self.make_room(live).await
    }

    /// Names a session everywhere; all of it is done, well or not, when this answers.
    async fn enter_names(&self, live: &LiveSession) -> Result<(), StoreError> {
        let (indexes, member, sid) = (live.indexes(), live.member(), Name::sid(&live.session().sid));
        let named = join_all(indexes.iter().map(|index| self.store.add_member(index, &member, self.lifetime)));
        let (named, pointed) = tokio::join!(named, self.store.point(&sid, live.key(), self.lifetime));
        named.into_iter().chain([pointed]).collect()
    }

    /// Looks whether a revocation covers a session that has just been written. A revoker that saw neither its index entry
    /// nor its record wrote what is read here before that.
    async fn is_revoked(&self, session: &Session) -> Result<bool, StoreError> {
        let (user, generation) = (Name::revoked_user(&session.issuer, &session.subject), Name::generation());
        let tombstone = session.provider_sid.as_deref().map(|sid| Name::tombstone(&session.issuer, sid));
        let buried = async {
            match &tombstone {
                Some(tombstone) => self.store.is_marked(tombstone).await,
                None => Ok(false),
            }
        };
        let (user, generation, buried) =
            tokio::try_join!(self.store.read_number(&user), self.store.read_number(&generation), buried)?;
        Ok(buried || user.max(generation) > session.born)
    }

    /// Where a user may have only so many sessions, ends the oldest. Answers whether the new one stays.
    ///
    /// Age is a total order, so that logins that run at once agree on who goes.
    async fn make_room(&self, live: &LiveSession) -> Result<bool, StoreError> {
        let Some(most) = self.per_user else { return Ok(true) };
        let session = live.session();
        let index = Name::user(&session.issuer, &session.subject);
        let members = self.members(&index).await?;
        if members.len() <= most as usize {
            return Ok(true);
        }
        let mut alive: Vec<Member> = futures_util::stream::iter(members)
            .map(|member| async move {
                let found = self.store.read_operator(&member.key).await?;
                let seen = found.map(|found| found.seen.map_or(member.created, |seen| seen.max(member.created)));
                let fresh = seen.is_some_and(|seen| session.created.since(seen) < self.idle);
                Ok::<_, StoreError>(fresh.then_some(member))
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(|member| std::future::ready(member.transpose()))
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        alive.sort_unstable_by_key(|member| (member.created, member.key));
        let excess = alive.len().saturating_sub(most as usize);
        for member in alive.iter().take(excess) {
            if self.take_away(&member.key, Ended::Limit).await? {
                tracing::info!(key = %member.key, "a session made room for a newer one of its user");
            }
        }
        Ok(!alive.iter().take(excess).any(|member| member.key == *live.key()))
    }

    /// All members of an index.
    async fn members(&self, index: &Name) -> Result<Vec<Member>, StoreError> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.scan_members(index, cursor.as_deref()).await?;
            all.extend(page.members);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        // A scan may show a member twice.
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Takes a session back that was not to be.
    async fn discard(&self, live: &LiveSession) -> Result<(), StoreError> {
        self.store.delete_session(live.key()).await?;
        self.forget(&live.indexes(), &live.member(), Some(&live.session().sid)).await;
        Ok(())
    }

    fn session(&self, new: NewSession, born: &Born, now: Timestamp) -> Session {
        Session {
            sid: Sid::generate(&*self.random),
            provider: new.provider,
            issuer: new.issuer,
            subject: new.subject,
            provider_sid: new.provider_sid,
            origin: new.origin,
            born: born.number,
            created: now,
            expires: now + self.lifetime,
            auth_time: new.auth_time,
            acr: new.acr,
            amr: new.amr,
            claims: new.claims,
            scope: new.scope,
            tokens: new.tokens,
        }
    }

    /// How long what a revocation leaves has to be found: by every login that began before it, and as long as any session.
    pub(super) fn guard(&self) -> Duration {
        self.lifetime.max(ATTEMPT * 2)
    }
}

/// How long a burnt state is remembered, longer than any login attempt can be shown; and how long a callback may take from
/// burning its state to its session. Strangers cause these marks, so they live no longer than they guard.
const ATTEMPT: Duration = Duration::from_secs(15 * 60);
/// The version of a new record.
const FIRST: u64 = 1;
/// How many commands one call has under way.
const AT_ONCE: usize = 32;

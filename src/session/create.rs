//! From a login to a session, against every revocation that may come in between.
//!
//! The order of the steps is the protocol: read the number, write the indexes, write the session, *look*.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::Sessions;
use super::happening::{Ended, Happening, What};
use super::live::LiveSession;
use super::model::{NewSession, OperatorMeta, Session};
use super::names::Name;
use super::operator::OperatorRecord;
use super::steps::Step;
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
        let (attempt, sequence) = (Name::attempt(state), Name::sequence());
        let burn = [Step::MarkOnce { name: &attempt, ttl: ATTEMPT }];
        match self.store.carry_out(&[&burn, &[Step::ReadNumber(&sequence)]]).await?[..] {
            [1, number] => Ok(Some(Born { number, at: now })),
            [0, _] => Ok(None),
            _ => Err(StoreError::Nonsense("with other steps than were asked for")),
        }
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
        let (record, ttl) = (Record { version: FIRST, sealed }, self.lifetime);
        let (indexes, member, sid) = (live.indexes(), live.member(), Name::sid(&session.sid));
        let mut names = vec![Step::Point { name: &sid, to: key, ttl }];
        names.extend(indexes.iter().map(|index| Step::AddMember { index, member: &member, ttl }));
        let create = [Step::CreateSession { key, new: NewRecord { record: &record, operator: &operator }, ttl }];
        let marks = Marks::of(session);
        let look = marks.look();
        // Index first: whoever revokes has to find the session however soon it comes after.
        let answers = self.store.carry_out(&[&names, &create, &look]).await?;
        let Some([created, looked @ ..]) = answers.get(names.len()..) else {
            return Err(StoreError::Nonsense("with fewer steps than were asked for"));
        };
        if *created == 0 {
            return Err(StoreError::Unstorable("its key was taken"));
        }
        if is_revoked(looked, session) {
            return Ok(false);
        }
        self.make_room(live).await
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

/// Where a revocation that covers a session has left its mark. A revoker that saw neither the session's index entry nor its record wrote
/// there before the session was written.
struct Marks {
    user: Name,
    generation: Name,
    tombstone: Option<Name>,
}

impl Marks {
    fn of(session: &Session) -> Self {
        Self {
            user: Name::revoked_user(&session.issuer, &session.subject),
            generation: Name::generation(),
            tombstone: session.provider_sid.as_deref().map(|sid| Name::tombstone(&session.issuer, sid)),
        }
    }

    /// The steps that look there, for [`is_revoked`].
    fn look(&self) -> Vec<Step<'_>> {
        let mut look = vec![Step::ReadNumber(&self.user), Step::ReadNumber(&self.generation)];
        look.extend(self.tombstone.as_ref().map(Step::IsMarked));
        look
    }
}

/// Whether what was found there covers the session.
fn is_revoked(looked: &[u64], session: &Session) -> bool {
    let [user, generation, buried @ ..] = looked else { return true };
    buried.contains(&1) || *user.max(generation) > session.born
}

/// How long a burnt state is remembered, longer than any login attempt can be shown; and how long a callback may take from
/// burning its state to its session. Strangers cause these marks, so they live no longer than they guard.
const ATTEMPT: Duration = Duration::from_secs(15 * 60);
/// The version of a new record.
const FIRST: u64 = 1;
/// How many commands one call has under way.
const AT_ONCE: usize = 32;

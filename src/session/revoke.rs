//! Ending sessions by whom they belong to, also those that are only about to be.
//!
//! What new logins look at is written first; then what is there already is deleted. When a call answers, both stand.

use futures_util::StreamExt as _;

use super::Sessions;
use super::happening::Ended;
use super::names::{Name, SHARDS};
use super::store::{Member, StoreError};

/// A place among all revocations: it covers what began before.
#[derive(Clone, Copy, Debug)]
pub struct Turn(u64);

impl Sessions {
    /// Ends all sessions of a user, and all logins of theirs that are under way. Answers how many sessions there were.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: the revocation may stand in part, and has to be repeated.
    pub async fn revoke_user(&self, issuer: &str, subject: &str) -> Result<usize, StoreError> {
        let turn = self.take_turn().await?;
        self.end_user(issuer, subject, turn, Ended::Revoked).await
    }

    /// Takes the next place among all revocations, for [`Self::log_out_user`].
    ///
    /// # Errors
    ///
    /// When the store cannot say.
    pub async fn take_turn(&self) -> Result<Turn, StoreError> {
        self.store.next_number(&Name::sequence()).await.map(Turn)
    }

    /// The same, because the provider wants it: of sessions and logins that are older than `turn`.
    ///
    /// # Errors
    ///
    /// As for [`Self::revoke_user`].
    pub async fn log_out_user(&self, issuer: &str, subject: &str, turn: Turn) -> Result<usize, StoreError> {
        self.end_user(issuer, subject, turn, Ended::Provider).await
    }

    async fn end_user(&self, issuer: &str, subject: &str, Turn(number): Turn, why: Ended) -> Result<usize, StoreError> {
        self.store.raise_number(&Name::revoked_user(issuer, subject), number, Some(self.guard())).await?;
        // Younger members are left alone: their logins read the sequence after this revocation, so it does not cover them.
        let revoked =
            self.sweep(&Name::user(issuer, subject), |member| member.born < number, Unborn::Fails, why).await?;
        self.store.settle().await?;
        Ok(revoked)
    }

    /// Ends the sessions that belong to one at the provider, and every login that comes of it. Answers how many there were.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: the revocation may stand in part, and has to be repeated.
    pub async fn revoke_provider_sid(&self, issuer: &str, sid: &str) -> Result<usize, StoreError> {
        self.bury_provider_sid(issuer, sid, Ended::Revoked).await
    }

    /// The same, because the provider wants it.
    ///
    /// # Errors
    ///
    /// As for [`Self::revoke_provider_sid`].
    pub async fn log_out_provider_sid(&self, issuer: &str, sid: &str) -> Result<usize, StoreError> {
        self.bury_provider_sid(issuer, sid, Ended::Provider).await
    }

    async fn bury_provider_sid(&self, issuer: &str, sid: &str, why: Ended) -> Result<usize, StoreError> {
        self.store.mark(&Name::tombstone(issuer, sid), self.guard()).await?;
        let revoked = self.sweep(&Name::provider_sid(issuer, sid), |_| true, Unborn::Fails, why).await?;
        self.store.settle().await?;
        Ok(revoked)
    }

    /// Ends the sessions that belong to one at the provider and are there now. Leaves nothing behind for logins to find: it is for
    /// askers who have proven nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    pub async fn end_provider_sid(&self, issuer: &str, sid: &str) -> Result<usize, StoreError> {
        self.sweep(&Name::provider_sid(issuer, sid), |_| true, Unborn::Lives, Ended::Provider).await
    }

    /// Ends everybody's session. Answers how many were found.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: the revocation may not stand, and has to be repeated.
    pub async fn revoke_all(&self) -> Result<usize, StoreError> {
        let number = self.store.next_number(&Name::sequence()).await?;
        self.store.raise_number(&Name::generation(), number, None).await?;
        // From here on every session with a smaller number is absent. What follows only takes the records away.
        if let Some(near) = &self.near {
            near.cache.raise_generation(number);
        }
        self.watches.all_ended();
        let mut revoked = 0;
        for shard in 0..SHARDS {
            match self.sweep(&Name::shard(shard), |member| member.born < number, Unborn::Fails, Ended::Revoked).await {
                Ok(found) => revoked += found,
                Err(error) => {
                    tracing::warn!(%error, "everybody is signed out, but not every record is deleted yet");
                    break;
                }
            }
        }
        self.store.settle().await?;
        Ok(revoked)
    }

    /// Deletes the sessions of an index that `covered` names, and then their members. Answers how many sessions there were.
    async fn sweep(
        &self,
        index: &Name,
        covered: impl Fn(&Member) -> bool,
        unborn: Unborn,
        why: Ended,
    ) -> Result<usize, StoreError> {
        let (mut revoked, mut cursor) = (0, None);
        loop {
            let page = self.store.scan_members(index, cursor.as_deref()).await?;
            let members: Vec<Member> = page.members.into_iter().filter(&covered).collect();
            let mut gone = Vec::with_capacity(members.len());
            let mut ended = futures_util::stream::iter(members)
                .map(|member: Member| async move {
                    let found = self.take_away(&member.key, why).await?;
                    Ok::<_, StoreError>((member, found))
                })
                .buffer_unordered(AT_ONCE);
            while let Some(one) = ended.next().await {
                let (member, found) = one?;
                revoked += usize::from(found);
                if found || unborn == Unborn::Fails {
                    gone.push(member);
                }
            }
            drop(ended);
            if !gone.is_empty() {
                self.store.remove_members(index, &gone).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(revoked);
            }
        }
    }
}

/// What becomes of a session that is named and not there: a login may be about to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unborn {
    /// That login finds what this revocation has left, and fails: its name goes.
    Fails,
    /// Nothing tells that login: it goes through, and its name has to stay where the next revocation looks.
    Lives,
}

/// How many sessions one revocation deletes at once.
const AT_ONCE: usize = 32;

//! Ending sessions by whom they belong to, also those that are only about to be.
//!
//! What new logins look at is written first; then what is there already is deleted. When a call answers, both stand.

use futures_util::StreamExt as _;

use super::Sessions;
use super::names::{Name, SHARDS};
use super::store::{Member, StoreError};
use super::watch::Ended;

impl Sessions {
    /// Ends all sessions of a user, and all logins of theirs that are under way. Answers how many sessions there were.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: the revocation may stand in part, and has to be repeated.
    pub async fn revoke_user(&self, issuer: &str, subject: &str) -> Result<usize, StoreError> {
        let number = self.store.next_number(&Name::sequence()).await?;
        self.store.raise_number(&Name::revoked_user(issuer, subject), number, Some(self.guard())).await?;
        // Younger members are left alone: their logins read the sequence after this revocation, so it does not cover them.
        self.sweep(&Name::user(issuer, subject), |member| member.born < number).await
    }

    /// Ends the sessions that belong to one at the provider, and every login that comes of it. Answers how many there were.
    ///
    /// # Errors
    ///
    /// When the store cannot answer: the revocation may stand in part, and has to be repeated.
    pub async fn revoke_provider_sid(&self, issuer: &str, sid: &str) -> Result<usize, StoreError> {
        self.store.mark(&Name::tombstone(issuer, sid), self.guard()).await?;
        self.sweep(&Name::provider_sid(issuer, sid), |_| true).await
    }

    /// Ends the sessions that belong to one at the provider and are there now. Leaves nothing behind for logins to find: it is for
    /// askers who have proven nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    pub async fn end_provider_sid(&self, issuer: &str, sid: &str) -> Result<usize, StoreError> {
        self.sweep(&Name::provider_sid(issuer, sid), |_| true).await
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
        self.watches.all_ended();
        let mut revoked = 0;
        for shard in 0..SHARDS {
            match self.sweep(&Name::shard(shard), |member| member.born < number).await {
                Ok(found) => revoked += found,
                Err(error) => {
                    tracing::warn!(%error, "everybody is signed out, but not every record is deleted yet");
                    break;
                }
            }
        }
        Ok(revoked)
    }

    /// Deletes the sessions of an index that `covered` names, and then their members. Answers how many sessions there were.
    async fn sweep(&self, index: &Name, covered: impl Fn(&Member) -> bool) -> Result<usize, StoreError> {
        let (mut revoked, mut cursor) = (0, None);
        loop {
            let page = self.store.scan_members(index, cursor.as_deref()).await?;
            let members: Vec<Member> = page.members.into_iter().filter(&covered).collect();
            let mut ended = futures_util::stream::iter(members.clone())
                .map(|member: Member| async move {
                    let removed = self.store.delete_session(&member.key).await?;
                    self.watches.ended(&member.key, Ended::Revoked);
                    if let Some(removed) = &removed {
                        self.forget_removed(&member.key, removed).await;
                    }
                    Ok::<_, StoreError>(usize::from(removed.is_some()))
                })
                .buffer_unordered(AT_ONCE);
            while let Some(one) = ended.next().await {
                revoked += one?;
            }
            drop(ended);
            if !members.is_empty() {
                self.store.remove_members(index, &members).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(revoked);
            }
        }
    }
}

/// How many sessions one revocation deletes at once.
const AT_ONCE: usize = 32;

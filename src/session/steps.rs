//! Several steps of the protocol that follow each other without a decision in between.
//!
//! Their order is written by the protocol, once. A store that holds all their keys in one place may carry them out in one go, in that
//! order: that is one of the orders in which they could have met with what others do.

use std::time::Duration;

use futures_util::future::join_all;

use super::names::Name;
use super::store::{Member, NewRecord, SessionStore, StoreError};
use super::token::SessionKey;

/// One command of a [`SessionStore`], as one of several. Its answer is a number: 1 for yes and 0 for no where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// [`SessionStore::mark_once`].
    MarkOnce {
        /// The mark.
        name: &'a Name,
        /// How long it lives.
        ttl: Duration,
    },
    /// [`SessionStore::is_marked`].
    IsMarked(&'a Name),
    /// [`SessionStore::read_number`]: the number.
    ReadNumber(&'a Name),
    /// [`SessionStore::add_member`]: always 1.
    AddMember {
        /// Where to.
        index: &'a Name,
        /// Whom.
        member: &'a Member,
        /// How long the member lives.
        ttl: Duration,
    },
    /// [`SessionStore::point`]: always 1.
    Point {
        /// What is remembered.
        name: &'a Name,
        /// Which session it stands for.
        to: &'a SessionKey,
        /// For how long.
        ttl: Duration,
    },
    /// [`SessionStore::create_session`].
    CreateSession {
        /// Which.
        key: &'a SessionKey,
        /// What is written.
        new: NewRecord<'a>,
        /// How long it lives.
        ttl: Duration,
    },
}

impl Step<'_> {
    async fn alone<S: SessionStore + ?Sized>(self, store: &S) -> Result<u64, StoreError> {
        match self {
            Self::MarkOnce { name, ttl } => store.mark_once(name, ttl).await.map(u64::from),
            Self::IsMarked(name) => store.is_marked(name).await.map(u64::from),
            Self::ReadNumber(name) => store.read_number(name).await,
            Self::AddMember { index, member, ttl } => store.add_member(index, member, ttl).await.map(|()| 1),
            Self::Point { name, to, ttl } => store.point(name, to, ttl).await.map(|()| 1),
            Self::CreateSession { key, new, ttl } => store.create_session(key, new, ttl).await.map(u64::from),
        }
    }
}

/// Carries steps out one command each, those of a stage at once; all of a stage is done, well or not, before the next begins.
pub(super) async fn one_by_one<S: SessionStore + ?Sized>(
    store: &S,
    stages: &[&[Step<'_>]],
) -> Result<Vec<u64>, StoreError> {
    let mut answers = Vec::with_capacity(stages.iter().map(|stage| stage.len()).sum());
    for stage in stages {
        for answer in join_all(stage.iter().map(|step| step.alone(store))).await {
            answers.push(answer?);
        }
    }
    Ok(answers)
}

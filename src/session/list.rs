//! Lists of sessions, for operators and for people who look at their own.
//!
//! What is listed opens nothing: it comes from the operators' records, which hold no token and no claim.

use std::collections::HashSet;

use futures_util::StreamExt as _;

use super::Sessions;
use super::model::Summary;
use super::names::{Name, SHARDS};
use super::operator::OperatorRecord;
use super::store::{Member, StoreError};
use crate::base::Timestamp;

/// Which sessions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Those of a provider, by its configured name.
    Provider(String),
    /// Those of a user.
    User {
        /// The provider's issuer.
        issuer: String,
        /// The user there.
        subject: String,
    },
}

/// Part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The sessions, in no order. One may come again on a later page.
    pub sessions: Vec<Summary>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

impl Sessions {
    /// Lists live sessions, a page at a time. A cursor that no page gave lists nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    pub async fn list(&self, filter: &Filter, cursor: Option<&str>) -> Result<Page, StoreError> {
        let Some(mut place) = Place::read(cursor) else { return Ok(Page::default()) };
        let now = self.clock.now();
        let mut sessions = Vec::new();
        for _ in 0..SCANS {
            let (index, last) = match filter {
                Filter::User { issuer, subject } => (Name::user(issuer, subject), true),
                Filter::All | Filter::Provider(_) => (Name::shard(place.shard), place.shard + 1 >= SHARDS),
            };
            let page = self.store.scan_members(&index, place.cursor.as_deref()).await?;
            for found in self.summaries(page.members, now).await? {
                if matches!(filter, Filter::Provider(name) if **name != *found.provider) {
                    continue;
                }
                sessions.push(found);
            }
            match page.next {
                Some(next) => place.cursor = Some(next),
                None if last => return Ok(Page { sessions, next: None }),
                None => place = Place { shard: place.shard + 1, cursor: None },
            }
            if sessions.len() >= ENOUGH {
                break;
            }
        }
        Ok(Page { sessions, next: Some(place.write()) })
    }

    /// All live sessions of a user, the newest first.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    pub async fn list_user(&self, issuer: &str, subject: &str) -> Result<Vec<Summary>, StoreError> {
        let filter = Filter::User { issuer: issuer.to_owned(), subject: subject.to_owned() };
        let (mut all, mut seen, mut cursor) = (Vec::new(), HashSet::new(), None);
        loop {
            let page = self.list(&filter, cursor.as_deref()).await?;
            all.extend(page.sessions.into_iter().filter(|one| seen.insert(one.sid.clone())));
            cursor = page.next;
            if cursor.is_none() || all.len() >= MOST_OF_ONE_USER {
                break;
            }
        }
        all.sort_by_key(|one| std::cmp::Reverse(one.created));
        Ok(all)
    }

    /// What the operators' records say of those members that are alive.
    async fn summaries(&self, members: Vec<Member>, now: Timestamp) -> Result<Vec<Summary>, StoreError> {
        let mut found = futures_util::stream::iter(members)
            .map(|member| async move { self.summary(member, now).await })
            .buffer_unordered(AT_ONCE);
        let mut all = Vec::new();
        while let Some(one) = found.next().await {
            all.extend(one?);
        }
        Ok(all)
    }

    async fn summary(&self, member: Member, now: Timestamp) -> Result<Option<Summary>, StoreError> {
        let key = &member.key;
        let Some(stored) = self.store.read_operator(key).await? else { return Ok(None) };
        let Some(opened) = OperatorRecord::open(&self.ring, key, &stored.sealed) else {
            tracing::warn!(%key, "an operators' record was sealed by no secret that is known here");
            return Ok(None);
        };
        if !opened.newest {
            // So that an old secret is needed no longer than the sessions that it sealed.
            self.store.replace_operator(key, &opened.plain.seal(&self.ring, key, &*self.random)).await?;
        }
        let operator = opened.plain;
        let last_seen = stored.seen.map_or(operator.created(), |seen| seen.max(operator.created()));
        if operator.expires() <= now || last_seen + self.idle <= now {
            // Nobody can use it any more; the next who tries deletes it, and the store in the end.
            return Ok(None);
        }
        Ok(operator.summary(stored.seen))
    }
}

/// Where a list goes on: in which of its parts, and where there.
#[derive(Debug, Default)]
struct Place {
    shard: u8,
    cursor: Option<String>,
}

impl Place {
    fn read(cursor: Option<&str>) -> Option<Self> {
        let Some(cursor) = cursor else { return Some(Self::default()) };
        let (shard, rest) = cursor.split_once('~')?;
        let shard = shard.parse().ok().filter(|shard| *shard < SHARDS)?;
        Some(Self { shard, cursor: (!rest.is_empty()).then(|| rest.to_owned()) })
    }

    fn write(&self) -> String {
        format!("{}~{}", self.shard, self.cursor.as_deref().unwrap_or_default())
    }
}

/// A page ends at the first scan that brings it to so many,
const ENOUGH: usize = 100;
/// or after so many scans.
const SCANS: usize = 64;
/// How many records are read at once.
const AT_ONCE: usize = 32;
/// As many of one person's sessions as anybody will look at.
const MOST_OF_ONE_USER: usize = 1000;

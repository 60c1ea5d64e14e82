//! The store's commands as Redis knows them.
//!
//! Every command names the keys of one slot only, but for `steps`, and none is sent twice.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::ClientLike as _;
use fred::prelude::Value;

use super::tracking::Tracking;
use super::{Link, RedisStore, scripts};
use crate::base::Timestamp;
use crate::session::names::Name;
use crate::session::near_cache::NearCache;
use crate::session::steps::{self, Step};
use crate::session::store::{
    Member, MemberPage, NewRecord, Record, Removed, SessionStore, StoreCounters, StoreError, StoredOperator,
    StoredSession, Swap, TrackedReads,
};
use crate::session::token::SessionKey;

#[async_trait]
impl SessionStore for RedisStore {
    async fn create_session(&self, key: &SessionKey, new: NewRecord<'_>, ttl: Duration) -> Result<bool, StoreError> {
        self.commands.carry_out_one(Step::CreateSession { key, new, ttl }).await
    }

    async fn read_session(&self, key: &SessionKey) -> Result<Option<StoredSession>, StoreError> {
        let args = vec![text(&Name::record(key)), text(&Name::activity(key))];
        let (record, seen): (Option<Bytes>, Option<i64>) = self.commands.call("MGET", args).await?;
        let Some(record) = record else { return Ok(None) };
        Ok(Some(StoredSession { record: read_versioned(record)?, seen: seen.map(Timestamp::from_unix_millis) }))
    }

    async fn read_activity(&self, key: &SessionKey) -> Result<Option<Timestamp>, StoreError> {
        let seen: Option<i64> = self.commands.call("GET", vec![text(&Name::activity(key))]).await?;
        Ok(seen.map(Timestamp::from_unix_millis))
    }

    async fn replace_session(&self, key: &SessionKey, expected: u64, record: &Record) -> Result<Swap, StoreError> {
        let args = vec![bytes(&expected.to_be_bytes()), versioned(record)];
        match self.commands.run(&scripts::REPLACE, &[Name::record(key).as_str()], args).await? {
            0_i64 => Ok(Swap::Gone),
            1 => Ok(Swap::Conflict),
            2 => Ok(Swap::Replaced),
            _ => Err(StoreError::Nonsense("a swap with no known word")),
        }
    }

    async fn delete_session(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        let keys = [Name::record(key), Name::activity(key), Name::operator(key)];
        let removed = self.commands.run(&scripts::DELETE, &keys.each_ref().map(Name::as_str), Vec::new()).await?;
        Ok(read_removed(removed))
    }

    async fn delete_unseen(&self, key: &SessionKey, seen: Option<Timestamp>) -> Result<Option<Removed>, StoreError> {
        let keys = [Name::record(key), Name::activity(key), Name::operator(key)];
        let seen = seen.map(|seen| seen.unix_millis().to_string()).unwrap_or_default();
        let args = vec![Value::from(seen)];
        let removed = self.commands.run(&scripts::DELETE_UNSEEN, &keys.each_ref().map(Name::as_str), args).await?;
        Ok(read_removed(removed))
    }

    async fn touch_session(&self, key: &SessionKey, at: Timestamp) -> Result<bool, StoreError> {
        let keys = [Name::record(key), Name::activity(key)];
        self.commands
            .run(&scripts::TOUCH, &keys.each_ref().map(Name::as_str), vec![Value::from(at.unix_millis())])
            .await
    }

    async fn read_operator(&self, key: &SessionKey) -> Result<Option<StoredOperator>, StoreError> {
        let args = vec![text(&Name::operator(key)), text(&Name::activity(key))];
        let (sealed, seen): (Option<Bytes>, Option<i64>) = self.commands.call("MGET", args).await?;
        Ok(sealed.map(|sealed| StoredOperator { sealed, seen: seen.map(Timestamp::from_unix_millis) }))
    }

    async fn replace_operator(&self, key: &SessionKey, sealed: &[u8]) -> Result<bool, StoreError> {
        let args = vec![text(&Name::operator(key)), bytes(sealed), "XX".into(), "KEEPTTL".into()];
        let written: Option<String> = self.commands.call("SET", args).await?;
        Ok(written.is_some())
    }

    async fn add_member(&self, index: &Name, member: &Member, ttl: Duration) -> Result<(), StoreError> {
        self.commands.carry_out_one(Step::AddMember { index, member, ttl }).await.map(drop)
    }

    async fn scan_members(&self, index: &Name, cursor: Option<&str>) -> Result<MemberPage, StoreError> {
        let cursor: u64 = match cursor.map(str::parse) {
            None => 0,
            Some(Ok(cursor)) => cursor,
            Some(Err(_)) => return Ok(MemberPage::default()),
        };
        let args = vec![text(index), Value::from(cursor.to_string()), "COUNT".into(), PAGE.into()];
        let (next, found): (String, Vec<String>) = self.commands.call("ZSCAN", args).await?;
        // Members and their scores take turns. What is no member was not put there by us and names nothing.
        let members = found.iter().step_by(2).filter_map(|member| Member::parse(member)).collect();
        Ok(MemberPage { members, next: (next != "0").then_some(next) })
    }

    async fn remove_members(&self, index: &Name, members: &[Member]) -> Result<(), StoreError> {
        for some in members.chunks(PAGE as usize) {
            let mut args = vec![text(index)];
            args.extend(some.iter().map(|member| Value::from(member.to_string())));
            let _: i64 = self.commands.call("ZREM", args).await?;
        }
        Ok(())
    }

    async fn next_number(&self, name: &Name) -> Result<u64, StoreError> {
        self.commands.call("INCR", vec![text(name)]).await
    }

    async fn read_number(&self, name: &Name) -> Result<u64, StoreError> {
        let number: Option<u64> = self.commands.call("GET", vec![text(name)]).await?;
        Ok(number.unwrap_or(0))
    }

    async fn raise_number(&self, name: &Name, to: u64, ttl: Option<Duration>) -> Result<(), StoreError> {
        let args = vec![Value::from(to.to_string()), ttl.map_or_else(|| "".into(), millis)];
        self.commands.run(&scripts::RAISE, &[name.as_str()], args).await
    }

    async fn mark_once(&self, name: &Name, ttl: Duration) -> Result<bool, StoreError> {
        self.commands.set_new(name, "1".into(), ttl).await
    }

    async fn mark(&self, name: &Name, ttl: Duration) -> Result<(), StoreError> {
        self.commands.set(name, "1".into(), ttl).await
    }

    async fn is_marked(&self, name: &Name) -> Result<bool, StoreError> {
        self.commands.call("EXISTS", vec![text(name)]).await
    }

    async fn point(&self, name: &Name, to: &SessionKey, ttl: Duration) -> Result<(), StoreError> {
        self.commands.set(name, to.to_string().into(), ttl).await
    }

    async fn follow(&self, name: &Name) -> Result<Option<SessionKey>, StoreError> {
        let key: Option<String> = self.commands.call("GET", vec![text(name)]).await?;
        Ok(key.as_deref().and_then(SessionKey::parse))
    }

    async fn unpoint(&self, name: &Name) -> Result<(), StoreError> {
        self.commands.call("DEL", vec![text(name)]).await
    }

    async fn acquire_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.commands.set_new(name, owner.into(), ttl).await
    }

    async fn renew_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.commands.run(&scripts::RENEW_LEASE, &[name.as_str()], vec![owner.into(), millis(ttl)]).await
    }

    async fn release_lease(&self, name: &Name, owner: &str) -> Result<bool, StoreError> {
        self.commands.run(&scripts::RELEASE_LEASE, &[name.as_str()], vec![owner.into()]).await
    }

    async fn read_shared(&self, name: &Name) -> Result<Option<Record>, StoreError> {
        let value: Option<Bytes> = self.commands.call("GET", vec![text(name)]).await?;
        value.map(read_versioned).transpose()
    }

    async fn swap_shared(&self, name: &Name, expected: Option<u64>, record: &Record) -> Result<bool, StoreError> {
        let expected = expected.map_or_else(|| "".into(), |version| bytes(&version.to_be_bytes()));
        self.commands.run(&scripts::SWAP_SHARED, &[name.as_str()], vec![expected, versioned(record)]).await
    }

    async fn carry_out(&self, stages: &[&[Step<'_>]]) -> Result<Vec<u64>, StoreError> {
        match self.commands.carry_out(stages).await? {
            Some(answers) => Ok(answers),
            None => steps::one_by_one(self, stages).await,
        }
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.pulse.settle().await
    }

    fn track(&self, near: Arc<NearCache>) -> Box<dyn TrackedReads> {
        match Tracking::start(&self.config, &self.commands, self.pulse.replicas(), near) {
            Ok(tracking) => Box::new(tracking),
            // Not reached: the same configuration made the first client. Without it every request asks the store.
            Err(error) => {
                tracing::error!(%error, "there is no near cache");
                Box::new(self.commands.clone())
            }
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.commands.within(Box::pin(async { self.commands.client()?.ping::<()>(None).await })).await
    }

    fn counters(&self) -> &StoreCounters {
        &self.commands.shared.counters
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.commands.shared.outage.away_since()
    }

    fn has_answered(&self) -> bool {
        self.commands.shared.outage.met()
    }
}

/// Reads that nobody is told about.
#[async_trait]
impl TrackedReads for Link {
    async fn read_record(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let record: Option<Bytes> = self.call("GET", vec![text(&Name::record(key))]).await?;
        record.map(read_versioned).transpose()
    }
}

impl Link {
    async fn set(&self, name: &Name, value: Value, ttl: Duration) -> Result<(), StoreError> {
        self.call("SET", vec![text(name), value, "PX".into(), millis(ttl)]).await
    }

    async fn set_new(&self, name: &Name, value: Value, ttl: Duration) -> Result<bool, StoreError> {
        let written: Option<String> =
            self.call("SET", vec![text(name), value, "NX".into(), "PX".into(), millis(ttl)]).await?;
        Ok(written.is_some())
    }
}

fn text(name: &Name) -> Value {
    Value::from(name.as_str())
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(bytes))
}

fn millis(ttl: Duration) -> Value {
    Value::from(milliseconds(ttl))
}

/// Redis refuses an expiry of zero.
pub(super) fn milliseconds(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4).max(1)
}

/// A record in Redis begins with its version, so that a script can compare it without reading the rest.
fn versioned(record: &Record) -> Value {
    Value::Bytes([&record.version.to_be_bytes()[..], &record.sealed].concat().into())
}

pub(super) fn read_versioned(mut value: Bytes) -> Result<Record, StoreError> {
    let Some(version) = value.first_chunk::<8>().map(|version| u64::from_be_bytes(*version)) else {
        return Err(StoreError::Nonsense("with a record too short to be one"));
    };
    Ok(Record { version, sealed: value.split_off(8) })
}

fn read_removed(operator: Option<Bytes>) -> Option<Removed> {
    operator.map(|operator| Removed { operator: (!operator.is_empty()).then_some(operator) })
}

/// How many members one scan asks for, and one removal names.
const PAGE: i64 = 256;

//! The store's commands over the shelf.
//!
//! No command waits for anything while it holds the shelf.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Entry, Members, MemoryStore, PAGE, Shelf, Value, until};
use crate::base::Timestamp;
use crate::session::names::Name;
use crate::session::near_cache::NearCache;
use crate::session::store::{
    Member, MemberPage, NewRecord, Record, Removed, SessionStore, StoreCounters, StoreError, StoredOperator,
    StoredSession, Swap, TrackedReads,
};
use crate::session::token::SessionKey;

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create_session(&self, key: &SessionKey, new: NewRecord<'_>, ttl: Duration) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        let expires = Some(until(now, ttl));
        if shelf.get(&Name::record(key), now).is_some() {
            return Ok(false);
        }
        shelf.put(Name::record(key), versioned(new.record), expires, now)?;
        shelf.put(Name::operator(key), Value::Bytes(Bytes::copy_from_slice(new.operator)), expires, now)?;
        Ok(true)
    }

    async fn read_session(&self, key: &SessionKey) -> Result<Option<StoredSession>, StoreError> {
        let (shelf, now) = self.at();
        Ok(record(shelf.get(&Name::record(key), now))
            .map(|record| StoredSession { record, seen: moment(&shelf, key, now) }))
    }

    async fn read_activity(&self, key: &SessionKey) -> Result<Option<Timestamp>, StoreError> {
        let (shelf, now) = self.at();
        Ok(moment(&shelf, key, now))
    }

    async fn replace_session(&self, key: &SessionKey, expected: u64, record: &Record) -> Result<Swap, StoreError> {
        let (mut shelf, now) = self.at();
        let Some(entry) = shelf.get_mut(&Name::record(key), now) else { return Ok(Swap::Gone) };
        if !matches!(entry.value, Value::Record { version, .. } if version == expected) {
            return Ok(Swap::Conflict);
        }
        entry.value = versioned(record);
        shelf.tell(key);
        Ok(Swap::Replaced)
    }

    async fn delete_session(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        let (mut shelf, now) = self.at();
        Ok(delete(&mut shelf, key, now))
    }

    async fn delete_unseen(&self, key: &SessionKey, seen: Option<Timestamp>) -> Result<Option<Removed>, StoreError> {
        let (mut shelf, now) = self.at();
        if moment(&shelf, key, now) != seen {
            return Ok(None);
        }
        Ok(delete(&mut shelf, key, now))
    }

    async fn touch_session(&self, key: &SessionKey, at: Timestamp) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        let Some(expires) = shelf.get(&Name::record(key), now).map(|entry| entry.expires) else { return Ok(false) };
        if moment(&shelf, key, now).is_none_or(|seen| seen < at) {
            shelf.put(Name::activity(key), Value::Moment(at), expires, now)?;
        }
        Ok(true)
    }

    async fn read_operator(&self, key: &SessionKey) -> Result<Option<StoredOperator>, StoreError> {
        let (shelf, now) = self.at();
        Ok(match shelf.get(&Name::operator(key), now).map(|entry| &entry.value) {
            Some(Value::Bytes(sealed)) => {
                Some(StoredOperator { sealed: sealed.clone(), seen: moment(&shelf, key, now) })
            }
            _ => None,
        })
    }

    async fn replace_operator(&self, key: &SessionKey, sealed: &[u8]) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        let Some(entry) = shelf.get_mut(&Name::operator(key), now) else { return Ok(false) };
        entry.value = Value::Bytes(Bytes::copy_from_slice(sealed));
        Ok(true)
    }

    async fn add_member(&self, index: &Name, member: &Member, ttl: Duration) -> Result<(), StoreError> {
        let (mut shelf, now) = self.at();
        let expires = until(now, ttl);
        match shelf.get_mut(index, now) {
            Some(Entry { value: Value::Members(members), expires: lives }) => {
                members.trim(now);
                members.insert(*member, expires);
                if lives.is_none_or(|lives| lives < expires) {
                    shelf.expire(index, expires, now);
                }
            }
            _ => {
                let mut members = Members::default();
                members.insert(*member, expires);
                shelf.put(index.clone(), Value::Members(members), Some(expires), now)?;
            }
        }
        Ok(())
    }

    async fn scan_members(&self, index: &Name, cursor: Option<&str>) -> Result<MemberPage, StoreError> {
        let (shelf, now) = self.at();
        let Some(Entry { value: Value::Members(members), .. }) = shelf.get(index, now) else {
            return Ok(MemberPage::default());
        };
        let after = match cursor {
            // A cursor that we cannot have made finds nothing rather than beginning again.
            Some(cursor) => match Member::parse(cursor) {
                Some(member) => Bound::Excluded(member),
                None => return Ok(MemberPage::default()),
            },
            None => Bound::Unbounded,
        };
        let mut rest = members.expires.range((after, Bound::Unbounded));
        let read: Vec<_> = rest.by_ref().take(PAGE).collect();
        let next = rest.next().and(read.last()).map(|(member, _)| member.to_string());
        let members = read.into_iter().filter(|(_, expires)| **expires > now).map(|(member, _)| *member).collect();
        Ok(MemberPage { members, next })
    }

    async fn remove_members(&self, index: &Name, gone: &[Member]) -> Result<(), StoreError> {
        let (mut shelf, now) = self.at();
        let mut empty = false;
        if let Some(Entry { value: Value::Members(members), .. }) = shelf.get_mut(index, now) {
            gone.iter().for_each(|member| members.remove(member));
            empty = members.expires.is_empty();
        }
        if empty {
            shelf.remove(index, now);
        }
        Ok(())
    }

    async fn next_number(&self, name: &Name) -> Result<u64, StoreError> {
        let (mut shelf, now) = self.at();
        let next = number(&shelf, name, now).saturating_add(1);
        shelf.put(name.clone(), Value::Number(next), None, now)?;
        Ok(next)
    }

    async fn read_number(&self, name: &Name) -> Result<u64, StoreError> {
        let (shelf, now) = self.at();
        Ok(number(&shelf, name, now))
    }

    async fn raise_number(&self, name: &Name, to: u64, ttl: Option<Duration>) -> Result<(), StoreError> {
        let (mut shelf, now) = self.at();
        let raised = to.max(number(&shelf, name, now));
        let lives = shelf.get(name, now).and_then(|entry| entry.expires);
        let expires = ttl.map(|ttl| until(now, ttl)).map(|expires| lives.map_or(expires, |lives| lives.max(expires)));
        shelf.put(name.clone(), Value::Number(raised), expires, now)?;
        if *name == Name::generation() {
            shelf.tell_generation(raised);
        }
        Ok(())
    }

    async fn mark_once(&self, name: &Name, ttl: Duration) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        put_new(&mut shelf, name, Bytes::new(), ttl, now)
    }

    async fn mark(&self, name: &Name, ttl: Duration) -> Result<(), StoreError> {
        let (mut shelf, now) = self.at();
        shelf.put(name.clone(), Value::Bytes(Bytes::new()), Some(until(now, ttl)), now)
    }

    async fn is_marked(&self, name: &Name) -> Result<bool, StoreError> {
        let (shelf, now) = self.at();
        Ok(shelf.get(name, now).is_some())
    }

    async fn point(&self, name: &Name, to: &SessionKey, ttl: Duration) -> Result<(), StoreError> {
        let (mut shelf, now) = self.at();
        let key = Bytes::copy_from_slice(to.to_string().as_bytes());
        shelf.put(name.clone(), Value::Bytes(key), Some(until(now, ttl)), now)
    }

    async fn follow(&self, name: &Name) -> Result<Option<SessionKey>, StoreError> {
        let (shelf, now) = self.at();
        Ok(match shelf.get(name, now).map(|entry| &entry.value) {
            Some(Value::Bytes(key)) => std::str::from_utf8(key).ok().and_then(SessionKey::parse),
            _ => None,
        })
    }

    async fn unpoint(&self, name: &Name) -> Result<(), StoreError> {
        let (mut shelf, now) = self.at();
        shelf.remove(name, now);
        Ok(())
    }

    async fn acquire_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        put_new(&mut shelf, name, Bytes::copy_from_slice(owner.as_bytes()), ttl, now)
    }

    async fn renew_lease(&self, name: &Name, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        let held = holds(&shelf, name, owner, now);
        if held {
            shelf.expire(name, until(now, ttl), now);
        }
        Ok(held)
    }

    async fn release_lease(&self, name: &Name, owner: &str) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        let held = holds(&shelf, name, owner, now);
        if held {
            shelf.remove(name, now);
        }
        Ok(held)
    }

    async fn read_shared(&self, name: &Name) -> Result<Option<Record>, StoreError> {
        let (shelf, now) = self.at();
        Ok(record(shelf.get(name, now)))
    }

    async fn swap_shared(&self, name: &Name, expected: Option<u64>, new: &Record) -> Result<bool, StoreError> {
        let (mut shelf, now) = self.at();
        if record(shelf.get(name, now)).map(|record| record.version) != expected {
            return Ok(false);
        }
        shelf.put(name.clone(), versioned(new), None, now)?;
        Ok(true)
    }

    async fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn track(&self, near: Arc<NearCache>) -> Box<dyn TrackedReads> {
        let (mut shelf, now) = self.at();
        shelf.near.retain(|near| near.strong_count() > 0);
        shelf.near.push(Arc::downgrade(&near));
        near.confirm_always();
        near.know_generation(near.generation_turn(), number(&shelf, &Name::generation(), now));
        Box::new(Self::clone(self))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.counters.command();
        Ok(())
    }

    fn counters(&self) -> &StoreCounters {
        &self.counters
    }

    fn away_since(&self) -> Option<Timestamp> {
        None
    }

    fn has_answered(&self) -> bool {
        true
    }
}

fn versioned(record: &Record) -> Value {
    Value::Record { version: record.version, bytes: record.sealed.clone() }
}

fn record(entry: Option<&Entry>) -> Option<Record> {
    match entry?.value {
        Value::Record { version, ref bytes } => Some(Record { version, sealed: bytes.clone() }),
        _ => None,
    }
}

fn moment(shelf: &Shelf, key: &SessionKey, now: Timestamp) -> Option<Timestamp> {
    match shelf.get(&Name::activity(key), now)?.value {
        Value::Moment(at) => Some(at),
        _ => None,
    }
}

fn number(shelf: &Shelf, name: &Name, now: Timestamp) -> u64 {
    match shelf.get(name, now).map(|entry| &entry.value) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    }
}

fn holds(shelf: &Shelf, name: &Name, owner: &str, now: Timestamp) -> bool {
    matches!(shelf.get(name, now).map(|entry| &entry.value), Some(Value::Bytes(held)) if held == owner.as_bytes())
}

fn put_new(shelf: &mut Shelf, name: &Name, value: Bytes, ttl: Duration, now: Timestamp) -> Result<bool, StoreError> {
    if shelf.get(name, now).is_some() {
        return Ok(false);
    }
    shelf.put(name.clone(), Value::Bytes(value), Some(until(now, ttl)), now)?;
    Ok(true)
}

fn delete(shelf: &mut Shelf, key: &SessionKey, now: Timestamp) -> Option<Removed> {
    let record = shelf.remove(&Name::record(key), now);
    let operator = shelf.remove(&Name::operator(key), now);
    shelf.remove(&Name::activity(key), now);
    shelf.tell(key);
    record.map(|_| Removed {
        operator: match operator {
            Some(Value::Bytes(sealed)) => Some(sealed),
            _ => None,
        },
    })
}

#[async_trait]
impl TrackedReads for MemoryStore {
    async fn read_record(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let (shelf, now) = self.at();
        Ok(record(shelf.get(&Name::record(key), now)))
    }
}

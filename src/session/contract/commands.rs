//! The contract of each store command.
//!
//! Nothing here goes through the session service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Passing;
use crate::base::{SystemRandom, Timestamp};
use crate::session::names::Name;
use crate::session::store::{Member, NewRecord, Record, SessionStore, Swap};
use crate::session::token::{SessionKey, SessionToken};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(250);

type Store = Arc<dyn SessionStore>;

fn key() -> SessionKey {
    *SessionToken::generate(&SystemRandom).key()
}

fn record(version: u64, sealed: &'static str) -> Record {
    Record { version, sealed: Bytes::from_static(sealed.as_bytes()) }
}

fn member(born: u64) -> Member {
    Member { key: key(), born, created: Timestamp::from_unix_millis(5) }
}

async fn create(store: &Store, key: &SessionKey, record: &Record, ttl: Duration) -> bool {
    store.create_session(key, NewRecord { record, operator: b"operator" }, ttl).await.unwrap()
}

async fn all(store: &Store, index: &Name) -> BTreeSet<Member> {
    let (mut all, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = store.scan_members(index, cursor.as_deref()).await.unwrap();
        all.extend(page.members);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

pub async fn a_session_is_created_once(store: Store, _: &dyn Passing) {
    let key = key();
    assert_eq!(store.read_session(&key).await.unwrap(), None);
    assert!(create(&store, &key, &record(1, "one"), LONG).await);
    assert!(!create(&store, &key, &record(1, "two"), LONG).await);
    let stored = store.read_session(&key).await.unwrap().unwrap();
    assert_eq!((stored.record, stored.seen), (record(1, "one"), None));
    assert_eq!(store.read_operator(&key).await.unwrap().unwrap().sealed, "operator");
}

pub async fn a_record_is_replaced_only_in_the_version_that_was_read(store: Store, _: &dyn Passing) {
    let key = key();
    assert_eq!(store.replace_session(&key, 1, &record(2, "two")).await.unwrap(), Swap::Gone);
    assert_eq!(store.read_session(&key).await.unwrap(), None);
    create(&store, &key, &record(1, "one"), LONG).await;
    assert_eq!(store.replace_session(&key, 2, &record(3, "three")).await.unwrap(), Swap::Conflict);
    assert_eq!(store.replace_session(&key, 1, &record(2, "two")).await.unwrap(), Swap::Replaced);
    assert_eq!(store.replace_session(&key, 1, &record(2, "late")).await.unwrap(), Swap::Conflict);
    assert_eq!(store.read_session(&key).await.unwrap().unwrap().record, record(2, "two"));
}

pub async fn a_deleted_session_is_gone_with_all_that_belongs_to_it(store: Store, _: &dyn Passing) {
    let key = key();
    assert_eq!(store.delete_session(&key).await.unwrap(), None);
    create(&store, &key, &record(1, "one"), LONG).await;
    store.touch_session(&key, Timestamp::from_unix_millis(9)).await.unwrap();
    let removed = store.delete_session(&key).await.unwrap().unwrap();
    assert_eq!(removed.operator.as_deref(), Some(b"operator".as_slice()));
    assert_eq!(store.read_session(&key).await.unwrap(), None);
    assert_eq!(store.read_operator(&key).await.unwrap(), None);
    assert!(!store.is_marked(&Name::activity(&key)).await.unwrap());
    assert_eq!(store.delete_session(&key).await.unwrap(), None);
}

pub async fn only_an_unseen_session_is_deleted_as_unseen(store: Store, _: &dyn Passing) {
    let (key, seen) = (key(), Timestamp::from_unix_millis(9));
    create(&store, &key, &record(1, "one"), LONG).await;
    assert_eq!(store.delete_unseen(&key, Some(seen)).await.unwrap(), None);
    store.touch_session(&key, seen).await.unwrap();
    assert_eq!(store.delete_unseen(&key, None).await.unwrap(), None);
    assert!(store.read_session(&key).await.unwrap().is_some());
    assert!(store.delete_unseen(&key, Some(seen)).await.unwrap().is_some());
    assert_eq!(store.read_session(&key).await.unwrap(), None);
    assert_eq!(store.delete_unseen(&key, None).await.unwrap(), None);
}

pub async fn activity_is_noted_for_living_sessions_only(store: Store, _: &dyn Passing) {
    let (key, at) = (key(), Timestamp::from_unix_millis);
    assert!(!store.touch_session(&key, at(10)).await.unwrap());
    assert!(!store.is_marked(&Name::activity(&key)).await.unwrap());
    create(&store, &key, &record(1, "one"), LONG).await;
    for (noted, stands) in [(10, 10), (7, 10), (12, 12)] {
        assert!(store.touch_session(&key, at(noted)).await.unwrap());
        assert_eq!(store.read_session(&key).await.unwrap().unwrap().seen, Some(at(stands)));
        assert_eq!(store.read_operator(&key).await.unwrap().unwrap().seen, Some(at(stands)));
    }
}

pub async fn records_expire_and_a_replacement_does_not_extend_them(store: Store, time: &dyn Passing) {
    let key = key();
    create(&store, &key, &record(1, "one"), SHORT).await;
    assert_eq!(store.replace_session(&key, 1, &record(2, "two")).await.unwrap(), Swap::Replaced);
    time.pass(SHORT).await;
    assert_eq!(store.read_session(&key).await.unwrap(), None);
    assert_eq!(store.read_operator(&key).await.unwrap(), None);
    assert_eq!(store.replace_session(&key, 2, &record(3, "three")).await.unwrap(), Swap::Gone);
    assert_eq!(store.delete_session(&key).await.unwrap(), None);
}

pub async fn activity_expires_with_its_session(store: Store, time: &dyn Passing) {
    let key = key();
    create(&store, &key, &record(1, "one"), SHORT).await;
    assert!(store.touch_session(&key, Timestamp::from_unix_millis(9)).await.unwrap());
    time.pass(SHORT).await;
    assert!(!store.is_marked(&Name::activity(&key)).await.unwrap());
    assert!(!store.touch_session(&key, Timestamp::from_unix_millis(10)).await.unwrap());
}

pub async fn an_operators_record_is_rewritten_only_where_there_is_one(store: Store, time: &dyn Passing) {
    let key = key();
    assert!(!store.replace_operator(&key, b"new").await.unwrap());
    assert_eq!(store.read_operator(&key).await.unwrap(), None);
    create(&store, &key, &record(1, "one"), SHORT).await;
    assert!(store.replace_operator(&key, b"new").await.unwrap());
    assert_eq!(store.read_operator(&key).await.unwrap().unwrap().sealed, "new");
    time.pass(SHORT).await;
    assert_eq!(store.read_operator(&key).await.unwrap(), None);
}

pub async fn indexes_hold_members_and_trim_expired_ones(store: Store, time: &dyn Passing) {
    let index = Name::user("i", &key().to_string());
    let (short, long, later) = (member(1), member(2), member(3));
    assert!(all(&store, &index).await.is_empty());
    store.add_member(&index, &long, LONG).await.unwrap();
    // The shorter life of one member does not shorten the index'.
    store.add_member(&index, &short, SHORT).await.unwrap();
    assert_eq!(all(&store, &index).await, BTreeSet::from([short, long]));
    time.pass(SHORT).await;
    store.add_member(&index, &later, LONG).await.unwrap();
    assert_eq!(all(&store, &index).await, BTreeSet::from([long, later]));
    store.remove_members(&index, &[long, short]).await.unwrap();
    assert_eq!(all(&store, &index).await, BTreeSet::from([later]));
    store.remove_members(&index, &[later]).await.unwrap();
    assert!(!store.is_marked(&index).await.unwrap());
}

pub async fn a_scan_finds_every_member_that_stays(store: Store, _: &dyn Passing) {
    let index = Name::user("i", &key().to_string());
    let stay: BTreeSet<Member> = (0..700).map(member).collect();
    let mut go: Vec<Member> = (1000..1300).map(member).collect();
    for one in stay.iter().chain(&go) {
        store.add_member(&index, one, LONG).await.unwrap();
    }
    // While it is scanned, others come and go.
    let (mut found, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = store.scan_members(&index, cursor.as_deref()).await.unwrap();
        found.extend(page.members);
        pages += 1;
        store.remove_members(&index, &go.split_off(go.len().saturating_sub(60))).await.unwrap();
        store.add_member(&index, &member(5000), LONG).await.unwrap();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(found.is_superset(&stay));
    assert!(pages > 1, "a scan is bounded");
    assert!(store.scan_members(&index, Some("no cursor")).await.unwrap().members.is_empty());
}

pub async fn numbers_only_go_up(store: Store, time: &dyn Passing) {
    let name = Name::revoked_user("i", &key().to_string());
    assert_eq!(store.read_number(&name).await.unwrap(), 0);
    store.raise_number(&name, 5, Some(LONG)).await.unwrap();
    store.raise_number(&name, 3, Some(SHORT)).await.unwrap();
    assert_eq!(store.read_number(&name).await.unwrap(), 5);
    time.pass(SHORT).await;
    assert_eq!(store.read_number(&name).await.unwrap(), 5);
    store.raise_number(&name, 100, Some(LONG)).await.unwrap();
    assert_eq!(store.read_number(&name).await.unwrap(), 100);
    let next = Name::lease(&key().to_string());
    assert_eq!(store.next_number(&next).await.unwrap(), 1);
    assert_eq!(store.next_number(&next).await.unwrap(), 2);
    store.raise_number(&next, 9, None).await.unwrap();
    assert_eq!(store.next_number(&next).await.unwrap(), 10);
}

pub async fn a_mark_is_made_once_and_expires(store: Store, time: &dyn Passing) {
    let name = Name::attempt(&key().to_string());
    assert!(!store.is_marked(&name).await.unwrap());
    assert!(store.mark_once(&name, SHORT).await.unwrap());
    assert!(!store.mark_once(&name, LONG).await.unwrap());
    assert!(store.is_marked(&name).await.unwrap());
    time.pass(SHORT).await;
    assert!(!store.is_marked(&name).await.unwrap());
    store.mark(&name, SHORT).await.unwrap();
    store.mark(&name, LONG).await.unwrap();
    time.pass(SHORT).await;
    assert!(store.is_marked(&name).await.unwrap());
}

pub async fn references_lead_to_their_session(store: Store, time: &dyn Passing) {
    let (name, to) = (Name::lease(&key().to_string()), key());
    assert_eq!(store.follow(&name).await.unwrap(), None);
    store.point(&name, &to, SHORT).await.unwrap();
    assert_eq!(store.follow(&name).await.unwrap(), Some(to));
    time.pass(SHORT).await;
    assert_eq!(store.follow(&name).await.unwrap(), None);
    store.point(&name, &to, LONG).await.unwrap();
    store.unpoint(&name).await.unwrap();
    assert_eq!(store.follow(&name).await.unwrap(), None);
}

/// Refreshing once among replicas stands on this: a lease that was lost can be neither renewed nor given back.
pub async fn a_lease_has_one_owner(store: Store, time: &dyn Passing) {
    let name = Name::lease(&key().to_string());
    assert!(store.acquire_lease(&name, "a", SHORT).await.unwrap());
    assert!(!store.acquire_lease(&name, "b", LONG).await.unwrap());
    assert!(!store.renew_lease(&name, "b", LONG).await.unwrap());
    assert!(!store.release_lease(&name, "b").await.unwrap());
    assert!(store.renew_lease(&name, "a", SHORT * 10).await.unwrap());
    time.pass(SHORT).await;
    assert!(!store.acquire_lease(&name, "b", LONG).await.unwrap());
    time.pass(SHORT * 10).await;
    assert!(store.acquire_lease(&name, "b", LONG).await.unwrap());
    assert!(!store.renew_lease(&name, "a", LONG).await.unwrap());
    assert!(!store.release_lease(&name, "a").await.unwrap());
    assert!(store.release_lease(&name, "b").await.unwrap());
    assert!(store.acquire_lease(&name, "c", LONG).await.unwrap());
}

pub async fn a_shared_value_is_swapped_by_version(store: Store, _: &dyn Passing) {
    let name = Name::managed(&key().to_string());
    assert_eq!(store.read_shared(&name).await.unwrap(), None);
    assert!(!store.swap_shared(&name, Some(1), &record(2, "two")).await.unwrap());
    assert!(store.swap_shared(&name, None, &record(1, "one")).await.unwrap());
    assert!(!store.swap_shared(&name, None, &record(1, "other")).await.unwrap());
    assert!(store.swap_shared(&name, Some(1), &record(2, "two")).await.unwrap());
    assert!(!store.swap_shared(&name, Some(1), &record(2, "late")).await.unwrap());
    assert_eq!(store.read_shared(&name).await.unwrap(), Some(record(2, "two")));
}

pub async fn sealed_bytes_come_back_as_they_are(store: Store, _: &dyn Passing) {
    let sealed = Bytes::from((0..=255).cycle().take(5000).collect::<Vec<u8>>());
    for version in [1, u64::from(u32::MAX), u64::MAX] {
        let key = key();
        let record = Record { version, sealed: sealed.clone() };
        assert!(store.create_session(&key, NewRecord { record: &record, operator: &sealed }, LONG).await.unwrap());
        assert_eq!(store.read_session(&key).await.unwrap().unwrap().record, record);
        assert_eq!(store.read_operator(&key).await.unwrap().unwrap().sealed, sealed);
        assert_eq!(store.replace_session(&key, version, &record).await.unwrap(), Swap::Replaced);
    }
}

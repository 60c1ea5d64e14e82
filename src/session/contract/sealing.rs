//! The contract of what the store holds: useless to the store, and only good in its place.
//!
//! Secrets change here while sessions live.

use std::sync::Arc;
use std::time::Duration;

use super::{ISSUER, Passing, Replica, sample_login, sample_settings};
use crate::base::Secret;
use crate::session::store::NewRecord;
use crate::session::{Absence, Lookup, Replaced, SessionSettings, SessionStore, StoreError};

type Store = Arc<dyn SessionStore>;

fn with_secrets(store: &Store, secrets: &[u8]) -> Replica {
    let secrets = secrets.iter().map(|byte| Secret::new(vec![*byte; 32])).collect();
    Replica::with(store, SessionSettings { secrets, ..sample_settings() })
}

/// SESS-12: whoever can write to the store and swaps two records gets neither session.
pub async fn swapped_records_are_refused(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let (one, two) = (replica.log_in(sample_login("u1")).await, replica.log_in(sample_login("u2")).await);
    let mut held = Vec::new();
    for live in [&one, &two] {
        let record = store.read_session(live.key()).await.unwrap().unwrap().record;
        held.push((record, store.delete_session(live.key()).await.unwrap().unwrap().operator.unwrap()));
    }
    for (live, (record, operator)) in [&two, &one].into_iter().zip(&held) {
        let new = NewRecord { record, operator };
        assert!(store.create_session(live.key(), new, Duration::from_secs(60)).await.unwrap());
    }
    for live in [&one, &two] {
        assert!(matches!(replica.load(live).await, Lookup::Absent(Absence::Unreadable)));
    }
    assert!(replica.sessions.list_user(ISSUER, "u1").await.unwrap().is_empty());
}

/// SESS-12: sessions live on through a rotation of the secret, and need the old one only until they are next written.
pub async fn secrets_rotate_while_sessions_live(store: Store, _: &dyn Passing) {
    let before = with_secrets(&store, &[1]);
    let (written, unwritten) = (before.log_in(sample_login("u1")).await, before.log_in(sample_login("u2")).await);
    assert!(before.sessions.managed_swap("keys", None, b"key").await.unwrap());
    let overlap = with_secrets(&store, &[2, 1]);
    let Lookup::Found(held) = overlap.load(&written).await else { panic!("ended by the rotation") };
    assert!(overlap.is_alive(&unwritten).await);
    let next = overlap.sessions.replace(&held, held.session().clone(), overlap.now()).await.unwrap();
    assert!(matches!(next, Replaced::Replaced(_)));
    assert_eq!(overlap.sessions.managed_read("keys").await.unwrap().unwrap().0.expose(), b"key");
    let after = with_secrets(&store, &[2]);
    assert!(after.is_alive(&written).await);
    assert_eq!(after.sessions.managed_read("keys").await.unwrap().unwrap().0.expose(), b"key");
    assert!(matches!(after.load(&unwritten).await, Lookup::Absent(Absence::Unreadable)));
    // It was not for this replica to judge: one that knows the secret still finds it.
    assert!(overlap.is_alive(&unwritten).await);
    assert!(matches!(before.sessions.managed_read("keys").await, Err(StoreError::Unreadable)));
}

/// SESS-12: what operators read needs the old secret only until it is read.
pub async fn operators_records_are_sealed_anew_when_read(store: Store, _: &dyn Passing) {
    let live = with_secrets(&store, &[1]).log_in(sample_login("u1")).await;
    let after = with_secrets(&store, &[2]);
    assert!(after.sessions.list_user(ISSUER, "u1").await.unwrap().is_empty());
    assert_eq!(with_secrets(&store, &[2, 1]).sessions.list_user(ISSUER, "u1").await.unwrap().len(), 1);
    assert_eq!(after.sessions.list_user(ISSUER, "u1").await.unwrap()[0].sid, live.session().sid);
}

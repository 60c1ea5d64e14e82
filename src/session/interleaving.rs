//! Every order of a protocol's commands over the memory store: many by chance, all of the shortest, and what breaks when a part is left out.
//!
//! The machinery and its property are the contract's (`contract::orders`), which runs some of them over every store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::contract::{
    Hook, Hooked, ISSUER, PAIRS, Replica, Revocation, Variant, by_chance, run, sample_login, sample_meta,
};
use super::store::{SessionStore, StoreError};
use super::{Ended, MemoryStore};
use crate::base::Timestamp;
use crate::testing::ManualClock;

fn memory() -> Arc<dyn SessionStore> {
    Arc::new(MemoryStore::new(Arc::new(ManualClock::default())))
}

/// LOGOUT-09, SESS-07: whatever the order of commands, and wherever anybody stops, no session lives that an acknowledged
/// revocation covers, and every living session is named where a revocation looks.
#[tokio::test]
async fn the_protocol_holds_as_designed() {
    for kinds in PAIRS {
        for seed in 0..600 {
            by_chance(&memory(), Variant::AsDesigned, &kinds, seed).await.unwrap();
        }
        // What the services kept running ends.
        tokio::task::yield_now().await;
    }
}

/// Every schedule there is of one login and one revocation. Since every state is judged, one who stops for ever is among them:
/// it is one who goes on after all others have ended.
#[tokio::test]
async fn the_protocol_holds_in_every_order_of_one_login_and_one_revocation() {
    for kind in [Revocation::User, Revocation::ProviderSid, Revocation::Frame] {
        let (mut path, mut runs): (Vec<(usize, usize)>, usize) = (Vec::new(), 0);
        loop {
            let mut depth = 0;
            run(&memory(), "u1", (Variant::AsDesigned, &[kind], false), &mut |ready| {
                if depth == path.len() {
                    path.push((0, ready));
                }
                depth += 1;
                (path[depth - 1].0, false)
            })
            .await
            .unwrap();
            runs += 1;
            if runs % 100 == 0 {
                tokio::task::yield_now().await;
            }
            path.truncate(depth);
            while path.last().is_some_and(|(choice, ways)| choice + 1 >= *ways) {
                path.pop();
            }
            match path.last_mut() {
                Some(last) => last.0 += 1,
                None => break,
            }
        }
        assert!(runs > if kind == Revocation::Frame { 30 } else { 500 }, "{kind:?}: {runs}");
    }
}

/// The test can fail: each part of the protocol that is left out is found out.
#[tokio::test]
async fn every_broken_variant_is_found_out() {
    for variant in [Variant::NumberOverwritten, Variant::NoLook, Variant::YoungerToo, Variant::NoCompareAndSet] {
        let mut found = false;
        for seed in 0..20_000 {
            found = by_chance(&memory(), variant, &[Revocation::User, Revocation::User], seed).await.is_err();
            if found {
                break;
            }
        }
        assert!(found, "{variant:?} was not found out");
        tokio::task::yield_now().await;
    }
}

/// "The member is removed before its session" and "session before index": the order is the protocol.
#[tokio::test]
async fn names_come_before_the_session_and_go_after_it() {
    let clock = ManualClock::default();
    let inner: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(Arc::new(clock)));
    let journal = Arc::new(Journal::default());
    let store: Arc<dyn SessionStore> = Arc::new(Hooked { inner, hook: Arc::clone(&journal) });
    let replica = Replica::over(&store);
    let commands = |journal: &Journal| std::mem::take(&mut *journal.0.lock().unwrap());
    let live = replica.log_in(sample_login("u1")).await;
    let wrote = commands(&journal);
    assert_eq!(
        wrote,
        [
            "mark_once",
            "read_number",
            "point",
            "add_member",
            "add_member",
            "add_member",
            "create_session",
            "read_number",
            "read_number",
            "is_marked",
        ]
    );
    let check = |ended: Vec<&'static str>| {
        let deleted = ended.iter().position(|command| *command == "delete_session").unwrap();
        let removed = ended.iter().position(|command| *command == "remove_members").unwrap();
        assert!(deleted < removed, "{ended:?}");
    };
    replica.sessions.end(&live, Ended::Logout).await.unwrap();
    check(commands(&journal));
    replica.log_in(sample_login("u1")).await;
    commands(&journal);
    replica.sessions.revoke_user(ISSUER, "u1").await.unwrap();
    let revoked = commands(&journal);
    assert_eq!(revoked[..4], ["next_number", "raise_number", "scan_members", "delete_session"]);
    check(revoked);
    let third = replica.log_in(sample_login("u1")).await;
    commands(&journal);
    replica.sessions.end_sid(&third.session().sid).await.unwrap();
    check(commands(&journal));
    replica.log_in(sample_login("u1")).await;
    commands(&journal);
    replica.sessions.revoke_provider_sid(ISSUER, "op-u1").await.unwrap();
    let revoked = commands(&journal);
    assert_eq!(revoked[..3], ["mark", "scan_members", "delete_session"]);
    check(revoked);
}

/// SESS-13: whichever command the store fails, the answer is an error, never "no session", and no login goes half through.
#[tokio::test]
async fn a_store_that_fails_is_never_an_absent_session() {
    let clock = ManualClock::default();
    let inner: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(Arc::new(clock)));
    let faults = Arc::new(Faults::default());
    let store: Arc<dyn SessionStore> = Arc::new(Hooked { inner: Arc::clone(&inner), hook: Arc::clone(&faults) });
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    let now: Timestamp = replica.now();
    for failing in 1..=2 {
        faults.after(failing);
        assert!(replica.sessions.load(live.token(), now).await.is_err(), "command {failing}");
    }
    faults.after(0);
    assert!(replica.is_alive(&live).await);
    let mut failing = 1;
    loop {
        faults.after(0);
        let born = replica.sessions.burn_attempt(&format!("state {failing}"), now).await.unwrap().unwrap();
        faults.after(failing);
        let created = replica.sessions.create(sample_login("u2"), born, sample_meta(), now).await;
        let left = faults.0.load(Ordering::SeqCst);
        faults.after(0);
        let listed = replica.sessions.list_user(ISSUER, "u2").await.unwrap();
        if left > 0 {
            assert!(created.is_ok() && listed.len() == 1);
            break;
        }
        assert!(created.is_err() && listed.is_empty(), "command {failing}");
        failing += 1;
    }
    assert!(failing > 7);
}

#[derive(Debug, Default)]
struct Journal(Mutex<Vec<&'static str>>);

#[async_trait]
impl Hook for Journal {
    async fn before(&self, command: &'static str, _: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(command);
        Ok(())
    }
}

/// Fails the command that comes so many from now, once.
#[derive(Debug, Default)]
struct Faults(AtomicUsize);

impl Faults {
    fn after(&self, commands: usize) {
        self.0.store(commands, Ordering::SeqCst);
    }
}

#[async_trait]
impl Hook for Faults {
    async fn before(&self, _: &'static str, _: &str) -> Result<(), StoreError> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(1) => Err(StoreError::Unavailable(super::Unavailable::Deadline)),
            _ => Ok(()),
        }
    }
}

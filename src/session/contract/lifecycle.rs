//! The contract of the session service: beginning, living and ending, over any store.
//!
//! Time that callers pass as `now` is the replica's; the store's own stands still here.

use crate::session::Ended;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{IDLE, LIFETIME, Passing, Replica, sample_login};
use crate::base::{Secret, SystemRandom};
use crate::session::model::Session;
use crate::session::token::{SessionToken, Sid};
use crate::session::{Absence, Lookup, Replaced, SessionStore};

type Store = Arc<dyn SessionStore>;

fn absence(lookup: Lookup) -> Option<Absence> {
    match lookup {
        Lookup::Found(_) => None,
        Lookup::Absent(absence) => Some(absence),
    }
}

/// SESS-05: what one replica ends is over on the other.
pub async fn a_session_begins_lives_and_ends(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    let Lookup::Found(found) = two.load(&live).await else { panic!("not found") };
    assert_eq!(found.session().sid, live.session().sid);
    assert_eq!(found.session().claims, live.session().claims);
    assert_eq!(found.version(), live.version());
    assert!(two.sessions.end(&found, Ended::Logout).await.unwrap());
    assert_eq!(absence(one.load(&live).await), Some(Absence::Unknown));
    assert!(!one.sessions.end(&live, Ended::Logout).await.unwrap());
    assert!(one.sessions.list_user(super::ISSUER, "u1").await.unwrap().is_empty());
}

/// SESS-10: a well-formed token that we did not make is looked up and no more; a login makes another one.
pub async fn a_planted_token_is_never_adopted(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let planted = SessionToken::generate(&SystemRandom);
    let lookup = replica.sessions.load(&planted, replica.now()).await.unwrap();
    assert_eq!(absence(lookup), Some(Absence::Unknown));
    assert_eq!(store.read_session(planted.key()).await.unwrap(), None);
    let live = replica.log_in(sample_login("u1")).await;
    assert_ne!(live.token().expose(), planted.expose());
    let lookup = replica.sessions.load(&planted, replica.now()).await.unwrap();
    assert_eq!(absence(lookup), Some(Absence::Unknown));
}

/// SESS-04: without use a session ends after the idle time, on every replica, and is deleted.
pub async fn the_idle_limit_ends_a_session_that_nobody_uses(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    one.clock.advance(IDLE - Duration::from_millis(1));
    assert!(one.is_alive(&live).await);
    one.clock.advance(Duration::from_millis(1));
    assert_eq!(absence(one.load(&live).await), Some(Absence::Idle));
    // Also where the clock stands at an earlier time.
    assert_eq!(absence(two.load(&live).await), Some(Absence::Unknown));
    assert_eq!(store.read_session(live.key()).await.unwrap(), None);
}

/// SESS-04: with constant use and refreshes it ends at its absolute limit all the same.
pub async fn the_absolute_limit_ends_a_session_in_any_case(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let mut live = replica.log_in(sample_login("u1")).await;
    let step = IDLE / 2;
    let mut lived = Duration::ZERO;
    while lived + step < LIFETIME {
        replica.clock.advance(step);
        lived += step;
        store.touch_session(live.key(), replica.now()).await.unwrap();
        let Lookup::Found(found) = replica.load(&live).await else { panic!("ended after {lived:?}") };
        let later = Session { expires: replica.now() + LIFETIME, ..found.session().clone() };
        let Replaced::Replaced(next) = replica.sessions.replace(&found, later, replica.now()).await.unwrap() else {
            panic!("not replaced")
        };
        live = next;
    }
    replica.clock.advance(step);
    assert_eq!(absence(replica.load(&live).await), Some(Absence::Expired));
    assert_eq!(store.read_session(live.key()).await.unwrap(), None);
    let late = replica.sessions.replace(&live, live.session().clone(), replica.now()).await.unwrap();
    assert!(matches!(late, Replaced::Gone));
}

/// A replica whose reading is old does not end a session that another has seen in use.
pub async fn somebody_who_comes_back_in_time_keeps_the_session(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    one.clock.advance(IDLE - Duration::from_secs(1));
    one.sessions.touch(&live, one.now());
    while store.read_session(live.key()).await.unwrap().unwrap().seen.is_none() {
        tokio::task::yield_now().await;
    }
    two.clock.set(one.now());
    two.clock.advance(Duration::from_secs(10));
    let Lookup::Found(found) = two.load(&live).await else { panic!("ended") };
    assert_eq!(found.last_seen(), one.now());
    assert_eq!(found.idle_expires(), one.now() + IDLE);
}

/// SESS-07: a write that comes after the end says so and writes nothing.
pub async fn a_late_write_never_brings_a_session_back(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    let Lookup::Found(held) = two.load(&live).await else { panic!("not found") };
    one.sessions.end(&live, Ended::Logout).await.unwrap();
    let late = two.sessions.replace(&held, held.session().clone(), two.now()).await.unwrap();
    assert!(matches!(late, Replaced::Gone));
    assert!(!store.touch_session(live.key(), two.now()).await.unwrap());
    assert_eq!(store.read_session(live.key()).await.unwrap(), None);
    assert_eq!(absence(two.load(&live).await), Some(Absence::Unknown));
}

/// SESS-07: who read an older version cannot write over a newer one.
pub async fn of_two_writers_one_wins(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    let Lookup::Found(held) = two.load(&live).await else { panic!("not found") };
    let mut rotated = live.session().clone();
    rotated.tokens.refresh_token = Some(Secret::new("rotated".into()));
    let Replaced::Replaced(next) = one.sessions.replace(&live, rotated, one.now()).await.unwrap() else {
        panic!("not replaced")
    };
    assert_eq!(next.version(), live.version() + 1);
    let late = two.sessions.replace(&held, held.session().clone(), two.now()).await.unwrap();
    assert!(matches!(late, Replaced::Conflict));
    let Lookup::Found(found) = two.load(&live).await else { panic!("not found") };
    assert_eq!(found.session().tokens.refresh_token.as_ref().unwrap().expose(), "rotated");
    assert_eq!(found.version(), next.version());
}

/// No refresh moves the end, and none makes the session another person's.
pub async fn what_a_session_is_cannot_be_rewritten(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    let mut other = super::sample_session("u2", 99, replica.now() + LIFETIME);
    other.origin = "https://elsewhere.example".into();
    other.claims.insert("fresh".into(), true.into());
    let Replaced::Replaced(_) = replica.sessions.replace(&live, other, replica.now()).await.unwrap() else {
        panic!("not replaced")
    };
    let Lookup::Found(found) = replica.load(&live).await else { panic!("not found") };
    let (found, was) = (found.session(), live.session());
    assert_eq!((&found.sid, &found.subject, &found.origin), (&was.sid, &was.subject, &was.origin));
    assert_eq!((found.born, found.created, found.expires), (was.born, was.created, was.expires));
    assert_eq!(found.claims["fresh"], true);
}

/// LOGIN-05: of many callbacks with one state, at many replicas, exactly one may redeem its code.
pub async fn a_state_is_redeemed_once_among_all_replicas(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let calls = (0..20).map(|call| {
        let replica = if call % 2 == 0 { &one } else { &two };
        replica.sessions.burn_attempt("the state", replica.now())
    });
    let won = futures_util::future::join_all(calls).await.into_iter().filter(|born| born.as_ref().unwrap().is_some());
    assert_eq!(won.count(), 1);
    assert!(one.sessions.burn_attempt("another state", one.now()).await.unwrap().is_some());
}

/// SESS-17: an operator ends a session by the reference that the list shows.
pub async fn a_session_is_ended_by_its_reference(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let (first, second) = (replica.log_in(sample_login("u1")).await, replica.log_in(sample_login("u1")).await);
    let listed: HashSet<Sid> =
        replica.sessions.list_user(super::ISSUER, "u1").await.unwrap().into_iter().map(|one| one.sid).collect();
    assert_eq!(listed, HashSet::from([first.session().sid.clone(), second.session().sid.clone()]));
    assert!(replica.sessions.end_sid(&first.session().sid).await.unwrap());
    assert!(!replica.sessions.end_sid(&first.session().sid).await.unwrap());
    assert!(!replica.sessions.end_sid(&Sid::generate(&SystemRandom)).await.unwrap());
    assert!(!replica.is_alive(&first).await);
    assert!(replica.is_alive(&second).await);
    assert_eq!(replica.sessions.list_user(super::ISSUER, "u1").await.unwrap().len(), 1);
}

pub async fn values_are_agreed_by_all_replicas(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    assert!(one.sessions.managed_read("keys").await.unwrap().is_none());
    assert!(one.sessions.managed_swap("keys", None, b"first").await.unwrap());
    assert!(!two.sessions.managed_swap("keys", None, b"other").await.unwrap());
    let (value, version) = two.sessions.managed_read("keys").await.unwrap().unwrap();
    assert_eq!(value.expose(), b"first");
    assert!(two.sessions.managed_swap("keys", Some(version), b"second").await.unwrap());
    assert!(!one.sessions.managed_swap("keys", Some(version), b"late").await.unwrap());
    assert_eq!(one.sessions.managed_read("keys").await.unwrap().unwrap().0.expose(), b"second");
    assert!(one.sessions.managed_read("other").await.unwrap().is_none());
    assert!(one.sessions.acquire_lease("keys", "one", IDLE).await.unwrap());
    assert!(!two.sessions.acquire_lease("keys", "two", IDLE).await.unwrap());
    assert!(!two.sessions.release_lease("keys", "two").await.unwrap());
    assert!(one.sessions.renew_lease("keys", "one", IDLE).await.unwrap());
    assert!(one.sessions.release_lease("keys", "one").await.unwrap());
}

/// LOGOUT-11: a replayed `jti` is known on every replica, for as long as was asked.
pub async fn a_name_is_burnt_once(store: Store, time: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let life = Duration::from_millis(80);
    assert!(one.sessions.burn("jti 1", life).await.unwrap());
    assert!(!two.sessions.burn("jti 1", life).await.unwrap());
    assert!(two.sessions.burn("jti 2", life).await.unwrap());
    time.pass(life).await;
    assert!(two.sessions.burn("jti 1", life).await.unwrap());
}

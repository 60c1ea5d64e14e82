//! The contract of revocations, and of logins that are under way while one happens.
//!
//! Each variant of the model that must not come about has a test of its own here or in the interleaving tests.

use std::sync::Arc;
use std::time::Duration;

use super::{ISSUER, Passing, Replica, sample_login, sample_meta};
use crate::session::model::NewSession;
use crate::session::names::Name;
use crate::session::{Absence, Created, Lookup, SessionStore};

type Store = Arc<dyn SessionStore>;

fn at(issuer: &str, subject: &str, provider_sid: Option<&str>) -> NewSession {
    let mut login = sample_login(subject);
    login.issuer = issuer.to_owned();
    login.provider_sid = provider_sid.map(str::to_owned);
    login
}

/// SESS-17, LOGOUT-07: all sessions of the user die, on all replicas, and nobody else's; TOK-18: an equal `sub` at another issuer is
/// somebody else.
pub async fn a_user_is_revoked_everywhere_and_only_there(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let mut mine = Vec::new();
    for count in 0..5 {
        let replica = if count % 2 == 0 { &one } else { &two };
        mine.push(replica.log_in(at(ISSUER, "u1", None)).await);
    }
    let other_user = one.log_in(at(ISSUER, "u2", None)).await;
    let other_issuer = one.log_in(at("https://other.example", "u1", None)).await;
    assert_eq!(one.sessions.revoke_user(ISSUER, "u1").await.unwrap(), 5);
    for live in &mine {
        assert!(!one.is_alive(live).await && !two.is_alive(live).await);
    }
    assert!(two.is_alive(&other_user).await && two.is_alive(&other_issuer).await);
    assert_eq!(one.sessions.revoke_user(ISSUER, "u1").await.unwrap(), 0);
}

/// LOGOUT-07: a `sid` ends its own sessions, at its own issuer.
pub async fn a_session_at_the_provider_is_revoked_for_its_issuer_only(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let first = one.log_in(at(ISSUER, "u1", Some("s"))).await;
    let second = two.log_in(at(ISSUER, "u1", Some("s"))).await;
    let other_sid = one.log_in(at(ISSUER, "u1", Some("t"))).await;
    let other_issuer = one.log_in(at("https://other.example", "u1", Some("s"))).await;
    assert_eq!(two.sessions.revoke_provider_sid(ISSUER, "s").await.unwrap(), 2);
    assert!(!one.is_alive(&first).await && !one.is_alive(&second).await);
    assert!(one.is_alive(&other_sid).await && one.is_alive(&other_issuer).await);
    assert_eq!(one.sessions.revoke_provider_sid(ISSUER, "never seen").await.unwrap(), 0);
}

/// SESS-17: one call ends every session there is, also one that the sweep has not reached.
pub async fn everybody_is_revoked(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let mut all = Vec::new();
    for user in 0..20 {
        all.push(one.log_in(at(ISSUER, &format!("u{user}"), None)).await);
    }
    // Nothing in the store names this one any more: the generation alone refuses it.
    let unnamed = one.log_in(at(ISSUER, "u99", None)).await;
    store.remove_members(&Name::shard_of(unnamed.key()), &[unnamed.member()]).await.unwrap();
    assert_eq!(two.sessions.revoke_all().await.unwrap(), 20);
    for live in &all {
        assert!(!one.is_alive(live).await);
    }
    assert!(matches!(one.load(&unnamed).await, Lookup::Absent(Absence::Revoked)));
    let later = one.log_in(at(ISSUER, "u1", None)).await;
    assert!(two.is_alive(&later).await);
}

/// LOGOUT-09: the revocation comes after the state was burnt and before the session is stored.
pub async fn a_user_revoked_during_a_login_gets_no_session(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let born = one.sessions.burn_attempt("state", one.now()).await.unwrap().unwrap();
    assert_eq!(two.sessions.revoke_user(ISSUER, "u1").await.unwrap(), 0);
    let created = one.sessions.create(at(ISSUER, "u1", None), born, sample_meta(), one.now()).await.unwrap();
    assert!(matches!(created, Created::Revoked));
    assert!(one.sessions.list_user(ISSUER, "u1").await.unwrap().is_empty());
    let page = store.scan_members(&Name::user(ISSUER, "u1"), None).await.unwrap();
    assert!(page.members.is_empty());
}

/// LOGOUT-09: the same by the provider's `sid`.
pub async fn a_provider_session_ended_during_a_login_gets_no_session(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let born = one.sessions.burn_attempt("state", one.now()).await.unwrap().unwrap();
    two.sessions.revoke_provider_sid(ISSUER, "s").await.unwrap();
    let created = one.sessions.create(at(ISSUER, "u1", Some("s")), born, sample_meta(), one.now()).await.unwrap();
    assert!(matches!(created, Created::Revoked));
    // An ended session at the provider does not come back, so neither does a login that names it.
    assert!(matches!(one.try_log_in(at(ISSUER, "u1", Some("s"))).await, Created::Revoked));
    assert!(matches!(one.try_log_in(at(ISSUER, "u1", Some("t"))).await, Created::Created(_)));
}

/// LOGOUT-09: the same for everybody.
pub async fn everybody_revoked_during_a_login_means_that_login_too(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let born = one.sessions.burn_attempt("state", one.now()).await.unwrap().unwrap();
    two.sessions.revoke_all().await.unwrap();
    let created = one.sessions.create(at(ISSUER, "u1", None), born, sample_meta(), one.now()).await.unwrap();
    assert!(matches!(created, Created::Revoked));
}

/// LOGOUT-11: a revocation means what was there, not who signs in afterwards.
pub async fn a_login_begun_after_a_revocation_lives(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let old = one.log_in(at(ISSUER, "u1", None)).await;
    two.sessions.revoke_user(ISSUER, "u1").await.unwrap();
    let new = one.log_in(at(ISSUER, "u1", None)).await;
    assert!(!two.is_alive(&old).await);
    assert!(two.is_alive(&new).await);
    // A revoker that took its number before that login and sweeps only now leaves the younger member alone.
    assert_eq!(new.session().born, 1);
}

/// Of the model, "the number may be overwritten by a smaller one": a slow revoker does not undo a later one.
pub async fn the_number_is_never_overwritten_by_a_smaller_one(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let slow = store.next_number(&Name::sequence()).await.unwrap();
    let born = replica.sessions.burn_attempt("state", replica.now()).await.unwrap().unwrap();
    replica.sessions.revoke_user(ISSUER, "u1").await.unwrap();
    let guard = Some(Duration::from_secs(60));
    store.raise_number(&Name::revoked_user(ISSUER, "u1"), slow, guard).await.unwrap();
    let created = replica.sessions.create(at(ISSUER, "u1", None), born, sample_meta(), replica.now()).await.unwrap();
    assert!(matches!(created, Created::Revoked));
}

/// What a revocation leaves behind expires; a login that outlasts that might not see it, and gets nothing.
pub async fn a_login_that_took_too_long_gets_no_session(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let born = replica.sessions.burn_attempt("state", replica.now()).await.unwrap().unwrap();
    replica.clock.advance(Duration::from_secs(16 * 60));
    let created = replica.sessions.create(at(ISSUER, "u1", None), born, sample_meta(), replica.now()).await.unwrap();
    assert!(matches!(created, Created::Revoked));
}

/// LOGOUT-14: with a session that the provider ends, its refresh token is gone for good.
pub async fn a_revoked_session_leaves_nothing_behind(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let live = replica.log_in(at(ISSUER, "u1", Some("s"))).await;
    store.touch_session(live.key(), replica.now()).await.unwrap();
    assert_eq!(replica.sessions.revoke_provider_sid(ISSUER, "s").await.unwrap(), 1);
    for name in [
        Name::record(live.key()),
        Name::activity(live.key()),
        Name::operator(live.key()),
        Name::sid(&live.session().sid),
        Name::user(ISSUER, "u1"),
        Name::provider_sid(ISSUER, "s"),
        Name::shard_of(live.key()),
    ] {
        assert!(!store.is_marked(&name).await.unwrap(), "{name}");
    }
}

/// SESS-17: more sessions than one scan or one batch holds.
pub async fn many_sessions_are_revoked_at_once(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let logins = (0..400).map(|_| replica.log_in(at(ISSUER, "u1", None)));
    let all = futures_util::future::join_all(logins).await;
    assert_eq!(replica.sessions.revoke_user(ISSUER, "u1").await.unwrap(), all.len());
    for live in &all {
        assert!(!replica.is_alive(live).await);
    }
}

/// LOGOUT-11: a logout token that the network delivers twice, at two replicas at once, ends nobody who signed in after the first of them had
/// answered.
pub async fn a_logout_that_comes_twice_spares_who_came_in_between(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let old = one.log_in(sample_login("u1")).await;
    let late = two.sessions.take_turn().await.unwrap();
    let first = one.sessions.take_turn().await.unwrap();
    assert_eq!(one.sessions.log_out_user(ISSUER, "u1", first).await.unwrap(), 1);
    let new = one.log_in(sample_login("u1")).await;
    assert_eq!(two.sessions.log_out_user(ISSUER, "u1", late).await.unwrap(), 0);
    assert!(!one.is_alive(&old).await && one.is_alive(&new).await && two.is_alive(&new).await);
    // Nor does it let in whom the greater number covers.
    let born = one.sessions.burn_attempt("a state", one.now()).await.unwrap().unwrap();
    let (greater, smaller) = (one.sessions.take_turn().await.unwrap(), late);
    one.sessions.log_out_user(ISSUER, "u1", greater).await.unwrap();
    two.sessions.log_out_user(ISSUER, "u1", smaller).await.unwrap();
    let created = one.sessions.create(sample_login("u1"), born, sample_meta(), one.now()).await.unwrap();
    assert!(matches!(created, Created::Revoked));
}

//! The contract of the near cache: what it may know, and how soon it has to know that something is another way, over any store.

use std::sync::Arc;
use std::time::Duration;

use super::{IDLE, ISSUER, Passing, Replica, sample_login, sample_settings};
use crate::session::{Absence, Ended, LiveSession, Lookup, Replaced, SessionStore};

type Store = Arc<dyn SessionStore>;

/// Requests of a session that is near cost the store nothing, however many.
pub async fn what_is_near_asks_the_store_nothing(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    let near = replica.bring_near(&live).await;
    let before = store.counters().commands();
    for _ in 0..100 {
        let Lookup::Found(found) = replica.find(&live).await else { panic!("not found") };
        assert!(Arc::ptr_eq(&found, &near), "opened once");
    }
    assert_eq!(store.counters().commands(), before);
    let metrics = replica.sessions.metrics().near_cache.unwrap();
    assert_eq!(metrics.sessions, 1);
    assert!(metrics.bytes > 0 && metrics.hits >= 100, "{metrics:?}");
}

/// SESS-05: every way to end a session reaches the near cache of every replica.
pub async fn what_one_replica_ends_every_other_refuses(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    for way in ["logout", "sid", "user", "provider sid"] {
        let live = one.log_in(sample_login("u1")).await;
        one.bring_near(&live).await;
        two.bring_near(&live).await;
        match way {
            "logout" => assert!(one.sessions.end(&live, Ended::Logout).await.unwrap()),
            "sid" => assert!(one.sessions.end_sid(&live.session().sid).await.unwrap()),
            "user" => assert_eq!(one.sessions.revoke_user(ISSUER, "u1").await.unwrap(), 1),
            _ => assert_eq!(one.sessions.revoke_provider_sid(ISSUER, "op-u1").await.unwrap(), 1),
        }
        assert!(matches!(one.find(&live).await, Lookup::Absent(Absence::Unknown)), "{way}: at once where it was ended");
        until_absent(&two, &live, way).await;
    }
}

/// SESS-17: the number that ends everybody is near too, and counts for sessions that are.
pub async fn everybody_revoked_is_refused_near_too(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    one.bring_near(&live).await;
    two.bring_near(&live).await;
    assert_eq!(one.sessions.revoke_all().await.unwrap(), 1);
    assert!(matches!(one.find(&live).await, Lookup::Absent(_)), "at once where it was ended");
    until_absent(&two, &live, "everybody").await;
    let later = two.log_in(sample_login("u1")).await;
    one.bring_near(&later).await;
    two.bring_near(&later).await;
}

/// REF-05: a rotated token is found at once where it was stored, and soon on every replica.
pub async fn a_new_version_is_found_by_every_replica(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    let old = one.bring_near(&live).await;
    two.bring_near(&live).await;
    let session = old.session().clone();
    let Replaced::Replaced(new) = one.sessions.replace(&old, session, one.now()).await.unwrap() else {
        panic!("not replaced")
    };
    let Lookup::Found(found) = one.find(&live).await else { panic!("not found") };
    assert_eq!(found.version(), new.version());
    soon("the new version", || async {
        let Lookup::Found(found) = two.find(&live).await else { panic!("not found") };
        found.version() == new.version()
    })
    .await;
}

/// SESS-20: noting a use is no change: it takes no session out of any near cache.
pub async fn a_use_changes_nothing_near(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    let mine = one.bring_near(&live).await;
    let theirs = two.bring_near(&live).await;
    one.clock.advance(IDLE / 2);
    one.sessions.touch(&mine, one.now());
    soon("the note", || async {
        store.read_session(live.key()).await.unwrap().is_some_and(|stored| stored.seen == Some(one.now()))
    })
    .await;
    for (replica, near) in [(&one, &mine), (&two, &theirs)] {
        let again = replica.bring_near(&live).await;
        assert!(Arc::ptr_eq(&again, near));
    }
}

/// SESS-04: activity is not told to others, so a replica that has not seen any asks before it concludes.
pub async fn what_looks_idle_near_is_read_again(store: Store, _: &dyn Passing) {
    let (one, two) = (Replica::over(&store), Replica::over(&store));
    let live = one.log_in(sample_login("u1")).await;
    let mine = one.bring_near(&live).await;
    two.bring_near(&live).await;
    one.clock.advance(IDLE / 2);
    one.sessions.touch(&mine, one.now());
    soon("the note", || async { store.read_session(live.key()).await.unwrap().unwrap().seen == Some(one.now()) }).await;
    two.clock.advance(IDLE + Duration::from_secs(1));
    assert!(matches!(two.find(&live).await, Lookup::Found(_)), "used elsewhere");
    // And from then on it is near again.
    let before = store.counters().commands();
    assert!(matches!(two.find(&live).await, Lookup::Found(_)));
    assert_eq!(store.counters().commands(), before);
    two.clock.advance(IDLE);
    assert!(matches!(two.find(&live).await, Lookup::Absent(Absence::Idle)));
    until_absent(&one, &live, "idle").await;
}

/// What is not near any more, and was used from here lately, is read without asking when it was used: one question instead of two.
/// SESS-04: what was used long ago, or elsewhere, is asked for.
pub async fn who_noted_a_use_need_not_ask_for_it(store: Store, _: &dyn Passing) {
    let mut settings = sample_settings();
    settings.near_cache.sessions = 0;
    let replica = Replica::with(&store, settings);
    let live = replica.log_in(sample_login("u1")).await;
    let questions = async || {
        let before = store.counters().commands();
        let Lookup::Found(found) = replica.find(&live).await else { panic!("not found") };
        (store.counters().commands() - before, found)
    };
    soon("near reads, and one question for who has just signed in", async || questions().await.0 == 1).await;
    replica.clock.advance(IDLE / 2);
    let (asked, found) = questions().await;
    assert_eq!((asked, found.last_seen()), (2, found.session().created));
    let used = replica.now();
    replica.sessions.touch(&found, used);
    let noted = || async { store.read_session(live.key()).await.unwrap().unwrap().seen == Some(used) };
    soon("the note", noted).await;
    replica.clock.advance(IDLE / 20);
    let (asked, found) = questions().await;
    assert_eq!((asked, found.last_seen()), (1, used));
    replica.clock.advance(IDLE / 20);
    let (asked, found) = questions().await;
    assert_eq!((asked, found.last_seen()), (2, used));
    replica.clock.advance(IDLE);
    assert!(matches!(replica.find(&live).await, Lookup::Absent(Absence::Idle)));
}

/// `staleness = "0s"`.
pub async fn without_staleness_every_request_asks_the_store(store: Store, _: &dyn Passing) {
    let mut settings = sample_settings();
    settings.near_cache.staleness = Duration::ZERO;
    let replica = Replica::with(&store, settings);
    let live = replica.log_in(sample_login("u1")).await;
    for _ in 0..3 {
        let before = store.counters().commands();
        assert!(matches!(replica.find(&live).await, Lookup::Found(_)));
        assert!(store.counters().commands() > before);
    }
    let other = Replica::over(&store);
    assert!(other.sessions.end(&live, Ended::Logout).await.unwrap());
    assert!(matches!(replica.find(&live).await, Lookup::Absent(_)), "at once");
}

async fn until_absent(replica: &Replica, live: &LiveSession, way: &str) {
    soon(way, || async { matches!(replica.find(live).await, Lookup::Absent(_)) }).await;
}

/// Longer than `staleness`: whether that is kept is shown where the time can be measured.
async fn soon<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..1000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

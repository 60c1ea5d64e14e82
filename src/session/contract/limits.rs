//! The contract of the limit on one user's sessions, and of lists.
//!
//! Who is listed or counted is alive: what has ended takes no room and is shown to nobody.

use crate::session::Ended;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{IDLE, ISSUER, Passing, Replica, sample_login, sample_meta, sample_settings};
use crate::session::{Filter, SessionSettings, SessionStore};

type Store = Arc<dyn SessionStore>;

fn limited(store: &Store, most: u32) -> Replica {
    Replica::with(store, SessionSettings { per_user: Some(most), ..sample_settings() })
}

/// SESS-17: the limit ends the oldest session of that user, and of nobody else.
pub async fn the_oldest_session_makes_room(store: Store, _: &dyn Passing) {
    let replica = limited(&store, 3);
    let other = replica.log_in(sample_login("u2")).await;
    let mut mine = Vec::new();
    for _ in 0..5 {
        replica.clock.advance(Duration::from_secs(1));
        mine.push(replica.log_in(sample_login("u1")).await);
    }
    for (index, live) in mine.iter().enumerate() {
        assert_eq!(replica.is_alive(live).await, index >= 2, "session {index}");
    }
    assert!(replica.is_alive(&other).await);
    // Logins at once agree on who goes, and never end each other both.
    let logins = (0..8).map(|_| replica.try_log_in(sample_login("u3")));
    futures_util::future::join_all(logins).await;
    assert_eq!(replica.sessions.list_user(ISSUER, "u3").await.unwrap().len(), 3);
}

/// SESS-17: a session that has ended or idled out does not cost a living one its place.
pub async fn dead_sessions_take_no_room(store: Store, _: &dyn Passing) {
    let replica = limited(&store, 2);
    let idle = replica.log_in(sample_login("u1")).await;
    replica.clock.advance(IDLE);
    let ended = replica.log_in(sample_login("u1")).await;
    replica.sessions.end(&ended, Ended::Logout).await.unwrap();
    replica.clock.advance(Duration::from_secs(1));
    let first = replica.log_in(sample_login("u1")).await;
    replica.clock.advance(Duration::from_secs(1));
    let second = replica.log_in(sample_login("u1")).await;
    assert!(replica.is_alive(&first).await && replica.is_alive(&second).await);
    assert!(!replica.is_alive(&idle).await);
    // Nor one that began later.
    let used = replica.log_in(sample_login("u2")).await;
    replica.clock.advance(Duration::from_secs(1));
    let idle = replica.log_in(sample_login("u2")).await;
    replica.clock.advance(IDLE);
    store.touch_session(used.key(), replica.now()).await.unwrap();
    let new = replica.log_in(sample_login("u2")).await;
    assert!(replica.is_alive(&used).await && replica.is_alive(&new).await);
    assert!(!replica.is_alive(&idle).await);
}

/// SESS-17: operators see every living session, page by page.
pub async fn sessions_are_listed_by_page_provider_and_user(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let mut sids = BTreeSet::new();
    for user in 0..150 {
        let mut login = sample_login(&format!("u{user}"));
        login.provider = if user % 3 == 0 { "corp".into() } else { "partners".into() };
        sids.insert(replica.log_in(login).await.session().sid.to_string());
    }
    for (filter, count) in [
        (Filter::All, 150),
        (Filter::Provider("corp".into()), 50),
        (Filter::User { issuer: ISSUER.into(), subject: "u7".into() }, 1),
        (Filter::User { issuer: ISSUER.into(), subject: "nobody".into() }, 0),
    ] {
        let (mut listed, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
        loop {
            let page = replica.sessions.list(&filter, cursor.as_deref()).await.unwrap();
            listed.extend(page.sessions.into_iter().map(|one| one.sid.to_string()));
            cursor = page.next;
            pages += 1;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed.len(), count, "{filter:?}");
        assert!(listed.is_subset(&sids));
        assert!(pages > 1 || count < 100, "a page is bounded");
    }
    let page = replica.sessions.list(&Filter::All, Some("no cursor")).await.unwrap();
    assert!(page.sessions.is_empty() && page.next.is_none());
    let one = &replica.sessions.list_user(ISSUER, "u7").await.unwrap()[0];
    assert_eq!((one.address.as_str(), one.agent.as_str()), ("203.0.113.9", "Browser/1"));
    assert_eq!((one.address.clone(), one.agent.clone()), (sample_meta().address, sample_meta().agent));
    assert_eq!((&*one.provider, one.subject.as_str()), ("partners", "u7"));
    assert_eq!(one.last_seen, replica.now());
}

pub async fn an_idle_session_is_not_listed(store: Store, _: &dyn Passing) {
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    replica.clock.advance(IDLE - Duration::from_secs(1));
    store.touch_session(live.key(), replica.now()).await.unwrap();
    replica.clock.advance(IDLE - Duration::from_secs(1));
    assert_eq!(replica.sessions.list_user(ISSUER, "u1").await.unwrap().len(), 1);
    replica.clock.advance(Duration::from_secs(1));
    assert!(replica.sessions.list_user(ISSUER, "u1").await.unwrap().is_empty());
}

//! The near cache over a Redis that forgets, refuses, stands still or goes away.
//!
//! Whatever happens, nobody is served later than `staleness` after a revocation, and nobody is signed out by it.

use super::*;
use crate::session::LiveSession;

const STALENESS: Duration = Duration::from_secs(2);
/// What a busy machine adds to a bound that is measured.
const SLACK: Duration = Duration::from_millis(1500);

/// A replica with a connection of its own, as in another process.
async fn replica(server: &Server) -> Replica {
    Replica::over(&connected(server).await)
}

fn near(replica: &Replica) -> crate::session::NearCacheMetrics {
    replica.sessions.metrics().near_cache.unwrap()
}

/// Asks until the answer is no longer "found", and says what it is and how long that took.
async fn until_not_found(replica: &Replica, live: &LiveSession) -> (Result<Lookup, StoreError>, Duration) {
    let start = Instant::now();
    loop {
        let found = replica.sessions.find(live.token(), replica.now()).await;
        if !matches!(found, Ok(Lookup::Found(_))) {
            return (found, start.elapsed());
        }
        assert!(start.elapsed() < Duration::from_secs(30), "found for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Redis tells of `FLUSHALL` with a message that the client drops: the next beat notices.
#[tokio::test]
async fn a_flushed_store_is_noticed() {
    let server = Server::start(&[]);
    let replica = replica(&server).await;
    for round in 0..3_u32 {
        let live = replica.log_in(sample_login("u1")).await;
        replica.bring_near(&live).await;
        // At another point of the beat each time.
        tokio::time::sleep(Duration::from_millis(170) * round).await;
        assert!(server.cli(&["FLUSHALL"]).contains("OK"));
        let (found, after) = until_not_found(&replica, &live).await;
        assert!(matches!(found, Ok(Lookup::Absent(_))), "{found:?}");
        assert!(after <= STALENESS + SLACK, "{after:?}");
    }
    assert!(near(&replica).forgotten >= 3);
}

/// I2, SESS-05: a server that stands still tells nothing. What is near is served for `staleness` and then nobody is let in, and
/// nobody is signed out; when it goes on, the same cookie works.
#[tokio::test]
async fn without_confirmation_what_is_near_is_served_for_staleness_only() {
    let server = Server::start(&[]);
    let replica = replica(&server).await;
    let live = replica.log_in(sample_login("u1")).await;
    replica.bring_near(&live).await;
    server.signal("-STOP");
    assert!(matches!(replica.sessions.find(live.token(), replica.now()).await, Ok(Lookup::Found(_))));
    let (found, after) = until_not_found(&replica, &live).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    assert!(after > Duration::from_millis(500), "{after:?}");
    assert!(after <= STALENESS + DEADLINE + SLACK, "{after:?}");
    server.signal("-CONT");
    until_near(&replica, &live).await;
}

/// A connection that is cut, as `CLIENT KILL` does, costs a new beginning. What was revoked in between is not served after it.
#[tokio::test]
async fn what_happened_while_nobody_listened_is_known_afterwards() {
    let server = Server::start(&[]);
    let (one, two) = (replica(&server).await, replica(&server).await);
    for _ in 0..3 {
        let (gone, stays) = (one.log_in(sample_login("u1")).await, one.log_in(sample_login("u2")).await);
        for live in [&gone, &stays] {
            one.bring_near(live).await;
            two.bring_near(live).await;
        }
        server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        // As an operator would, past the gateway.
        server.cli(&["DEL", Name::record(gone.key()).as_str()]);
        for replica in [&one, &two] {
            let start = Instant::now();
            loop {
                match replica.sessions.find(gone.token(), replica.now()).await {
                    Ok(Lookup::Absent(_)) => break,
                    Ok(Lookup::Found(_)) => assert!(start.elapsed() <= STALENESS + SLACK),
                    Err(error) => assert!(start.elapsed() <= Duration::from_secs(5), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            until_near(replica, &stays).await;
        }
    }
}

/// A store that goes away: hits within `staleness`, then errors; back with everything, the same cookie works.
#[tokio::test]
async fn a_store_that_restarts_signs_nobody_out() {
    let mut server = Server::start(&["--save", "3600 1"]);
    let replica = replica(&server).await;
    let live = replica.log_in(sample_login("u1")).await;
    replica.bring_near(&live).await;
    assert!(server.cli(&["SAVE"]).contains("OK"));
    server.kill();
    let (found, after) = until_not_found(&replica, &live).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    assert!(after <= STALENESS + SLACK, "{after:?}");
    server.restart();
    server.wait();
    until_near(&replica, &live).await;
}

/// A primary that takes no writes, since it has lost its replicas, may have lost its office too: it confirms nothing.
#[tokio::test]
async fn a_primary_that_refuses_writes_confirms_nothing() {
    let server = Server::start(&[]);
    let replica = replica(&server).await;
    let live = replica.log_in(sample_login("u1")).await;
    replica.bring_near(&live).await;
    assert!(server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]).contains("OK"));
    let start = Instant::now();
    while near(&replica).age.is_none_or(|age| age <= STALENESS) {
        assert!(start.elapsed() < STALENESS + SLACK, "{:?}", near(&replica));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Reads are still answered, so everybody is served by asking.
    let hits = near(&replica).hits;
    assert!(matches!(replica.sessions.find(live.token(), replica.now()).await, Ok(Lookup::Found(_))));
    assert_eq!(near(&replica).hits, hits);
    assert!(server.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]).contains("OK"));
    until_near(&replica, &live).await;
}

/// Redis keeps a table of what was read, and makes room in it: what it forgets it tells, and a beat that it forgets counts as
/// nothing heard.
#[tokio::test]
async fn a_full_tracking_table_costs_hits_and_no_more() {
    let server = Server::start(&["--tracking-table-max-keys", "10"]);
    let (one, two) = (replica(&server).await, replica(&server).await);
    let mut sessions = Vec::new();
    for user in 0..40 {
        sessions.push(one.log_in(sample_login(&format!("u{user}"))).await);
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        for live in &sessions {
            assert!(matches!(two.find(live).await, Lookup::Found(_)));
        }
    }
    for live in &sessions {
        assert!(one.sessions.end(live, crate::session::Ended::Logout).await.unwrap());
    }
    tokio::time::sleep(STALENESS).await;
    for live in &sessions {
        assert!(matches!(two.find(live).await, Lookup::Absent(_)));
    }
}

/// A stream whose patience is as short as the bound is watched by what Redis tells, not by asking all the time.
#[tokio::test]
async fn a_short_patience_is_no_reason_to_ask() {
    let server = Server::start(&[]);
    let mut settings = sample_settings();
    (settings.near_cache.staleness, settings.near_cache.streams) = (Duration::from_secs(1), Duration::from_secs(1));
    let store = connected(&server).await;
    let sessions =
        crate::session::Sessions::new(settings, Arc::clone(&store), Arc::new(SystemClock), Arc::new(SystemRandom))
            .unwrap();
    let replica = Replica { sessions, clock: crate::testing::ManualClock::at(crate::base::Clock::now(&SystemClock)) };
    let live = replica.log_in(sample_login("u1")).await;
    let live = replica.bring_near(&live).await;
    let watch = Arc::new(replica.sessions).watch(&live);
    let before = store.counters().commands();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = store.counters().commands() - before;
    assert!(asked <= 4, "{asked} commands in three seconds");
    drop(watch);
}

/// Asks for so many sessions that nobody has.
async fn strangers(replica: &Replica, count: usize) {
    let tokens = (0..count).map(|_| crate::session::SessionToken::generate(&crate::base::SystemRandom));
    let asked = tokens.map(async |token| {
        let found = replica.sessions.find(&token, replica.now()).await;
        assert!(matches!(found, Ok(Lookup::Absent(_))), "{found:?}");
    });
    futures_util::future::join_all(asked).await;
}

/// Where very many sessions pass, Redis forgets what was read of some of them, and of our own keys no sooner than of others: what is near
/// stays near.
#[tokio::test]
async fn a_table_that_is_full_of_sessions_forgets_sessions() {
    const TABLE: usize = 5_000;
    let server = Server::start(&["--tracking-table-max-keys", &TABLE.to_string()]);
    let replica = replica(&server).await;
    let live = replica.log_in(sample_login("u1")).await;
    replica.bring_near(&live).await;
    let before = near(&replica).forgotten;
    // The table fills, and for five seconds Redis makes room in it.
    strangers(&replica, TABLE).await;
    for _ in 0..50 {
        strangers(&replica, 20).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let forgotten = near(&replica).forgotten - before;
    assert!(forgotten <= 3, "{forgotten} times in five seconds");
}

/// An account that may not be told still serves: every request asks.
#[tokio::test]
async fn an_account_that_may_not_be_told_asks_each_time() {
    let server = Server::start(&[]);
    let account = ["ACL", "SETUSER", "deaf", "on", ">word", "~*", "&*", "+@all", "-client|tracking"];
    assert!(server.cli(&account).contains("OK"));
    let store: Arc<dyn SessionStore> = Arc::new(connect(server.url_as("deaf:word@localhost")));
    available(&*store, Duration::from_secs(5)).await;
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(replica.find(&live).await, Lookup::Found(_)));
    assert_eq!((near(&replica).hits, near(&replica).age), (0, None));
}

/// The keys of beats end by themselves: a process that is gone leaves nothing behind.
#[tokio::test]
async fn every_key_of_a_beat_expires() {
    let server = Server::start(&[]);
    let replica = replica(&server).await;
    let live = replica.log_in(sample_login("u1")).await;
    replica.bring_near(&live).await;
    let beats: Vec<_> = server.keys().into_iter().filter(|(key, _)| Name::is_beat(key)).collect();
    assert!(!beats.is_empty());
    assert!(beats.iter().all(|(_, left)| (0..=10_000).contains(left)), "{beats:?}");
}

/// Waits until the session is served without asking, through whatever errors.
async fn until_near(replica: &Replica, live: &LiveSession) {
    let start = Instant::now();
    loop {
        let hits = near(replica).hits;
        match replica.sessions.find(live.token(), replica.now()).await {
            Ok(Lookup::Found(_)) if near(replica).hits > hits => return,
            Ok(Lookup::Found(_)) | Err(_) => {}
            Ok(Lookup::Absent(absence)) => panic!("signed out: {}", absence.as_str()),
        }
        assert!(start.elapsed() < Duration::from_secs(15), "never near again: {:?}", near(replica));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// SESS-05: with `near_cache.replicas` neither a beat nor a revocation counts before a replica has it.
#[tokio::test]
async fn what_no_replica_has_does_not_count() {
    let port = free_port().to_string();
    let primary = Server::start(&["--port", &port]);
    let follower = Server::start(&["--replicaof", &format!("127.0.0.1 {port}"), "--repl-ping-replica-period", "1"]);
    let store = connect(primary.url()).with_replicas(1).unwrap();
    available(&store, Duration::from_secs(5)).await;
    let store: Arc<dyn SessionStore> = Arc::new(store);
    let replica = Replica::over(&store);
    let (one, two) = (replica.log_in(sample_login("u1")).await, replica.log_in(sample_login("u2")).await);
    until_near(&replica, &one).await;
    until_ended(&replica, &one).await;
    follower.signal("-STOP");
    let start = Instant::now();
    while near(&replica).age.is_none_or(|age| age <= STALENESS) {
        assert!(start.elapsed() < STALENESS + SLACK * 2, "confirmed without the replica: {:?}", near(&replica));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..2 {
        let answer = replica.sessions.end(&two, crate::session::Ended::Revoked).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(Unavailable::Replicas))), "{answer:?}");
    }
    follower.signal("-CONT");
    until_ended(&replica, &two).await;
}

/// A busy machine may need more than one try.
async fn until_ended(replica: &Replica, live: &LiveSession) {
    let start = Instant::now();
    while replica.sessions.end(live, crate::session::Ended::Revoked).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

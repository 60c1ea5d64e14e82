//! Redis that dies, stands still, refuses, or is there no more behind a connection that looks alive.
//!
//! Nobody is ever told "no such session" because of it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use super::*;
use crate::session::{SessionSettings, Sessions, StoreSettings};

/// SESS-13: a server that stands still costs a request its deadline, is never mistaken for "no session", and when it goes on
/// the same cookie opens the same session.
#[tokio::test]
async fn a_stalled_server_is_an_error_within_the_deadline() {
    let server = Server::start(&[]);
    let store = connected(&server).await;
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    server.signal("-STOP");
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        let start = Instant::now();
        let error = replica.sessions.load(live.token(), replica.now()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(start.elapsed() < DEADLINE + Duration::from_secs(1), "{:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(!replica.sessions.available());
    server.signal("-CONT");
    available(&*store, Duration::from_secs(5)).await;
    assert!(replica.is_alive(&live).await);
    assert!(replica.sessions.metrics().reconnects > 0, "the watch made a new connection");
}

/// SESS-13: a server that died fails requests at once; a new one is found within two seconds.
#[tokio::test]
async fn a_dead_server_fails_fast_and_a_new_one_is_found() {
    let mut server = Server::start(&[]);
    let store = connected(&server).await;
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    for _ in 0..20 {
        assert!(matches!(
            replica.sessions.load(live.token(), replica.now()).await,
            Err(StoreError::Unavailable(Unavailable::Disconnected))
        ));
    }
    assert!(start.elapsed() < DEADLINE, "without a connection nobody waits: {:?}", start.elapsed());
    assert!(replica.sessions.away_since().is_some());
    server.restart();
    server.wait();
    available(&*store, Duration::from_secs(2)).await;
    // It came back empty, and says so.
    assert!(!replica.is_alive(&live).await);
    let again = replica.log_in(sample_login("u1")).await;
    assert!(replica.is_alive(&again).await);
}

/// SESS-13: a store that is down at the start is only a store that is down.
#[tokio::test]
async fn the_service_starts_while_the_store_is_down() {
    let mut server = Server::start(&[]);
    server.kill();
    let settings = SessionSettings {
        store: StoreSettings::Redis(Secret::new(server.url())),
        deadline: DEADLINE,
        ..sample_settings()
    };
    let sessions = Sessions::connect(settings, Arc::new(SystemClock), Arc::new(SystemRandom)).unwrap();
    let now = crate::base::Clock::now(&SystemClock);
    assert!(!sessions.available());
    assert!(matches!(sessions.burn_attempt("state", now).await, Err(StoreError::Unavailable(_))));
    server.restart();
    server.wait();
    available(&*sessions.store, Duration::from_secs(3)).await;
    assert!(sessions.burn_attempt("state", now).await.unwrap().is_some());
    assert!(sessions.available());
}

/// SESS-13: what Redis refuses is trouble of the store with a reason, and heals without a restart.
#[tokio::test]
async fn refusals_have_a_reason_and_heal() {
    let server = Server::start(&[]);
    let store = connected(&server).await;
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    for (broken, healed, reason) in [
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], Unavailable::ReadOnly),
        (["CONFIG", "SET maxmemory", "1"], ["CONFIG", "SET maxmemory", "0"], Unavailable::OutOfMemory),
    ] {
        let cli = |command: [&str; 3]| {
            let words: Vec<&str> = command.iter().flat_map(|part| part.split(' ')).collect();
            assert!(server.cli(&words).contains("OK"), "{words:?}");
        };
        cli(broken);
        let refused = replica.sessions.replace(&live, live.session().clone(), replica.now()).await.unwrap_err();
        assert_eq!(refused, StoreError::Unavailable(reason));
        assert!(!replica.sessions.available());
        cli(healed);
        available(&*store, Duration::from_secs(5)).await;
        assert!(replica.is_alive(&live).await);
    }
}

/// A way to the server on which existing connections can be frozen for ever, as when a host dies without a word.
struct Way {
    port: u16,
    frozen: watch::Sender<u64>,
    swallowing: watch::Sender<bool>,
}

impl Way {
    async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = server.directory.path().join("redis.sock");
        let (frozen, freezes) = watch::channel(0);
        let (swallowing, swallows) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                let mut freezes = freezes.clone();
                freezes.mark_unchanged();
                let swallows = swallows.clone();
                tokio::spawn(async move { Self::carry(client, server, freezes, swallows).await });
            }
        });
        Self { port, frozen, swallowing }
    }

    async fn carry(
        mut client: TcpStream,
        mut server: UnixStream,
        mut freezes: watch::Receiver<u64>,
        swallows: watch::Receiver<bool>,
    ) {
        let (mut up, mut down) = (vec![0; 16384], vec![0; 16384]);
        loop {
            tokio::select! {
                _ = freezes.changed() => std::future::pending().await,
                read = client.read(&mut up) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(read) => server.write_all(&up[..read]).await.unwrap(),
                },
                read = server.read(&mut down) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) if *swallows.borrow() => {}
                    // It may have hung up.
                    Ok(read) => if client.write_all(&down[..read]).await.is_err() { return },
                },
            }
        }
    }

    /// Answers get lost; what is asked is done.
    fn swallow(&self, answers: bool) {
        self.swallowing.send_replace(answers);
    }

    fn freeze(&self) {
        self.frozen.send_modify(|count| *count += 1);
    }
}

/// SESS-13: half-open connections are noticed under steady traffic, also when what was written to them fills every buffer;
/// five seconds later at most there is service again.
#[tokio::test]
async fn half_open_connections_are_replaced() {
    let server = Server::start(&[]);
    let way = Way::to(&server).await;
    let store: Arc<dyn SessionStore> = Arc::new(connect(format!("redis://127.0.0.1:{}", way.port)));
    available(&*store, Duration::from_secs(5)).await;
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    for size in [10, 1_000_000] {
        let reconnects = store.counters().reconnects();
        way.freeze();
        let start = Instant::now();
        // The traffic of requests that know nothing of it.
        let traffic = tokio::spawn({
            let (store, key) = (Arc::clone(&store), *live.key());
            async move {
                let big = vec![0; size];
                loop {
                    let some = (0..16).map(|_| store.replace_operator(&key, &big));
                    futures_util::future::join_all(some).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        loop {
            match replica.sessions.load(live.token(), replica.now()).await {
                Ok(Lookup::Found(_)) => break,
                Ok(Lookup::Absent(why)) => panic!("{why:?}"),
                Err(_) => assert!(start.elapsed() < Duration::from_secs(5), "{size}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        traffic.abort();
        assert!(store.counters().reconnects() > reconnects);
        available(&*store, Duration::from_secs(5)).await;
    }
}

/// SESS-13: nothing that waited to be sent when a connection died holds up the next, on which little is asked and everything answered.
#[tokio::test]
async fn what_a_dead_connection_left_behind_holds_nothing_up() {
    let server = Server::start(&[]);
    let way = Way::to(&server).await;
    let store: Arc<dyn SessionStore> = Arc::new(connect(format!("redis://127.0.0.1:{}", way.port)));
    available(&*store, Duration::from_secs(5)).await;
    let live = Replica::over(&store).log_in(sample_login("u1")).await;
    way.freeze();
    // More than every buffer on the way holds, so that the rest waits inside of the client.
    let big = vec![0; 4_000_000];
    let crowd = (0..32).map(|_| store.replace_operator(live.key(), &big));
    assert!(futures_util::future::join_all(crowd).await.iter().all(Result::is_err));
    available(&*store, Duration::from_secs(5)).await;
    for one in 0..20 {
        let answer = store.is_marked(&Name::burnt("x")).await;
        assert!(answer.is_ok(), "{one}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// SESS-13: where answers got lost on the way, every later one goes to whom it does not belong. That is noticed on each connection,
/// also where others keep coming and nobody waits in vain; and nobody is signed out by it.
#[tokio::test]
async fn answers_out_of_step_are_noticed_on_every_connection() {
    let server = Server::start(&[]);
    let way = Way::to(&server).await;
    let store: Arc<dyn SessionStore> = Arc::new(connect(format!("redis://127.0.0.1:{}", way.port)));
    available(&*store, Duration::from_secs(5)).await;
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    let near = || replica.sessions.metrics().near_cache.unwrap().hits;
    store.mark(&Name::burnt("here"), Duration::from_secs(600)).await.unwrap();
    let wrong = Arc::new(AtomicU64::new(0));
    let crowd: Vec<_> = (0..6)
        .map(|_| {
            let (store, wrong) = (Arc::clone(&store), Arc::clone(&wrong));
            tokio::spawn(async move {
                loop {
                    for (name, is) in [("here", true), ("not", false), ("nor", false)] {
                        if store.is_marked(&Name::burnt(name)).await.is_ok_and(|said| said != is) {
                            wrong.fetch_add(1, Ordering::Relaxed);
                        }
                        tokio::time::sleep(Duration::from_millis(3)).await;
                    }
                }
            })
        })
        .collect();
    for round in 0..5_u32 {
        replica.bring_near(&live).await;
        // At another point of the beat each time.
        tokio::time::sleep(Duration::from_millis(110) * round).await;
        way.swallow(true);
        tokio::time::sleep(Duration::from_millis(250)).await;
        way.swallow(false);
        let (start, mut good) = (Instant::now(), 0);
        while good < 25 {
            let (hits, errors) = (near(), wrong.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(20)).await;
            match replica.sessions.find(live.token(), replica.now()).await {
                Ok(Lookup::Found(_)) if near() > hits && wrong.load(Ordering::Relaxed) == errors => good += 1,
                Ok(Lookup::Found(_)) | Err(_) => good = 0,
                Ok(Lookup::Absent(absence)) => panic!("signed out: {}", absence.as_str()),
            }
            assert!(
                start.elapsed() < Duration::from_secs(6),
                "round {round}: {wrong:?} {:?}",
                replica.sessions.metrics()
            );
        }
    }
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
}

//! Very many sessions of one person, ended while more of them begin.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, stream};

use super::*;
use crate::session::contract::{ISSUER, sample_meta};
use crate::session::{Created, LiveSession};

const CROWD: usize = 10_000;
const AT_ONCE: usize = 100;
const STALENESS: Duration = Duration::from_secs(2);

/// Members of indexes whose sessions are not there, and how many members there are at all.
const ORPHANS: &str = "
local all, orphans = 0, 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TYPE', key).ok == 'zset' then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      all = all + 1
      local session = 'vestibule:session:{' .. string.match(member, '^[^.]+') .. '}'
      if redis.call('EXISTS', session) == 0 then orphans = orphans + 1 end
    end
  end
end
return { orphans, all }";

/// A replica whose commands may take their time: a crowd is slow on a busy machine, and no outage.
async fn replica(server: &Server) -> Replica {
    let store =
        RedisStore::connect(&Secret::new(server.url()), Duration::from_secs(20), Arc::new(SystemClock)).unwrap();
    available(&store, Duration::from_secs(5)).await;
    let store: Arc<dyn SessionStore> = Arc::new(store);
    Replica::over(&store)
}

/// SESS-17, LOGOUT-09, SESS-14: ten thousand sessions of one person are ended while logins of that person go on. Afterwards none of them
/// opens anything on any replica, nor does a login that was under way; those begun since live; and no index names what is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sessions_end_while_logins_go_on() {
    let server = Server::start(&[]);
    let (one, two) = (replica(&server).await, replica(&server).await);
    let log_in = |_| one.log_in(sample_login("u1"));
    let crowd: Vec<Arc<LiveSession>> = stream::iter(0..CROWD).map(log_in).buffer_unordered(AT_ONCE).collect().await;
    two.bring_near(&crowd[0]).await;
    for live in crowd.iter().step_by(CROWD / 200) {
        assert!(matches!(two.find(live).await, Lookup::Found(_)));
    }
    // Back from the provider before the revocation, and written after it has begun, or is over.
    let mut under_way = Vec::new();
    for n in 0..AT_ONCE {
        under_way.push(two.sessions.burn_attempt(&format!("under way {n}"), two.now()).await.unwrap().unwrap());
    }
    let over = AtomicBool::new(false);
    let revoke = async {
        let revoked = one.sessions.revoke_user(ISSUER, "u1").await.unwrap();
        over.store(true, Ordering::SeqCst);
        (revoked, Instant::now())
    };
    let covered = stream::iter(under_way).map(async |born| {
        let created = two.sessions.create(sample_login("u1"), born, sample_meta(), two.now()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        created
    });
    let begun = stream::repeat(()).take_while(|()| std::future::ready(!over.load(Ordering::SeqCst)));
    let begun = begun.map(|()| two.try_log_in(sample_login("u1")));
    let ((revoked, acknowledged), covered, begun) = tokio::join!(
        revoke,
        covered.buffer_unordered(1).collect::<Vec<_>>(),
        begun.buffer_unordered(4).collect::<Vec<_>>(),
    );

    // What was near without the store's word may be served for so long, and no longer.
    for live in crowd.iter().step_by(CROWD / 200) {
        while matches!(two.find(live).await, Lookup::Found(_)) {
            assert!(acknowledged.elapsed() <= STALENESS, "served {:?} after its end", acknowledged.elapsed());
        }
    }
    let finds = |replica: &'static str, live: Arc<LiveSession>| {
        let replica = if replica == "one" { &one } else { &two };
        async move { matches!(replica.find(&live).await, Lookup::Found(_)) }
    };
    for replica in ["one", "two"] {
        let found = stream::iter(crowd.iter().cloned()).map(|live| finds(replica, live)).buffer_unordered(AT_ONCE);
        assert_eq!(found.filter(|found| std::future::ready(*found)).count().await, 0, "{replica}");
    }
    // It was the first revocation there ever was.
    let (mut alive, mut refused) = (0, 0);
    for created in covered.into_iter().chain(begun) {
        match created {
            Created::Created(live) => {
                let found = matches!(one.find(&live).await, Lookup::Found(_));
                assert_eq!(found, live.session().born >= 1, "born {}", live.session().born);
                alive += usize::from(found);
            }
            Created::Revoked => refused += 1,
        }
    }
    assert!(alive > 0 && refused >= AT_ONCE / 2, "{alive} alive, {refused} refused: nothing happened at the same time");
    assert!(revoked >= CROWD, "{revoked}");

    let counted = server.cli(&["EVAL", ORPHANS, "0"]);
    // Each is named by user, by session at the provider, and in the list of all.
    assert_eq!(
        counted.split_whitespace().collect::<Vec<_>>(),
        ["0", (alive * 3).to_string().as_str()],
        "orphans, members"
    );
    for kind in ["session", "operator", "sid"] {
        let keys = server.keys();
        let of_kind = keys.iter().filter(|(key, _)| key.split(':').nth(1) == Some(kind) && !Name::is_beat(key)).count();
        assert_eq!(of_kind, alive, "{kind}");
    }
    let for_ever: Vec<String> = server.keys().into_iter().filter(|(_, left)| *left < 0).map(|(key, _)| key).collect();
    assert_eq!(for_ever, ["vestibule:sequence"]);
}

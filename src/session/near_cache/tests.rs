//! The steps of the protocol one by one; all orders of them are the model's.

use super::*;
use crate::base::Timestamp;
use crate::session::contract::{sample_session, sample_settings};
use crate::session::token::SessionToken;
use crate::testing::SeededRandom;

const STALENESS: Duration = Duration::from_secs(2);

fn cache_of(sessions: usize) -> NearCache {
    let watches = Arc::new(Watches::new(STALENESS, STALENESS));
    NearCache::new(&NearCacheSettings { sessions, staleness: STALENESS, ..sample_settings().near_cache }, watches)
}

fn trust(cache: &NearCache) {
    cache.open();
    assert!(cache.know_generation(cache.generation_turn(), 0));
    cache.confirm(Instant::now());
}

fn live(seed: u64) -> Arc<LiveSession> {
    let token = SessionToken::generate(&SeededRandom::new(seed));
    let created = Timestamp::from_unix_seconds(1000);
    Arc::new(LiveSession::new(token, sample_session("u", 0, created), 1, created, Duration::from_secs(60)))
}

fn put(cache: &NearCache, live: &Arc<LiveSession>) {
    cache.announce(*live.key()).enter(live);
}

/// Time has to pass: the very first millisecond counts as never.
async fn started() -> NearCache {
    let cache = cache_of(100);
    tokio::time::advance(Duration::from_millis(10)).await;
    trust(&cache);
    cache
}

/// SESS-05: what the store has not confirmed within the bound is not served, whatever happened on the way.
#[tokio::test(start_paused = true)]
async fn what_was_not_confirmed_lately_is_not_served() {
    let cache = started().await;
    let live = live(1);
    put(&cache, &live);
    assert!(cache.get(live.key(), Instant::now()).is_some());
    tokio::time::advance(STALENESS).await;
    assert!(cache.get(live.key(), Instant::now()).is_some(), "as long as it says");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(cache.get(live.key(), Instant::now()).is_none(), "and no longer");
    cache.confirm(Instant::now());
    assert!(cache.get(live.key(), Instant::now()).is_some(), "late news confirms what was here");
}

/// A confirmation stands for the moment in which it was asked for, not for that in which it came; none sets the time back.
#[tokio::test(start_paused = true)]
async fn a_confirmation_is_as_old_as_its_question() {
    let cache = started().await;
    let asked = Instant::now();
    tokio::time::advance(Duration::from_millis(1500)).await;
    cache.confirm(asked);
    assert_eq!(cache.age(), Some(Duration::from_millis(1500)));
    cache.confirm(asked + Duration::from_millis(1000));
    cache.confirm(asked);
    assert_eq!(cache.age(), Some(Duration::from_millis(500)));
}

#[tokio::test(start_paused = true)]
async fn what_changed_since_the_read_was_announced_does_not_enter() {
    let cache = started().await;
    let live = live(1);
    let reading = cache.announce(*live.key());
    cache.changed(live.key());
    reading.enter(&live);
    assert!(cache.get(live.key(), Instant::now()).is_none());
    // Two at once: the second one's news spoil the first too.
    let (first, second) = (cache.announce(*live.key()), cache.announce(*live.key()));
    cache.changed(live.key());
    second.enter(&live);
    first.enter(&live);
    assert!(cache.get(live.key(), Instant::now()).is_none());
    put(&cache, &live);
    assert!(cache.get(live.key(), Instant::now()).is_some(), "a later read is clean");
    cache.changed(live.key());
    assert!(cache.get(live.key(), Instant::now()).is_none());
    assert!(cache.reads.iter().all(|reads| lock(reads).is_empty()), "announcements end");
}

#[tokio::test(start_paused = true)]
async fn another_sessions_change_is_not_mine() {
    let cache = started().await;
    let (mine, other) = (live(1), live(2));
    let reading = cache.announce(*mine.key());
    cache.changed(other.key());
    reading.enter(&mine);
    assert!(cache.get(mine.key(), Instant::now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_would_tell_about_does_not_enter() {
    let cache = started().await;
    let live = live(1);
    let before = cache.announce(*live.key());
    cache.pause();
    let between = cache.announce(*live.key());
    before.enter(&live);
    between.enter(&live);
    cache.open();
    assert!(cache.get(live.key(), Instant::now()).is_none());
    let late = cache.announce(*live.key());
    cache.close();
    trust(&cache);
    late.enter(&live);
    assert!(cache.get(live.key(), Instant::now()).is_none());
}

/// Without a way to the store what is here goes on for as long as it was confirmed; when there is one again all is forgotten.
#[tokio::test(start_paused = true)]
async fn a_pause_serves_what_is_here_and_a_close_nothing() {
    let cache = started().await;
    let live = live(1);
    put(&cache, &live);
    cache.pause();
    assert!(cache.get(live.key(), Instant::now()).is_some());
    cache.confirm(Instant::now() + Duration::from_secs(5));
    tokio::time::advance(STALENESS + Duration::from_millis(1)).await;
    assert!(cache.get(live.key(), Instant::now()).is_none(), "nothing is confirmed in a pause");
    cache.close();
    trust(&cache);
    assert!(cache.get(live.key(), Instant::now()).is_none());
    assert_eq!(cache.metrics().sessions, 0);
    assert_eq!(cache.metrics().forgotten, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_trusted_without_the_generation() {
    let cache = started().await;
    let live = live(1);
    put(&cache, &live);
    cache.generation_changed();
    assert!(cache.get(live.key(), Instant::now()).is_none());
    let turn = cache.generation_turn();
    cache.generation_changed();
    assert!(!cache.know_generation(turn, 6), "it changed again while it was read");
    assert!(cache.get(live.key(), Instant::now()).is_none());
    assert!(cache.know_generation(cache.generation_turn(), 7));
    assert_eq!(cache.get(live.key(), Instant::now()).map(|(_, generation)| generation), Some(7));
    cache.raise_generation(9);
    cache.raise_generation(8);
    assert_eq!(cache.generation(), Some(9));
}

/// SESS-16: who watches a session looks again as soon as everybody may have been revoked.
#[tokio::test(start_paused = true)]
async fn another_generation_wakes_who_watches() {
    let cache = started().await;
    let (_receiver, look) = cache.watches.join(*live(1).key());
    cache.generation_changed();
    tokio::time::timeout(Duration::from_millis(1), look.unwrap().notified()).await.expect("nobody was woken");
}

/// DOS-01: whatever passes through, it weighs no more than it may.
#[tokio::test(start_paused = true)]
async fn it_holds_no_more_than_its_weight() {
    let cache = cache_of(50);
    tokio::time::advance(Duration::from_millis(10)).await;
    trust(&cache);
    for seed in 0..2000 {
        put(&cache, &live(seed));
    }
    let metrics = cache.metrics();
    assert!(metrics.sessions > 0 && metrics.bytes <= 50 * SESSION_BYTES, "{metrics:?}");
}

#[test]
fn a_beat_is_well_within_the_bound() {
    assert!(with_staleness(Duration::from_secs(1)).beat() * 4 <= Duration::from_secs(1));
    assert_eq!(with_staleness(Duration::from_secs(60)).beat(), Duration::from_millis(500));
}

fn with_staleness(staleness: Duration) -> NearCache {
    let watches = Arc::new(Watches::new(staleness, staleness));
    NearCache::new(&NearCacheSettings { staleness, ..sample_settings().near_cache }, watches)
}

//! A document of the provider that is fetched when first needed and kept past every failure.
//!
//! Never fetches the same document twice at a time, never hammers a provider that is down, and never forgets the last good copy.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::error::ProviderError;
use crate::base::{Clock, SingleFlight, Timestamp};

/// A good copy.
#[derive(Debug)]
pub(super) struct Kept<T> {
    pub(super) value: T,
    pub(super) fetched: Timestamp,
    fresh_for: Duration,
}

impl<T> Kept<T> {
    /// A copy from the future is stale: the clock was put back, and its age cannot be known.
    fn is_fresh(&self, now: Timestamp) -> bool {
        now >= self.fetched && now.since(self.fetched) < self.fresh_for
    }
}

/// What a fetch brings: the document and how long it stays fresh.
pub(super) type Fetched<T> = Result<(T, Duration), ProviderError>;

/// The cache of one document.
#[derive(Debug)]
pub(super) struct Cached<T> {
    shared: Arc<Shared<T>>,
    flights: SingleFlight<(), Result<Arc<Kept<T>>, ProviderError>>,
}

#[derive(Debug)]
struct Shared<T> {
    clock: Arc<dyn Clock>,
    good: ArcSwapOption<Kept<T>>,
    trouble: Mutex<Trouble>,
    renewing: AtomicBool,
}

/// Failures since the last success.
#[derive(Debug, Default)]
struct Trouble {
    count: u32,
    last: Option<(Timestamp, ProviderError)>,
}

impl<T: Send + Sync + 'static> Cached<T> {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let shared =
            Shared { clock, good: ArcSwapOption::empty(), trouble: Mutex::default(), renewing: AtomicBool::new(false) };
        Arc::new(Self { shared: Arc::new(shared), flights: SingleFlight::default() })
    }

    /// The last good copy, however old.
    pub(super) fn last_good(&self) -> Option<Arc<Kept<T>>> {
        self.shared.good.load_full()
    }

    /// Why the last fetch failed, if it did.
    pub(super) fn last_error(&self) -> Option<ProviderError> {
        self.shared.trouble().last.as_ref().map(|(_, error)| error.clone())
    }

    /// The last good copy, renewed behind the caller's back when it is old; waits only when there is none.
    ///
    /// # Errors
    /// When there has never been a good copy and none can be had now.
    pub(super) async fn current<F>(self: &Arc<Self>, fetch: impl FnOnce() -> F) -> Result<Arc<Kept<T>>, ProviderError>
    where
        F: Future<Output = Fetched<T>> + Send + 'static,
    {
        let Some(copy) = self.last_good() else { return self.newer_than(None, fetch).await };
        let now = self.shared.clock.now();
        if !copy.is_fresh(now)
            && self.shared.blocked(now).is_none()
            && !self.shared.renewing.swap(true, Ordering::AcqRel)
        {
            let (cache, work, seen) = (Arc::clone(self), fetch(), Arc::clone(&copy));
            let renewing = Renewing(Arc::clone(&self.shared));
            tokio::spawn(async move {
                if let Err(error) = cache.newer_than(Some(seen), || work).await {
                    tracing::warn!(%error, "renewing what is known of the provider failed; going on with what there is");
                }
                drop(renewing);
            });
        }
        Ok(copy)
    }

    /// A copy newer than `seen`, fetched now unless somebody has already.
    ///
    /// # Errors
    /// When it cannot be fetched, or when the last failure is too recent to try again.
    pub(super) async fn newer_than<F>(
        self: &Arc<Self>,
        seen: Option<Arc<Kept<T>>>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Kept<T>>, ProviderError>
    where
        F: Future<Output = Fetched<T>> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let flight = self.flights.run((), || {
            // Asked inside the flight: between a caller's look and its flight another one may have landed.
            let wanted = shared.wanted(seen.as_ref());
            let work = matches!(wanted, Ok(None)).then(fetch);
            async move {
                match (wanted, work) {
                    (Ok(None), Some(work)) => shared.landed(work.await),
                    (Ok(Some(copy)), _) => Ok(copy),
                    (Err(error), _) => Err(error),
                    (Ok(None), None) => Err(ProviderError::Bug("a fetch without work")),
                }
            }
        });
        flight.await.unwrap_or(Err(ProviderError::Bug("a fetch panicked")))
    }
}

impl<T> Shared<T> {
    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: fetch. A copy: that is new enough. An error: too early to try again.
    fn wanted(&self, seen: Option<&Arc<Kept<T>>>) -> Result<Option<Arc<Kept<T>>>, ProviderError> {
        let good = self.good.load_full();
        match (good, seen) {
            (Some(good), None) => return Ok(Some(good)),
            (Some(good), Some(seen)) if !Arc::ptr_eq(&good, seen) => return Ok(Some(good)),
            _ => {}
        }
        self.blocked(self.clock.now()).map_or(Ok(None), Err)
    }

    fn blocked(&self, now: Timestamp) -> Option<ProviderError> {
        let trouble = self.trouble();
        let (at, error) = trouble.last.as_ref()?;
        // A failure from the future says nothing: the clock was put back.
        (now >= *at && now.since(*at) < pause(trouble.count)).then(|| error.clone())
    }

    fn landed(&self, fetched: Fetched<T>) -> Result<Arc<Kept<T>>, ProviderError> {
        let now = self.clock.now();
        match fetched {
            Ok((value, fresh_for)) => {
                let copy = Arc::new(Kept { value, fetched: now, fresh_for });
                self.good.store(Some(Arc::clone(&copy)));
                *self.trouble() = Trouble::default();
                Ok(copy)
            }
            Err(error) => {
                let mut trouble = self.trouble();
                trouble.count = trouble.count.saturating_add(1);
                trouble.last = Some((now, error.clone()));
                Err(error)
            }
        }
    }
}

/// Takes the mark away however the renewal ends.
struct Renewing<T>(Arc<Shared<T>>);

impl<T> Drop for Renewing<T> {
    fn drop(&mut self) {
        self.0.renewing.store(false, Ordering::Release);
    }
}

/// How long to leave a provider alone after so many failures in a row: 1, 2, 4, 8, then 10 seconds.
///
/// Not longer: one request in ten seconds hurts nobody, and people wait for this when the provider is back.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(PAUSE_CEILING.as_secs());
    Duration::from_secs(doubled).min(PAUSE_CEILING)
}

/// How long a copy stays fresh: its `Cache-Control: max-age` between a floor and a ceiling, an hour when it says nothing.
pub(super) fn lifetime(cache_control: Option<&str>) -> Duration {
    let Some(directives) = cache_control else { return FRESH_DEFAULT };
    let mut age = None;
    for directive in directives.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return FRESH_FLOOR,
            "max-age" => {
                let digits = value.trim().trim_matches('"');
                let seconds = digits.parse::<u64>().ok();
                // RFC 9111 section 1.2.2: a number too large to hold means a very long time; anything else, nothing.
                let huge = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                age = seconds.or_else(|| huge.then_some(u64::MAX)).or(age);
            }
            _ => {}
        }
    }
    age.map_or(FRESH_DEFAULT, |seconds| Duration::from_secs(seconds).clamp(FRESH_FLOOR, FRESH_CEILING))
}

const PAUSE_CEILING: Duration = Duration::from_secs(10);
const FRESH_DEFAULT: Duration = Duration::from_secs(60 * 60);
const FRESH_FLOOR: Duration = Duration::from_secs(5 * 60);
const FRESH_CEILING: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::error::{Endpoint, Outage};
    use crate::testing::ManualClock;

    /// CACHE-07: within a floor and a ceiling around `Cache-Control`.
    #[test]
    fn freshness_has_a_floor_and_a_ceiling() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        for (header, expected) in [
            (None, minutes(60)),
            (Some(""), minutes(60)),
            (Some("public"), minutes(60)),
            (Some("max-age=0"), minutes(5)),
            (Some("no-store"), minutes(5)),
            (Some("max-age=600, no-cache"), minutes(5)),
            (Some("public, max-age=1800"), minutes(30)),
            (Some("MAX-AGE=\"1800\""), minutes(30)),
            (Some("max-age=315360000"), minutes(24 * 60)),
            (Some("max-age=99999999999999999999999999"), minutes(24 * 60)),
            (Some("max-age=-5"), minutes(60)),
            (Some("max-age=soon"), minutes(60)),
        ] {
            assert_eq!(lifetime(header), expected, "{header:?}");
        }
    }

    #[test]
    fn pauses_grow_to_a_ceiling() {
        let seconds: Vec<u64> = (1..=6).map(|count| pause(count).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
        assert_eq!(pause(u32::MAX), PAUSE_CEILING);
    }

    fn away() -> Fetched<u8> {
        Err(ProviderError::Unavailable { endpoint: Endpoint::Keys, outage: Outage::Timeout })
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// CACHE-07: an old copy is served while it is renewed, and kept when that fails.
    #[tokio::test]
    async fn an_old_copy_is_served_and_outlives_failures() {
        let clock = ManualClock::default();
        let cached = Cached::<u8>::new(Arc::new(clock.clone()));
        let hour = Duration::from_secs(3600);
        assert_eq!(cached.current(|| async { Ok((1, Duration::from_secs(3600))) }).await.unwrap().value, 1);
        assert_eq!(cached.current(|| async { panic!("fresh: not asked again") }).await.unwrap().value, 1);
        clock.advance(hour);
        for _ in 0..3 {
            assert_eq!(cached.current(|| async { away() }).await.unwrap().value, 1);
            settle().await;
            clock.advance(hour * 24);
        }
        assert!(cached.last_error().is_some());
        assert_eq!(cached.current(|| async { Ok((2, Duration::from_secs(3600))) }).await.unwrap().value, 1);
        settle().await;
        assert_eq!(cached.last_good().unwrap().value, 2);
        assert!(cached.last_error().is_none());
    }

    #[tokio::test]
    async fn a_failure_is_not_repeated_at_once_and_recovery_needs_nobody() {
        let clock = ManualClock::default();
        let cached = Cached::<u8>::new(Arc::new(clock.clone()));
        assert!(cached.current(|| async { away() }).await.is_err());
        assert!(cached.current(|| async { panic!("too early") }).await.unwrap_err().is_temporary());
        clock.advance(Duration::from_millis(1000));
        assert_eq!(cached.current(|| async { Ok((7, FRESH_DEFAULT)) }).await.unwrap().value, 7);
    }

    #[tokio::test]
    async fn a_clock_that_was_put_back_neither_blocks_nor_freshens() {
        let clock = ManualClock::default();
        let cached = Cached::<u8>::new(Arc::new(clock.clone()));
        assert!(cached.current(|| async { away() }).await.is_err());
        clock.set(Timestamp::from_unix_seconds(0));
        assert_eq!(cached.current(|| async { Ok((7, FRESH_DEFAULT)) }).await.unwrap().value, 7);
        clock.set(Timestamp::from_unix_seconds(-500));
        assert_eq!(cached.current(|| async { Ok((8, FRESH_DEFAULT)) }).await.unwrap().value, 7);
        settle().await;
        assert_eq!(cached.last_good().unwrap().value, 8);
    }
}

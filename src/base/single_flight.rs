//! One flight at a time for equal keys: the first caller starts the work, the others wait for its answer.
//!
//! The work runs as a task of its own, so that a caller who gives up (a browser that hangs up) does not take a half-done
//! exchange with it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Work under way, by key.
#[derive(Debug)]
pub struct SingleFlight<K, V> {
    flights: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self { flights: Arc::default() }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Whether there is a flight for `key`.
    #[must_use]
    pub fn is_under_way(&self, key: &K) -> bool {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// The answer of the flight for `key`, starting it with `work` when there is none.
    ///
    /// `None` when the work panicked: the caller decides what that means, and the next call starts anew.
    pub async fn run<F>(&self, key: K, work: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answer = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(&key) {
                Some(answer) => answer.clone(),
                None => {
                    let (send, answer) = watch::channel(None);
                    flights.insert(key.clone(), answer.clone());
                    let landing = Landing { flights: Arc::clone(&self.flights), key };
                    let work = work();
                    tokio::spawn(async move {
                        let value = work.await;
                        // Out of the map before anybody is told: a caller that comes after the answer starts anew.
                        drop(landing);
                        let _ = send.send(Some(value));
                    });
                    answer
                }
            }
        };
        answer.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
    }
}

/// Takes the flight out of the map however it ends, by a panic too.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn equal_keys_share_one_flight_and_later_callers_start_anew() {
        let flights = Arc::new(SingleFlight::<&str, usize>::default());
        let count = Arc::new(AtomicUsize::new(0));
        let work = || {
            let count = Arc::clone(&count);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                count.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        assert!(!flights.is_under_way(&"a"));
        let (one, two, other, seen) =
            tokio::join!(flights.run("a", work), flights.run("a", work), flights.run("b", work), async {
                flights.is_under_way(&"a")
            });
        assert!(seen && !flights.is_under_way(&"a"));
        assert_eq!(one, two);
        assert_ne!(one, other);
        assert_eq!(count.load(Ordering::SeqCst), 2);
        assert_eq!(flights.run("a", work).await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn the_work_outlives_the_caller_that_started_it() {
        let flights = Arc::new(SingleFlight::<&str, &str>::default());
        let (done, finished) = tokio::sync::oneshot::channel();
        let caller = flights.run("a", || async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let _ = done.send(());
            "answer"
        });
        assert!(tokio::time::timeout(Duration::from_secs(1), caller).await.is_err());
        assert!(finished.await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_frees_the_key() {
        let flights = SingleFlight::<&str, u8>::default();
        assert_eq!(flights.run("a", || async { panic!("planted") }).await, None);
        assert_eq!(flights.run("a", || async { 7 }).await, Some(7));
    }
}

//! Waiting for things that happen in other processes, and ports for them.
//!
//! Must never sleep a fixed time and hope: every wait asks again until its deadline.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// A loopback TCP port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Asks every few milliseconds until the answer is `Some`.
///
/// # Panics
/// When `limit` has passed; `what` says what was waited for.
pub async fn eventually<T, F, Fut>(what: &str, limit: Duration, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Asks until the condition holds, like [`eventually`].
pub async fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    eventually(what, limit, || {
        let now = holds();
        async move { now.then_some(()) }
    })
    .await;
}

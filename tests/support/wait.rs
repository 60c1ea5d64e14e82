//! Waiting for things that happen in other processes, and ports for them.
//!
//! Must never sleep a fixed time and hope: every wait asks again until its deadline.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A loopback TCP port for a server of another process, which may end and come back there.
///
/// No test gets it a second time, and no connection gets it for its own end: it is below the ports that the kernel deals out.
/// Where a machine's kernel deals out nearly all of them, it is one that was free a moment ago.
pub fn free_port() -> u16 {
    static DEALT: AtomicU32 = AtomicU32::new(0);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux deals out ports");
    let first = range.split_whitespace().next().and_then(|port| port.parse::<u32>().ok()).expect("a range of ports");
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if first < OTHERS + ENOUGH {
        let listener = bind(0).expect("a free port");
        return listener.local_addr().expect("a bound listener has an address").port();
    }
    // Elsewhere for each process, since several may run tests.
    let begin = std::process::id().wrapping_mul(977);
    for _ in OTHERS..first {
        let next = begin.wrapping_add(DEALT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(OTHERS + next % (first - OTHERS)).expect("a port");
        if bind(port).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// For all suites one after the other.
const ENOUGH: u32 = 4_000;
/// Below are ports that other software likes.
const OTHERS: u32 = 12_000;

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

//! Notices a peer that has died without saying so, which the client itself does not under steady traffic.
//!
//! It holds the connection: when the watch ends, so does that.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::{ClientLike as _, EventInterface as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Shared, failure};
use crate::session::store::{StoreError, Unavailable};

/// Connects, and watches until it is aborted.
pub(super) async fn run(client: Client, commands: WithOptions<Client>, deadline: Duration, shared: Arc<Shared>) {
    // Before connecting: the first event is the first connection.
    let (mut connected, mut errors) = (client.reconnect_rx(), client.error_rx());
    // Why there is no connection; nothing while the first may still be on its way.
    let mut reason = None;
    let started = Instant::now();
    let mut connection = Task(client.connect());
    let mut forced: Option<Task<Result<(), fred::error::Error>>> = None;
    let mut forced_at: Option<Instant> = None;
    let mut misses = 0_u32;
    let mut met = false;
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            event = connected.recv() => {
                match event {
                    Ok(_) if !met => met = true,
                    Ok(_) | Err(RecvError::Lagged(_)) => shared.counters.reconnect(),
                    // Only a client that was told to quit closes its events, and nobody tells it.
                    Err(RecvError::Closed) => connected = client.reconnect_rx(),
                }
                shared.outage.reconnected();
                (misses, reason) = (0, None);
            }
            error = errors.recv() => {
                reason = Some(Unavailable::Disconnected);
                if let Ok((error, _)) = error && let StoreError::Unavailable(why) = failure::read(&error) {
                    reason = Some(why);
                }
            }
        }
        pause = EVERY;
        let ended = connection.0.is_finished();
        if ended {
            // Some errors end the client's own attempts, such as a cluster's answer that is no cluster's.
            connection = Task(client.connect());
        }
        if !client.is_connected() {
            if let Some(reason) = reason {
                shared.outage.missed(reason);
            } else if met || started.elapsed() >= EVERY {
                shared.outage.missed(Unavailable::Disconnected);
            }
            // Asking this costs nothing, and the event of a new connection may come before it counts as one.
            pause = if ended { EVERY } else { SOON };
        } else if answers(&commands, deadline).await {
            misses = 0;
            shared.outage.answered();
        } else {
            misses += 1;
            pause = AGAIN;
            shared.outage.missed(Unavailable::Deadline);
        }
        let stale = misses >= MISSES || shared.outage.wants_reconnect();
        if misses >= STUCK {
            // A write that never ends keeps the client from hearing that it should reconnect: begin from nothing.
            tracing::warn!("the connection to the session store hangs and is made anew");
            connection = Task(client.connect());
            misses = 0;
        } else if stale
            && forced.as_ref().is_none_or(|task| task.0.is_finished())
            && forced_at.is_none_or(|at| at.elapsed() >= PAUSE)
        {
            // Its answer comes only when the connection is back, so nobody here waits for it.
            let client = client.clone();
            forced = Some(Task(tokio::spawn(async move { client.force_reconnection().await })));
            forced_at = Some(Instant::now());
        }
    }
}

async fn answers(commands: &WithOptions<Client>, deadline: Duration) -> bool {
    matches!(timeout(deadline.min(EVERY), commands.ping::<()>(None)).await, Ok(Ok(())))
}

/// A task that ends with its holder.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const EVERY: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(250);
const SOON: Duration = Duration::from_millis(50);
/// After so many pings without an answer the connection is torn down,
const MISSES: u32 = 2;
/// and after so many everything.
const STUCK: u32 = 4;
/// Between two attempts to replace a connection that answers, but only with refusals.
const PAUSE: Duration = Duration::from_secs(2);

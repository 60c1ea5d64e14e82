//! Notices a peer that has died without saying so, which the client itself does not under steady traffic.
//!
//! It holds the connection: when the watch ends, so does that.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::{ClientLike as _, EventInterface as _};
use fred::prelude::Value;
use futures_util::future::join_all;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout};

use super::connection::{self, Connection};
use super::{Shared, failure, replication};
use crate::base::{Random, SystemRandom};
use crate::session::store::{StoreError, Unavailable};

/// Connects, and watches until it is aborted.
pub(super) async fn run(client: Client, deadline: Duration, shared: Arc<Shared>) {
    // Before connecting: the first event is the first connection.
    let (mut connected, mut errors) = (client.reconnect_rx(), client.error_rx());
    // Why there is no connection; nothing while the first may still be on its way.
    let mut reason = None;
    let started = Instant::now();
    let connection = Connection::open(client);
    let client = &connection.client;
    let (mut misses, mut heard) = (0_u32, started);
    let (mut met, mut advised) = (false, false);
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
                (misses, reason, heard) = (0, None, Instant::now());
            }
            error = errors.recv() => {
                (reason, heard) = (Some(Unavailable::Disconnected), Instant::now());
                if let Ok((error, _)) = error && let StoreError::Unavailable(why) = failure::read(&error) {
                    reason = Some(why);
                }
            }
        }
        pause = EVERY;
        let ended = connection.mend().await;
        if !client.is_connected() {
            if let Some(reason) = reason {
                shared.outage.missed(reason);
            } else if met || started.elapsed() >= EVERY {
                shared.outage.missed(Unavailable::Disconnected);
            }
            if heard.elapsed() >= STUCK {
                connection.anew().await;
                heard = Instant::now();
            }
            // Asking this costs nothing, and the event of a new connection may come before it counts as one.
            pause = if ended { EVERY } else { SOON };
            continue;
        }
        match ask(client, deadline).await {
            Answer::Ours => {
                misses = 0;
                shared.outage.answered();
                if !advised {
                    advised = replication::advise(client, deadline, &shared).await;
                }
            }
            Answer::None => {
                misses += 1;
                pause = AGAIN;
                shared.outage.missed(Unavailable::Deadline);
            }
            Answer::Stray => {
                tracing::warn!("the session store's answers are out of step with the questions");
                misses = MISSES;
                shared.outage.missed(Unavailable::Disconnected);
            }
        }
        if misses >= MISSES || shared.outage.wants_reconnect() {
            connection.anew().await;
        }
    }
}

/// What a primary answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// The word that it was asked for.
    Ours,
    /// Nothing in time.
    None,
    /// The answer to another question: somewhere on the way one was lost, and every later one goes to whom it does not
    /// belong.
    Stray,
}

/// Asks every primary for a word of ours; the worst of their answers.
async fn ask(client: &Client, deadline: Duration) -> Answer {
    let limit = deadline.min(EVERY);
    let primaries = connection::primaries(client);
    let asked = primaries.into_iter().map(|node| ping(connection::at(client, node, deadline), limit));
    join_all(asked).await.into_iter().max().unwrap_or(Answer::None)
}

async fn ping(client: WithOptions<Client>, limit: Duration) -> Answer {
    let word = (&SystemRandom as &dyn Random).token::<16>();
    match timeout(limit, client.ping::<Value>(Some(word.clone()))).await {
        Ok(Ok(said)) if said.as_str().is_some_and(|said| said == word) => Answer::Ours,
        Ok(Ok(_)) => Answer::Stray,
        Ok(Err(_)) | Err(_) => Answer::None,
    }
}

const EVERY: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(250);
const SOON: Duration = Duration::from_millis(50);
/// After so many pings without an answer everything is torn down.
const MISSES: u32 = 2;
/// So long nothing may be heard of attempts to connect; each of them says how it ended.
const STUCK: Duration = Duration::from_secs(10);

//! Notices a peer that has died without saying so, which the client itself does not under steady traffic.

use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::ClientLike as _;
use fred::prelude::Value;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::{self, Present, State};
use super::{Link, replication};
use crate::base::{Random, SystemRandom};
use crate::session::store::Unavailable;

/// Watches until it is aborted.
pub(super) async fn run(link: Link) {
    let Link { connection, deadline, shared, .. } = link;
    let mut state = connection.state();
    let started = Instant::now();
    let (mut seen, mut misses, mut advised) = (0, 0_u32, false);
    let (mut pause, mut looked) = (Duration::ZERO, started);
    loop {
        let doubted = async {
            // A crowd that waits in vain is one doubt.
            sleep_until(looked + AGAIN).await;
            shared.doubt.notified().await;
        };
        tokio::select! {
            () = sleep(pause) => {}
            ended = state.changed() => if ended.is_err() { return },
            () = doubted => misses = misses.max(1),
        }
        (pause, looked) = (EVERY, Instant::now());
        let now = state.borrow_and_update().clone();
        let Present { client, turn } = match now {
            State::Here(present) => present,
            State::Away(Some(reason)) => {
                shared.outage.missed(reason);
                continue;
            }
            State::Away(None) => {
                if started.elapsed() >= EVERY {
                    shared.outage.missed(Unavailable::Disconnected);
                }
                continue;
            }
        };
        if turn != seen {
            if seen > 0 {
                shared.counters.reconnect();
            }
            (seen, misses) = (turn, 0);
            shared.outage.reconnected();
        }
        match ask(&client, deadline).await {
            Answer::Ours => {
                misses = 0;
                shared.outage.answered();
                if !advised {
                    advised = replication::advise(&client, deadline, &shared).await;
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
            connection.anew(turn);
        }
    }
}

/// What a primary answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// The word that it was asked for.
    Ours,
    /// Nothing in time.
    None,
    /// The answer to another question: somewhere on the way one was lost, and every later one goes to whom it does not
    /// belong.
    Stray,
}

/// Asks every primary for a word of ours; the worst of their answers.
pub(super) async fn ask(client: &Client, deadline: Duration) -> Answer {
    let limit = deadline.min(EVERY);
    let primaries = connection::primaries(client);
    let asked = primaries.into_iter().map(|node| ping(connection::at(client, node, deadline), limit));
    join_all(asked).await.into_iter().max().unwrap_or(Answer::None)
}

async fn ping(client: WithOptions<Client>, limit: Duration) -> Answer {
    // Too short to be taken for a session's record, should it reach who asked for one.
    let word = (&SystemRandom as &dyn Random).token::<4>();
    match timeout(limit, client.ping::<Value>(Some(word.clone()))).await {
        Ok(Ok(said)) if said.as_str().is_some_and(|said| said == word) => Answer::Ours,
        Ok(Ok(_)) => Answer::Stray,
        Ok(Err(_)) | Err(_) => Answer::None,
    }
}

const EVERY: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(250);
/// After so many questions without an answer another connection is made.
const MISSES: u32 = 2;

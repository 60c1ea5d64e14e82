//! Tells a near cache what changes in Redis, over a connection that Redis itself tells (`CLIENT TRACKING`).
//!
//! It never says that everything was heard unless an echo proves it: twice a second it reads two keys of its own and then has
//! them changed. What Redis tells comes in order, so when it tells of *that* change, it has told of everything before.
//!
//! Of the two keys, one was read in this beat: whatever it is told of came after that, so the beat stands for the moment in
//! which it began. The other was read in the beat before, and hears nothing if Redis forgot in between what we had read, as
//! after `FLUSHALL`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fred::clients::Client;
use fred::interfaces::{ClientLike as _, EventInterface as _, TrackingInterface as _};
use fred::prelude::{FromValue, Value};
use fred::types::client::Invalidation;
use fred::types::config::Config;
use fred::types::{ClusterHash, CustomCommand};
use futures_util::future::{Either, join, join_all, select, try_join_all};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::{self, Connection, Present, SETTLE, State};
use super::pulse::{self, Lane, Pulse};
use super::watch::{self, Answer};
use super::{AddressError, Link, failure};
use crate::base::{Random, SystemRandom};
use crate::session::names::Name;
use crate::session::near_cache::NearCache;
use crate::session::store::{Record, StoreError, TrackedReads, Unavailable};
use crate::session::token::SessionKey;

/// Reads that Redis remembers, and the task that passes on what it tells. Both end with this.
#[derive(Debug)]
pub(super) struct Tracking {
    reads: Link,
    task: AbortHandle,
}

impl Tracking {
    /// Begins, over connections of its own.
    pub(super) fn start(
        config: &Config,
        commands: &Link,
        replicas: u32,
        near: Arc<NearCache>,
    ) -> Result<Self, AddressError> {
        let reads = commands.aside(Connection::open(config.clone(), commands.deadline)?);
        let pulse = Pulse::new(config, commands, replicas)?;
        let follower = Follower { reads: reads.clone(), pulse, near };
        Ok(Self { reads, task: tokio::spawn(follower.run()).abort_handle() })
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        // It holds the connection too.
        self.task.abort();
    }
}

#[async_trait]
impl TrackedReads for Tracking {
    async fn read_record(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.reads.read_record(key).await
    }
}

/// Follows what Redis tells.
struct Follower {
    reads: Link,
    pulse: Pulse,
    near: Arc<NearCache>,
}

/// Why following has to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The connection is gone, or another one.
    Lost,
    /// The cluster is another one.
    Moved,
    /// Redis does not answer on it, or an echo does not come.
    Silent,
    /// Its answers are no longer those to our questions.
    Stray,
    /// Redis forgot what we had read.
    Forgotten,
    /// More was told than could be read.
    Lagged,
    /// Redis does not want to tell.
    Refused(Unavailable),
}

impl Trouble {
    fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "disconnected",
            Self::Moved => "moved",
            Self::Silent => "silent",
            Self::Stray => "out of step",
            Self::Forgotten => "forgotten",
            Self::Lagged => "lagged",
            Self::Refused(reason) => reason.as_str(),
        }
    }
}

impl Follower {
    /// Follows until it is aborted.
    async fn run(self) {
        let mut state = self.reads.connection.state();
        let (mut troubles, mut said) = (0_u32, None);
        loop {
            let present = match &*state.borrow_and_update() {
                State::Here(present) => Some(present.clone()),
                State::Away(_) => None,
            };
            let Some(Present { client, turn }) = present else {
                if state.changed().await.is_err() {
                    return;
                }
                continue;
            };
            // Before anything is read: what happens from here on is an event.
            let (mut moved, changes) = (client.cluster_change_rx(), client.invalidation_rx());
            let trouble = tokio::select! {
                _ = state.changed() => Trouble::Lost,
                _ = moved.recv() => Trouble::Moved,
                trouble = self.follow(&client, changes, &mut troubles) => trouble,
            };
            // What is here may be served for as long as it was confirmed; nothing new comes in.
            self.near.pause();
            if said != Some(trouble) || troubles == 0 {
                tracing::info!(reason = trouble.as_str(), "the near cache begins anew");
            }
            (said, troubles) = (Some(trouble), troubles + 1);
            if trouble == Trouble::Stray || trouble == Trouble::Silent && troubles > 1 {
                self.reads.connection.anew(turn);
            }
            sleep(if troubles > 1 { AGAIN } else { SOON }).await;
        }
    }

    /// Follows over the present connection until there is trouble.
    async fn follow(&self, client: &Client, changes: Receiver<Invalidation>, troubles: &mut u32) -> Trouble {
        if let Err(trouble) = ask_to_be_told(client).await {
            return trouble;
        }
        self.near.close();
        self.near.open();
        let (echo, echoes) = mpsc::channel(ECHOES);
        let generation = Notify::new();
        generation.notify_one();
        tokio::select! {
            trouble = self.listen(changes, &echo, &generation) => trouble,
            trouble = self.know_generation(&generation) => trouble,
            trouble = self.beat(client, echoes, troubles) => trouble,
        }
    }

    /// Passes on what Redis tells, in the order in which it tells it.
    async fn listen(
        &self,
        mut changes: Receiver<Invalidation>,
        echo: &mpsc::Sender<String>,
        generation: &Notify,
    ) -> Trouble {
        loop {
            let keys = match changes.recv().await {
                Ok(change) => change.keys,
                Err(RecvError::Lagged(_)) => return Trouble::Lagged,
                Err(RecvError::Closed) => return Trouble::Lost,
            };
            for key in keys.iter().filter_map(|key| key.as_str()) {
                if let Some(session) = Name::record_of(key) {
                    self.near.changed(&session);
                } else if Name::is_generation(key) {
                    self.near.generation_changed();
                    generation.notify_one();
                } else if Name::is_beat(key) && echo.try_send(key.to_owned()).is_err() {
                    return Trouble::Lagged;
                }
            }
        }
    }

    /// Reads the generation whenever it may be another one.
    async fn know_generation(&self, changed: &Notify) -> Trouble {
        loop {
            changed.notified().await;
            let turn = self.near.generation_turn();
            let Ok(generation) = self.read::<Option<u64>>("GET", &[&Name::generation()]).await else {
                return Trouble::Silent;
            };
            if !self.near.know_generation(turn, generation.unwrap_or(0)) {
                changed.notify_one();
            }
        }
    }

    /// Confirms, again and again, that everything has been heard, from every primary.
    async fn beat(&self, client: &Client, mut echoes: mpsc::Receiver<String>, troubles: &mut u32) -> Trouble {
        let id = (&SystemRandom as &dyn Random).token::<16>();
        let Some(lanes) = pulse::lanes(client, &id) else { return Trouble::Moved };
        let mut number = 0;
        if let Err(trouble) = self.remember(client, &lanes, &[number]).await {
            return trouble;
        }
        loop {
            let began = Instant::now();
            let (guard, fresh, next) = (number, number + 1, number + 2);
            if let Err(trouble) = self.remember(client, &lanes, &[fresh, next]).await {
                return trouble;
            }
            if let Err(trouble) = self.echo(&mut echoes, &lanes, guard, fresh).await {
                return trouble;
            }
            self.near.confirm(began);
            *troubles = 0;
            number = next;
            // Nobody has changed the next guard yet.
            tokio::select! {
                () = sleep_until(began + self.near.beat()) => {}
                _ = echoes.recv() => return Trouble::Forgotten,
            }
        }
    }

    /// Has the keys changed, and hears of it.
    async fn echo(
        &self,
        echoes: &mut mpsc::Receiver<String>,
        lanes: &[Lane],
        guard: u64,
        fresh: u64,
    ) -> Result<(), Trouble> {
        let hearing = pin!(hear(echoes, lanes, guard, fresh));
        let writing = pin!(self.write(lanes, guard, fresh));
        match select(hearing, writing).await {
            // With replicas to wait for, changed is one thing and taken another.
            Either::Left((heard, writing)) => {
                heard?;
                writing.await;
                Ok(())
            }
            Either::Right(((), hearing)) => {
                timeout(self.near.patience(), hearing).await.unwrap_or(Err(Trouble::Silent))
            }
        }
    }

    /// Reads keys of our own, so that Redis remembers to tell of them; and looks whether an answer is still that to its
    /// question: sessions are read here, and one must not be taken for another.
    async fn remember(&self, client: &Client, lanes: &[Lane], numbers: &[u64]) -> Result<(), Trouble> {
        let reads = lanes.iter().map(|lane| async {
            let keys: Vec<Name> = numbers.iter().map(|number| lane.key(*number)).collect();
            self.read::<Value>("MGET", &keys.iter().collect::<Vec<_>>()).await
        });
        match join(try_join_all(reads), watch::ask(client, self.reads.deadline)).await {
            (_, Answer::Stray) => Err(Trouble::Stray),
            (Ok(_), Answer::Ours) => Ok(()),
            (Ok(_) | Err(_), Answer::Ours | Answer::None) => Err(Trouble::Silent),
        }
    }

    /// Has the keys changed. A write that is refused is tried again: until it is taken nothing is confirmed.
    async fn write(&self, lanes: &[Lane], guard: u64, fresh: u64) {
        let written = lanes.iter().map(|lane| async move {
            while let Err(error) = self.pulse.write(lane, [lane.key(guard), lane.key(fresh)]).await {
                tracing::debug!(%error, "the store did not take a beat of the near cache");
                sleep(AGAIN).await;
            }
        });
        join_all(written).await;
    }

    async fn read<R: FromValue>(&self, command: &'static str, names: &[&Name]) -> Result<R, StoreError> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        let names: Vec<Value> = names.iter().map(|name| Value::from(name.as_str())).collect();
        self.reads.quietly(Box::pin(self.reads.send(command, names))).await
    }
}

/// Asks every primary to tell of what is read from it over its connection.
async fn ask_to_be_told(client: &Client) -> Result<(), Trouble> {
    let primaries = connection::primaries(client);
    if primaries.is_empty() {
        return Err(Trouble::Moved);
    }
    let asked = primaries.into_iter().map(|node| {
        let (node, command) =
            (connection::at(client, node, SETTLE), CustomCommand::new_static("CLIENT", ClusterHash::Random, false));
        Box::pin(async move { node.custom::<Value, _>(command, vec!["TRACKING", "ON"]).await })
    });
    match timeout(SETTLE, try_join_all(asked)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Trouble::Refused(failure::reason(&error))),
        Err(_) => Err(Trouble::Silent),
    }
}

/// Waits for both echoes from everywhere: each time first the guard's, then the one that tells the time.
async fn hear(echoes: &mut mpsc::Receiver<String>, lanes: &[Lane], guard: u64, fresh: u64) -> Result<(), Trouble> {
    let mut waiting: Vec<_> = lanes.iter().map(|lane| (lane.key(guard), lane.key(fresh), false)).collect();
    while !waiting.is_empty() {
        let Some(key) = echoes.recv().await else { return Err(Trouble::Lost) };
        for (guard, _, guarded) in &mut waiting {
            *guarded |= key == guard.as_str();
        }
        if let Some(place) = waiting.iter().position(|(_, fresh, _)| key == fresh.as_str()) {
            let (_, _, guarded) = waiting.swap_remove(place);
            if !guarded {
                return Err(Trouble::Forgotten);
            }
        }
    }
    Ok(())
}

const SOON: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_millis(250);
/// How many echoes may wait; two come in a beat from each primary.
const ECHOES: usize = 4096;

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
use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike as _, EventInterface as _, TrackingInterface as _};
use fred::prelude::{FromValue, Value};
use fred::types::client::Invalidation;
use fred::types::{ClusterHash, CustomCommand};
use futures_util::future::{Either, join_all, select, try_join_all};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::{self, Connection};
use super::pulse::{self, Lane, Pulse};
use super::{Link, SETTLE};
use crate::base::{Random, SystemRandom, Timestamp};
use crate::session::names::Name;
use crate::session::near_cache::NearCache;
use crate::session::store::{StoreError, StoredSession, TrackedReads, Unavailable};
use crate::session::token::SessionKey;

/// Reads that Redis remembers, and the task that passes on what it tells. Both end with this.
#[derive(Debug)]
pub(super) struct Tracking {
    reads: Link,
    commands: Link,
    task: AbortHandle,
}

impl Tracking {
    /// Begins, over a client that is not connected yet.
    pub(super) fn start(client: Client, commands: Link, pulse: Pulse, near: Arc<NearCache>) -> Self {
        let reads = Link { aside: true, ..Link::over(&client, commands.deadline, Arc::clone(&commands.shared)) };
        let follower = Follower { connection: Connection::open(client), reads: reads.clone(), pulse, near };
        Self { reads, commands, task: tokio::spawn(follower.run()).abort_handle() }
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        // The task holds the connection; it closes with it.
        self.task.abort();
    }
}

#[async_trait]
impl TrackedReads for Tracking {
    async fn read_session(&self, key: &SessionKey) -> Result<Option<StoredSession>, StoreError> {
        let (record, activity) = (Name::record(key), Name::activity(key));
        // The activity comes over the other connection, on which nobody is told: each use would tell every replica.
        let (record, seen): (Option<Bytes>, Option<i64>) = tokio::try_join!(
            self.reads.call("GET", vec![Value::from(record.as_str())]),
            self.commands.call("GET", vec![Value::from(activity.as_str())]),
        )?;
        let Some(record) = record else { return Ok(None) };
        let seen = seen.map(Timestamp::from_unix_millis);
        Ok(Some(StoredSession { record: super::commands::read_versioned(record)?, seen }))
    }
}

/// Follows what Redis tells.
struct Follower {
    connection: Connection,
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
            Self::Forgotten => "forgotten",
            Self::Lagged => "lagged",
            Self::Refused(reason) => reason.as_str(),
        }
    }
}

impl Follower {
    /// Connects, and follows until it is aborted.
    async fn run(self) {
        let client = &self.connection.client;
        let (mut silent, mut said) = (0_u32, None);
        loop {
            // Before looking at the connection: what happens to it from here on is an event.
            let (mut connected, mut errors) = (client.reconnect_rx(), client.error_rx());
            let mut moved = client.cluster_change_rx();
            let changes = client.invalidation_rx();
            if !client.is_connected() {
                let _ = timeout(SOON, connected.recv()).await;
                if self.connection.mend().await {
                    sleep(AGAIN).await;
                }
                continue;
            }
            let trouble = tokio::select! {
                _ = connected.recv() => Trouble::Lost,
                _ = errors.recv() => Trouble::Lost,
                _ = moved.recv() => Trouble::Moved,
                trouble = self.follow(changes, &mut silent) => trouble,
            };
            // What is here may be served for as long as it was confirmed; nothing new comes in.
            self.near.pause();
            if said != Some(trouble) || silent == 0 {
                tracing::info!(reason = trouble.as_str(), "the near cache begins anew");
            }
            (said, silent) = (Some(trouble), silent + 1);
            if silent > 1 && trouble == Trouble::Silent {
                self.connection.anew().await;
            }
            sleep(if silent > 1 { AGAIN } else { SOON }).await;
        }
    }

    /// Follows over the present connection until there is trouble.
    async fn follow(&self, changes: Receiver<Invalidation>, silent: &mut u32) -> Trouble {
        if let Err(trouble) = self.ask_to_be_told().await {
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
            trouble = self.beat(echoes, silent) => trouble,
        }
    }

    /// Asks every primary to tell of what is read from it over its connection.
    async fn ask_to_be_told(&self) -> Result<(), Trouble> {
        let client = &self.connection.client;
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
            Ok(Err(error)) => Err(Trouble::Refused(pulse::refusal(&error))),
            Err(_) => Err(Trouble::Silent),
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
    async fn beat(&self, mut echoes: mpsc::Receiver<String>, silent: &mut u32) -> Trouble {
        let id = (&SystemRandom as &dyn Random).token::<16>();
        let Some(lanes) = pulse::lanes(&self.connection.client, &id) else { return Trouble::Lost };
        let mut number = 0;
        if self.remember(&lanes, &[number]).await.is_err() {
            return Trouble::Silent;
        }
        loop {
            let began = Instant::now();
            let (guard, fresh, next) = (number, number + 1, number + 2);
            if self.remember(&lanes, &[fresh, next]).await.is_err() {
                return Trouble::Silent;
            }
            if let Err(trouble) = self.echo(&mut echoes, &lanes, guard, fresh).await {
                return trouble;
            }
            self.near.confirm(began);
            *silent = 0;
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

    /// Reads keys of our own, so that Redis remembers to tell of them.
    async fn remember(&self, lanes: &[Lane], numbers: &[u64]) -> Result<(), StoreError> {
        let reads = lanes.iter().map(|lane| async {
            let keys: Vec<Name> = numbers.iter().map(|number| lane.key(*number)).collect();
            self.read::<Value>("MGET", &keys.iter().collect::<Vec<_>>()).await
        });
        try_join_all(reads).await.map(drop)
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

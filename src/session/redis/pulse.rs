//! Writes of our own that prove something: that the store still takes writes, and, where that is asked for, that so many of its
//! replicas have them.
//!
//! `WAIT` holds up everything behind it on its connection, so it has one of its own, and beats have another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike as _, ClusterInterface as _};
use fred::prelude::Value;
use fred::types::config::{Config, Server};
use fred::types::{ClusterHash, CustomCommand};
use fred::util::redis_keyslot;
use futures_util::future::try_join_all;
use tokio::sync::Mutex;

use super::connection::{self, Connection};
use super::{AddressError, Link, scripts};
use crate::base::{Random, SystemRandom};
use crate::session::names::Name;
use crate::session::store::{StoreError, Unavailable};

/// The way of such writes.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    link: Link,
    replicas: u32,
    rounds: Arc<Rounds>,
}

/// Settling is shared: a round serves everybody who asked before it began. One `WAIT` behind the other would be late.
#[derive(Debug)]
struct Rounds {
    begun: AtomicU64,
    /// The last that ended, and how.
    ended: Mutex<(u64, Result<(), StoreError>)>,
}

/// One primary, and the part of a key's name that leads to it.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    server: Option<Server>,
    tag: String,
}

impl Lane {
    pub(super) fn key(&self, number: u64) -> Name {
        Name::beat(&self.tag, number)
    }
}

impl Pulse {
    /// Over the connection that is there, when no replica has to have anything.
    pub(super) fn new(config: &Config, commands: &Link, replicas: u32) -> Result<Self, AddressError> {
        let rounds = Arc::new(Rounds { begun: AtomicU64::new(0), ended: Mutex::new((0, Ok(()))) });
        let link = match replicas {
            0 => commands.clone(),
            _ => commands.aside(Connection::open(config.clone(), commands.deadline)?),
        };
        Ok(Self { link, replicas, rounds })
    }

    /// Whether replicas are waited for.
    pub(super) fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Answers once everything that was written before, by whomever, is where it was asked to be.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        if self.replicas == 0 {
            return Ok(());
        }
        let next = self.rounds.begun.load(Ordering::SeqCst) + 1;
        let mut ended = self.rounds.ended.lock().await;
        if ended.0 < next {
            let number = self.rounds.begun.fetch_add(1, Ordering::SeqCst) + 1;
            *ended = (number, self.round().await);
        }
        ended.1
    }

    async fn round(&self) -> Result<(), StoreError> {
        let id = (&SystemRandom as &dyn Random).token::<16>();
        let present = self.link.connection.present().ok_or(StoreError::Unavailable(Unavailable::Disconnected))?;
        let lanes = lanes(&present.client, &id).ok_or(StoreError::Unavailable(Unavailable::Moved))?;
        try_join_all(lanes.iter().map(|lane| self.write(lane, [lane.key(0), lane.key(1)]))).await?;
        Ok(())
    }

    /// Has two keys changed, in this order.
    pub(super) async fn write(&self, lane: &Lane, keys: [Name; 2]) -> Result<(), StoreError> {
        let present = self.link.connection.present().ok_or(StoreError::Unavailable(Unavailable::Disconnected))?;
        let written = self.link.quietly(Box::pin(async {
            let keys = keys.each_ref().map(Name::as_str);
            self.link.script::<Value>(&scripts::BEAT, &keys, &[Value::from(LIVES)]).await?;
            if self.replicas == 0 {
                return Ok(true);
            }
            // By the client from before: one that has written nothing waits for nothing.
            let node = connection::at(&present.client, lane.server.clone(), self.link.deadline);
            let wait = CustomCommand::new_static("WAIT", ClusterHash::Random, false);
            let patience = i64::try_from(self.patience().as_millis()).unwrap_or(1).max(1);
            let have: i64 = node.custom(wait, vec![Value::from(i64::from(self.replicas)), patience.into()]).await?;
            Ok(have >= i64::from(self.replicas))
        }));
        let answer = match written.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Unavailable(Unavailable::Replicas)),
            Err(error) => Err(error),
        };
        if let Err(StoreError::Unavailable(reason)) = &answer
            && self.link.aside
            && *reason != Unavailable::Replicas
        {
            // It may be half-open, or lead to what is no primary any more; and nobody else watches over it.
            self.link.connection.anew(present.turn);
        }
        answer
    }

    /// Redis has to give up before we do: its answer says how many have it. And whoever settles may have to wait for the
    /// round before.
    fn patience(&self) -> Duration {
        self.link.deadline / 5 * 2
    }
}

/// One lane to each primary. `None` while a cluster is not known yet.
pub(super) fn lanes(client: &Client, id: &str) -> Option<Vec<Lane>> {
    if !client.is_clustered() {
        return Some(vec![Lane { server: None, tag: id.to_owned() }]);
    }
    let state = client.cached_cluster_state()?;
    let mut missing = state.unique_primary_nodes();
    let mut lanes = Vec::with_capacity(missing.len());
    for attempt in 0..ATTEMPTS {
        if missing.is_empty() {
            break;
        }
        let tag = format!("{id}{attempt}");
        let Some(server) = state.get_server(redis_keyslot(tag.as_bytes())) else { continue };
        if let Some(place) = missing.iter().position(|one| one == server) {
            lanes.push(Lane { server: Some(missing.swap_remove(place)), tag });
        }
    }
    // A primary without slots holds no session either.
    (!lanes.is_empty()).then_some(lanes)
}

/// How long such a key is kept, in milliseconds. Nobody reads it again.
const LIVES: i64 = 10_000;
/// A primary with a hundredth of a percent of the slots is found in so many, or it holds next to nothing.
const ATTEMPTS: u32 = 100_000;

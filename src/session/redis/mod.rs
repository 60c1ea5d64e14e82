//! The store in Redis: one connection for commands, a deadline on each of them, and a watch that notices a dead peer.
//!
//! The only place that names `fred`; no error of it, and no address or password, gets out of here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike as _;
use fred::prelude::{FromValue, Value};
use fred::types::config::Config;
use fred::types::{ClusterHash, CustomCommand, RespVersion};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::connection::Connection;
use self::outage::Outage;
use self::pulse::Pulse;
use self::scripts::Script;
use super::store::{StoreCounters, StoreError, Unavailable};
use crate::base::{Clock, Secret};

mod address;
mod commands;
mod connection;
mod failure;
mod outage;
mod pulse;
mod replication;
mod scripts;
mod steps;
mod tracking;
mod watch;

#[cfg(test)]
mod tests;

pub use self::address::AddressError;

/// A store in Redis 6.2 or later, alone, behind Sentinel, or a cluster.
#[derive(Debug)]
pub struct RedisStore {
    commands: Link,
    pulse: Pulse,
    config: Config,
    watch: AbortHandle,
}

/// A way to the store: a connection, and how long an answer may take on it.
#[derive(Clone, Debug)]
struct Link {
    connection: Arc<Connection>,
    deadline: Duration,
    shared: Arc<Shared>,
    /// Not the one that decides whether the store is away.
    aside: bool,
}

/// What commands tell the watch, and the watch everybody.
#[derive(Debug)]
struct Shared {
    counters: StoreCounters,
    outage: Outage,
    /// Whether what is acknowledged was seen by replicas before.
    replicas: AtomicBool,
    /// Its keys lie in several places, though it looks like one server.
    apart: AtomicBool,
    /// An answer did not come in time: the watch looks at once whether any comes, and the right ones.
    doubt: Notify,
}

impl Shared {
    fn waits_for_replicas(&self) -> bool {
        self.replicas.load(Ordering::Relaxed)
    }
}

impl RedisStore {
    /// Whether a URL names a store that can be connected to. Looks at nothing but the URL.
    ///
    /// # Errors
    ///
    /// When it does not, and why, without a word of the URL itself.
    pub fn check(url: &Secret<String>) -> Result<(), AddressError> {
        address::check(url)
    }

    /// Begins to connect, in the background and for as long as it takes: a store that is away when the gateway starts is
    /// one that is away. Has to be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the URL, or a CA file that it names, cannot be understood.
    pub fn connect(url: &Secret<String>, deadline: Duration, clock: Arc<dyn Clock>) -> Result<Self, AddressError> {
        let mut config = address::read(url)?;
        // The near cache needs the third protocol, and one connection should not speak another dialect than the other.
        config.version = RespVersion::RESP3;
        let connection = Arc::new(Connection::open(config.clone(), deadline)?);
        let (counters, outage) = (StoreCounters::default(), Outage::new(clock));
        let (replicas, apart) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { counters, outage, replicas, apart, doubt: Notify::new() });
        let commands = Link { connection, deadline, shared, aside: false };
        let pulse = Pulse::new(&config, &commands, 0)?;
        let watch = tokio::spawn(watch::run(commands.clone())).abort_handle();
        Ok(Self { commands, pulse, config, watch })
    }

    /// The same store, where a revocation is acknowledged, and a beat of the near cache counts, only when so many of its
    /// replicas have it. Before it is used.
    ///
    /// # Errors
    ///
    /// When the URL cannot be used after all.
    pub fn with_replicas(mut self, replicas: u32) -> Result<Self, AddressError> {
        self.pulse = Pulse::new(&self.config, &self.commands, replicas)?;
        self.commands.shared.replicas.store(replicas > 0, Ordering::Relaxed);
        Ok(self)
    }
}

impl Link {
    /// Another way to the same store, which says nothing of whether that is away.
    fn aside(&self, connection: Connection) -> Self {
        Self { connection: Arc::new(connection), aside: true, ..self.clone() }
    }

    fn client(&self) -> Result<WithOptions<Client>, Error> {
        match self.connection.present() {
            Some(present) => Ok(connection::at(&present.client, None, self.deadline)),
            None => Err(Error::new(ErrorKind::Canceled, "there is no connection")),
        }
    }

    /// Sends one command. `args` begin with its key.
    async fn call<R: FromValue>(&self, command: &'static str, args: Vec<Value>) -> Result<R, StoreError> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        // On the heap: a future of the client has ten kilobytes.
        self.within(Box::pin(self.send(command, args))).await
    }

    /// Sends a command to where its key lies, and again while a cluster says that it did not carry it out because the key is
    /// on the move. The caller says how long.
    async fn send<R: FromValue>(&self, command: CustomCommand, args: Vec<Value>) -> Result<R, Error> {
        if !self.connection.is_clustered() {
            return self.client()?.custom(command, args).await;
        }
        loop {
            match self.client()?.custom(command.clone(), args.clone()).await {
                // By now the client has learnt where the slot lies, unless it still lies on both sides.
                Err(error) if failure::is_elsewhere(&error) => tokio::time::sleep(MOVE).await,
                answer => return answer,
            }
        }
    }

    /// Runs a script on keys of one slot. The server remembers it by its hash; one that does not know it yet is told.
    async fn run<R: FromValue>(&self, script: &Script, keys: &[&str], args: Vec<Value>) -> Result<R, StoreError> {
        self.within(Box::pin(self.script(script, keys, &args))).await
    }

    async fn script<R: FromValue>(&self, script: &Script, keys: &[&str], args: &[Value]) -> Result<R, Error> {
        self.script_called(script, |command, name| script.call(command, name, keys, args)).await
    }

    /// The same; `call` writes the command down, for one name of the script or another.
    async fn script_called<R: FromValue>(
        &self,
        script: &Script,
        call: impl Fn(&'static str, &str) -> (CustomCommand, Vec<Value>),
    ) -> Result<R, Error> {
        let (command, words) = call("EVALSHA", script.hash());
        match self.send(command, words).await {
            Err(error) if failure::is_unknown_script(&error) => {
                let (command, words) = call("EVAL", script.text());
                self.send(command, words).await
            }
            answer => answer,
        }
    }

    /// Waits for an answer, and counts.
    async fn within<R>(&self, answer: impl Future<Output = Result<R, Error>>) -> Result<R, StoreError> {
        self.shared.counters.command();
        let answer = self.quietly(answer).await;
        if let Err(error) = &answer {
            self.shared.counters.error();
            if let StoreError::Unavailable(reason) = error
                && !self.aside
            {
                self.shared.outage.report(*reason);
                if *reason == Unavailable::Deadline {
                    self.shared.doubt.notify_one();
                }
            }
        }
        answer
    }

    /// Waits for an answer that no request asked for.
    async fn quietly<R>(&self, answer: impl Future<Output = Result<R, Error>>) -> Result<R, StoreError> {
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => answer.map_err(|error| failure::read(&error)),
            Err(_) => Err(StoreError::Unavailable(Unavailable::Deadline)),
        }
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        // It holds the connection too.
        self.watch.abort();
    }
}

/// Before a key on the move is asked for again.
const MOVE: Duration = Duration::from_millis(10);

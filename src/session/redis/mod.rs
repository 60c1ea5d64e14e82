//! The store in Redis: one connection for commands, a deadline on each of them, and a watch that notices a dead peer.
//!
//! The only place that names `fred`; no error of it, and no address or password, gets out of here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::ClientLike as _;
use fred::prelude::{Builder, FromValue, ReconnectPolicy, TcpConfig, Value};
use fred::types::config::Config;
use fred::types::{ClusterHash, CustomCommand, RespVersion};
use tokio::task::AbortHandle;

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
    client: WithOptions<Client>,
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
}

impl Shared {
    fn waits_for_replicas(&self) -> bool {
        self.replicas.load(Ordering::Relaxed)
    }
}

impl RedisStore {
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
        // Not about commands: false means that the first connect is retried like every later one.
        config.fail_fast = false;
        let client = client(config.clone(), deadline)?;
        let (counters, outage) = (StoreCounters::default(), Outage::new(clock));
        let shared = Arc::new(Shared { counters, outage, replicas: AtomicBool::new(false) });
        let commands = Link::over(&client, deadline, Arc::clone(&shared));
        let pulse = Pulse::new(&config, &commands, 0)?;
        let watch = tokio::spawn(watch::run(client, deadline, shared)).abort_handle();
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

/// A client that is not connected yet.
fn client(config: Config, deadline: Duration) -> Result<Client, AddressError> {
    Builder::from_config(config)
        .with_performance_config(|performance| {
            // Zero would mean for ever. Ours, in `call`, is the one that counts; this clears what it left behind.
            performance.default_command_timeout = deadline + connection::BACKSTOP;
            performance.broadcast_channel_capacity = EVENTS;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = SETTLE;
            connection.internal_command_timeout = SETTLE;
            connection.max_command_attempts = 1;
            // Following them is ours, see `send`: the client would take the answer to `ASKING` from whatever comes next.
            connection.max_redirections = 0;
            connection.max_command_buffer_len = QUEUE;
            connection.auto_client_setname = true;
            connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        })
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 500, 2))
        .build()
        .map_err(|_| AddressError::Url("it cannot be used"))
}

impl Link {
    fn over(client: &Client, deadline: Duration, shared: Arc<Shared>) -> Self {
        Self { client: connection::at(client, None, deadline), deadline, shared, aside: false }
    }

    /// Sends one command. `args` begin with its key.
    async fn call<R: FromValue>(&self, command: &'static str, args: Vec<Value>) -> Result<R, StoreError> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        // On the heap: a future of the client has ten kilobytes.
        self.within(Box::pin(self.send(command, args))).await
    }

    /// Sends a command to where its key lies, and again while a cluster says that it did not carry it out because the key is
    /// on the move. The caller says how long.
    async fn send<R: FromValue>(&self, command: CustomCommand, args: Vec<Value>) -> Result<R, fred::error::Error> {
        if !self.client.is_clustered() {
            return self.client.custom(command, args).await;
        }
        loop {
            match self.client.custom(command.clone(), args.clone()).await {
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

    async fn script<R: FromValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[Value],
    ) -> Result<R, fred::error::Error> {
        let known = script.call("EVALSHA", script.hash(), keys, args);
        match self.send(known.0, known.1).await {
            Err(error) if failure::is_unknown_script(&error) => {
                let told = script.call("EVAL", script.text(), keys, args);
                self.send(told.0, told.1).await
            }
            answer => answer,
        }
    }

    /// Waits for an answer, and counts.
    async fn within<R>(&self, answer: impl Future<Output = Result<R, fred::error::Error>>) -> Result<R, StoreError> {
        self.shared.counters.command();
        let answer = self.quietly(answer).await;
        if let Err(error) = &answer {
            self.shared.counters.error();
            if let StoreError::Unavailable(reason) = error
                && !self.aside
            {
                self.shared.outage.report(*reason);
            }
        }
        answer
    }

    /// Waits for an answer that no request asked for.
    async fn quietly<R>(&self, answer: impl Future<Output = Result<R, fred::error::Error>>) -> Result<R, StoreError> {
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => answer.map_err(|error| failure::read(&error)),
            Err(_) => Err(StoreError::Unavailable(Unavailable::Deadline)),
        }
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        // The watch holds the connection; it closes with it.
        self.watch.abort();
    }
}

/// For connecting, and for each of the steps that make a connection usable: a half-open peer must not eat the time in which
/// service has to be back.
const SETTLE: Duration = Duration::from_secs(1);
/// Before a key on the move is asked for again.
const MOVE: Duration = Duration::from_millis(10);
/// How many events of a connection may wait to be read; an invalidation is one.
const EVENTS: usize = 8192;
/// How many commands may wait to be written.
const QUEUE: usize = 16_384;

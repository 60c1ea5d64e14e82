//! The store in Redis: one connection for commands, a deadline on each of them, and a watch that notices a dead peer.
//!
//! The only place that names `fred`; no error of it, and no address or password, gets out of here.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::ClientLike as _;
use fred::prelude::{Builder, FromValue, ReconnectPolicy, TcpConfig, Value};
use fred::types::config::Options;
use fred::types::{ClusterHash, CustomCommand, RespVersion};
use tokio::task::AbortHandle;

use self::outage::Outage;
use self::scripts::Script;
use super::store::{StoreCounters, StoreError, Unavailable};
use crate::base::{Clock, Secret};

mod address;
mod commands;
mod failure;
mod outage;
mod scripts;
mod watch;

#[cfg(test)]
mod tests;

pub use self::address::AddressError;

/// A store in Redis 6.2 or later, alone, behind Sentinel, or a cluster.
#[derive(Debug)]
pub struct RedisStore {
    commands: WithOptions<Client>,
    deadline: Duration,
    shared: Arc<Shared>,
    watch: AbortHandle,
}

/// What commands tell the watch, and the watch everybody.
#[derive(Debug)]
struct Shared {
    counters: StoreCounters,
    outage: Outage,
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
        let client = Builder::from_config(config)
            .with_performance_config(|performance| {
                // Zero would mean for ever. Ours, in `call`, is the one that counts; this clears what it left behind.
                performance.default_command_timeout = deadline + BACKSTOP;
                performance.broadcast_channel_capacity = 4096;
            })
            .with_connection_config(|connection| {
                connection.connection_timeout = SETTLE;
                connection.internal_command_timeout = SETTLE;
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = QUEUE;
                connection.auto_client_setname = true;
                connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
            })
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 500, 2))
            .build()
            .map_err(|_| AddressError::Url("it cannot be used"))?;
        let commands = client.with_options(&Options {
            // Without a connection a request fails at once instead of waiting for its deadline.
            fail_fast: true,
            max_attempts: Some(1),
            timeout: Some(deadline + BACKSTOP),
            ..Options::default()
        });
        let shared = Arc::new(Shared { counters: StoreCounters::default(), outage: Outage::new(clock) });
        let watch = tokio::spawn(watch::run(client, commands.clone(), deadline, Arc::clone(&shared))).abort_handle();
        Ok(Self { commands, deadline, shared, watch })
    }

    /// Sends one command. `args` begin with its key.
    async fn call<R: FromValue>(&self, command: &'static str, args: Vec<Value>) -> Result<R, StoreError> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        self.within(self.commands.custom(command, args)).await
    }

    /// Runs a script on keys of one slot. The server remembers it by its hash; one that does not know it yet is told.
    async fn run<R: FromValue>(&self, script: &Script, keys: &[&str], args: Vec<Value>) -> Result<R, StoreError> {
        let known = script.call("EVALSHA", script.hash(), keys, &args);
        self.within(async {
            match self.commands.custom(known.0, known.1).await {
                Err(error) if failure::is_unknown_script(&error) => {
                    let told = script.call("EVAL", script.text(), keys, &args);
                    self.commands.custom(told.0, told.1).await
                }
                answer => answer,
            }
        })
        .await
    }

    async fn within<R>(&self, answer: impl Future<Output = Result<R, fred::error::Error>>) -> Result<R, StoreError> {
        self.shared.counters.command();
        let answer = match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => failure::read(&error),
            Err(_) => StoreError::Unavailable(Unavailable::Deadline),
        };
        self.shared.counters.error();
        if let StoreError::Unavailable(reason) = answer {
            self.shared.outage.report(reason);
        }
        Err(answer)
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
const SETTLE: Duration = Duration::from_millis(1500);
/// How much later than ours the client's own deadline is.
const BACKSTOP: Duration = Duration::from_secs(1);
/// How many commands may wait to be written.
const QUEUE: usize = 16_384;

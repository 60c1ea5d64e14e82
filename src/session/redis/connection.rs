//! A way to Redis: one client of the library after the other, each for as long as it is good.
//!
//! A client that had trouble is never used again. It could reconnect by itself. But before that it finishes what it writes and
//! closes what is open, for which it needs a peer that answers; in a cluster it keeps every connection that shows no error, a
//! half-open one too; and it asks the sentinels always in the same order, so that the first needs only to stand still.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::{ClientLike as _, ClusterInterface as _};
use fred::prelude::{Builder, TcpConfig};
use fred::types::config::{Config, Options, Server, ServerConfig};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::{AddressError, failure};
use crate::session::store::Unavailable;

/// The way, and the task that keeps it; both end with this, and what is open is closed.
#[derive(Debug)]
pub(super) struct Connection {
    state: watch::Receiver<State>,
    spent: watch::Sender<u64>,
    clustered: bool,
    keeper: AbortHandle,
}

/// Whether there is a connection.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// No, and why; nothing while the first is on its way.
    Away(Option<Unavailable>),
    /// Yes: to one server, or to all primaries of a cluster.
    Here(Present),
}

/// A client that is connected, and was never connected before.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) client: Client,
    /// How many clients there have been.
    pub(super) turn: u64,
}

impl Connection {
    /// Begins to connect, in the background and for as long as it takes.
    ///
    /// # Errors
    ///
    /// When no client can be made from this.
    pub(super) fn open(config: Config, deadline: Duration) -> Result<Self, AddressError> {
        make(config.clone(), deadline)?;
        let clustered = config.server.is_clustered();
        let (state, seen) = watch::channel(State::Away(None));
        let (spent, wanted) = watch::channel(0);
        let keeper =
            tokio::spawn(Keeper { named: config.server.hosts(), config, deadline, state, spent: wanted }.run())
                .abort_handle();
        Ok(Self { state: seen, spent, clustered, keeper })
    }

    /// Tells of every change.
    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The client that is connected now.
    pub(super) fn present(&self) -> Option<Present> {
        match &*self.state.borrow() {
            State::Away(_) => None,
            State::Here(present) => Some(present.clone()),
        }
    }

    pub(super) fn is_clustered(&self) -> bool {
        self.clustered
    }

    /// Begins anew if the client of this turn is still the present one. Whoever waits for an answer of it gets none.
    pub(super) fn anew(&self, turn: u64) {
        self.spent.send_modify(|spent| *spent = turn.max(*spent));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Makes one client after the other.
struct Keeper {
    config: Config,
    deadline: Duration,
    state: watch::Sender<State>,
    spent: watch::Receiver<u64>,
    /// The places that the configuration names.
    named: Vec<Server>,
}

impl Keeper {
    async fn run(mut self) {
        let mut pause = SOON;
        for turn in 1.. {
            let began = Instant::now();
            let reason = self.one(turn).await;
            self.next_sentinel();
            self.state.send_replace(State::Away(Some(reason)));
            // A server that hangs up on everybody is not asked without end.
            pause = if began.elapsed() > LASTING { SOON } else { (pause * 2).min(PAUSE) };
            sleep(pause).await;
        }
    }

    /// A client from its beginning to its end, and why it ended.
    async fn one(&mut self, turn: u64) -> Unavailable {
        // Not reached: the same configuration made a client before.
        let Ok(client) = make(self.config.clone(), self.deadline) else { return Unavailable::Refused };
        let mut task = match connect(&client).await {
            Ok(task) => task,
            Err(reason) => return reason,
        };
        self.state.send_replace(State::Here(Present { client: client.clone(), turn }));
        let reason = tokio::select! {
            reason = task.ended() => reason,
            _ = self.spent.wait_for(|spent| *spent >= turn) => Unavailable::Disconnected,
        };
        self.remember_cluster(&client);
        reason
    }

    /// The places that were named may be gone by now, all of them, and the cluster still there.
    fn remember_cluster(&mut self, client: &Client) {
        let known = primaries(client).into_iter().flatten();
        if let ServerConfig::Clustered { hosts, .. } = &mut self.config.server {
            *hosts = self.named.iter().cloned().chain(known).collect();
        }
    }

    /// The next attempt asks another sentinel first: one that stands still, or was cut off from the others, would else be asked
    /// for ever.
    fn next_sentinel(&mut self) {
        if let ServerConfig::Sentinel { hosts, .. } = &mut self.config.server
            && !hosts.is_empty()
        {
            hosts.rotate_left(1);
        }
    }
}

/// The task that serves a client; it ends with this, and what is open is closed.
struct Task(JoinHandle<Result<(), fred::error::Error>>);

impl Task {
    async fn ended(&mut self) -> Unavailable {
        match (&mut self.0).await {
            Ok(Err(error)) => failure::reason(&error),
            Ok(Ok(())) | Err(_) => Unavailable::Disconnected,
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects a client that never was.
async fn connect(client: &Client) -> Result<Task, Unavailable> {
    let mut connected = pin!(client.wait_for_connect());
    // It has to listen before there is something to hear.
    let early = poll_fn(|context| Poll::Ready(connected.as_mut().poll(context).is_ready())).await;
    let task = Task(client.connect());
    if early {
        return Err(Unavailable::Refused);
    }
    match timeout(STUCK, connected).await {
        Ok(Ok(())) => Ok(task),
        Ok(Err(error)) => Err(failure::reason(&error)),
        Err(_) => Err(Unavailable::Deadline),
    }
}

/// A client that is not connected yet.
fn make(mut config: Config, deadline: Duration) -> Result<Client, AddressError> {
    // One attempt; the next is another client's.
    config.fail_fast = true;
    Builder::from_config(config)
        .with_performance_config(|performance| {
            // Zero would mean for ever. Ours, in `call`, is the one that counts; this clears what it left behind.
            performance.default_command_timeout = deadline + BACKSTOP;
            performance.broadcast_channel_capacity = EVENTS;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = SETTLE;
            connection.internal_command_timeout = SETTLE;
            connection.max_command_attempts = 1;
            // Following them is ours, see `Link::send`: the client would take the answer to `ASKING` from whatever comes next.
            connection.max_redirections = 0;
            // Each command that is redirected would wait for so long, one after the other.
            connection.cluster_cache_update_delay = Duration::ZERO;
            connection.max_command_buffer_len = QUEUE;
            connection.auto_client_setname = true;
            connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        })
        .build()
        .map_err(|_| AddressError::Url("it cannot be used"))
}

/// The servers that take writes. Nothing while a cluster is not known, and the only one has no name.
pub(super) fn primaries(client: &Client) -> Vec<Option<Server>> {
    if !client.is_clustered() {
        return vec![None];
    }
    let state = client.cached_cluster_state();
    state.map(|state| state.unique_primary_nodes().into_iter().map(Some).collect()).unwrap_or_default()
}

/// The client as every command uses it, at one of the primaries or wherever a command's key leads.
pub(super) fn at(client: &Client, node: Option<Server>, deadline: Duration) -> WithOptions<Client> {
    client.with_options(&Options {
        cluster_node: node,
        // Without a connection a request fails at once instead of waiting for its deadline.
        fail_fast: true,
        max_attempts: Some(1),
        timeout: Some(deadline + BACKSTOP),
        ..Options::default()
    })
}

/// For connecting, and for each of the steps that make a connection usable: a half-open peer must not eat the time in which
/// service has to be back.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// How much later than ours the client's own deadline is.
const BACKSTOP: Duration = Duration::from_secs(1);
/// So long all steps of connecting may take together.
const STUCK: Duration = Duration::from_secs(10);
/// Before another attempt: at first, and at most.
const SOON: Duration = Duration::from_millis(25);
const PAUSE: Duration = Duration::from_millis(400);
/// A connection that lasted so long was none that is hung up on at once.
const LASTING: Duration = Duration::from_secs(2);
/// How many events of a connection may wait to be read; an invalidation is one.
const EVENTS: usize = 8192;
/// How many commands may wait to be written.
const QUEUE: usize = 16_384;

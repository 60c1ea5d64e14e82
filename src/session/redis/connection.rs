//! A client of Redis and the task that keeps it connected, for one server or for all primaries of a cluster.

use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::{ClientLike as _, ClusterInterface as _};
use fred::types::config::{Options, Server};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The client and its task, which ends with this and closes what is open.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    task: JoinHandle<Result<(), fred::error::Error>>,
    since: Instant,
}

impl Connection {
    /// Begins to connect, and goes on.
    pub(super) fn open(client: Client) -> Self {
        let running = Mutex::new(Running::begin(&client));
        Self { client, running }
    }

    /// Begins from nothing, unless that was just done: what is made needs its time. Whoever waits for an answer gets none.
    ///
    /// The client could reconnect by itself. But before that it finishes what it writes and closes what is open, for which it
    /// needs a peer that answers; and in a cluster it keeps every connection that shows no error, a half-open one too.
    pub(super) async fn anew(&self) {
        let mut running = self.running.lock().await;
        if running.since.elapsed() < PAUSE {
            return;
        }
        if !running.task.is_finished() {
            running.task.abort();
            // Two at a time would take each other's commands.
            let _ = (&mut running.task).await;
        }
        *running = Running::begin(&self.client);
    }

    /// Some errors end the client's own attempts, such as a cluster's answer that is no cluster's: then it begins again.
    /// Answers whether it had to.
    pub(super) async fn mend(&self) -> bool {
        let mut running = self.running.lock().await;
        let ended = running.task.is_finished();
        if ended {
            *running = Running::begin(&self.client);
        }
        ended
    }
}

impl Running {
    fn begin(client: &Client) -> Self {
        Self { task: client.connect(), since: Instant::now() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
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

/// How much later than ours the client's own deadline is.
pub(super) const BACKSTOP: Duration = Duration::from_secs(1);
/// Between two beginnings.
const PAUSE: Duration = Duration::from_secs(2);

//! The half of an HTTP/1.1 connection that reads and writes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::debug;

type Connection = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// Kept with the connection's lease: whoever holds that keeps the connection going. So a request and its answer wake one task, where
/// a task for each connection would make it two, and often two threads.
pub(super) struct Driver(Option<Connection>);

impl Driver {
    pub(super) fn new(connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) -> Self {
        Self(Some(Box::pin(connection)))
    }

    /// A task of its own keeps the connection going.
    pub(super) const fn elsewhere() -> Self {
        Self(None)
    }

    /// Reads and writes what can be read and written now. False when that is done elsewhere, or the connection is over.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(connection) = &mut self.0 else { return false };
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            // Dropping it tells whoever waits for an answer.
            self.0 = None;
            log(result);
        }
        self.0.is_some()
    }

    /// Goes on by itself from here.
    pub(super) fn leave(&mut self) {
        if let Some(connection) = self.0.take() {
            spawn(connection);
        }
    }
}

/// Keeps a connection going until it ends.
pub(super) fn spawn(connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
    tokio::spawn(async move { log(connection.await) });
}

fn log(result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        debug!(%error, "a connection to an upstream ended with an error");
    }
}

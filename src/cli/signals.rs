//! SIGTERM and SIGINT: the first drains, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};

use crate::server::Shutdown;

/// Watches for as long as the process lives.
pub(super) fn watch(shutdown: Shutdown) {
    tokio::spawn(async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be watched: stop this process with SIGKILL");
            return;
        };
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        shutdown.drain.cancel();
        next().await;
        tracing::warn!("a second signal: stopping at once");
        shutdown.stop.cancel();
    });
}

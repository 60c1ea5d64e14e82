//! Webhooks: other systems learn that sessions begin and end, by signed requests (Standard Webhooks).
//!
//! A request never waits for them. What cannot be delivered is tried again and given up in the end; what does not fit into the
//! queue is dropped, and both are counted. A process that dies takes its queue along.

mod delivery;
mod message;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use url::Url;

use self::delivery::Delivery;
use self::message::Message;
use crate::base::trust::TrustError;
use crate::base::{Clock, Random, Secret};
use crate::session::{Happening, What, Witness};

/// Where events go, and which.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The configured name.
    pub name: Arc<str>,
    /// Who is told.
    pub url: Url,
    /// What messages are signed with, [`SECRET_BYTES`] long.
    pub secret: Secret<Vec<u8>>,
    /// Tell of beginnings.
    pub started: bool,
    /// Tell of ends.
    pub ended: bool,
    /// Trusted as well as the system's roots.
    pub ca: Option<PathBuf>,
    /// How many events may wait.
    pub queue: usize,
    /// How long one event is tried.
    pub give_up: Duration,
}

/// How long a secret is, in bytes (Standard Webhooks, "Signature scheme").
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A webhook cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("webhook {name}: {trust}")]
pub struct WebhookError {
    name: Arc<str>,
    trust: TrustError,
}

/// All of them.
#[derive(Debug)]
pub struct Webhooks {
    all: Vec<Webhook>,
    tasks: TaskTracker,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// The end of one's queue at which events enter.
#[derive(Debug)]
struct Webhook {
    name: Arc<str>,
    started: bool,
    ended: bool,
    queue: std::sync::Mutex<Option<mpsc::Sender<Message>>>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

/// What was counted for one of them since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookMetrics {
    /// The configured name.
    pub name: Arc<str>,
    /// Events that were taken.
    pub delivered: u64,
    /// Attempts that were not.
    pub failed: u64,
    /// Events that nobody will hear of: the queue was full, or all attempts failed.
    pub dropped: u64,
    /// Events that wait now, those under way too.
    pub waiting: u64,
}

impl Webhooks {
    /// Opens no connection. Has to be called within a Tokio runtime, on which each keeps one task.
    ///
    /// # Errors
    /// When a `ca` file cannot be used.
    pub fn new(
        settings: Vec<WebhookSettings>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, WebhookError> {
        let tasks = TaskTracker::new();
        let mut all = Vec::new();
        for settings in settings {
            let (sender, receiver) = mpsc::channel(settings.queue);
            let counters = Arc::<Counters>::default();
            let name = Arc::clone(&settings.name);
            all.push(Webhook {
                name: Arc::clone(&name),
                started: settings.started,
                ended: settings.ended,
                queue: std::sync::Mutex::new(Some(sender)),
                counters: Arc::clone(&counters),
            });
            let delivery =
                Delivery::new(settings, Arc::clone(&clock), counters).map_err(|trust| WebhookError { name, trust })?;
            tasks.spawn(deliver_all(delivery, receiver));
        }
        Ok(Self { all, tasks, clock, random })
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes no more events, and waits until those in the queues are delivered or given up, for `limit` at most.
    pub async fn finish(&self, limit: Duration) {
        for webhook in &self.all {
            webhook.lock().take();
        }
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            let lost: u64 = self.metrics().iter().map(|one| one.waiting).sum();
            tracing::warn!(events = lost, "webhooks: not everything was delivered before the end");
        }
    }

    /// What was counted.
    #[must_use]
    pub fn metrics(&self) -> Vec<WebhookMetrics> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let of = |one: &Webhook| WebhookMetrics {
            name: Arc::clone(&one.name),
            delivered: read(&one.counters.delivered),
            failed: read(&one.counters.failed),
            dropped: read(&one.counters.dropped),
            waiting: read(&one.counters.waiting),
        };
        self.all.iter().map(of).collect()
    }
}

impl Webhook {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Message>>> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wants(&self, what: What) -> bool {
        match what {
            What::Started => self.started,
            What::Ended(_) => self.ended,
        }
    }

    fn enqueue(&self, message: Message) {
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        let taken = self.lock().as_ref().is_some_and(|queue| queue.try_send(message).is_ok());
        if !taken {
            self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
            if self.counters.dropped.fetch_add(1, Ordering::Relaxed).is_power_of_two() {
                tracing::warn!(webhook = &*self.name, "webhook: the queue is full, events are dropped");
            }
        }
    }
}

impl Witness for Webhooks {
    fn saw(&self, happening: &Happening) {
        let mut wanting = self.all.iter().filter(|webhook| webhook.wants(happening.what)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let message = Message::new(happening, self.clock.now(), &*self.random);
        wanting.for_each(|webhook| webhook.enqueue(message.clone()));
    }
}

/// A receiver that is away holds up a few; the others wait in the queue.
async fn deliver_all(delivery: Delivery, queue: mpsc::Receiver<Message>) {
    let queue = futures_util::stream::unfold(queue, |mut queue| async { Some((queue.recv().await?, queue)) });
    queue.for_each_concurrent(AT_ONCE, |message| delivery.deliver(message)).await;
}

/// How many events of one webhook are under way at once.
const AT_ONCE: usize = 8;

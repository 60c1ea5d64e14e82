//! The connections to one application: kept, reused last in first out, bounded in number, age and idleness.
//!
//! One pool per upstream, so that everything that makes connections interchangeable (target, TLS, roots) is equal by
//! construction. Nothing here waits with a lock held.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::connect::{Connected, Connector, Purpose};
use super::error::UpstreamError;
use super::http1::Connection;
use super::lease::{Channel, Lease};
use super::metrics::{Metrics, Snapshot, count};
use super::multiplex::Shared;
use super::settings::{Target, UpstreamSettings};

pub(super) struct Pool {
    name: Arc<str>,
    connector: Connector,
    connect: Duration,
    response: Duration,
    // Boxed: it goes through many hands, and a pointer moves cheaply.
    #[allow(clippy::vec_box, reason = "taken out and put back whole for each request")]
    idle: Mutex<Vec<Box<Lease>>>,
    shared: Mutex<Vec<Arc<Shared>>>,
    speaks: AtomicU8,
    slots: Arc<Slots>,
    /// One at a time makes HTTP/2 connections: those who wait will share what the first one makes.
    dialing: tokio::sync::Mutex<()>,
    swept: AtomicBool,
    pub(super) metrics: Arc<Metrics>,
}

impl Pool {
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Arc<Self>, UpstreamError> {
        let name = Arc::clone(&settings.name);
        let connector =
            Connector::new(settings).map_err(|why| UpstreamError::Settings { upstream: Arc::clone(&name), why })?;
        let metrics = Arc::new(Metrics::default());
        let speaks = match settings.target {
            Target::Https { .. } => UNKNOWN,
            Target::H2c { .. } => HTTP2,
            Target::Http { .. } | Target::Unix(_) => HTTP1,
        };
        Ok(Arc::new(Self {
            name,
            connector,
            connect: settings.connect,
            response: settings.response,
            idle: Mutex::default(),
            shared: Mutex::default(),
            speaks: AtomicU8::new(speaks),
            slots: Arc::new(Slots {
                limit: settings.connections.max(1),
                waiting: AtomicUsize::new(0),
                freed: Notify::new(),
                metrics: Arc::clone(&metrics),
            }),
            dialing: tokio::sync::Mutex::new(()),
            swept: AtomicBool::new(false),
            metrics,
        }))
    }

    /// A connection for one request: one that is there, a new one, or the next one that becomes free within `connect`. And when it
    /// was there: waiting for it is not waiting for an answer.
    ///
    /// `fresh` asks for one on which nothing was sent yet, as long as there is room for it.
    pub(super) async fn channel(
        self: &Arc<Self>,
        fresh: bool,
        now: Instant,
    ) -> Result<(Channel, Instant), UpstreamError> {
        if !fresh && let Some(channel) = self.take(now) {
            return Ok((channel, now));
        }
        // Boxed: while the pool is warm nobody comes here.
        let channel = Box::pin(self.another(now + self.connect, fresh)).await?;
        Ok((channel, Instant::now()))
    }

    /// A connection that is not there yet.
    async fn another(self: &Arc<Self>, deadline: Instant, fresh: bool) -> Result<Channel, UpstreamError> {
        let mut turn = None;
        if self.speaks.load(Ordering::Relaxed) != HTTP1 {
            let Ok(mine) = timeout_at(deadline, self.dialing.lock()).await else { return Err(self.connect_timeout()) };
            if !fresh && let Some(channel) = self.take(Instant::now()) {
                return Ok(channel);
            }
            // Who went before may have learnt that there is nothing to share: then all dial at once.
            turn = (self.speaks.load(Ordering::Relaxed) != HTTP1).then_some(mine);
        }
        let Some(slot) = self.slot(fresh) else {
            // Those behind shall wait where they are counted.
            drop(turn);
            return self.wait(deadline).await;
        };
        self.dial(slot, deadline).await
    }

    /// A new connection that will be a tunnel. It counts like any other.
    ///
    /// Over HTTP/2 too it is the tunnel's own: a slow reader must not hold up the requests beside it.
    pub(super) async fn tunnel(self: &Arc<Self>) -> Result<Channel, UpstreamError> {
        let deadline = Instant::now() + self.connect;
        let Some(slot) = self.slot(true) else { return Err(self.overload()) };
        match self.connected(Purpose::Tunnel, deadline).await? {
            Connected::Http1(connection) => Ok(Channel::Own(self.lease(connection, slot))),
            Connected::Http2(sender) => {
                let shared = Shared::new(sender, self.expiry(), slot);
                shared.stream(&self.slots).map(Channel::Shared).ok_or_else(|| self.overload())
            }
        }
    }

    /// Takes back a connection whose last answer was read to its end; one that is not at rest is closed. `now` may be somewhat
    /// earlier: from then on it counts as unused.
    pub(super) fn give_back(&self, mut lease: Box<Lease>, now: Instant) {
        if !lease.connection.is_at_rest() {
            return;
        }
        lease.connection.rest();
        lease.rested = now;
        lease.reused = true;
        lock(&self.idle).push(lease);
        self.slots.freed();
    }

    fn take(self: &Arc<Self>, now: Instant) -> Option<Channel> {
        if self.speaks.load(Ordering::Relaxed) != HTTP1 {
            let found = lock(&self.shared)
                .iter()
                .filter(|shared| shared.is_open(now))
                .find_map(|shared| shared.stream(&self.slots));
            if let Some(stream) = found {
                count(&self.metrics.reuses);
                return Some(Channel::Shared(stream));
            }
        }
        let lease = self.pop(now)?;
        count(&self.metrics.reuses);
        Some(Channel::Own(lease))
    }

    /// The connection that was used last: its upstream is the least likely to have given it up.
    fn pop(&self, now: Instant) -> Option<Box<Lease>> {
        loop {
            let mut lease = lock(&self.idle).pop()?;
            if is_good(&mut lease, now) {
                return Some(lease);
            }
        }
    }

    fn slot(&self, fresh: bool) -> Option<Slot> {
        self.slots.take().or_else(|| {
            // An idle connection makes room for a new one.
            drop(fresh.then(|| self.pop(Instant::now()))?);
            self.slots.take()
        })
    }

    async fn wait(self: &Arc<Self>, deadline: Instant) -> Result<Channel, UpstreamError> {
        let Some(_waiting) = self.slots.wait() else { return Err(self.overload()) };
        count(&self.metrics.waits);
        loop {
            let mut freed = std::pin::pin!(self.slots.freed.notified());
            // From here on no word is missed, also one that comes before we look.
            freed.as_mut().enable();
            if let Some(channel) = self.take(Instant::now()) {
                return Ok(channel);
            }
            if let Some(slot) = self.slots.take() {
                return self.dial(slot, deadline).await;
            }
            if timeout_at(deadline, freed).await.is_err() {
                return Err(self.overload());
            }
        }
    }

    async fn dial(self: &Arc<Self>, slot: Slot, deadline: Instant) -> Result<Channel, UpstreamError> {
        let connected = self.connected(Purpose::Requests, deadline).await?;
        self.sweep();
        match connected {
            Connected::Http1(connection) => {
                self.speaks.store(HTTP1, Ordering::Relaxed);
                Ok(Channel::Own(self.lease(connection, slot)))
            }
            Connected::Http2(sender) => {
                self.speaks.store(HTTP2, Ordering::Relaxed);
                let shared = Shared::new(sender, self.expiry(), slot);
                let stream = shared.stream(&self.slots).ok_or_else(|| self.overload())?;
                lock(&self.shared).push(shared);
                Ok(Channel::Shared(stream))
            }
        }
    }

    async fn connected(&self, purpose: Purpose, deadline: Instant) -> Result<Connected, UpstreamError> {
        match self.connector.connect(purpose, deadline).await {
            Ok(connected) => {
                count(&self.metrics.connects);
                Ok(connected)
            }
            Err(error) => {
                count(&self.metrics.connect_failures);
                if error.kind() == std::io::ErrorKind::TimedOut {
                    return Err(self.connect_timeout());
                }
                let (upstream, address) = (Arc::clone(&self.name), self.connector.address());
                Err(UpstreamError::Connect { upstream, address, source: error })
            }
        }
    }

    fn lease(&self, connection: Box<Connection>, slot: Slot) -> Box<Lease> {
        let now = Instant::now();
        Box::new(Lease {
            connection: *connection,
            alarm: Box::pin(sleep_until(now + self.response)),
            expires: self.expiry(),
            rested: now,
            reused: false,
            slot,
        })
    }

    /// Spread, so that connections that were made together do not end together.
    fn expiry(&self) -> Instant {
        let spread = u32::try_from(self.metrics.connects.load(Ordering::Relaxed) % 16).unwrap_or_default();
        Instant::now() + LIFETIME + SPREAD * spread
    }

    /// Once in a while drops what nobody uses; ends by itself with the pool.
    fn sweep(self: &Arc<Self>) {
        if self.swept.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool: Weak<Self> = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                sleep(SWEEP_EVERY).await;
                let Some(pool) = pool.upgrade() else { return };
                let now = Instant::now();
                lock(&pool.shared).retain(|shared| shared.is_open(now));
                // Nobody else sees that the upstream has closed one.
                // Closed when the lock is free again.
                let _dead: Vec<Box<Lease>> = lock(&pool.idle).extract_if(.., |lease| !is_good(lease, now)).collect();
            }
        });
    }

    /// What its connections do.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.metrics.snapshot(lock(&self.idle).len())
    }

    fn overload(&self) -> UpstreamError {
        UpstreamError::Overload { upstream: Arc::clone(&self.name) }
    }

    fn connect_timeout(&self) -> UpstreamError {
        UpstreamError::ConnectTimeout { upstream: Arc::clone(&self.name), address: self.connector.address() }
    }
}

/// Whether the next request may go on it. It may have been closed, or spoken on, while nobody looked.
fn is_good(lease: &mut Lease, now: Instant) -> bool {
    lease.expires > now && now.saturating_duration_since(lease.rested) < LONGEST_REST && lease.connection.is_quiet()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many connections there may be, and who waits for one.
pub(super) struct Slots {
    limit: usize,
    waiting: AtomicUsize,
    freed: Notify,
    metrics: Arc<Metrics>,
}

impl Slots {
    fn take(self: &Arc<Self>) -> Option<Slot> {
        let admit = |open| (open < self.limit).then_some(open + 1);
        self.metrics.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, admit).ok()?;
        Some(Slot(Arc::clone(self)))
    }

    fn wait(self: &Arc<Self>) -> Option<Waiting> {
        let admit = |waiting| (waiting < MOST_WAITING).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, admit).ok()?;
        Some(Waiting(Arc::clone(self)))
    }

    /// A connection, or a stream on one, became free.
    pub(super) fn freed(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }
}

/// The right to one open connection.
pub(super) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.metrics.open.fetch_sub(1, Ordering::AcqRel);
        self.0.freed();
    }
}

struct Waiting(Arc<Slots>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

const UNKNOWN: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;
const LONGEST_REST: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(600);
const SPREAD: Duration = Duration::from_secs(8);
const SWEEP_EVERY: Duration = Duration::from_secs(15);
const MOST_WAITING: usize = 1024;

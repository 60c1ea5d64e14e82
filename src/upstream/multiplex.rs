//! HTTP/2 connections to an application: many requests on each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyper::client::conn::http2;
use tokio::time::Instant;

use super::outgoing::Outgoing;
use super::pool::{Slot, Slots};

/// One connection.
pub(super) struct Shared {
    sender: http2::SendRequest<Outgoing>,
    streams: AtomicUsize,
    used: AtomicBool,
    expires: Instant,
    _slot: Slot,
}

/// One request's place on it. Dropping the request resets the stream; dropping this makes room for another.
pub(super) struct Stream {
    pub(super) sender: http2::SendRequest<Outgoing>,
    shared: Arc<Shared>,
    slots: Arc<Slots>,
    reused: bool,
}

impl Shared {
    pub(super) fn new(sender: http2::SendRequest<Outgoing>, expires: Instant, slot: Slot) -> Arc<Self> {
        Arc::new(Self { sender, streams: AtomicUsize::new(0), used: AtomicBool::new(false), expires, _slot: slot })
    }

    /// Whether new requests may go on it.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        !self.sender.is_closed() && self.expires > now
    }

    /// A place, if there is one. Where the upstream allows fewer streams, hyper lets the request wait its turn.
    pub(super) fn stream(self: &Arc<Self>, slots: &Arc<Slots>) -> Option<Stream> {
        let admit = |streams| (streams < MOST_STREAMS).then_some(streams + 1);
        self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, admit).ok()?;
        Some(Stream {
            sender: self.sender.clone(),
            shared: Arc::clone(self),
            slots: Arc::clone(slots),
            reused: self.used.swap(true, Ordering::AcqRel),
        })
    }
}

impl Stream {
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::AcqRel);
        self.slots.freed();
    }
}

/// Beyond this a second connection serves better than a longer queue.
const MOST_STREAMS: usize = 100;

//! What a connection, the requests on it and the listener tell each other: a few atomics, one allocation a connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What the listener asks of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Run = 0,
    Drain = 1,
    Stop = 2,
}

/// The answer to a request for an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    Undecided = 0,
    Switched = 1,
    Declined = 2,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Instant,
    /// Requests whose answers are not finished.
    busy: AtomicUsize,
    /// When the last of them was, in milliseconds after `born`; 0 before there was one.
    rested: AtomicU64,
    upgrade: AtomicU8,
    order: AtomicU8,
    /// Nothing has come or gone for a while, and nothing is half read or half written.
    resting: AtomicBool,
    /// The connection's task, which hears of orders, and of the answer that reading waits for.
    watcher: Mutex<Option<Waker>>,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            busy: AtomicUsize::new(0),
            rested: AtomicU64::new(0),
            upgrade: AtomicU8::new(Upgrade::Undecided as u8),
            order: AtomicU8::new(Order::Run as u8),
            resting: AtomicBool::new(false),
            watcher: Mutex::new(None),
        })
    }

    /// Counts a request as under way until the answer is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// Whether no request has begun on it yet.
    pub(super) fn is_fresh(&self) -> bool {
        !self.is_busy() && self.rested.load(Ordering::Acquire) == 0
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Since when nothing is under way.
    pub(super) fn idle_since(&self) -> Instant {
        self.born + Duration::from_millis(self.rested.load(Ordering::Acquire))
    }

    pub(super) fn decide(&self, upgrade: Upgrade) {
        self.upgrade.store(upgrade as u8, Ordering::Release);
        self.wake();
    }

    /// The answer that reading waits for; asking takes it.
    pub(super) fn decision(&self) -> Upgrade {
        match self.upgrade.swap(Upgrade::Undecided as u8, Ordering::AcqRel) {
            1 => Upgrade::Switched,
            2 => Upgrade::Declined,
            _ => Upgrade::Undecided,
        }
    }

    /// The socket says whether the connection rests.
    pub(super) fn rest(&self, rests: bool) {
        self.resting.store(rests, Ordering::Release);
    }

    pub(super) fn rests(&self) -> bool {
        self.resting.load(Ordering::Acquire)
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Drain,
            _ => Order::Stop,
        }
    }

    /// From now on every order and decision wakes this task, until another one watches.
    pub(super) fn watch(&self, task: &Waker) {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner).replace(task.clone());
    }

    fn wake(&self) {
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = watcher {
            task.wake();
        }
    }

    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.wake();
    }
}

/// One request under way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Pulse>);

impl Drop for Busy {
    fn drop(&mut self) {
        let millis = self.0.born.elapsed().as_millis();
        self.0.rested.store(u64::try_from(millis).unwrap_or(u64::MAX).max(1), Ordering::Release);
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The open connections of one listener.
///
/// Orders go to each connection's own waker: a token that all of them watched would be one lock for all.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: Mutex<Members>,
    empty: Notify,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    pulses: HashMap<u64, Arc<Pulse>>,
}

impl Roster {
    /// Enters a new connection until the membership is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> (Arc<Pulse>, Membership) {
        let pulse = Pulse::new();
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let number = members.next;
        members.next += 1;
        members.pulses.insert(number, Arc::clone(&pulse));
        drop(members);
        (pulse, Membership { roster: Arc::clone(self), number })
    }

    /// Gives an order to every connection.
    pub(super) fn give(&self, order: Order) {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        for pulse in members.pulses.values() {
            pulse.give(order);
        }
    }

    /// Resolves when no connection is left.
    pub(super) async fn emptied(&self) {
        loop {
            let notified = self.empty.notified();
            if self.len() == 0 {
                return;
            }
            notified.await;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).pulses.len()
    }
}

/// A connection's place in the roster.
#[derive(Debug)]
pub(super) struct Membership {
    roster: Arc<Roster>,
    number: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.roster.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.pulses.remove(&self.number);
        let empty = members.pulses.is_empty();
        drop(members);
        if empty {
            self.roster.empty.notify_waiters();
        }
    }
}

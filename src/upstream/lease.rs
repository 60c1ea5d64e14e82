//! A connection in somebody's hands: one request at a time over HTTP/1.1, one stream of many over HTTP/2.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, Sleep, sleep_until};

use super::http1::{self, Connection, Head};
use super::multiplex::Stream;
use super::outgoing::{Outgoing, Progress};
use super::pool::Slot;

/// What a request is sent on.
pub(super) enum Channel {
    Own(Box<Lease>),
    Shared(Stream),
}

/// An HTTP/1.1 connection. Dropping it closes it; only the pool takes it back.
pub(super) struct Lease {
    pub(super) connection: Connection,
    /// Armed lazily and kept between requests: on a busy connection it is hardly ever touched.
    pub(super) alarm: Pin<Box<Sleep>>,
    /// When it is closed however well it serves.
    pub(super) expires: Instant,
    /// Since when nobody has used it.
    pub(super) rested: Instant,
    /// Whether a request was on it before: then it may be closed while the next one is under way.
    pub(super) reused: bool,
    pub(super) slot: Slot,
}

/// Why there is no head of an answer.
pub(super) enum Failure<E> {
    Connection(E),
    TimedOut,
}

impl Lease {
    /// Sends the request that was begun on its connection, and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        progress: Option<&Arc<Progress>>,
        begun: Instant,
        patience: Duration,
        switches: bool,
    ) -> Result<Head, Failure<http1::Failure>> {
        let Self { connection, alarm, .. } = self;
        poll_fn(|cx| match connection.poll_head(cx, switches) {
            Poll::Ready(head) => Poll::Ready(head.map_err(Failure::Connection)),
            Poll::Pending => {
                poll_patience(alarm.as_mut(), progress, begun, patience, cx).map(|()| Err(Failure::TimedOut))
            }
        })
        .await
    }
}

impl Stream {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Outgoing>,
        progress: Option<&Arc<Progress>>,
        patience: Duration,
    ) -> Result<Response<Incoming>, Failure<Box<TrySendError<Request<Outgoing>>>>> {
        let begun = Instant::now();
        let mut alarm = pin!(sleep_until(begun + patience));
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(|error| Failure::Connection(Box::new(error)))),
            Poll::Pending => {
                poll_patience(alarm.as_mut(), progress, begun, patience, cx).map(|()| Err(Failure::TimedOut))
            }
        })
        .await
    }
}

/// Over when the upstream takes neither the request nor too long a breath before it answers. An upload that moves, or
/// that waits for its client, is not late.
fn poll_patience(
    mut alarm: Pin<&mut Sleep>,
    progress: Option<&Arc<Progress>>,
    begun: Instant,
    patience: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let since = |now| progress.map_or(begun, |progress| progress.waiting_since(now).max(begun));
    // An earlier use may have set it for later than this one allows. Without an upload that is known without asking the clock.
    let due = progress.map_or(begun, |_| since(Instant::now())) + patience;
    if alarm.deadline() > due {
        alarm.as_mut().reset(due);
    }
    while alarm.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        let due = since(now) + patience;
        if due <= now {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(due);
    }
    Poll::Pending
}

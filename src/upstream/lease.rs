//! A connection in somebody's hands: one request at a time over HTTP/1.1, one stream of many over HTTP/2.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::driver::Driver;
use super::multiplex::Stream;
use super::outgoing::{Outgoing, Progress};
use super::pool::Slot;

/// What a request is sent on.
pub(super) enum Channel {
    Own(Lease),
    Shared(Stream),
}

/// An HTTP/1.1 connection. Dropping it closes it; only the pool takes it back.
pub(super) struct Lease {
    pub(super) sender: http1::SendRequest<Outgoing>,
    pub(super) driver: Driver,
    /// Armed lazily and kept between requests: on a busy connection it is hardly ever touched.
    pub(super) alarm: Pin<Box<Sleep>>,
    /// When it is closed however well it serves.
    pub(super) expires: Instant,
    /// Since when nobody has used it.
    pub(super) rested: Instant,
    pub(super) reused: bool,
    pub(super) _slot: Slot,
}

/// Why there is no head of an answer.
pub(super) enum Failure {
    /// Not one byte of the request was written: it can go elsewhere.
    Unsent(Box<Request<Outgoing>>, hyper::Error),
    /// The connection ended with the request on it.
    Lost(hyper::Error),
    TimedOut,
}

impl Channel {
    /// Whether a request was on it before: then it may have been closed while ours was under way.
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Self::Own(lease) => lease.reused,
            Self::Shared(stream) => stream.is_reused(),
        }
    }

    /// What it speaks.
    pub(super) fn version(&self) -> Version {
        match self {
            Self::Own(_) => Version::HTTP_11,
            Self::Shared(_) => Version::HTTP_2,
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Outgoing>,
        progress: Option<&Arc<Progress>>,
        patience: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let begun = Instant::now();
        let answer = match self {
            Self::Own(lease) => {
                let answer = lease.sender.try_send_request(request);
                head(answer, &mut lease.driver, lease.alarm.as_mut(), progress, begun, patience).await
            }
            Self::Shared(stream) => {
                let alarm = pin!(sleep_until(begun + patience));
                let answer = stream.sender.try_send_request(request);
                head(answer, &mut Driver::elsewhere(), alarm, progress, begun, patience).await
            }
        };
        match answer {
            None => Err(Failure::TimedOut),
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => Err(match error.take_message() {
                Some(request) => Failure::Unsent(Box::new(request), error.into_error()),
                None => Failure::Lost(error.into_error()),
            }),
        }
    }
}

type Answered = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>;

/// `None` when the upstream takes neither the request nor too long a breath before it answers. An upload that moves, or
/// that waits for its client, is not late.
async fn head(
    answer: impl Future<Output = Answered>,
    driver: &mut Driver,
    mut alarm: Pin<&mut Sleep>,
    progress: Option<&Arc<Progress>>,
    begun: Instant,
    patience: Duration,
) -> Option<Answered> {
    let mut answer = pin!(unconstrained(answer));
    poll_fn(|cx| {
        let come = if driver.turn(cx) {
            // It can only come while the driver has its turn: to be woken by it would wake this task for nothing.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        } else {
            answer.as_mut().poll(cx)
        };
        if let Poll::Ready(answer) = come {
            return Poll::Ready(Some(answer));
        }
        // An earlier use may have set it for later than this one allows.
        if alarm.deadline() > begun + patience && progress.is_none() {
            alarm.as_mut().reset(begun + patience);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let since = progress.map_or(begun, |progress| progress.waiting_since(now).max(begun));
            if since + patience <= now {
                return Poll::Ready(None);
            }
            alarm.as_mut().reset(since + patience);
        }
        Poll::Pending
    })
    .await
}

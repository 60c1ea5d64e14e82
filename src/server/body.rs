//! Request bodies with an end: a limit of bytes, and of patience with a client that stalls.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::Refusal;
use crate::base::{Blame, Blamed};
use crate::web::body::{Body, BoxError};

/// Why a request's body broke off. All of it is the client's doing.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit: 413.
    #[error("the request's body is over the limit")]
    TooLarge,
    /// No byte for too long: 408.
    #[error("the request's body stalls")]
    Stalled,
    /// Its framing is refused: 400.
    #[error("the request's body is malformed: {0}")]
    Malformed(Refusal),
    /// The connection ended, or the stream was reset. Nobody is left to answer; 400 for the log.
    #[error("the client went away in the middle of the request's body")]
    Gone(#[source] hyper::Error),
}

impl BodyError {
    /// What to answer, where an answer is still possible.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) | Self::Gone(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The same, found among the causes of another error.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

impl Blamed for BodyError {
    fn blame(&self) -> Blame {
        Blame::Client
    }
}

/// Whether a body says of itself that it is over `limit`: 413 before anything is read or forwarded.
#[must_use]
pub fn exceeds(body: &Incoming, limit: Option<u64>) -> bool {
    limit.is_some_and(|limit| body.size_hint().lower() > limit)
}

/// A request's body that ends with a [`BodyError`] beyond `limit` bytes or when the client lets us wait longer than `idle`.
///
/// Time counts only while somebody wants the next bytes: an upstream that takes its time is not the client's fault.
#[must_use]
pub fn limited(incoming: Incoming, limit: Option<u64>, idle: Duration) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    Body::stream(Limited { incoming, left: limit, idle, alarm: None, waiting: false })
}

struct Limited {
    incoming: Incoming,
    left: Option<u64>,
    idle: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return this.poll_patience(cx).map(|()| Some(Err(BodyError::Stalled.into()))),
        };
        this.waiting = false;
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(broken(error).into())),
            Some(Ok(frame)) => Some(this.count(frame).map_err(Into::into)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Limited {
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            *left = left.checked_sub(data.len() as u64).ok_or(BodyError::TooLarge)?;
        }
        Ok(frame)
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.idle;
        let alarm = match &mut self.alarm {
            None => self.alarm.insert(Box::pin(sleep_until(deadline))),
            Some(alarm) => {
                if !self.waiting {
                    alarm.as_mut().reset(deadline);
                }
                alarm
            }
        };
        self.waiting = true;
        alarm.as_mut().poll(cx)
    }
}

fn broken(error: hyper::Error) -> BodyError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(at) = cause {
        // `io::Error::source` skips the error that it wraps.
        let wrapped = at.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(refusal) = wrapped.and_then(|inner| inner.downcast_ref::<Refusal>()) {
            return BodyError::Malformed(*refusal);
        }
        cause = at.source();
    }
    BodyError::Gone(error)
}

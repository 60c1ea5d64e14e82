//! An answer that goes on running ends with its session (SESS-16): the client sees a message that broke off, never a clean end.
//! An upload ends in the same way: the application sees that it broke off.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::session::{Ended, Watch};
use crate::web::{Body, BoxError};

/// Answers of a known length up to this many bytes are over before anybody could end them.
const SHORT: u64 = 64 * 1024;

/// The session of a stream has ended.
#[derive(Debug, thiserror::Error)]
#[error("the session has ended")]
struct SessionEnded;

/// Whether an upload broke off because its session has ended.
pub(super) fn broke_off(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|cause| cause.is::<SessionEnded>())
}

/// Whether `body` may go on running.
pub(super) fn may_run(body: &Body) -> bool {
    !body.is_end_stream() && body.size_hint().exact().is_none_or(|length| length > SHORT)
}

/// `body`, until the session ends.
pub(super) fn until_ended(body: Body, watch: Watch) -> Body {
    Body::stream(Stream { body, watching: Watching::Now(Box::pin(watch.ended())) })
}

/// A request's body, until the session ends. Most are short and have come whole when somebody wants them: only one that goes on is
/// watched, whatever its answer does meanwhile.
pub(super) fn upload(body: Body, watch: impl FnOnce() -> Watch + Send + 'static) -> Body {
    Body::stream(Stream { body, watching: Watching::NotYet { watch: Box::new(watch), bytes: 0 } })
}

struct Stream {
    body: Body,
    watching: Watching,
}

enum Watching {
    /// So many bytes have come, and none was waited for.
    NotYet {
        watch: Box<dyn FnOnce() -> Watch + Send>,
        bytes: u64,
    },
    Now(Pin<Box<dyn Future<Output = Ended> + Send>>),
    Over,
}

impl Watching {
    fn poll_ended(&mut self, context: &mut Context<'_>) -> bool {
        let Self::Now(ended) = self else { return false };
        let ended = ended.as_mut().poll(context).is_ready();
        if ended {
            *self = Self::Over;
        }
        ended
    }

    /// Begins when it turns out that what it is for is not short. Answers whether that was now.
    fn begins(&mut self, frame: &Poll<Option<Result<Frame<Bytes>, BoxError>>>) -> bool {
        let Self::NotYet { bytes, .. } = self else { return false };
        let goes_on = match frame {
            Poll::Pending => true,
            Poll::Ready(Some(Ok(frame))) => {
                *bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                *bytes > SHORT
            }
            Poll::Ready(_) => false,
        };
        if goes_on && let Self::NotYet { watch, .. } = std::mem::replace(self, Self::Over) {
            *self = Self::Now(Box::pin(watch().ended()));
        }
        goes_on
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, watching } = &mut *self;
        if matches!(watching, Watching::Over) {
            return Poll::Ready(None);
        }
        if watching.poll_ended(context) {
            return Poll::Ready(Some(Err(SessionEnded.into())));
        }
        let frame = Pin::new(body).poll_frame(context);
        // Asked at once, so that the session's end wakes whoever waits for the frame.
        if watching.begins(&frame) && frame.is_pending() && watching.poll_ended(context) {
            return Poll::Ready(Some(Err(SessionEnded.into())));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

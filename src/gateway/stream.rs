//! An answer that goes on running ends with its session (SESS-16): the client sees a message that broke off, never a clean end.
//! An upload beside it ends in the same way: the application sees that it broke off.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::session::{Ended, Watch};
use crate::web::{Body, BoxError};

/// Answers of a known length up to this many bytes are over before anybody could end them.
const SHORT: u64 = 64 * 1024;

/// The session of a stream has ended.
#[derive(Debug, thiserror::Error)]
#[error("the session has ended")]
struct SessionEnded;

/// Whether `body` may go on running.
pub(super) fn may_run(body: &Body) -> bool {
    !body.is_end_stream() && body.size_hint().exact().is_none_or(|length| length > SHORT)
}

/// `body`, until the session ends.
pub(super) fn until_ended(body: Body, watch: Watch) -> Body {
    Body::stream(Stream { body, ended: Some(Box::pin(watch.ended())) })
}

/// A request's body, and where to send the watch if it still runs when its answer begins; `None` when there is nothing to upload.
///
/// How long the answer is says nothing about that: over HTTP/1.1 an upload goes on until the last byte of the answer, and over
/// HTTP/2 beyond it.
pub(super) fn upload(body: Body) -> (Body, Option<oneshot::Sender<Watch>>) {
    if body.is_end_stream() {
        return (body, None);
    }
    let (answered, watch) = oneshot::channel::<Watch>();
    let ended = async {
        match watch.await {
            Ok(watch) => watch.ended().await,
            Err(_) => std::future::pending().await,
        }
    };
    (Body::stream(Stream { body, ended: Some(Box::pin(ended)) }), Some(answered))
}

struct Stream {
    body: Body,
    /// `None` once it has ended.
    ended: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let over = match &mut self.ended {
            Some(ended) => ended.as_mut().poll(context).is_ready(),
            None => return Poll::Ready(None),
        };
        if over {
            self.ended = None;
            return Poll::Ready(Some(Err(SessionEnded.into())));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

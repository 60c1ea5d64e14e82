//! A request's body on its way: how it moves tells a slow client from a slow upstream.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use crate::web::body::{Body, BoxError};
use crate::web::headers;
use crate::web::owned::Owned;

/// What is sent. It is polled for more only when the connection takes it, so `100 (Continue)` goes to the client no sooner than
/// there is one.
pub(super) struct Outgoing {
    body: Body,
    moving: Option<(Arc<Progress>, Arc<Owned>)>,
}

/// How far a body has got.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    /// When the last bytes were taken, in milliseconds after `begun`.
    moved: AtomicU64,
    /// Whether the next bytes are the client's to send.
    waits_for_client: AtomicBool,
    /// Why the client's body broke off. Over HTTP/2 hyper only says that the stream was reset.
    broken: Mutex<Option<BoxError>>,
}

impl Outgoing {
    /// With no record of progress when there is nothing to send.
    pub(super) fn new(body: Body, owned: &Arc<Owned>) -> (Self, Option<Arc<Progress>>) {
        let progress = (!body.is_end_stream()).then(|| {
            Arc::new(Progress {
                begun: Instant::now(),
                moved: AtomicU64::new(0),
                waits_for_client: AtomicBool::new(false),
                broken: Mutex::new(None),
            })
        });
        (Self { body, moving: progress.clone().map(|progress| (progress, Arc::clone(owned))) }, progress)
    }

    /// No body.
    pub(super) fn nothing() -> Self {
        Self { body: Body::empty(), moving: None }
    }
}

impl Progress {
    /// Since when the upstream has kept us waiting; `now` while it is the client's turn.
    pub(super) fn waiting_since(&self, now: Instant) -> Instant {
        if self.waits_for_client.load(Ordering::Acquire) {
            return now;
        }
        self.begun + Duration::from_millis(self.moved.load(Ordering::Acquire))
    }

    /// Why the body broke off, if it did and nobody has asked before.
    pub(super) fn take_broken(&self) -> Option<BoxError> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn mark(&self) {
        let moved = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(moved, Ordering::Release);
        self.waits_for_client.store(false, Ordering::Release);
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let Some((progress, owned)) = &self.moving else { return frame };
        match frame {
            Poll::Pending => {
                progress.waits_for_client.store(true, Ordering::Release);
                Poll::Pending
            }
            Poll::Ready(Some(Err(error))) => {
                let told = BoxError::from(error.to_string());
                *progress.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Poll::Ready(Some(Err(told)))
            }
            Poll::Ready(frame) => {
                progress.mark();
                Poll::Ready(frame.map(|frame| frame.map(|frame| without_forbidden_trailers(frame, owned))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// HTTP-22, in either direction.
pub(super) fn without_forbidden_trailers(frame: Frame<Bytes>, owned: &Owned) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut fields) => {
            headers::strip_trailers(&mut fields, owned);
            Frame::trailers(fields)
        }
        Err(frame) => frame,
    }
}

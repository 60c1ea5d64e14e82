//! What comes back: judged before it goes on, and watched until its last byte.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::UpstreamError;
use super::http1::{Head, content_length};
use super::lease::Lease;
use super::multiplex::Stream;
use super::outgoing::without_forbidden_trailers;
use super::pool::Pool;
use super::pump::{self, Pumped};
use crate::web::body::{Body, BoxError};
use crate::web::headers;
use crate::web::owned::Owned;

/// What an answer's body needs of its upstream.
pub(super) struct Reader {
    pub(super) name: Arc<str>,
    pub(super) pool: Arc<Pool>,
    pub(super) owned: Arc<Owned>,
    pub(super) idle: Option<Duration>,
}

/// RFC 9113 section 8.1.1: an answer over HTTP/2 that says two lengths, or none that is one, is no answer.
pub(super) fn flaw(fields: &HeaderMap) -> Result<(), &'static str> {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    lengths.next().map(content_length).transpose()?;
    lengths.next().map_or(Ok(()), |_| Err("Content-Length comes twice"))
}

/// An HTTP/1.1 answer as it goes on: end-to-end fields, and a body that gives the connection back when it was read to its end.
pub(super) fn pass_on(
    answer: Head,
    mut lease: Box<Lease>,
    tainted: bool,
    reader: &Arc<Reader>,
    now: Instant,
) -> Response<Body> {
    let Head { mut head, reusable, .. } = answer;
    let reusable = reusable && !tainted;
    tidy(&mut head);
    let body = if let Some(whole) = lease.connection.whole_body() {
        if reusable {
            reader.pool.give_back(lease, now);
        }
        Body::full(whole)
    } else if lease.connection.uploads() {
        // The upload goes on however slowly the answer is read.
        let left = lease.connection.left();
        Body::stream(AnswerBody::new(Source::Pumped(pump::start(lease, reusable, &reader.pool)), left, reader))
    } else {
        let left = lease.connection.left();
        Body::stream(AnswerBody::new(Source::Own { lease: Some(lease), reusable }, left, reader))
    };
    head.map(|()| body)
}

/// What was said to us alone is not passed on.
fn tidy<T>(head: &mut Response<T>) {
    headers::remove_hop_by_hop(head.headers_mut());
    if head.status() == StatusCode::NO_CONTENT {
        // RFC 9110 section 8.6: there is no length of what there is not.
        head.headers_mut().remove(CONTENT_LENGTH);
    }
    // Which version the upstream speaks is not the client's affair.
    *head.version_mut() = Version::HTTP_11;
}

/// The same over HTTP/2, whose connections belong to nobody.
pub(super) fn pass_on_shared(mut head: Response<Incoming>, stream: Stream, reader: &Arc<Reader>) -> Response<Body> {
    tidy(&mut head);
    head.map(|incoming| {
        if incoming.is_end_stream() {
            return Body::empty();
        }
        let left = incoming.size_hint().exact();
        Body::stream(AnswerBody::new(Source::Shared { incoming, _stream: stream }, left, reader))
    })
}

/// Dropped before its end, it takes the connection (or the stream) with it: the upstream sees that nobody listens.
struct AnswerBody {
    source: Source,
    /// How many bytes are still to come, where that is known.
    left: Option<u64>,
    over: bool,
    since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Why it broke off, and when that is told.
    broken: Option<(BoxError, Pin<Box<Sleep>>)>,
    reader: Arc<Reader>,
}

/// Where the bytes come from.
enum Source {
    Own { lease: Option<Box<Lease>>, reusable: bool },
    Pumped(Pumped),
    Shared { incoming: Incoming, _stream: Stream },
    Broken,
}

impl AnswerBody {
    fn new(source: Source, left: Option<u64>, reader: &Arc<Reader>) -> Self {
        Self { source, left, over: false, since: None, alarm: None, broken: None, reader: Arc::clone(reader) }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.source {
            Source::Own { lease, reusable } => {
                let Some(connection) = lease.as_mut().map(|lease| &mut lease.connection) else {
                    return Poll::Ready(None);
                };
                let frame = ready!(connection.poll_body(cx));
                if connection.is_over() {
                    self.over = true;
                    if let Some(lease) = lease.take().filter(|_| *reusable) {
                        self.reader.pool.give_back(lease, Instant::now());
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Source::Pumped(pumped) => pumped.poll_frame(cx),
            Source::Shared { incoming, .. } => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                self.over = incoming.is_end_stream();
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Source::Broken => Poll::Ready(None),
        }
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(idle) = self.reader.idle else { return Poll::Pending };
        let deadline = *self.since.get_or_insert_with(Instant::now) + idle;
        let alarm = match &mut self.source {
            Source::Own { lease: Some(lease), .. } => lease.alarm.as_mut(),
            _ => self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline))).as_mut(),
        };
        poll_until(alarm, deadline, cx)
    }
}

/// Waits for `deadline` with an alarm that may still be set for something else.
fn poll_until(mut alarm: Pin<&mut Sleep>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if alarm.deadline() > deadline {
        alarm.as_mut().reset(deadline);
    }
    while alarm.as_mut().poll(cx).is_ready() {
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(deadline);
    }
    Poll::Pending
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some((_, pause)) = &mut this.broken {
            ready!(pause.as_mut().poll(cx));
            return Poll::Ready(this.broken.take().map(|(error, _)| Err(error)));
        }
        let frame = match this.poll_source(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                return this.poll_patience(cx).map(|()| {
                    this.source = Source::Broken;
                    Some(Err(UpstreamError::Stalled { upstream: Arc::clone(&this.reader.name) }.into()))
                });
            }
        };
        this.since = None;
        Poll::Ready(match frame {
            None => {
                this.over = true;
                None
            }
            Some(Err(error)) => {
                this.source = Source::Broken;
                // After what came before it has gone out: over HTTP/2 a reset overtakes that, head and all.
                let mut pause = Box::pin(sleep_until(Instant::now() + BREAK_OFF));
                let _ = pause.as_mut().poll(cx);
                this.broken = Some((error, pause));
                return Poll::Pending;
            }
            Some(Ok(frame)) => {
                if let (Some(left), Some(data)) = (&mut this.left, frame.data_ref()) {
                    *left = left.saturating_sub(data.len() as u64);
                }
                Some(Ok(without_forbidden_trailers(frame, &this.reader.owned)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Between what an upstream still said and that it broke off.
const BREAK_OFF: Duration = Duration::from_millis(5);

//! What comes back: judged before it goes on, and watched until its last byte.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, PROXY_AUTHENTICATE, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::UpstreamError;
use super::lease::Channel;
use super::outgoing::Progress;
use super::pool::Pool;
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

/// RFC 9112 section 6.3: a head that two readers could read in two ways is no answer.
pub(super) fn flaw(response: &Response<Incoming>) -> Option<&'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Some("it switches protocols, and nobody asked for that");
    }
    let fields = response.headers();
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Some("Content-Length comes twice");
    }
    if length.is_some_and(|length| length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit)) {
        return Some("Content-Length is no number");
    }
    let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if length.is_some() {
            return Some("both Content-Length and Transfer-Encoding");
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Some("an unknown Transfer-Encoding");
        }
    }
    None
}

/// The answer as it goes on: end-to-end fields, and a body that gives the connection back when it was read to its end.
pub(super) fn pass_on(
    mut response: Response<Incoming>,
    channel: Channel,
    progress: Option<Arc<Progress>>,
    tainted: bool,
    reader: &Arc<Reader>,
) -> Response<Body> {
    let reusable = !tainted && response.version() == Version::HTTP_11 && may_be_shared(response.headers());
    headers::remove_hop_by_hop(response.headers_mut());
    // Which version the upstream speaks is not the client's affair.
    *response.version_mut() = Version::HTTP_11;
    let mut channel = channel;
    if let Channel::Own(lease) = &mut channel
        && progress.as_ref().is_some_and(|progress| !progress.is_done())
    {
        // The upload goes on however slowly the answer is read.
        lease.driver.leave();
    }
    response.map(|incoming| {
        let mut body = AnswerBody {
            channel: Some(channel),
            progress,
            reusable,
            idle: reader.idle,
            since: None,
            alarm: None,
            broken: None,
            reader: Arc::clone(reader),
            incoming,
        };
        if body.incoming.is_end_stream() {
            body.finish();
            return Body::empty();
        }
        Body::stream(body)
    })
}

/// Whether the next request on the connection may be another person's (RFC 4559 signs in the connection, not the request).
fn may_be_shared(fields: &HeaderMap) -> bool {
    let closes = fields.get_all(CONNECTION).iter().any(|value| names(value, b"close"));
    let challenges = [WWW_AUTHENTICATE, PROXY_AUTHENTICATE];
    !closes && !challenges.iter().any(|name| fields.get_all(name).iter().any(is_of_the_connection))
}

/// Whether credentials or a challenge are for the connection: NTLM and Negotiate, in any place of a list.
pub(super) fn is_of_the_connection(value: &HeaderValue) -> bool {
    value.as_bytes().split(|&byte| byte == b',').any(|part| {
        let scheme = part.trim_ascii().split(|&byte| byte == b' ').next().unwrap_or_default();
        [&b"ntlm"[..], b"negotiate", b"kerberos"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

fn names(value: &HeaderValue, token: &[u8]) -> bool {
    value.as_bytes().split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// Dropped before its end, it takes the connection (or the stream) with it: the upstream sees that nobody listens.
struct AnswerBody {
    /// Before `incoming` in the order of dropping, so that the connection is gone rather than drained.
    channel: Option<Channel>,
    incoming: Incoming,
    progress: Option<Arc<Progress>>,
    reusable: bool,
    idle: Option<Duration>,
    since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Why it broke off, and when that is told.
    broken: Option<(BoxError, Pin<Box<Sleep>>)>,
    reader: Arc<Reader>,
}

impl AnswerBody {
    fn finish(&mut self) {
        match self.channel.take() {
            Some(Channel::Own(lease)) if self.reusable && self.progress.as_ref().is_none_or(|it| it.is_done()) => {
                self.reader.pool.give_back(lease);
            }
            // Also when an upload goes on after its answer: nobody wants it any more.
            other => drop(other),
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(cx);
        if frame.is_pending()
            && let Some(Channel::Own(lease)) = &mut self.channel
        {
            lease.driver.turn(cx);
            return Pin::new(&mut self.incoming).poll_frame(cx);
        }
        frame
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(idle) = self.idle else { return Poll::Pending };
        let deadline = *self.since.get_or_insert_with(Instant::now) + idle;
        let alarm = match &mut self.channel {
            Some(Channel::Own(lease)) => lease.alarm.as_mut(),
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
        let frame = match this.poll_incoming(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                return this.poll_patience(cx).map(|()| {
                    this.channel = None;
                    Some(Err(UpstreamError::Stalled { upstream: Arc::clone(&this.reader.name) }.into()))
                });
            }
        };
        this.since = None;
        Poll::Ready(match frame {
            None => {
                this.finish();
                None
            }
            Some(Err(error)) => {
                this.channel = None;
                // After what came before it has gone out: over HTTP/2 a reset overtakes that, head and all.
                let mut pause = Box::pin(sleep_until(Instant::now() + BREAK_OFF));
                let _ = pause.as_mut().poll(cx);
                this.broken = Some((error.into(), pause));
                return Poll::Pending;
            }
            Some(Ok(frame)) => {
                if this.incoming.is_end_stream() {
                    this.finish();
                }
                Some(Ok(without_forbidden_trailers(frame, &this.reader.owned)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
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

/// Between what an upstream still said and that it broke off.
const BREAK_OFF: Duration = Duration::from_millis(5);

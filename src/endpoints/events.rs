//! `GET session/events`: tells a page that its session has ended, and why (server-sent events).
//!
//! Listening does not keep the session alive.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response};
use http_body::Frame;
use tokio::time::{Interval, interval};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Endpoints;
use crate::base::Timestamp;
use crate::session::Ended;
use crate::web::{Body, BoxError, ClientRequest};

/// Between two signs of life, so that proxies in between do not take the stream for dead.
const BEAT: Duration = Duration::from_secs(15);

impl Endpoints {
    pub(super) async fn session_events(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        let live = match self.signed_in(client, now).await {
            Ok(live) => live,
            Err(answer) => return *answer,
        };
        let watch = self.sessions.watch(&live);
        let mut answer = Response::new(Body::stream(Events {
            ended: Some(Box::pin(watch.ended())),
            closing: Box::pin(self.closing.clone().cancelled_owned()),
            beat: interval(BEAT),
        }));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
        // nginx in between would hold the event back.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        answer
    }
}

struct Events {
    /// `None` once it has ended.
    ended: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    beat: Interval,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        if let Poll::Ready(why) = ended.as_mut().poll(context) {
            self.ended = None;
            return text(format!("event: ended\ndata: {{\"reason\": \"{}\"}}\n\n", why.as_str()));
        }
        // The process goes away, the session does not: a page asks again elsewhere.
        if self.closing.as_mut().poll(context).is_ready() {
            self.ended = None;
            return Poll::Ready(None);
        }
        match self.beat.poll_tick(context) {
            Poll::Ready(_) => text(": the session is alive\n\n".to_owned()),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn text(text: String) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
}

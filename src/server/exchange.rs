//! One request and its answer: what every request goes through before and after the service.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tracing::error;

use super::pulse::{Busy, Pulse, Upgrade};
use crate::web::answer::mark;
use crate::web::body::{Body, BoxError};
use crate::web::client::Connection;

/// What answers requests. It always has an answer: errors are responses too.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Dropping the future means that the client is gone.
    fn call(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// `Strict-Transport-Security` for what is answered over TLS before a request gets here.
    fn hsts(&self) -> Option<HeaderValue> {
        None
    }
}

/// What was seen of a request before it was handed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Whether reading waits for the answer, which says whose the next bytes are.
    upgrade: bool,
    refusal: Option<StatusCode>,
}

/// What the requests of one connection share.
#[derive(Debug)]
pub(super) struct Exchange<S> {
    pub(super) service: Arc<S>,
    pub(super) connection: Arc<Connection>,
    pub(super) pulse: Arc<Pulse>,
    /// `Strict-Transport-Security`, where the connection is one for it.
    pub(super) hsts: Option<HeaderValue>,
    /// Bytes of a request's target; more is 414.
    pub(super) target_bytes: usize,
    pub(super) header_count: usize,
}

impl<S: Service> Exchange<S> {
    /// `asked` is what [`Exchange::look`] saw. A request that is only handed on is kept once; one that was looked at here, twice.
    pub(super) async fn run(
        self: Arc<Self>,
        request: Request<Incoming>,
        asked: Asked,
    ) -> Result<Response<Outgoing>, Infallible> {
        let busy = self.pulse.begin();
        let asks = asked.upgrade;
        // Also when the client goes away or the service panics, so that reading never waits for nothing.
        let mut reading = Reading { pulse: &self.pulse, waits: asks };
        let response = match asked.refusal {
            Some(status) => self.problem(status),
            // OPS-04: a panic costs this request, not its neighbours on the connection, and nothing of its text is told.
            None => match AssertUnwindSafe(self.service.call(request, &self.connection)).catch_unwind().await {
                Ok(response) => response,
                Err(_) => {
                    error!("a request panicked");
                    self.problem(StatusCode::INTERNAL_SERVER_ERROR)
                }
            },
        };
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let response = if switched && !asks { self.problem(StatusCode::INTERNAL_SERVER_ERROR) } else { response };
        if switched && asks {
            reading.waits = false;
            self.pulse.decide(Upgrade::Switched);
        }
        drop(reading);
        Ok(response.map(|body| Outgoing { body, _busy: busy }))
    }

    /// What has to be known of a request before it is handed on.
    pub(super) fn look(&self, request: &Request<Incoming>) -> Asked {
        let upgrade = request.version() < Version::HTTP_2
            && (request.headers().contains_key(header::UPGRADE) || request.method() == Method::CONNECT);
        Asked { upgrade, refusal: self.refusal(request) }
    }

    fn refusal(&self, request: &Request<Incoming>) -> Option<StatusCode> {
        let uri = request.uri();
        if uri.path_and_query().is_some_and(|it| it.as_str().len() > self.target_bytes) {
            return Some(StatusCode::URI_TOO_LONG);
        }
        // Hyper counts the fields of HTTP/1 itself.
        if request.headers().len() > self.header_count {
            return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        // RFC 9110 section 9.3.6: no tunnels to anywhere. (Over HTTP/2 a protocol makes it a WebSocket.)
        if request.method() == Method::CONNECT && request.extensions().get::<hyper::ext::Protocol>().is_none() {
            return Some(StatusCode::METHOD_NOT_ALLOWED);
        }
        None
    }

    /// RFC 9457, with nothing in it that a stranger could use.
    fn problem(&self, status: StatusCode) -> Response<Body> {
        let title = status.canonical_reason().unwrap_or("Error");
        let text = format!(r#"{{"type":"about:blank","title":"{title}","status":{}}}"#, status.as_u16());
        let mut response = Response::new(Body::full(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        mark(headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(hsts) = &self.hsts {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        response
    }
}

/// Tells the socket that the next bytes are a request, unless they were made a tunnel's.
struct Reading<'a> {
    pulse: &'a Pulse,
    waits: bool,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.pulse.decide(Upgrade::Declined);
        }
    }
}

/// An answer's body; the request is under way until it is dropped.
pub(super) struct Outgoing {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

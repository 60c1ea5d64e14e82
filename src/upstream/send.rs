//! An application, and the one way to ask it something.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use tokio::time::Instant;

use super::answer::{Reader, flaw, pass_on, pass_on_shared};
use super::error::UpstreamError;
use super::http1;
use super::lease::{Channel, Failure, Lease};
use super::metrics::{Snapshot, count};
use super::multiplex::Stream;
use super::outgoing::{Outgoing, Progress};
use super::pool::Pool;
use super::request::{Again, UpstreamRequest};
use super::settings::{HostHeader, Target, UpstreamSettings};
use super::tunnel::Wire;
use crate::web::body::{Body, BoxError};
use crate::web::owned::Owned;

/// One application with its connections. It connects when it is first asked something.
pub struct Upstream {
    pub(super) name: Arc<str>,
    pub(super) pool: Arc<Pool>,
    reader: Arc<Reader>,
    /// `None`: the one that the browser sees.
    host: Option<HeaderValue>,
    https: bool,
    response: Duration,
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// An ordinary answer. Its body fails when the upstream breaks off, and reading no further cancels it.
    Response(Response<Body>),
    /// A tunnel was asked for and granted: send the head to the client, then pass `io` on to [`super::tunnel()`].
    Switched {
        /// 101 over HTTP/1.1 and 200 over HTTP/2, as the client asked.
        response: Response<()>,
        /// The upstream's side of the tunnel.
        io: Wire,
    },
}

impl Upstream {
    /// Reads the roots if there are any. `owned` are the names that no trailer may have.
    ///
    /// # Errors
    /// [`UpstreamError::Settings`] when a file cannot be used or a host is no host.
    pub fn new(settings: &UpstreamSettings, owned: Arc<Owned>) -> Result<Self, UpstreamError> {
        let pool = Pool::new(settings)?;
        let host = match &settings.host_header {
            HostHeader::Preserve => None,
            HostHeader::Upstream => Some(target_authority(&settings.target)),
            HostHeader::Named(name) => Some(name.clone()),
        };
        let bad = |_| UpstreamError::Settings {
            upstream: Arc::clone(&settings.name),
            why: "its host is no field value".to_owned(),
        };
        let host = host.map(HeaderValue::try_from).transpose().map_err(bad)?;
        let name = Arc::clone(&settings.name);
        let reader = Arc::new(Reader { name: Arc::clone(&name), pool: Arc::clone(&pool), owned, idle: settings.idle });
        let https = matches!(settings.target, Target::Https { .. });
        Ok(Self { name, pool, reader, host, https, response: settings.response })
    }

    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long a tunnel to it may lie still.
    #[must_use]
    pub fn idle(&self) -> Option<std::time::Duration> {
        self.reader.idle
    }

    /// What its connections do.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        self.pool.snapshot()
    }

    /// Sends a request and waits for the head of its answer, or for the tunnel that it asked for.
    ///
    /// A request is sent a second time only when nothing of it was written, or when it is idempotent, has no body, and
    /// its kept connection was closed under it. Interim answers other than 101 end here.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn send(&self, request: UpstreamRequest) -> Result<Answer, UpstreamError> {
        if request.upgrade().is_some() {
            return Box::pin(self.switch(request)).await;
        }
        match self.pool.channel(false, Instant::now()).await? {
            (Channel::Own(lease), begun) => self.over_http1(request, lease, begun).await,
            // Boxed, so that requests of the other kind keep no room for it.
            (Channel::Shared(stream), _) => Box::pin(self.over_http2(request, stream)).await,
        }
    }

    async fn over_http1(
        &self,
        request: UpstreamRequest,
        mut lease: Box<Lease>,
        mut begun: Instant,
    ) -> Result<Answer, UpstreamError> {
        let tainted = request.binds_its_connection();
        let repeatable = request.is_repeatable();
        let progress = self.begin(&mut lease, request);
        let mut attempts = 0;
        loop {
            let failure = match lease.exchange(progress.as_ref(), begun, self.response, false).await {
                Ok(head) => return Ok(Answer::Response(pass_on(head, lease, tainted, &self.reader, begun))),
                Err(failure) => failure,
            };
            self.check_body(progress.as_ref())?;
            attempts += 1;
            let error = self.ended(failure)?;
            let reused = lease.reused;
            let mut again = lease.connection.take_request();
            drop(lease);
            if attempts == MOST_ATTEMPTS || !(again.is_unsent() || repeatable && reused) {
                return Err(self.lost(error));
            }
            tracing::debug!(upstream = %self.name, %error, "sending a request again whose connection was closed");
            count(&self.pool.metrics.retries);
            again.rewind();
            // After one bad surprise with kept connections there may be more of them.
            (lease, begun) = match self.pool.channel(true, Instant::now()).await? {
                (Channel::Own(lease), begun) => (lease, begun),
                (Channel::Shared(_), _) => return Err(self.changed_protocol()),
            };
            lease.connection.begin(again);
        }
    }

    /// Begins a request on an HTTP/1.1 connection.
    pub(super) fn begin(&self, lease: &mut Lease, request: UpstreamRequest) -> Option<Arc<Progress>> {
        let host = self.host.clone().unwrap_or_else(|| request.public().clone());
        let (sending, progress) = request.into_http1(&host, lease.connection.buffer(), &self.reader.owned);
        lease.connection.begin(sending);
        progress
    }

    async fn over_http2(&self, request: UpstreamRequest, mut stream: Stream) -> Result<Answer, UpstreamError> {
        let repeatable = request.is_repeatable();
        let (mut message, progress) = self.message(request)?;
        let mut attempts = 0;
        loop {
            let copy = (repeatable && stream.is_reused()).then(|| Again::of(&message));
            let failure = match stream.exchange(message, progress.as_ref(), self.response).await {
                Ok(head) => {
                    flaw(head.headers()).map_err(|why| self.malformed(why.to_owned()))?;
                    return Ok(Answer::Response(pass_on_shared(head, stream, &self.reader)));
                }
                Err(failure) => failure,
            };
            self.check_body(progress.as_ref())?;
            drop(stream);
            attempts += 1;
            let Failure::Connection(mut error) = failure else { return Err(self.response_timeout()) };
            let unsent = error.take_message();
            let error = error.into_error();
            let lost = || !error.is_parse() && !error.is_user();
            let again = unsent.or_else(|| copy.filter(|_| lost()).map(|copy| copy.into_request(Outgoing::nothing())));
            let Some(again) = again.filter(|_| attempts < MOST_ATTEMPTS) else { return Err(self.failed(error)) };
            tracing::debug!(upstream = %self.name, %error, "sending a request again whose connection was closed");
            count(&self.pool.metrics.retries);
            message = again;
            stream = match self.pool.channel(true, Instant::now()).await? {
                (Channel::Shared(stream), _) => stream,
                (Channel::Own(_), _) => return Err(self.changed_protocol()),
            };
        }
    }

    /// The request as HTTP/2 has it.
    pub(super) fn message(
        &self,
        request: UpstreamRequest,
    ) -> Result<(Request<Outgoing>, Option<Arc<Progress>>), UpstreamError> {
        let host = self.host.clone().unwrap_or_else(|| request.public().clone());
        let mut progress = None;
        let wrap = |body: Body| {
            let (outgoing, moving) = Outgoing::new(body, &self.reader.owned);
            progress = moving;
            outgoing
        };
        let message = request
            .into_http2(&host, self.https, wrap)
            .map_err(|error| self.malformed(format!("no request can be made for it: {error}")))?;
        Ok((message, progress))
    }

    /// Whether it was the request's body that broke off.
    fn check_body(&self, progress: Option<&Arc<Progress>>) -> Result<(), UpstreamError> {
        match progress.and_then(|progress| progress.take_broken()) {
            Some(source) => Err(UpstreamError::Request { upstream: Arc::clone(&self.name), source }),
            None => Ok(()),
        }
    }

    /// How an HTTP/1.1 connection ended, if that is what happened.
    pub(super) fn ended(&self, failure: Failure<http1::Failure>) -> Result<std::io::Error, UpstreamError> {
        match failure {
            Failure::TimedOut => Err(self.response_timeout()),
            Failure::Connection(http1::Failure::Malformed(why)) => Err(self.malformed(why)),
            Failure::Connection(http1::Failure::Ended(error)) => Ok(error),
        }
    }

    pub(super) fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    pub(super) fn patience(&self) -> Duration {
        self.response
    }

    pub(super) fn malformed(&self, why: String) -> UpstreamError {
        UpstreamError::Malformed { upstream: Arc::clone(&self.name), why }
    }

    pub(super) fn response_timeout(&self) -> UpstreamError {
        UpstreamError::ResponseTimeout { upstream: Arc::clone(&self.name) }
    }

    fn changed_protocol(&self) -> UpstreamError {
        self.malformed("it changed its protocol between two connections".to_owned())
    }

    /// It closed the connection.
    pub(super) fn lost(&self, error: impl Into<BoxError>) -> UpstreamError {
        UpstreamError::Closed { upstream: Arc::clone(&self.name), source: error.into() }
    }

    /// Whose fault it is that there is no answer over HTTP/2.
    pub(super) fn failed(&self, error: hyper::Error) -> UpstreamError {
        if error.is_user() {
            return UpstreamError::Request { upstream: Arc::clone(&self.name), source: error.into() };
        }
        if error.is_parse() {
            return self.malformed(error.to_string());
        }
        self.lost(error)
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The authority of a target as a `Host` says it: without the port that its scheme implies.
fn target_authority(target: &Target) -> String {
    match target {
        Target::Http { host, port: 80 } | Target::H2c { host, port: 80 } | Target::Https { host, port: 443 } => {
            host.clone()
        }
        Target::Http { host, port } | Target::H2c { host, port } | Target::Https { host, port } => {
            format!("{host}:{port}")
        }
        Target::Unix(_) => "localhost".to_owned(),
    }
}

const MOST_ATTEMPTS: u32 = 3;

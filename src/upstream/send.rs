//! An application, and the one way to ask it something.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};

use super::answer::{Reader, flaw, pass_on};
use super::error::UpstreamError;
use super::lease::{Channel, Failure};
use super::metrics::{Snapshot, count};
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
        self.pool.metrics.snapshot()
    }

    /// Sends a request and waits for the head of its answer, or for the tunnel that it asked for.
    ///
    /// A request is sent a second time only when nothing of it was written, or when it is idempotent, has no body, and
    /// its kept connection was closed under it. Interim answers other than 101 end here.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn send(&self, request: UpstreamRequest) -> Result<Answer, UpstreamError> {
        if request.upgrade.is_some() {
            return Box::pin(self.switch(request)).await;
        }
        let tainted = request.binds_its_connection();
        let repeatable = request.is_repeatable();
        let mut channel = self.pool.channel(false).await?;
        let (mut message, progress) = self.message(request, &channel)?;
        let mut attempts = 0;
        loop {
            let copy = (repeatable && channel.is_reused()).then(|| Again::of(&message));
            let failure = match channel.exchange(message, progress.as_ref(), self.response).await {
                Ok(response) => {
                    if let Some(why) = flaw(&response) {
                        return Err(self.malformed(why.to_owned()));
                    }
                    return Ok(Answer::Response(pass_on(response, channel, progress, tainted, &self.reader)));
                }
                Err(failure) => failure,
            };
            if let Some(source) = progress.as_ref().and_then(|progress| progress.take_broken()) {
                return Err(UpstreamError::Request { upstream: Arc::clone(&self.name), source });
            }
            drop(channel);
            attempts += 1;
            let (again, version) = match failure {
                Failure::TimedOut => return Err(UpstreamError::ResponseTimeout { upstream: Arc::clone(&self.name) }),
                Failure::Unsent(unsent, error) if attempts < MOST_ATTEMPTS => {
                    tracing::debug!(upstream = %self.name, %error, "sending again what was not sent");
                    let version = unsent.version();
                    (*unsent, version)
                }
                Failure::Unsent(_, error) => return Err(self.lost(error)),
                Failure::Lost(error) => match copy {
                    Some(copy) if attempts < MOST_ATTEMPTS && !error.is_parse() && !error.is_user() => {
                        let again = copy.into_request(Outgoing::nothing());
                        let version = again.version();
                        (again, version)
                    }
                    _ => return Err(self.lost(error)),
                },
            };
            count(&self.pool.metrics.retries);
            message = again;
            // After one bad surprise with kept connections there may be more of them.
            channel = self.pool.channel(true).await?;
            if channel.version() != version {
                return Err(self.malformed("it changed its protocol between two connections".to_owned()));
            }
        }
    }

    /// The request as the connection's protocol has it.
    pub(super) fn message(
        &self,
        request: UpstreamRequest,
        channel: &Channel,
    ) -> Result<(Request<Outgoing>, Option<Arc<Progress>>), UpstreamError> {
        let host = self.host.clone().unwrap_or_else(|| request.public.clone());
        let mut progress = None;
        let wrap = |body: Body| {
            let (outgoing, moving) = Outgoing::new(body, &self.reader.owned);
            progress = moving;
            outgoing
        };
        let message = match channel {
            Channel::Own(_) => request.into_http1(host, wrap),
            Channel::Shared(_) => request
                .into_http2(&host, self.https, wrap)
                .map_err(|error| self.malformed(format!("no request can be made for it: {error}")))?,
        };
        Ok((message, progress))
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

    /// Whose fault it is that the connection ended.
    pub(super) fn lost(&self, error: hyper::Error) -> UpstreamError {
        let upstream = Arc::clone(&self.name);
        if error.is_user() {
            return UpstreamError::Request { upstream, source: BoxError::from(error) };
        }
        if error.is_parse() {
            return UpstreamError::Malformed { upstream, why: error.to_string() };
        }
        UpstreamError::Closed { upstream, source: error }
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

//! What can go wrong between us and an application.

use std::sync::Arc;

use http::StatusCode;

use crate::base::{Blame, Blamed};
use crate::web::body::BoxError;

/// Why there is no answer of the application's. Its text names the upstream, for the log; never show it to a client.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection: refused, unknown name, a certificate that does not hold. 502.
    #[error("upstream {upstream}: cannot connect to {address}: {source}")]
    Connect {
        /// The configured name.
        upstream: Arc<str>,
        /// Where it was looked for.
        address: String,
        /// What the system or the TLS library said.
        #[source]
        source: std::io::Error,
    },
    /// No connection within `timeouts.connect`. 504.
    #[error("upstream {upstream}: no connection to {address} in time")]
    ConnectTimeout {
        /// The configured name.
        upstream: Arc<str>,
        /// Where it was looked for.
        address: String,
    },
    /// No head of an answer within `timeouts.response`. 504.
    #[error("upstream {upstream}: no answer in time")]
    ResponseTimeout {
        /// The configured name.
        upstream: Arc<str>,
    },
    /// All connections are taken and too many requests wait for one already, or waited too long. 503.
    #[error("upstream {upstream}: all connections are taken")]
    Overload {
        /// The configured name.
        upstream: Arc<str>,
    },
    /// An answer that is no HTTP, or that two readers could read in two ways. 502.
    #[error("upstream {upstream}: a malformed answer: {why}")]
    Malformed {
        /// The configured name.
        upstream: Arc<str>,
        /// What was wrong with it.
        why: String,
    },
    /// It closed the connection instead of answering. 502.
    #[error("upstream {upstream}: closed the connection without an answer: {source}")]
    Closed {
        /// The configured name.
        upstream: Arc<str>,
        /// What was seen of that.
        #[source]
        source: BoxError,
    },
    /// The body that we were sending broke off: the client's doing. The cause says how.
    #[error("upstream {upstream}: the request's body broke off")]
    Request {
        /// The configured name.
        upstream: Arc<str>,
        /// What the body said.
        #[source]
        source: BoxError,
    },
    /// The answer's body stalled for longer than `timeouts.idle`; seen by who reads it, after the head is out.
    #[error("upstream {upstream}: its answer stalls")]
    Stalled {
        /// The configured name.
        upstream: Arc<str>,
    },
    /// It cannot be built from its settings: a file with roots that cannot be read.
    #[error("upstream {upstream}: {why}")]
    Settings {
        /// The configured name.
        upstream: Arc<str>,
        /// What is wrong, and with which file.
        why: String,
    },
}

impl UpstreamError {
    /// What to answer (RFC 9110 section 15.6); 503 goes with `Retry-After`.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Connect { .. } | Self::Malformed { .. } | Self::Closed { .. } => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout { .. } | Self::ResponseTimeout { .. } | Self::Stalled { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Overload { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Request { .. } => StatusCode::BAD_REQUEST,
            Self::Settings { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Blamed for UpstreamError {
    fn blame(&self) -> Blame {
        match self {
            Self::Overload { .. } => Blame::Overload,
            Self::Request { .. } => Blame::Client,
            Self::Settings { .. } => Blame::Bug,
            _ => Blame::Upstream,
        }
    }
}

//! Requests that cannot be read: what was wrong, and the answer.

use http::header::{ALLOW, HeaderValue};
use http::{Response, StatusCode};

use super::accept::Format;
use super::body::Body;
use super::path::PathError;
use super::problem::Problem;
use super::request_id::RequestId;
use crate::base::{Blame, Blamed};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// RFC 9112 section 3.2.
    #[error("the request names no host")]
    NoHost,
    /// RFC 9112 section 3.2.
    #[error("the request has more than one Host field")]
    ManyHosts,
    /// RFC 9110 section 7.2.
    #[error("the request's host is not valid")]
    InvalidHost,
    /// RFC 9112 section 3.2.2, RFC 9113 section 8.3.1.
    #[error("the request names two different hosts")]
    HostMismatch,
    /// RFC 9110 section 15.5.20.
    #[error("this server does not answer for that host")]
    UnknownHost,
    /// Neither origin-form nor an absolute form of http or https.
    #[error("the request's target is not a path")]
    TargetForm,
    /// RFC 3986 section 2.
    #[error("the request's target holds characters that must be encoded")]
    NonAsciiTarget,
    /// Servers could read it differently.
    #[error(transparent)]
    Path(#[from] PathError),
    /// CONNECT and TRACE.
    #[error("this method is not allowed")]
    Method,
    /// RFC 9112 section 6.1.
    #[error("the request's transfer coding is not supported")]
    TransferCoding,
    /// RFC 9113 section 8.2.2.
    #[error("the request holds fields that HTTP/2 forbids")]
    ConnectionField,
    /// `Content-Length` or `Transfer-Encoding` with an underscore, which CGI-like servers take for the field itself.
    #[error("the request holds a framing field with an underscore")]
    FramingField,
    /// RFC 9110 section 10.1.1.
    #[error("the request expects what this server cannot do")]
    Expectation,
    /// RFC 6455 section 4.2.1.
    #[error("the WebSocket handshake is not complete")]
    Handshake,
}

impl RequestError {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl Blamed for RequestError {
    fn blame(&self) -> Blame {
        Blame::Client
    }
}

/// A request that could not be read, with what an answer needs.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// What was wrong.
    pub error: RequestError,
    /// How to say it.
    pub format: Format,
    /// Its name.
    pub request_id: RequestId,
    /// Whether the answer travels by https, as far as can be told.
    pub https: bool,
}

impl Rejected {
    /// The answer. HSTS is the caller's to add.
    #[must_use]
    pub fn answer(&self) -> Response<Body> {
        let title = match self.error {
            RequestError::UnknownHost => "There is no such site here",
            RequestError::Method => "This method is not for this site",
            RequestError::Expectation => "This cannot be expected",
            RequestError::Path(_) => "This address is ambiguous",
            _ => "This request makes no sense",
        };
        let mut response = Problem::new(self.error.status(), title)
            .detail(sentence(&self.error.to_string()))
            .answer(self.format, &self.request_id);
        if self.error == RequestError::Method {
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        response
    }
}

/// An error's words as a sentence for people.
fn sentence(error: &str) -> String {
    let mut rest = error.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", rest.as_str())
}

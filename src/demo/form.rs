//! Parameters from queries and form bodies, read with a limit.
//!
//! Never reads more than a form may have, and never chooses between two values of one name (RFC 6749 section 3.1).

use std::time::Duration;

use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use thiserror::Error;
use url::form_urlencoded;

use crate::base::{Blame, Blamed};

/// Why parameters could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FormError {
    /// A name came twice.
    #[error("a parameter came twice")]
    Twice,
    /// More parameters than any request of ours has.
    #[error("too many parameters")]
    TooMany,
    /// More bytes than a form may have.
    #[error("the form is too large")]
    TooLarge,
    /// Not `application/x-www-form-urlencoded`.
    #[error("the body is not a form")]
    NotAForm,
    /// The body stalled or broke off.
    #[error("the form did not arrive")]
    Incomplete,
}

impl Blamed for FormError {
    fn blame(&self) -> Blame {
        Blame::Client
    }
}

/// A request body that can be read to its end.
pub trait FormBody: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> {}

impl<B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>> FormBody for B {}

/// Decoded parameters; each name at most once, empty values left out as RFC 6749 section 3.1 has it.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes a query or a form body.
    ///
    /// # Errors
    /// [`FormError::Twice`], [`FormError::TooMany`].
    pub fn parse(encoded: &[u8]) -> Result<Self, FormError> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(FormError::Twice);
            }
            if parameters.len() >= MOST {
                return Err(FormError::TooMany);
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        parameters.retain(|(_, value)| !value.is_empty());
        Ok(Self(parameters))
    }

    /// Reads a request's form body.
    ///
    /// # Errors
    /// Any [`FormError`].
    pub async fn read<B: FormBody>(request: http::Request<B>) -> Result<Self, FormError> {
        let is_form = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !is_form {
            return Err(FormError::NotAForm);
        }
        let limited = Limited::new(request.into_body(), MOST_BYTES);
        #[allow(clippy::disallowed_methods, reason = "the body is `Limited`")]
        let collected = tokio::time::timeout(PATIENCE, limited.collect()).await;
        match collected {
            Ok(Ok(body)) => Self::parse(&body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(FormError::TooLarge),
            Ok(Err(_)) | Err(_) => Err(FormError::Incomplete),
        }
    }

    /// The value of a parameter that came.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Bytes of a form.
const MOST_BYTES: usize = 16 * 1024;
/// Parameters of a form.
const MOST: usize = 64;
/// Until a form must have arrived.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    #[test]
    fn a_name_that_comes_twice_is_refused_and_empty_values_are_absent() {
        let parameters = Parameters::parse(b"a=1&b=&c=x%20y+z").unwrap();
        assert_eq!((parameters.get("a"), parameters.get("b"), parameters.get("c")), (Some("1"), None, Some("x y z")));
        assert_eq!(Parameters::parse(b"a=1&a=1").unwrap_err(), FormError::Twice);
        let many = (0..=MOST).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(Parameters::parse(many.as_bytes()).unwrap_err(), FormError::TooMany);
    }

    #[tokio::test]
    async fn bodies_are_bounded_and_must_be_forms() {
        let request = |kind: &str, body: Vec<u8>| {
            http::Request::post("/").header("content-type", kind).body(Full::new(Bytes::from(body))).unwrap()
        };
        let form = "application/x-www-form-urlencoded";
        let read = Parameters::read(request(&format!("{form}; charset=utf-8"), b"a=1".to_vec())).await.unwrap();
        assert_eq!(read.get("a"), Some("1"));
        let large = request(form, vec![b'a'; MOST_BYTES + 1]);
        assert_eq!(Parameters::read(large).await.unwrap_err(), FormError::TooLarge);
        let other = request("application/json", b"{}".to_vec());
        assert_eq!(Parameters::read(other).await.unwrap_err(), FormError::NotAForm);
    }
}

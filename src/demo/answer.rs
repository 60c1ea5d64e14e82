//! Answers of the demo's two sites: pages under a strict policy, JSON, redirects.
//!
//! Nothing a request carried is put into an answer unescaped; nothing here decides anything.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use maud::Markup;
use serde::Serialize;

/// What an answer carries: text, or a stream that goes on.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;
/// What both sites return.
pub type Answer = Response<Body>;

/// An answer of `bytes`, never stored by a cache, never guessed to be something else.
pub fn plain(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(bytes.into()).boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Plain text, for people with a terminal.
pub fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    plain(status, "text/plain; charset=utf-8", text.into())
}

/// A JSON document.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    plain(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// A page. `policy` is its `Content-Security-Policy`.
pub fn page(status: StatusCode, markup: Markup, policy: &str) -> Answer {
    let mut answer = plain(status, "text/html; charset=utf-8", markup.into_string());
    set(&mut answer, header::CONTENT_SECURITY_POLICY, policy);
    // Not `no-referrer`: a form sent from such a page says `Origin: null`, which every check of an origin must refuse.
    set(&mut answer, header::REFERRER_POLICY, "same-origin");
    set(&mut answer, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    answer
}

/// 303: go there with GET. A target that is no header value (it cannot be, being a serialized URL) is an internal error.
pub fn see_other(target: &str) -> Answer {
    let Ok(location) = HeaderValue::from_str(target) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "The target of this redirect is not a URL.\n");
    };
    let mut answer = text(StatusCode::SEE_OTHER, "");
    answer.headers_mut().insert(header::LOCATION, location);
    set(&mut answer, header::REFERRER_POLICY, "no-referrer");
    answer
}

/// Sets a header; leaves the answer alone when `value` is none that HTTP could carry.
pub fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Adds a `Set-Cookie` line.
pub fn add_cookie(answer: &mut Answer, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// The source expression that allows exactly this inline style or script (CSP Level 3, section 2.3.1).
pub fn hash_source(inline: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, inline.as_bytes());
    format!("'sha256-{}'", STANDARD.encode(digest))
}

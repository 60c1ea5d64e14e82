//! What an endpoint has to say, before faults get at it.
//!
//! Must never be cacheable by accident.

use http::Response;
use serde_json::{Value, json};

/// A finished answer.
pub(super) type Answer = Response<Vec<u8>>;

pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
        .body(body.to_string().into_bytes())
        .unwrap()
}

/// An error by RFC 6749, section 5.2.
pub(super) fn oauth_error(status: u16, error: &str, description: &str) -> Answer {
    json_answer(status, &json!({"error": error, "error_description": description}))
}

pub(super) fn html(status: u16, body: &str) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8")
        .header("cache-control", "no-store")
        .body(format!("<!doctype html><title>Provider</title>{body}").into_bytes())
        .unwrap()
}

pub(super) fn redirect(location: &str) -> Answer {
    Response::builder()
        .status(303)
        .header("location", location)
        .header("cache-control", "no-store")
        .body(Vec::new())
        .unwrap()
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

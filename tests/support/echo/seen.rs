//! What the upstream saw of one request.
//!
//! Must never normalise: names keep their case, values their bytes (each byte as the Latin-1 character).

use serde_json::{Value, json};

use super::request::Head;
use crate::support::client::Page;
use crate::support::codec;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its target, byte for byte.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Its fields in order; over HTTP/2 `:authority` comes first.
    pub headers: Vec<(String, String)>,
    /// The head's bytes, empty line included (HTTP/1.1 only).
    pub raw_head: String,
    /// The body without framing, its first 64 KiB.
    pub body: String,
    /// Its length.
    pub body_bytes: u64,
    /// Its SHA-256 in hex.
    pub body_sha256: String,
    /// Its trailers.
    pub trailers: Vec<(String, String)>,
    /// Whether the body has ended in order.
    pub complete: bool,
    /// Which connection, from 1.
    pub connection: usize,
    /// Which request of that connection, from 1.
    pub nth: usize,
}

impl Seen {
    pub(super) fn of_head(head: &Head, connection: usize, nth: usize) -> Self {
        Self {
            method: head.method.clone(),
            target: head.target.clone(),
            version: head.version.clone(),
            headers: head.headers.clone(),
            raw_head: codec::latin1(&head.raw),
            connection,
            nth,
            ..Self::default()
        }
    }

    /// What a page of the upstream shows.
    ///
    /// # Panics
    /// When the page is not from the upstream.
    pub fn of_page(page: &Page) -> Self {
        Self::of_json(&page.json())
    }

    /// The same from JSON.
    ///
    /// # Panics
    /// When it is not from the upstream.
    pub fn of_json(json: &Value) -> Self {
        let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name}: {json}")).to_owned();
        let number = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("no {name}: {json}"));
        let fields = |name: &str| {
            let pairs = json[name].as_array().unwrap_or_else(|| panic!("no {name}: {json}"));
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
        };
        Self {
            method: text("method"),
            target: text("target"),
            version: text("version"),
            headers: fields("headers"),
            raw_head: text("raw_head"),
            body: text("body"),
            body_bytes: number("body_bytes"),
            body_sha256: text("body_sha256"),
            trailers: fields("trailers"),
            complete: true,
            connection: number("connection") as usize,
            nth: number("nth") as usize,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "method": self.method, "target": self.target, "version": self.version, "headers": self.headers,
            "raw_head": self.raw_head, "body": self.body, "body_bytes": self.body_bytes,
            "body_sha256": self.body_sha256, "trailers": self.trailers, "connection": self.connection,
            "nth": self.nth,
        })
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_all(name).first().copied()
    }

    /// All headers of that name, in any case.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Names as an application server folds them (`x-a`, `X_A` and `X-A` are one): all values of that variable.
    pub fn cgi_variable(&self, name: &str) -> Vec<&str> {
        let fold = |name: &str| name.to_ascii_uppercase().replace(['-', '_'], "_");
        let named = self.headers.iter().filter(|(key, _)| fold(key) == fold(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The identity token in its default header.
    pub fn identity_token(&self) -> Option<&str> {
        self.header("x-vestibule-identity")
    }

    /// Its claims, unchecked.
    pub fn identity(&self) -> Option<Value> {
        codec::unverified_claims(self.identity_token()?)
    }
}

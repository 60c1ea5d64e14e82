//! One line a request, target `vestibule::access`.
//!
//! Never the query (it may hold a code or a token), never a header's value, never a cookie.

use std::fmt::Display;
use std::time::Duration;

/// How a request ended, the word in log lines and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It reached an upstream, whatever that answered.
    Forwarded,
    /// One of our own endpoints answered.
    Endpoint,
    /// The browser was sent to sign in.
    Login,
    /// 401: sign in first.
    Challenged,
    /// 4xx: not allowed, not found, not well-formed.
    Refused,
    /// 5xx: something we lean on is away, or a limit was reached.
    Unavailable,
    /// 500: ours.
    Failed,
}

impl Outcome {
    /// All of them, in the order of their index.
    pub const ALL: [Self; 7] = [
        Self::Forwarded,
        Self::Endpoint,
        Self::Login,
        Self::Challenged,
        Self::Refused,
        Self::Unavailable,
        Self::Failed,
    ];

    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Endpoint => "endpoint",
            Self::Login => "login",
            Self::Challenged => "challenged",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}

/// What one line says.
pub struct Line<'a> {
    pub request_id: &'a dyn Display,
    pub method: &'a str,
    pub host: &'a str,
    /// The canonical path, without the query.
    pub path: &'a str,
    pub status: u16,
    pub outcome: Outcome,
    pub client: &'a dyn Display,
    /// `routes[n]`, when one was found.
    pub route: Option<usize>,
    /// Public reference of the caller's session.
    pub sid: Option<&'a str>,
    /// Until the response's head was ready.
    pub duration: Duration,
    /// What went wrong, in words for the operator; empty when nothing did.
    pub reason: &'a str,
}

/// Whether lines are written at all; lets the caller leave the work of making one.
#[must_use]
pub fn enabled() -> bool {
    tracing::enabled!(target: "vestibule::access", tracing::Level::INFO)
}

/// Writes the line.
pub fn write(line: &Line<'_>) {
    tracing::info!(
        target: "vestibule::access",
        request_id = %line.request_id,
        method = line.method,
        host = line.host,
        path = line.path,
        status = line.status,
        outcome = line.outcome.as_str(),
        client = %line.client,
        route = line.route,
        sid = line.sid,
        duration_us = u64::try_from(line.duration.as_micros()).unwrap_or(u64::MAX),
        reason = line.reason,
    );
}

//! What the access line and the metrics say about a request, gathered on its way.

use std::fmt;
use std::net::IpAddr;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::Gateway;
use crate::session::Sid;
use crate::telemetry::access_log::{self, Line, Outcome};
use crate::web::{ClientRequest, Connection, RequestId};

/// One request, as far as it has come.
pub(super) struct Story<'a> {
    pub(super) connection: &'a Connection,
    pub(super) request_id: RequestId,
    pub(super) route: Option<usize>,
    pub(super) sid: Option<Sid>,
    /// Whether anybody reads the access line.
    pub(super) log: bool,
    /// Whether the browser reaches us by https.
    pub(super) https: bool,
    outcome: Outcome,
    reason: String,
    host: String,
    path: String,
    client: Option<IpAddr>,
    pub(super) began: Instant,
    _under_way: UnderWay<'a>,
}

impl<'a> Story<'a> {
    /// The beginning: only the connection is known.
    pub(super) fn begin(gateway: &'a Gateway, connection: &'a Connection, under_way: UnderWay<'a>) -> Self {
        Self {
            connection,
            request_id: RequestId::new(&*gateway.random),
            route: None,
            sid: None,
            log: access_log::enabled(),
            https: connection.tls,
            outcome: Outcome::Failed,
            reason: String::new(),
            host: String::new(),
            path: String::new(),
            client: connection.peer.map(|peer| peer.ip()),
            began: Instant::now(),
            _under_way: under_way,
        }
    }

    /// The request was read.
    pub(super) fn is_from(&mut self, client: &ClientRequest) {
        self.client = Some(client.address);
        self.https |= client.origin.https;
        if self.log {
            self.host.push_str(&client.origin.host);
            self.path.push_str(client.path.as_str());
        }
    }

    /// The request ends well.
    pub(super) fn is(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// The request ends here, and this is why.
    pub(super) fn ends(&mut self, outcome: Outcome, reason: impl Into<String>) {
        self.outcome = outcome;
        self.reason = reason.into();
    }

    /// Why it ended, in words for the operator.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// Counts it, and writes its line.
    pub(super) fn tell(&self, gateway: &Gateway, method: &http::Method, status: u16) {
        let duration = self.began.elapsed();
        gateway.metrics.request(self.outcome, status, duration);
        if self.log {
            access_log::write(&Line {
                request_id: &self.request_id,
                method: method.as_str(),
                host: &self.host,
                path: &self.path,
                status,
                outcome: self.outcome,
                client: &Address(self.client),
                route: self.route,
                sid: self.sid.as_ref().map(Sid::as_str),
                duration,
                reason: &self.reason,
            });
        }
    }
}

/// Counts a request until its answer's head is ready, also when its client leaves in the middle.
pub(super) struct UnderWay<'a>(&'a Gauge);

impl<'a> UnderWay<'a> {
    /// And how many others are under way.
    pub(super) fn begin(gauge: &'a Gauge) -> (Self, usize) {
        let others = gauge.inc();
        (Self(gauge), usize::try_from(others).unwrap_or_default())
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A client on a Unix socket has no address.
struct Address(Option<IpAddr>);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unix"),
        }
    }
}

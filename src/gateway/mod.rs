//! Joins the parts: one request from its head to its answer, in the order things happen.
//!
//! A request runs against one snapshot of the gateway; nothing in it changes while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::base::{Clock, Random};
use crate::endpoints::Endpoints;
use crate::identity::Identity;
use crate::route::Table;
use crate::server::{LimitSettings, Service};
use crate::session::Sessions;
use crate::telemetry::Metrics;
use crate::upstream::{Tunnels, Upstream};
use crate::web::{Body, Connection, CookieSettings, Network};
use crate::webhook::Webhooks;

mod cors;
mod forward;
mod handle;
mod story;
mod stream;
mod to_https;
mod tokens;

pub use to_https::ToHttps;

/// Everything that one request needs: an immutable snapshot.
#[derive(Debug)]
pub struct Gateway {
    /// Our own pages and JSON.
    pub endpoints: Endpoints,
    /// Who may pass.
    pub access: Access,
    /// The session service.
    pub sessions: Arc<Sessions>,
    /// The signing keys.
    pub identity: Arc<Identity>,
    /// The routes.
    pub routes: Arc<Table>,
    /// The applications, by their configured names: of few names, comparing finds one sooner than hashing.
    pub upstreams: BTreeMap<Arc<str>, Upstream>,
    /// Public origins, trusted peers, reserved headers.
    pub network: Arc<Network>,
    /// How our cookies are named and marked.
    pub cookie: CookieSettings,
    /// The bounds on what a client may do.
    pub limits: LimitSettings,
    /// WebSockets under way.
    pub tunnels: Tunnels,
    /// Who is told of sessions.
    pub webhooks: Arc<Webhooks>,
    /// Set when the process is going away: tunnels close.
    pub closing: CancellationToken,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Unguessable bytes.
    pub random: Arc<dyn Random>,
}

/// What the public listeners talk to: the gateway as it is now.
#[derive(Debug)]
pub struct Front {
    current: ArcSwap<Gateway>,
}

impl Front {
    /// Serves `gateway`.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { current: ArcSwap::new(gateway) }
    }

    /// The gateway as it is now.
    #[must_use]
    pub fn current(&self) -> Arc<Gateway> {
        self.current.load_full()
    }

    /// Requests that come from now on run against `gateway`; those under way end with the one they began with.
    pub fn replace(&self, gateway: Arc<Gateway>) {
        self.current.store(gateway);
    }
}

impl Service for Front {
    // Not `async`: a future of its own would hold the request once more, on every connection.
    fn call(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> impl Future<Output = Response<Body>> + Send {
        handle::handle(self.current.load_full(), request, connection)
    }

    fn hsts(&self) -> Option<HeaderValue> {
        self.current.load().network.hsts().cloned()
    }
}

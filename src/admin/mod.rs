//! Health, metrics and the operators' API, on a listener of their own.
//!
//! Never reachable on a public listener (OPS-06). `/api/` needs the admin token and does not exist without one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::base::{Clock, Timestamp};
use crate::gateway::Front;
use crate::server::Service;
use crate::web::{Body, Connection, json as json_answer};

mod api;
mod readings;
mod settings;

pub use settings::AdminSettings;

/// So long may the store be away until this replica says that it is not ready.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// What the admin listener talks to.
#[derive(Debug)]
pub struct Admin {
    /// How it is set up.
    pub settings: AdminSettings,
    /// The gateway as it is now.
    pub front: Arc<Front>,
    /// Set when the process is going away.
    pub draining: Arc<AtomicBool>,
    /// The configuration in effect, secrets left out.
    pub configuration: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Service for Admin {
    async fn call(&self, request: Request<Incoming>, connection: &Arc<Connection>) -> Response<Body> {
        let mut answer = self.route(request, connection.peer.map(|peer| peer.ip())).await;
        answer.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        answer
    }
}

impl Admin {
    async fn route(&self, request: Request<Incoming>, address: Option<IpAddr>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match path.as_str() {
            "/livez" if reading => text(StatusCode::OK, "alive\n"),
            "/readyz" if reading => self.readiness(self.clock.now()),
            "/metrics" if reading => self.metrics(),
            "/livez" | "/readyz" | "/metrics" => text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"),
            api if api.starts_with("/api/") => match self.authorize(&request) {
                Ok(()) => self.api(request, address).await,
                Err(answer) => *answer,
            },
            _ => text(StatusCode::NOT_FOUND, "There is /livez, /readyz, /metrics and /api/ here.\n"),
        }
    }

    /// Ready to be sent requests: keys and store have answered once, the store is not away for long, and this process stays.
    fn readiness(&self, now: Timestamp) -> Response<Body> {
        let gateway = self.front.current();
        let draining = self.draining.load(Ordering::Relaxed);
        let keys = gateway.identity.ready();
        let store = match gateway.sessions.away_since() {
            _ if self.settings.ready_without_store => true,
            None => gateway.sessions.available(),
            // Patience is for a store that was there; keys from files do not tell that it was.
            Some(since) => gateway.sessions.has_answered() && now.since(since) < STORE_PATIENCE,
        };
        let ready = !draining && keys && store;
        let checks: BTreeMap<&str, bool> = [("serving", !draining), ("keys", keys), ("store", store)].into();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_answer(status, &json!({ "ready": ready, "checks": checks }))
    }

    fn metrics(&self) -> Response<Body> {
        let gateway = self.front.current();
        let mut answer = Response::new(Body::full(gateway.metrics.text(readings::of(&gateway))));
        answer.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        answer
    }

    fn authorize(&self, request: &Request<Incoming>) -> Result<(), Box<Response<Body>>> {
        let Some(token) = &self.settings.token else {
            return Err(Box::new(text(StatusCode::NOT_FOUND, "The API is off: set admin.token to turn it on.\n")));
        };
        let mut given = request.headers().get_all(AUTHORIZATION).iter();
        let shown = match (given.next(), given.next()) {
            (Some(one), None) => one.as_bytes(),
            _ => b"",
        };
        let right = shown.split_at_checked(7).is_some_and(|(scheme, shown)| {
            scheme.eq_ignore_ascii_case(b"bearer ")
                && aws_lc_rs::constant_time::verify_slices_are_equal(shown, token.expose().as_bytes()).is_ok()
        });
        if right {
            return Ok(());
        }
        let mut answer = text(StatusCode::UNAUTHORIZED, "Authorization: Bearer <admin token> is missing or wrong.\n");
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Err(Box::new(answer))
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::full(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

//! The demo's application: an ordinary one behind the gateway, without a login, a session or a password.
//!
//! Never believes anything but the signed header, and keeps nothing about anybody.

pub mod events;
pub mod frame;
pub mod heads;
pub mod home;
pub mod identity;
pub mod keys;
pub mod opened;
pub mod public;
pub mod rooms;
pub mod tries;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::answer::{self, Answer};
use super::form::Parameters;
use super::serve::Site;
use crate::base::Clock;
use frame::Places;
use identity::{Identity, Proof, Trust};

/// The application.
#[derive(Debug)]
pub struct Application {
    trust: Trust,
    places: Places,
    clock: Arc<dyn Clock>,
}

impl Application {
    /// The application that believes `trust`.
    #[must_use]
    pub fn new(trust: Trust, places: Places, clock: Arc<dyn Clock>) -> Self {
        Self { trust, places, clock }
    }

    /// Answers one request.
    pub async fn respond<B>(&self, request: &Request<B>) -> Answer {
        let headers = request.headers();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::text(StatusCode::METHOD_NOT_ALLOWED, "This application only answers questions.\n");
        }
        match request.uri().path() {
            "/" => self.home(headers, request.uri().query().unwrap_or_default()).await,
            "/api/whoami" => self.whoami(headers).await,
            "/events" => self.events(headers).await,
            "/public" => public::page(&self.places, headers),
            "/public/headers" => public::document(headers),
            _ => frame::not_found(&self.places),
        }
    }

    async fn home(&self, headers: &HeaderMap, query: &str) -> Answer {
        let asked = Parameters::parse(query.as_bytes()).unwrap_or_default();
        let now = self.clock.now();
        let identity = match (self.trust.identity(headers, now).await, asked.get("tampered")) {
            // "What if somebody had changed it on the way?": change it, then check it as always.
            (Some(genuine), Some(_)) => Some(self.trust.check(identity::tampered(&genuine.token), now).await),
            (identity, _) => identity,
        };
        let keys_url = self.trust.keys.url();
        let view = home::View {
            places: &self.places,
            headers,
            keys_url: &keys_url,
            before: asked.get("before"),
            tampered: asked.get("tampered").is_some(),
        };
        home::page(&view, identity.as_ref())
    }

    async fn whoami(&self, headers: &HeaderMap) -> Answer {
        match self.trust.identity(headers, self.clock.now()).await {
            Some(Identity { proof: Proof::Holds(person), .. }) => answer::json(
                StatusCode::OK,
                &json!({
                    "sub": person.claims.sub,
                    "name": person.claims.name,
                    "email": person.claims.email,
                    "groups": person.claims.groups,
                    "sid": person.claims.sid,
                    "token": {
                        "verified": true,
                        "algorithm": person.algorithm.as_str(),
                        "kid": person.kid,
                        "expires_in": person.left.as_secs(),
                    },
                }),
            ),
            Some(Identity { proof: Proof::Fails(reason), .. }) => refused(&reason),
            None => refused("the request carries no identity"),
        }
    }

    async fn events(&self, headers: &HeaderMap) -> Answer {
        match self.trust.identity(headers, self.clock.now()).await {
            Some(Identity { proof: Proof::Holds(_), .. }) => events::clock(Arc::clone(&self.clock)),
            Some(Identity { proof: Proof::Fails(reason), .. }) => refused(&reason),
            None => refused("the request carries no identity"),
        }
    }
}

impl Site for Application {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.respond(&request).await
    }
}

/// For scripts: 401 as a problem document (RFC 9457).
fn refused(detail: &str) -> Answer {
    let problem = json!({ "type": "about:blank", "title": "Unauthorized", "status": 401, "detail": detail });
    let mut answer = answer::json(StatusCode::UNAUTHORIZED, &problem);
    answer::set(&mut answer, http::header::CONTENT_TYPE, "application/problem+json");
    answer
}

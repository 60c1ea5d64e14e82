//! The demo's OpenID provider: small, strict, in memory, for one client and a handful of people.
//!
//! Never leaves loopback, and is no example of how to run a real provider: its people and passwords are printed for everybody.

pub mod authorize;
pub mod discovery;
pub mod end_session;
pub mod memory;
pub mod pages;
pub mod people;
pub mod request;
pub mod sign_in;
pub mod token;
pub mod userinfo;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method, Request, StatusCode, header};
use hyper::body::Incoming;

use super::answer::{self, Answer};
use super::form::FormBody;
use super::serve::Site;
use crate::base::{Clock, Random};
use crate::jose::{Algorithm, KeySet, SigningKey};
use discovery::KeysError;
use memory::{Memory, SignedIn};
use people::Doorkeeper;
use request::Client;

/// The provider. Everything it knows dies with it.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    /// `127.0.0.1:PORT`: the only `Host` that is answered.
    authority: String,
    client: Client,
    key: SigningKey,
    /// The public half of `key`, for ID tokens that come back as hints.
    keys: KeySet,
    jwks: serde_json::Value,
    door: Doorkeeper,
    memory: Mutex<Memory>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Provider {
    /// A provider at `http://{authority}` with a fresh signing key.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(
        authority: &str,
        client: Client,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, KeysError> {
        let key = SigningKey::generate(Algorithm::Es256, random.as_ref())?;
        let (keys, jwks) = discovery::published(&key)?;
        Ok(Self {
            issuer: format!("http://{authority}"),
            authority: authority.to_owned(),
            client,
            key,
            keys,
            jwks,
            door: Doorkeeper::default(),
            memory: Mutex::default(),
            clock,
            random,
        })
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Answers one request.
    pub async fn respond<B: FormBody>(&self, request: Request<B>) -> Answer {
        // Another name for our address is somebody else's page that got a browser to talk to us.
        if host(&request) != Some(self.authority.as_str()) {
            return answer::text(StatusCode::MISDIRECTED_REQUEST, "This provider does not go by that name.\n");
        }
        let head = request.method() == Method::HEAD;
        let method = if head { Method::GET } else { request.method().clone() };
        let path = request.uri().path().to_owned();
        match (method, path.as_str()) {
            (Method::GET, "/") => self.home(request.headers()),
            (Method::GET, "/.well-known/openid-configuration") => self.metadata(),
            (Method::GET, "/jwks") => self.key_set(),
            (Method::GET | Method::POST, "/authorize") => self.authorize(request).await,
            (Method::POST, "/sign-in") => self.sign_in(request).await,
            (Method::POST, "/token") => self.token(request).await,
            (Method::GET | Method::POST, "/userinfo") => self.userinfo(request.headers()),
            (Method::POST, "/revoke") => self.revoke(request).await,
            (Method::GET | Method::POST, "/end_session") => self.end_session(request).await,
            (Method::POST, "/sign-out") => self.sign_out(request).await,
            _ => self.page(pages::message(
                StatusCode::NOT_FOUND,
                "Nothing here",
                "This provider only signs people in and out for the demo.",
            )),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is signed in in the browser that sent these headers.
    fn signed_in(&self, headers: &HeaderMap) -> Option<SignedIn> {
        let name = cookie_digest(headers, SESSION_COOKIE)?;
        self.memory().sessions.find(name, self.clock.now()).cloned()
    }

    fn page(&self, page: pages::Page) -> Answer {
        page.into_answer(&self.client.origin())
    }
}

impl Site for Provider {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.respond(request).await
    }
}

/// The one `Host` of a request.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let first = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(first)
}

/// The digest of a cookie's value; `None` when it is absent or came twice.
fn cookie_digest(headers: &HeaderMap, name: &str) -> Option<super::shelf::Digest> {
    let mut found = None;
    for line in headers.get_all(header::COOKIE) {
        for pair in line.to_str().ok()?.split(';') {
            if let Some((_, value)) = pair.trim().split_once('=').filter(|(other, _)| *other == name)
                && found.replace(super::shelf::Digest::of(value)).is_some()
            {
                return None;
            }
        }
    }
    found
}

/// Whether a form was sent by a page of ours. Browsers always say so with a POST.
fn sent_by_us(headers: &HeaderMap, issuer: &str) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.next().is_some_and(|origin| origin.as_bytes() == issuer.as_bytes()) && origins.next().is_none()
}

/// Whose browser it is. The gateway's cookies live on `localhost`; this one lives on `127.0.0.1`, which browsers take for another site.
const SESSION_COOKIE: &str = "demo-provider-session";
/// Which browser a form was shown in.
const FORM_COOKIE: &str = "demo-provider-form";

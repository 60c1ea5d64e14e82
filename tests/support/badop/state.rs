//! What the provider knows: clients, users, codes, tokens, requests.
//!
//! Must never forget a secret that it has issued: searches depend on it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::HeaderMap;
use serde_json::{Value, json};

use super::Endpoint;
use super::keys::KeySet;
use super::script::Script;
use crate::support::codec;

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
    /// Allowed redirect URIs; empty: any, so that gateways on random ports need no registration.
    pub redirect_uris: Vec<String>,
    /// Allowed post-logout redirect URIs; empty: any.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where logout tokens go at the end-session endpoint.
    pub backchannel_logout_uri: Option<String>,
    /// `client_secret_basic`, `client_secret_post`; empty: either, but never both at once.
    pub auth_method: String,
}

/// One request as the provider saw it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The parameters of query and form, in order.
    pub params: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// When it came.
    pub at: Instant,
}

impl Recorded {
    /// The first value of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        codec::value(&self.params, name)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Who said yes to what.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client: String,
    pub(super) sub: String,
    pub(super) sid: String,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) auth_time: i64,
    pub(super) acr: Option<String>,
    pub(super) family: u64,
}

pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) made: Instant,
    pub(super) used: bool,
}

pub(super) struct AccessToken {
    pub(super) grant: Grant,
    pub(super) until: Instant,
}

pub(super) struct RefreshToken {
    pub(super) grant: Grant,
    pub(super) used: bool,
}

pub(super) struct State {
    pub(super) issuer: String,
    pub(super) script: Script,
    pub(super) clients: Vec<Client>,
    users: BTreeMap<String, Value>,
    pub(super) keys: KeySet,
    pub(super) old_keys: Vec<KeySet>,
    pub(super) requests: Vec<Recorded>,
    pub(super) codes: BTreeMap<String, Code>,
    pub(super) access: BTreeMap<String, AccessToken>,
    pub(super) refresh: BTreeMap<String, RefreshToken>,
    pub(super) dead_families: Vec<u64>,
    pub(super) families: u64,
    pub(super) revoked: Vec<String>,
    pub(super) issued: Vec<String>,
    pub(super) id_tokens: Vec<String>,
    pub(super) last_sid: Option<String>,
    pub(super) reuses: usize,
}

impl State {
    pub(super) fn new(issuer: String) -> Self {
        let client = Client {
            id: "vestibule/test:client".to_owned(),
            // Every character that `client_secret_basic` gets wrong when it forgets to form-encode.
            secret: codec::random_name("s:% +/é-canary-client-secret-"),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            auth_method: String::new(),
        };
        Self {
            issuer,
            script: Script::default(),
            clients: vec![client],
            users: BTreeMap::new(),
            keys: KeySet::new(0),
            old_keys: Vec::new(),
            requests: Vec::new(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            dead_families: Vec::new(),
            families: 0,
            revoked: Vec::new(),
            issued: Vec::new(),
            id_tokens: Vec::new(),
            last_sid: None,
            reuses: 0,
        }
    }

    /// A user's claims; made on first use.
    pub(super) fn user(&mut self, sub: &str) -> &mut Value {
        self.users.entry(sub.to_owned()).or_insert_with(|| {
            let mut name = sub.to_owned();
            name[..1].make_ascii_uppercase();
            json!({
                "email": format!("{sub}@example.test"), "email_verified": true, "name": format!("{name} Example"),
                "preferred_username": sub, "groups": ["staff", "dev"],
            })
        })
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// Whose code or refresh token a request shows.
    pub(super) fn subject(&self, request: &Recorded) -> Option<String> {
        let code = request.param("code").and_then(|code| self.codes.get(code)).map(|code| &code.grant);
        let token = request.param("refresh_token").and_then(|token| self.refresh.get(token)).map(|token| &token.grant);
        code.or(token).map(|grant| grant.sub.clone())
    }

    pub(super) fn is_alive(&self, token: &str) -> bool {
        let grant = match (self.access.get(token), self.refresh.get(token)) {
            (Some(access), _) if access.until > Instant::now() => &access.grant,
            (None, Some(refresh)) if !refresh.used => &refresh.grant,
            _ => return false,
        };
        !self.dead_families.contains(&grant.family) && !self.revoked.iter().any(|revoked| revoked == token)
    }

    pub(super) fn end_grants(&mut self) {
        self.dead_families = (0..=self.families).collect();
    }

    pub(super) fn rotate_keys(&mut self, keep: bool) {
        let next = KeySet::new(self.keys.generation() + 1);
        let old = std::mem::replace(&mut self.keys, next);
        if keep {
            self.old_keys.push(old);
        } else {
            self.old_keys.clear();
        }
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets = self.issued.clone();
        secrets.extend(self.codes.keys().cloned());
        secrets.extend(self.clients.iter().map(|client| client.secret.clone()));
        let shown = self.requests.iter().filter_map(|request| request.param("code_verifier"));
        secrets.extend(shown.map(str::to_owned));
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }

    /// A code that is still good for about a minute.
    pub(super) fn code_lives(code: &Code) -> bool {
        code.made.elapsed() < Duration::from_secs(60)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

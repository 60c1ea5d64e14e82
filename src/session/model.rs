//! What a session is.
//!
//! Nothing here can be serialised by accident: only `seal` turns a session into bytes, and only sealed.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::token::Sid;
use crate::base::{Secret, Timestamp};

/// The record of a signed-in browser.
#[derive(Clone)]
pub struct Session {
    /// Its public reference.
    pub sid: Sid,
    /// The configured name of the provider.
    pub provider: Arc<str>,
    /// The provider's issuer, exactly.
    pub issuer: String,
    /// The user at that issuer.
    pub subject: String,
    /// The provider's own name for its session (`sid` of OpenID Connect Front- and Back-Channel Logout).
    pub provider_sid: Option<String>,
    /// The public origin that it was issued for; it opens nothing elsewhere.
    pub origin: String,
    /// The sequence's number when its login burnt its state: revocations with a greater number cover it.
    pub born: u64,
    /// When it began.
    pub created: Timestamp,
    /// When it ends in any case.
    pub expires: Timestamp,
    /// When the person proved who they are, if the provider says so.
    pub auth_time: Option<Timestamp>,
    /// How strongly, if the provider says so.
    pub acr: Option<String>,
    /// By which means, if the provider says so.
    pub amr: Vec<String>,
    /// The claims by their names in Vestibule.
    pub claims: Map<String, Value>,
    /// The scope that was granted, where the provider named it.
    pub scope: Option<String>,
    /// The provider's tokens, which never leave the server side.
    pub tokens: Tokens,
}

impl Session {
    /// What it weighs in memory, about: its texts, and a fixed part for everything else.
    pub(super) fn bytes(&self) -> u64 {
        let Self { issuer, subject, provider_sid, origin, acr, amr, claims, scope, tokens, .. } = self;
        let refresh_token = tokens.refresh_token.as_ref().map_or(0, |token| token.expose().len());
        let texts = [issuer, subject, origin].into_iter().map(String::len).sum::<usize>()
            + [provider_sid, acr, scope].into_iter().flatten().map(String::len).sum::<usize>()
            + amr.iter().map(String::len).sum::<usize>();
        let tokens = tokens.access_token.expose().len() + refresh_token + tokens.id_token.expose().len();
        let claims = claims.iter().map(|(name, claim)| name.len() + weight(claim)).sum::<usize>();
        u64::try_from(FIXED_BYTES + texts + tokens + claims).unwrap_or(u64::MAX)
    }
}

/// What a claim weighs, about. Claims come from a parser that bounds their depth.
fn weight(claim: &Value) -> usize {
    size_of::<Value>()
        + match claim {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(members) => members.iter().map(|(name, value)| name.len() + weight(value)).sum(),
        }
}

/// The structs themselves, their allocations' overhead and an identity token or two.
const FIXED_BYTES: usize = 2048;

impl fmt::Debug for Session {
    /// Claims are left out: they are about a person, and a log is not where they belong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("sid", &self.sid)
            .field("provider", &self.provider)
            .field("born", &self.born)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What the provider gave for a session.
#[derive(Clone)]
pub struct Tokens {
    /// For the provider's own endpoints and for routes that ask for it.
    pub access_token: Secret<String>,
    /// When it was given.
    pub access_token_obtained: Timestamp,
    /// When it ends.
    pub access_token_expires: Timestamp,
    /// For the token endpoint alone, one flight at a time.
    pub refresh_token: Option<Secret<String>>,
    /// The last one, as the hint at logout.
    pub id_token: Secret<String>,
    /// Of the login: a refreshed ID token may repeat this one and no other (OpenID Connect Core section 12.2).
    pub nonce: Option<Secret<String>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("access_token_expires", &self.access_token_expires)
            .field("refreshable", &self.refresh_token.is_some())
            .finish_non_exhaustive()
    }
}

/// What a login knows of the session to be; the rest is ours to give.
#[derive(Clone)]
pub struct NewSession {
    /// See [`Session::provider`].
    pub provider: Arc<str>,
    /// See [`Session::issuer`].
    pub issuer: String,
    /// See [`Session::subject`].
    pub subject: String,
    /// See [`Session::provider_sid`].
    pub provider_sid: Option<String>,
    /// See [`Session::origin`].
    pub origin: String,
    /// See [`Session::auth_time`].
    pub auth_time: Option<Timestamp>,
    /// See [`Session::acr`].
    pub acr: Option<String>,
    /// See [`Session::amr`].
    pub amr: Vec<String>,
    /// See [`Session::claims`].
    pub claims: Map<String, Value>,
    /// See [`Session::scope`].
    pub scope: Option<String>,
    /// See [`Session::tokens`].
    pub tokens: Tokens,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// What operators see of the browser that signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorMeta {
    /// Its address.
    pub address: String,
    /// Its `User-Agent`; only the beginning is kept.
    pub agent: String,
}

/// One line of the operators' list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The session's public reference.
    pub sid: Sid,
    /// The configured name of the provider.
    pub provider: Arc<str>,
    /// The provider's issuer.
    pub issuer: String,
    /// The user at that issuer.
    pub subject: String,
    /// When it began.
    pub created: Timestamp,
    /// When it ends in any case.
    pub expires: Timestamp,
    /// When it was last used, to a tenth of the idle time.
    pub last_seen: Timestamp,
    /// The address that signed in.
    pub address: String,
    /// The beginning of that browser's `User-Agent`.
    pub agent: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OPS-01: tokens and claims stay out of whatever prints a session.
    #[test]
    fn debug_shows_no_token_and_no_claim() {
        let tokens = Tokens {
            access_token: Secret::new("canary-access".into()),
            access_token_obtained: Timestamp::default(),
            access_token_expires: Timestamp::default(),
            refresh_token: Some(Secret::new("canary-refresh".into())),
            id_token: Secret::new("canary-id".into()),
            nonce: Some(Secret::new("canary-nonce".into())),
        };
        let new = NewSession {
            provider: "corp".into(),
            issuer: "https://id.example".into(),
            subject: "canary-subject".into(),
            provider_sid: Some("canary-sid".into()),
            origin: "https://app.example".into(),
            auth_time: None,
            acr: None,
            amr: Vec::new(),
            claims: Map::from_iter([("email".to_owned(), Value::from("canary-email"))]),
            scope: None,
            tokens,
        };
        let shown = format!("{new:?} {:?}", new.tokens);
        assert!(!shown.contains("canary"), "{shown}");
    }
}

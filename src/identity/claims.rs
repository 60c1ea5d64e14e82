//! Who is calling, and what the token says of them.
//!
//! Never lets a provider's claim stand in for one of the gateway's own.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::Timestamp;

/// `typ` of an identity token.
pub const TYP: &str = "vestibule+jwt";

/// The claims that are the gateway's to set: no upstream's `claims` may name them.
pub const RESERVED_CLAIMS: [&str; 14] = [
    "iss",
    "aud",
    "sub",
    "sid",
    "iat",
    "nbf",
    "exp",
    "jti",
    "auth_time",
    "acr",
    "amr",
    "client_id",
    "provider",
    "kind",
];

/// The granted scope (RFC 8693 section 4.2): upstreams get it where they name it, and always the gateway's own word.
pub const SCOPE: &str = "scope";

/// A person or a machine (RFC 9068 section 5: equal `sub`s must not make them equal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A signed-in person.
    User,
    /// A machine with its own access token.
    Client,
}

/// Who is calling.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Person or machine.
    pub kind: Kind,
    /// The configured name of the provider.
    pub provider: &'a str,
    /// The provider's issuer.
    pub issuer: &'a str,
    /// `sub` at that issuer.
    pub sub: &'a str,
    /// The public reference of the session, never the cookie's value. For machines, one for each access token.
    pub sid: &'a str,
    /// Changes whenever anything here does, except `session_expires`.
    pub version: u64,
    /// When they signed in.
    pub auth_time: Option<Timestamp>,
    /// How strongly.
    pub acr: Option<&'a str>,
    /// By which means.
    pub amr: &'a [String],
    /// The session's claims, of which upstreams get what is configured.
    pub claims: &'a Map<String, Value>,
    /// What was granted to the gateway in their name, which upstreams get as `scope` where it is configured.
    pub scope: Option<&'a str>,
    /// No token lives longer.
    pub session_expires: Timestamp,
    /// The OAuth client, for machines.
    pub client_id: Option<&'a str>,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Subject");
        shown.field("kind", &self.kind).field("provider", &self.provider).field("sid", &self.sid);
        shown.field("version", &self.version).finish_non_exhaustive()
    }
}

/// The payload, in the order in which it is written.
#[derive(Serialize)]
pub(super) struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    sid: &'a str,
    provider: &'a str,
    kind: Kind,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(flatten)]
    configured: BTreeMap<&'a str, &'a Value>,
}

/// What belongs to this one token.
pub(super) struct Occasion<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) jti: String,
}

impl<'a> Payload<'a> {
    pub(super) fn new(subject: &Subject<'a>, occasion: Occasion<'a>, names: &'a [String]) -> Self {
        let configured = names
            .iter()
            .map(String::as_str)
            // The configuration refuses these names; should one slip through, a token with two meanings must not be signed.
            .filter(|name| !RESERVED_CLAIMS.contains(name) && *name != SCOPE)
            .filter_map(|name| Some((name, subject.claims.get(name)?)))
            .collect();
        Self {
            iss: occasion.issuer,
            aud: occasion.audience,
            sub: subject.sub,
            sid: subject.sid,
            provider: subject.provider,
            kind: subject.kind,
            iat: occasion.issued.unix_seconds(),
            nbf: occasion.issued.unix_seconds(),
            exp: occasion.expires.unix_seconds(),
            jti: occasion.jti,
            auth_time: subject.auth_time.map(Timestamp::unix_seconds),
            acr: subject.acr,
            amr: subject.amr,
            client_id: subject.client_id.filter(|_| subject.kind == Kind::Client),
            scope: subject.scope.filter(|_| names.iter().any(|name| name == SCOPE)),
            configured,
        }
    }
}

//! What an application does to know who is asking: read one header, check one signature, look at four claims.
//!
//! Never believes a token before all of that holds, and never believes any other header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

use super::keys::Keys;
use crate::base::Timestamp;
use crate::jose::{Algorithm, Expect, Typ, VerifyError, verify};

/// The token that arrived, and what checking it showed.
#[derive(Debug)]
pub struct Identity {
    /// As it came.
    pub token: String,
    /// Its header and claims as anybody can read them: a signed token is not an encrypted one.
    pub header: Map<String, Value>,
    /// See `header`.
    pub claims: Map<String, Value>,
    /// Whether it can be believed.
    pub proof: Proof,
}

/// What checking showed.
#[derive(Debug)]
pub enum Proof {
    /// Everything holds.
    Holds(Box<Person>),
    /// Something does not; the words for it.
    Fails(String),
}

/// Who is asking, proven.
#[derive(Debug)]
pub struct Person {
    /// What the token says.
    pub claims: Claims,
    /// Which key signed it.
    pub kid: String,
    /// How.
    pub algorithm: Algorithm,
    /// Until it expires.
    pub left: Duration,
}

impl Person {
    /// What to call them.
    #[must_use]
    pub fn name(&self) -> &str {
        self.claims.name.as_deref().or(self.claims.email.as_deref()).unwrap_or(&self.claims.sub)
    }
}

/// The claims that this application looks at.
#[derive(Debug, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// Who, at that provider.
    pub sub: String,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// When it ends, in seconds.
    pub exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    /// Names the session, opens nothing.
    #[serde(default)]
    pub sid: Option<String>,
    /// Configured for this application.
    #[serde(default)]
    pub name: Option<String>,
    /// Configured for this application.
    #[serde(default)]
    pub email: Option<String>,
    /// Configured for this application.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// Whom the application trusts, and as whom.
#[derive(Debug)]
pub struct Trust {
    /// `iss` of the gateway.
    pub issuer: String,
    /// `aud`: this application.
    pub audience: String,
    /// The gateway's keys.
    pub keys: Keys,
}

impl Trust {
    /// Reads and checks the identity of a request. `None` when it carries none.
    pub async fn identity(&self, headers: &HeaderMap, now: Timestamp) -> Option<Identity> {
        let mut values = headers.get_all(HEADER).iter();
        let first = values.next()?;
        let token = String::from_utf8_lossy(first.as_bytes()).into_owned();
        Some(match values.next() {
            Some(_) => Identity {
                token,
                header: Map::new(),
                claims: Map::new(),
                proof: Proof::Fails("the header came twice".to_owned()),
            },
            None => self.check(token, now).await,
        })
    }

    /// Checks one token.
    pub async fn check(&self, token: String, now: Timestamp) -> Identity {
        let mut parts = token.split('.').map(readable);
        let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let proof = match self.proven(&token, now).await {
            Ok(person) => Proof::Holds(Box::new(person)),
            Err(reason) => Proof::Fails(reason),
        };
        Identity { token, header, claims, proof }
    }

    async fn proven(&self, token: &str, now: Timestamp) -> Result<Person, String> {
        let expect = Expect { algorithms: &ALGORITHMS, typ: Typ::Exactly(TYP), max_bytes: MOST_BYTES };
        let keys = self.keys.current(false, now).await.map_err(|error| error.to_string())?;
        let mut verified = verify::<Claims>(token, &keys, &expect);
        if matches!(verified, Err(VerifyError::UnknownKey { .. })) {
            // A key that is new since we last looked.
            let keys = self.keys.current(true, now).await.map_err(|error| error.to_string())?;
            verified = verify::<Claims>(token, &keys, &expect);
        }
        let verified = verified.map_err(|error| error.to_string())?;
        let (kid, algorithm) = (verified.header().kid.clone().unwrap_or_default(), verified.header().algorithm);
        let claims = verified.into_claims();
        let seconds = now.unix_seconds();
        if claims.iss != self.issuer {
            return Err("it was issued by somebody else".to_owned());
        }
        if claims.aud != self.audience {
            return Err("it is meant for another application".to_owned());
        }
        if claims.exp <= seconds {
            return Err("it has expired".to_owned());
        }
        if claims.nbf.unwrap_or(claims.iat) > seconds + SKEW {
            return Err("it is not valid yet".to_owned());
        }
        let left = Timestamp::from_unix_seconds(claims.exp).since(now);
        Ok(Person { claims, kid, algorithm, left })
    }
}

/// The same token with other claims and the old signature: what somebody without the key could make of it.
#[must_use]
pub fn tampered(token: &str) -> String {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
        return token.to_owned();
    };
    let mut claims = readable(claims);
    for (name, value) in [("name", "Mallory"), ("email", "mallory@example.net"), ("sub", "person-0")] {
        claims.insert(name.to_owned(), value.into());
    }
    let claims = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
    format!("{header}.{claims}.{signature}")
}

/// A part of a token, as anybody can read it. Empty when it is no JSON object.
fn readable(part: &str) -> Map<String, Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The header that the gateway puts the token in.
pub const HEADER: &str = "x-vestibule-identity";
/// `typ` of the token: no other kind of token passes for it.
const TYP: &str = "vestibule+jwt";
/// What the gateway signs with, and nothing else.
const ALGORITHMS: [Algorithm; 1] = [Algorithm::Es256];
const MOST_BYTES: usize = 16 * 1024;
/// Both clocks are this machine's; still, one second may lie between two roundings.
const SKEW: i64 = 2;

//! What the provider says about itself: its metadata (OpenID Connect Discovery section 3) and its public key.
//!
//! Never publishes anything private.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use thiserror::Error;

use super::Provider;
use super::request::SCOPES;
use crate::base::{Blame, Blamed};
use crate::demo::answer::{self, Answer};
use crate::jose::{KeyError, KeySet, SigningKey};

/// Why there is no key to sign with.
#[derive(Debug, Error)]
pub enum KeysError {
    /// It could not be made, or not be read back.
    #[error("the demo's provider has no signing key")]
    Key(#[from] KeyError),
    /// It has no public half.
    #[error("the demo's signing key cannot be published")]
    NotPublic,
}

impl Blamed for KeysError {
    fn blame(&self) -> Blame {
        Blame::Bug
    }
}

/// The public half of a key, to verify with and to publish.
///
/// # Errors
/// When the key has none.
pub fn published(key: &SigningKey) -> Result<(KeySet, Value), KeysError> {
    let jwk = key.public_jwk().ok_or(KeysError::NotPublic)?;
    let jwks = json!({ "keys": [jwk] });
    let keys = KeySet::parse(jwks.to_string().as_bytes())?;
    Ok((keys, jwks))
}

impl Provider {
    pub(super) fn metadata(&self) -> Answer {
        let at = |path: &str| format!("{}{path}", self.issuer);
        cacheable(json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "revocation_endpoint": at("/revoke"),
            "end_session_endpoint": at("/end_session"),
            "jwks_uri": at("/jwks"),
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "select_account"],
            "acr_values_supported": [super::token::ACR],
            "claims_supported": [
                "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash",
                "name", "email", "email_verified", "preferred_username", "groups",
            ],
            "authorization_response_iss_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
        }))
    }

    pub(super) fn key_set(&self) -> Answer {
        cacheable(self.jwks.clone())
    }
}

fn cacheable(document: Value) -> Answer {
    let mut answer = answer::json(StatusCode::OK, &document);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    answer
}

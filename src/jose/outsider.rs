//! What an application's ordinary JWT library makes of a token, as an independent opinion in tests.
//!
//! Only compiled for tests (`feature = "testing"`); nothing in the product may decide by it.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::base::Timestamp;

/// What the application was given to verify with.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The bytes of the published JWK Set.
    Jwks(&'a [u8]),
    /// A shared key.
    Shared(&'a [u8]),
}

/// The claims, if `token` is for this issuer and audience and valid at `now`, to the second.
///
/// # Errors
/// The library's words.
pub fn claims(trust: Trust<'_>, issuer: &str, audience: &str, token: &str, now: Timestamp) -> Result<Value, String> {
    let header = decode_header(token).map_err(|error| error.to_string())?;
    let key = match trust {
        Trust::Shared(key) => DecodingKey::from_secret(key),
        Trust::Jwks(json) => {
            let set: JwkSet = serde_json::from_slice(json).map_err(|error| error.to_string())?;
            let kid = header.kid.ok_or("no kid")?;
            let jwk = set.find(&kid).ok_or("unknown kid")?;
            DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?
        }
    };
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    // The library reads the machine's clock; tests have their own.
    validation.validate_exp = false;
    let claims = decode::<Value>(token, &key, &validation).map_err(|error| error.to_string())?.claims;
    let seconds = |name: &str| claims.get(name).and_then(Value::as_i64).ok_or(format!("no {name}"));
    if seconds("exp")? <= now.unix_seconds() {
        return Err("expired".to_owned());
    }
    if seconds("nbf")? > now.unix_seconds() {
        return Err("not yet valid".to_owned());
    }
    Ok(claims)
}

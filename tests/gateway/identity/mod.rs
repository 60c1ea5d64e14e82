//! Who the caller is, as upstreams learn it, and as nobody else can say it.

mod claims;
mod forged;
mod keys;
mod tokens;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use serde_json::Value;

use crate::support::codec::unverified_header;

/// What an application does with a token (docs/upstreams.md), with a library of its own.
fn check(token: &str, jwks: &Value, algorithm: Algorithm, audience: &str, issuer: &str) -> Result<Value, String> {
    let header = unverified_header(token).ok_or("no header")?;
    if header["typ"] != "vestibule+jwt" {
        return Err(format!("another typ: {header}"));
    }
    let jwks: JwkSet = serde_json::from_value(jwks.clone()).map_err(|error| error.to_string())?;
    let kid = header["kid"].as_str().ok_or("no kid")?;
    let key = DecodingKey::from_jwk(jwks.find(kid).ok_or("an unknown kid")?).map_err(|error| error.to_string())?;
    let mut rules = Validation::new(algorithm);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[issuer]);
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub", "nbf"]);
    let token: TokenData<Value> = jsonwebtoken::decode(token, &key, &rules).map_err(|error| error.to_string())?;
    Ok(token.claims)
}

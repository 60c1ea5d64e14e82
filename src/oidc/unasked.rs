//! The readings of a provider's answers without a provider to ask, for fuzzing.
//!
//! Only compiled for tests (`feature = "testing"`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ProviderError;
use super::grant::{TokenAnswer, TokenFields};
use super::id_token::{self, Expectations, IdToken, IdTokenError};
use super::logout_token::{self, LogoutToken, LogoutTokenError};
use super::settings::ProviderSettings;
use crate::base::Timestamp;
use crate::jose::Algorithm;

/// A token answer, if it is one that is accepted.
#[must_use]
pub fn token_answer(json: &[u8], settings: &ProviderSettings) -> Option<TokenAnswer> {
    serde_json::from_slice::<TokenFields>(json).ok()?.accept(settings).ok()
}

/// Judges claims as those of an ID token whose signature holds.
///
/// # Errors
/// The first rule that they break.
pub fn id_claims(
    claims: &Map<String, Value>,
    algorithm: Algorithm,
    expected: &Expectations<'_>,
) -> Result<IdToken, IdTokenError> {
    id_token::judge_claims(claims, algorithm, expected)
}

/// Judges claims as those of a logout token whose signature holds.
///
/// # Errors
/// The first rule that they break.
pub fn logout_claims(
    claims: &Map<String, Value>,
    settings: &ProviderSettings,
    now: Timestamp,
) -> Result<LogoutToken, LogoutTokenError> {
    logout_token::judge(claims, settings, now)
}

/// The claims that a session keeps, laid over by themselves as if the userinfo endpoint had repeated them.
///
/// # Errors
/// When they are more than a session may hold.
pub fn kept_claims(
    claims: &Map<String, Value>,
    sub: &str,
    mapping: &BTreeMap<String, String>,
) -> Result<Map<String, Value>, ProviderError> {
    let mut all = claims.clone();
    super::claims::overlay(&mut all, claims.clone());
    super::claims::kept(&all, sub, mapping)
}

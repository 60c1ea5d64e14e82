//! What a logout token has to say before it ends a session (OpenID Connect Back-Channel Logout 1.0 section 2.6).
//!
//! Never ends anything itself, and never remembers a `jti`: burning it comes last, after the revocation stands.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Provider;
use super::error::ProviderError;
use super::settings::ProviderSettings;
use super::typed::{self, ClaimError, SID_BYTES, SUBJECT_BYTES};
use crate::base::Timestamp;
use crate::jose::{Expect, Typ, VerifyError};

/// A logout token that holds. At least one of `sid` and `sub` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// The provider's session that ended.
    pub sid: Option<String>,
    /// Whose sessions ended, all of them when there is no `sid`.
    pub sub: Option<String>,
    /// Its number, to burn.
    pub jti: String,
    /// When it was issued.
    pub iat: Timestamp,
    /// Until when its `jti` has to be remembered (add the clock skew).
    pub exp: Timestamp,
}

impl Provider {
    /// Verifies and judges a logout token. It is signed like an ID token, and its `typ` is `logout+jwt`, generic or absent.
    ///
    /// # Errors
    /// [`ProviderError::LogoutToken`]: answer 400. Temporary: the keys cannot be had, and the provider may send it again.
    pub async fn verify_logout_token(&self, token: &str, now: Timestamp) -> Result<LogoutToken, ProviderError> {
        let metadata = self.0.metadata().await?;
        let accepted = Expect {
            algorithms: &metadata.value.algorithms,
            typ: Typ::Generic(&["logout+jwt"]),
            max_bytes: LOGOUT_TOKEN_BYTES,
        };
        let verified = self.0.verified::<Map<String, Value>>(token, &accepted).await?;
        let claims = verified.map_err(LogoutTokenError::Unverified)?.into_claims();
        Ok(judge(&claims, &self.0.settings, now)?)
    }
}

/// Why a logout token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// Signature, algorithm, key, kind, or the form of the token.
    #[error("{0}")]
    Unverified(#[from] VerifyError),
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// `iss`.
    #[error("`iss` is not the configured issuer")]
    Issuer,
    /// `aud`.
    #[error("`aud` does not name the client")]
    Audience,
    /// `exp`.
    #[error("it has expired: do the clocks differ?")]
    Expired,
    /// `iat`.
    #[error("it was issued in the future: do the clocks differ?")]
    FromTheFuture,
    /// `events`.
    #[error("`events` does not say that it is a logout token")]
    Event,
    /// `nonce`: it may be an ID token.
    #[error("it has a `nonce`, which no logout token may have")]
    Nonce,
    /// Neither `sid` nor `sub`.
    #[error("it has neither `sid` nor `sub`")]
    Nobody,
}

pub(super) fn judge(
    claims: &Map<String, Value>,
    settings: &ProviderSettings,
    now: Timestamp,
) -> Result<LogoutToken, LogoutTokenError> {
    let skew: Duration = settings.clock_skew;
    if typed::required(typed::text(claims, "iss")?, "iss")? != settings.issuer {
        return Err(LogoutTokenError::Issuer);
    }
    if !typed::audience(claims)?.contains(&settings.client_id.as_str()) {
        return Err(LogoutTokenError::Audience);
    }
    let exp = typed::required(typed::moment(claims, "exp")?, "exp")?;
    if exp + skew <= now {
        return Err(LogoutTokenError::Expired);
    }
    let iat = typed::required(typed::moment(claims, "iat")?, "iat")?;
    if iat > now + skew {
        return Err(LogoutTokenError::FromTheFuture);
    }
    let event = claims.get("events").and_then(|events| events.as_object()).and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutTokenError::Event);
    }
    if claims.contains_key("nonce") {
        return Err(LogoutTokenError::Nonce);
    }
    let sid = typed::name(claims, "sid", SID_BYTES)?.map(str::to_owned);
    let sub = typed::name(claims, "sub", SUBJECT_BYTES)?.map(str::to_owned);
    if sid.is_none() && sub.is_none() {
        return Err(LogoutTokenError::Nobody);
    }
    let jti = typed::required(typed::name(claims, "jti", SID_BYTES)?, "jti")?.to_owned();
    Ok(LogoutToken { sid, sub, jti, iat, exp })
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const LOGOUT_TOKEN_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::tests::settings;

    const NOW: i64 = 1_767_225_600;

    fn judged(changes: Value) -> Result<LogoutToken, LogoutTokenError> {
        let mut claims = json!({
            "iss": "https://id.example.com", "aud": "portal", "iat": NOW, "exp": NOW + 120, "jti": "j-1", "sub": "ann",
            "sid": "s-1", "events": { EVENT: {} },
        });
        for (name, value) in changes.as_object().unwrap() {
            match value.as_str() {
                Some("-") => drop(claims.as_object_mut().unwrap().remove(name)),
                _ => claims[name] = value.clone(),
            }
        }
        judge(claims.as_object().unwrap(), &settings("https://id.example.com"), Timestamp::from_unix_seconds(NOW))
    }

    #[test]
    fn a_good_one_names_a_session_or_a_person() {
        let token = judged(json!({})).unwrap();
        assert_eq!((token.sid.as_deref(), token.sub.as_deref(), token.jti.as_str()), (Some("s-1"), Some("ann"), "j-1"));
        assert!(judged(json!({"sid": "-"})).is_ok());
        assert!(judged(json!({"sub": "-"})).is_ok());
        assert!(judged(json!({"aud": ["other", "portal"]})).is_ok());
        assert!(judged(json!({"events": { EVENT: {}, "urn:another": {} }})).is_ok());
    }

    /// LOGOUT-06: each claim in its right shape, the event, somebody to sign out, and no nonce.
    #[test]
    fn each_rule() {
        for changes in [
            json!({"iss": "https://id.example.com/"}),
            json!({"iss": "-"}),
            json!({"aud": "other"}),
            json!({"aud": "-"}),
            json!({"iat": NOW + 600}),
            json!({"iat": "-"}),
            json!({"exp": NOW - 60}),
            json!({"exp": "-"}),
            json!({"exp": "soon"}),
            json!({"jti": "-"}),
            json!({"jti": ""}),
            json!({"events": "-"}),
            json!({"events": {}}),
            json!({"events": [EVENT]}),
            json!({"events": { EVENT: "x" }}),
            json!({"events": { EVENT: null }}),
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout/": {}}}),
            json!({"nonce": "n"}),
            json!({"nonce": null}),
            json!({"sid": "-", "sub": "-"}),
            json!({"sid": null, "sub": null}),
            json!({"sid": ""}),
            json!({"sub": 7}),
        ] {
            assert!(judged(changes.clone()).is_err(), "{changes}");
        }
    }
}

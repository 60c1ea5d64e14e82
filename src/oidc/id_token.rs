//! What an ID token has to say before anybody is signed in by it (OpenID Connect Core sections 3.1.3.7 and 12.2).
//!
//! Never looks at a signature (that has been done, or there is no `Verified`), at a clock, or at the network.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::typed::{self, ClaimError, SID_BYTES, SUBJECT_BYTES};
use crate::base::{Secret, Timestamp};
use crate::jose::{Algorithm, Verified, VerifyError, at_hash};

/// The claims of an ID token, as they came.
pub type IdClaims = Map<String, Value>;

/// What is expected of an ID token.
#[derive(Clone, Debug)]
pub struct Expectations<'a> {
    /// The configured issuer, compared byte for byte.
    pub issuer: &'a str,
    /// The only audience.
    pub client_id: &'a str,
    /// The nonce.
    pub nonce: Nonce<'a>,
    /// Now.
    pub now: Timestamp,
    /// Allowance for clocks that differ.
    pub skew: Duration,
    /// The person must have signed in no longer ago than this.
    pub max_age: Option<Duration>,
    /// `acr` must be one of these, if there are any.
    pub acr_values: &'a [String],
    /// The access token that came along, for `at_hash`.
    pub access_token: Option<&'a Secret<String>>,
    /// What a refreshed ID token must agree with; `None` at login.
    pub original: Option<Original<'a>>,
}

/// Which nonce an ID token must carry.
#[derive(Clone, Debug)]
pub enum Nonce<'a> {
    /// At login: this one.
    Exactly(&'a Secret<String>),
    /// At a refresh: none, or this one if it is known. One that cannot be compared is refused.
    AbsentOrExactly(Option<&'a Secret<String>>),
}

/// The ID token that a session began with, as far as refreshed ones must agree (OpenID Connect Core section 12.2).
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// Its `sub`.
    pub sub: &'a str,
    /// Its `auth_time`, if it had one.
    pub auth_time: Option<Timestamp>,
}

/// An ID token that holds.
#[derive(Clone, PartialEq)]
pub struct IdToken {
    /// Who. Unique only together with the issuer.
    pub sub: String,
    /// The provider's name for its session, for back-channel and front-channel logout.
    pub sid: Option<String>,
    /// When the person signed in at the provider.
    pub auth_time: Option<Timestamp>,
    /// How strongly.
    pub acr: Option<String>,
    /// By which methods.
    pub amr: Vec<String>,
    /// Everything it says, protocol claims included.
    pub claims: IdClaims,
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a token says about a person belongs into no log.
        f.debug_struct("IdToken").finish_non_exhaustive()
    }
}

/// Why an ID token is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum IdTokenError {
    /// The token answer has none, although `openid` was asked for.
    #[error("there is none")]
    Absent,
    /// Signature, algorithm, key, or the form of the token.
    #[error("{0}")]
    Unverified(#[from] VerifyError),
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// `iss`.
    #[error("`iss` is not the configured issuer")]
    Issuer,
    /// `aud`.
    #[error("`aud` is not the client, or not the client alone")]
    Audience,
    /// `azp`.
    #[error("`azp` is not the client")]
    AuthorizedParty,
    /// `exp`.
    #[error("it has expired: do the clocks differ?")]
    Expired,
    /// `iat`.
    #[error("it was issued in the future: do the clocks differ?")]
    FromTheFuture,
    /// `nbf`.
    #[error("it is not valid yet: do the clocks differ?")]
    NotYetValid,
    /// `nonce`.
    #[error("`nonce` is not that of the login attempt")]
    Nonce,
    /// `at_hash`.
    #[error("`at_hash` is not that of the access token")]
    AccessTokenHash,
    /// `auth_time` is missing where `max_age` was asked, too old, or in the future.
    #[error("`auth_time` does not meet the demanded `max_age`")]
    Stale,
    /// `acr`.
    #[error("`acr` is none of those demanded")]
    TooWeak,
    /// A refreshed ID token for somebody else.
    #[error("`sub` is not that of the session")]
    OtherSubject,
    /// A refreshed ID token of another authentication.
    #[error("`auth_time` is not that of the session")]
    OtherAuthentication,
}

/// Judges a token whose signature has been verified.
///
/// # Errors
/// The first rule that it breaks.
pub fn judge(token: &Verified<IdClaims>, expected: &Expectations<'_>) -> Result<IdToken, IdTokenError> {
    judge_claims(token.claims(), token.header().algorithm, expected)
}

pub(super) fn judge_claims(
    claims: &IdClaims,
    algorithm: Algorithm,
    expected: &Expectations<'_>,
) -> Result<IdToken, IdTokenError> {
    parties(claims, expected)?;
    times(claims, expected)?;
    nonce(claims, &expected.nonce)?;
    if let (Some(hash), Some(access_token)) = (typed::text(claims, "at_hash")?, expected.access_token)
        && hash != at_hash(algorithm, access_token.expose())
    {
        return Err(IdTokenError::AccessTokenHash);
    }
    let sub = typed::required(typed::name(claims, "sub", SUBJECT_BYTES)?, "sub")?;
    let auth_time = typed::moment(claims, "auth_time")?;
    let acr = typed::text(claims, "acr")?;
    if let Some(max_age) = expected.max_age {
        fresh(auth_time, max_age, expected)?;
    }
    if !expected.acr_values.is_empty() && !acr.is_some_and(|acr| expected.acr_values.iter().any(|one| one == acr)) {
        return Err(IdTokenError::TooWeak);
    }
    if let Some(original) = expected.original {
        same_person(sub, auth_time, original)?;
    }
    Ok(IdToken {
        sub: sub.to_owned(),
        sid: typed::name(claims, "sid", SID_BYTES)?.map(str::to_owned),
        auth_time,
        acr: acr.map(str::to_owned),
        amr: typed::texts(claims, "amr")?,
        claims: claims.clone(),
    })
}

fn parties(claims: &IdClaims, expected: &Expectations<'_>) -> Result<(), IdTokenError> {
    if typed::required(typed::text(claims, "iss")?, "iss")? != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    let audience = typed::audience(claims)?;
    // Nobody but ourselves is trusted with our ID tokens: a further audience is a token that somebody else may replay here.
    if audience.iter().any(|one| *one != expected.client_id) {
        return Err(IdTokenError::Audience);
    }
    match typed::text(claims, "azp")? {
        Some(azp) if azp != expected.client_id => Err(IdTokenError::AuthorizedParty),
        _ => Ok(()),
    }
}

fn times(claims: &IdClaims, expected: &Expectations<'_>) -> Result<(), IdTokenError> {
    let (now, skew) = (expected.now, expected.skew);
    if typed::required(typed::moment(claims, "exp")?, "exp")? + skew <= now {
        return Err(IdTokenError::Expired);
    }
    if typed::required(typed::moment(claims, "iat")?, "iat")? > now + skew {
        return Err(IdTokenError::FromTheFuture);
    }
    match typed::moment(claims, "nbf")? {
        Some(nbf) if nbf > now + skew => Err(IdTokenError::NotYetValid),
        _ => Ok(()),
    }
}

fn nonce(claims: &IdClaims, expected: &Nonce<'_>) -> Result<(), IdTokenError> {
    let found = typed::text(claims, "nonce")?;
    let holds = match expected {
        Nonce::Exactly(nonce) => found == Some(nonce.expose().as_str()),
        Nonce::AbsentOrExactly(nonce) => found.is_none() || found == nonce.map(|nonce| nonce.expose().as_str()),
    };
    if holds { Ok(()) } else { Err(IdTokenError::Nonce) }
}

fn fresh(auth_time: Option<Timestamp>, max_age: Duration, expected: &Expectations<'_>) -> Result<(), IdTokenError> {
    let at = auth_time.ok_or(IdTokenError::Stale)?;
    let (now, skew) = (expected.now, expected.skew);
    if at > now + skew || at + max_age + skew < now { Err(IdTokenError::Stale) } else { Ok(()) }
}

fn same_person(sub: &str, auth_time: Option<Timestamp>, original: Original<'_>) -> Result<(), IdTokenError> {
    if sub != original.sub {
        return Err(IdTokenError::OtherSubject);
    }
    match (auth_time, original.auth_time) {
        (Some(now), Some(then)) if now.unix_seconds() != then.unix_seconds() => Err(IdTokenError::OtherAuthentication),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn good() -> Value {
        json!({
            "iss": "https://id.example.com", "sub": "ann", "aud": "me", "exp": NOW + 300, "iat": NOW, "nonce": "n-1",
            "at_hash": at_hash(Algorithm::Es256, "access"), "auth_time": NOW - 30, "acr": "gold", "amr": ["pwd", "otp"], "sid": "s-1",
        })
    }

    /// The good token with members changed (`null` removes).
    fn with(changes: Value) -> IdClaims {
        let mut claims = good().as_object().unwrap().clone();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.remove(name)),
                value => drop(claims.insert(name.clone(), value.clone())),
            }
        }
        claims
    }

    /// Judged as at a login, with `adjust` applied to what is expected.
    fn judged(changes: Value, adjust: impl FnOnce(&mut Expectations<'_>)) -> Result<IdToken, IdTokenError> {
        let (nonce, access_token) = (Secret::new("n-1".to_owned()), Secret::new("access".to_owned()));
        let mut expected = Expectations {
            issuer: "https://id.example.com",
            client_id: "me",
            nonce: Nonce::Exactly(&nonce),
            now: Timestamp::from_unix_seconds(NOW),
            skew: Duration::from_secs(60),
            max_age: None,
            acr_values: &[],
            access_token: Some(&access_token),
            original: None,
        };
        adjust(&mut expected);
        judge_claims(&with(changes), Algorithm::Es256, &expected)
    }

    fn at_login(changes: Value) -> Result<IdToken, IdTokenError> {
        judged(changes, |_| {})
    }

    #[test]
    fn a_good_token_holds_and_is_read() {
        let token = at_login(json!({})).unwrap();
        assert_eq!(
            (token.sub.as_str(), token.sid.as_deref(), token.acr.as_deref()),
            ("ann", Some("s-1"), Some("gold"))
        );
        assert_eq!(token.auth_time, Some(Timestamp::from_unix_seconds(NOW - 30)));
        assert_eq!(token.amr, ["pwd", "otp"]);
        assert_eq!(format!("{token:?}"), "IdToken { .. }");
    }

    /// TOK-03: `iss` is the configured issuer, byte for byte.
    #[test]
    fn the_issuer_is_exact() {
        for iss in [
            json!("https://id.example.comx"),
            json!("https://ID.example.com"),
            json!("https://id.example.com/"),
            json!(null),
            json!(["https://id.example.com"]),
        ] {
            assert!(at_login(json!({ "iss": iss })).is_err(), "{iss}");
        }
    }

    /// TOK-04: the client, and nobody else, is the audience.
    #[test]
    fn the_audience_is_the_client_alone() {
        for (changes, good) in [
            (json!({"aud": ["me"]}), true),
            (json!({"aud": "me", "azp": "me"}), true),
            (json!({"aud": "you"}), false),
            (json!({"aud": null}), false),
            (json!({"aud": []}), false),
            (json!({"aud": ["me", "you"]}), false),
            (json!({"aud": ["me", "you"], "azp": "me"}), false),
            (json!({"azp": "you"}), false),
        ] {
            assert_eq!(at_login(changes.clone()).is_ok(), good, "{changes}");
        }
    }

    /// TOK-05: the required claims and times, with a small skew.
    #[test]
    fn required_claims_and_times() {
        for name in ["exp", "iat", "sub", "iss", "aud"] {
            assert!(
                matches!(at_login(json!({ name: null })), Err(IdTokenError::Claim(ClaimError::Missing(_)))),
                "{name}"
            );
        }
        for (changes, expected) in [
            (json!({"exp": NOW - 360}), Err(IdTokenError::Expired)),
            (json!({"exp": NOW - 60}), Err(IdTokenError::Expired)),
            (json!({"exp": NOW - 59}), Ok(())),
            (json!({"iat": NOW + 600}), Err(IdTokenError::FromTheFuture)),
            (json!({"iat": NOW + 8}), Ok(())),
            (json!({"nbf": NOW + 600}), Err(IdTokenError::NotYetValid)),
            (json!({"nbf": NOW + 8}), Ok(())),
        ] {
            assert_eq!(at_login(changes.clone()).map(drop), expected, "{changes}");
        }
    }

    /// TOK-06: wrong types and shapes.
    #[test]
    fn shapes() {
        for changes in [
            json!({"exp": (NOW + 300).to_string()}),
            json!({"iat": true}),
            json!({"nbf": "soon"}),
            json!({"sub": 7}),
            json!({"sub": ""}),
            json!({"sub": "x".repeat(256)}),
            json!({"sub": ["ann"]}),
            json!({"aud": {"me": 1}}),
            json!({"azp": ["me"]}),
            json!({"nonce": ["n-1"]}),
            json!({"at_hash": 1}),
            json!({"auth_time": "yesterday"}),
            json!({"acr": ["gold"]}),
            json!({"amr": [1]}),
            json!({"sid": 3}),
        ] {
            assert!(
                matches!(at_login(changes.clone()), Err(IdTokenError::Claim(ClaimError::Malformed(_)))),
                "{changes}"
            );
        }
    }

    /// LOGIN-04: the nonce of this login attempt and no other.
    #[test]
    fn the_nonce_is_that_of_the_attempt() {
        for nonce in [json!(null), json!("n-2"), json!("N-1"), json!("")] {
            assert_eq!(at_login(json!({ "nonce": nonce })).unwrap_err(), IdTokenError::Nonce, "{nonce}");
        }
    }

    /// TOK-16: demanded freshness and strength are checked.
    #[test]
    fn freshness_and_strength() {
        let aged = |changes, seconds| judged(changes, |e| e.max_age = Some(Duration::from_secs(seconds)));
        assert!(aged(json!({}), 60).is_ok());
        for changes in [json!({"auth_time": null}), json!({"auth_time": NOW - 121}), json!({"auth_time": NOW + 61})] {
            assert_eq!(aged(changes.clone(), 60).unwrap_err(), IdTokenError::Stale, "{changes}");
        }
        let strong = |changes| {
            judged(changes, |e| e.acr_values = Box::leak(Box::new(["gold".to_owned(), "platinum".to_owned()])))
        };
        assert!(strong(json!({})).is_ok());
        for changes in [json!({"acr": null}), json!({"acr": "silver"}), json!({"acr": "gold platinum"})] {
            assert_eq!(strong(changes.clone()).unwrap_err(), IdTokenError::TooWeak, "{changes}");
        }
    }

    /// TOK-17: `at_hash`, when it is there, is that of the access token.
    #[test]
    fn the_access_token_belongs_to_it() {
        assert!(at_login(json!({"at_hash": null})).is_ok());
        let other = at_hash(Algorithm::Es256, "other");
        assert_eq!(at_login(json!({ "at_hash": other })).unwrap_err(), IdTokenError::AccessTokenHash);
    }

    /// REF-06: a refreshed ID token is of the same person and authentication, its nonce absent or the original.
    #[test]
    fn a_refreshed_token_agrees_with_the_original() {
        let original = Original { sub: "ann", auth_time: Some(Timestamp::from_unix_seconds(NOW - 30)) };
        let nonce = Secret::new("n-1".to_owned());
        let refreshed = |changes, known| {
            judged(changes, |e| {
                e.original = Some(original);
                e.nonce = Nonce::AbsentOrExactly(if known { Some(Box::leak(Box::new(nonce.clone()))) } else { None });
            })
            .map(drop)
        };
        for (changes, known, expected) in [
            (json!({}), true, Ok(())),
            (json!({"nonce": null}), true, Ok(())),
            (json!({"nonce": null}), false, Ok(())),
            (json!({"nonce": null, "auth_time": null}), false, Ok(())),
            (json!({}), false, Err(IdTokenError::Nonce)),
            (json!({"nonce": "n-2"}), true, Err(IdTokenError::Nonce)),
            (json!({"sub": "bob"}), true, Err(IdTokenError::OtherSubject)),
            (json!({"auth_time": NOW}), true, Err(IdTokenError::OtherAuthentication)),
            (json!({"iss": "https://other.example"}), true, Err(IdTokenError::Issuer)),
            (json!({"aud": "you"}), true, Err(IdTokenError::Audience)),
        ] {
            assert_eq!(refreshed(changes.clone(), known), expected, "{changes} {known}");
        }
    }
}

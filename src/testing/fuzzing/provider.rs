//! What a provider answers: its metadata, token answers, and the claims of ID tokens, logout tokens and userinfo.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::fixture::CONFIG;
use crate::base::{Secret, Timestamp};
use crate::jose::{Algorithm, at_hash};
use crate::oidc::unasked::{id_claims, kept_claims, logout_claims, token_answer};
use crate::oidc::{Expectations, Metadata, Nonce, ProviderSettings};

const ISSUER: &str = "https://id.example.com";
const CLIENT: &str = "portal";
const NOW: i64 = 1_767_225_600;
const SKEW: i64 = 60;
/// The end of the year 9999.
const LATEST: i64 = 253_402_300_799;

static SETTINGS: LazyLock<ProviderSettings> = LazyLock::new(|| {
    let mut settings = CONFIG.providers.first().expect("a provider").clone();
    settings.clock_skew = Duration::from_secs(SKEW.unsigned_abs());
    settings
});

/// The input is a metadata document, and a token answer. One that is believed names the issuer, https alone and signatures that can be
/// verified; tokens are of the one type that is understood, and live for some time that ends.
pub fn provider_answers(data: &[u8]) {
    for allow_http in [false, true] {
        let Ok(metadata) = Metadata::parse(data, ISSUER, allow_http) else { continue };
        // Members that nobody reads may hold what a stricter reader would not have.
        let Ok(document) = serde_json::from_slice::<Value>(data) else { continue };
        assert_eq!(document["issuer"], ISSUER);
        let optional = [&metadata.userinfo_endpoint, &metadata.end_session_endpoint, &metadata.revocation_endpoint];
        let needed = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        for url in needed.into_iter().chain(optional.into_iter().flatten()) {
            assert!(url.scheme() == "https" || allow_http && url.scheme() == "http", "{url}");
            assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
            assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
            assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(url));
        }
        assert!(!metadata.algorithms.is_empty() && metadata.algorithms.iter().all(|one| !one.is_symmetric()));
    }

    let Some(answer) = token_answer(data, &SETTINGS) else { return };
    let Ok(fields) = serde_json::from_slice::<Value>(data) else { return };
    assert_eq!(fields["access_token"], answer.access_token.expose().as_str());
    assert!(!answer.access_token.expose().is_empty());
    assert!(fields["token_type"].as_str().expect("text").eq_ignore_ascii_case("bearer"));
    let lifetime = answer.expires_in.as_secs();
    assert!((1..=10 * 365 * 24 * 60 * 60).contains(&lifetime), "{lifetime}");
    for token in [&answer.refresh_token, &answer.id_token].into_iter().flatten() {
        assert!(!token.expose().is_empty());
    }
    assert_eq!(format!("{answer:?}"), format!("TokenAnswer {{ expires_in: {:?}, .. }}", answer.expires_in));
}

/// The input is the claims of a token whose signature holds. Who is believed was named by the issuer, for this client alone, now, and for
/// this very login; a session keeps no claim of the protocol's and nobody else's `sub`.
pub fn provider_claims(data: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
    id_token(&claims);
    logout_token(&claims);
    kept(&claims);
}

fn seconds(claims: &Map<String, Value>, name: &str) -> Option<f64> {
    claims.get(name).and_then(Value::as_f64)
}

fn id_token(claims: &Map<String, Value>) {
    let (nonce, access_token) = (Secret::new("n-0S6".to_owned()), Secret::new("SlAV32".to_owned()));
    let strong = ["gold".to_owned()];
    for demanding in [false, true] {
        let expected = Expectations {
            issuer: ISSUER,
            client_id: CLIENT,
            nonce: Nonce::Exactly(&nonce),
            now: Timestamp::from_unix_seconds(NOW),
            skew: SETTINGS.clock_skew,
            max_age: demanding.then_some(Duration::from_secs(300)),
            acr_values: if demanding { &strong } else { &[] },
            access_token: Some(&access_token),
            original: None,
        };
        let Ok(token) = id_claims(claims, Algorithm::Rs256, &expected) else { continue };
        assert_eq!((&claims["iss"], &claims["nonce"]), (&ISSUER.into(), &"n-0S6".into()));
        let alone = |aud: &Value| *aud == CLIENT;
        assert!(
            alone(&claims["aud"])
                || claims["aud"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(alone))
        );
        assert!(claims.get("azp").is_none_or(|azp| alone(azp) || azp.is_null()));
        assert!(
            seconds(claims, "exp").is_some_and(|exp| exp + (SKEW as f64) >= NOW as f64 && exp <= LATEST as f64 + 1.0)
        );
        assert!(seconds(claims, "iat").is_some_and(|iat| iat < (NOW + SKEW + 1) as f64));
        assert!(seconds(claims, "nbf").is_none_or(|nbf| nbf < (NOW + SKEW + 1) as f64));
        assert_eq!(claims["sub"], token.sub.as_str());
        assert!((1..=255).contains(&token.sub.len()) && !token.sub.contains(char::is_control));
        assert!(token.sid.as_ref().is_none_or(|sid| !sid.is_empty() && !sid.contains(char::is_control)));
        let hash = at_hash(Algorithm::Rs256, access_token.expose());
        assert!(claims.get("at_hash").is_none_or(|found| found.is_null() || *found == hash.as_str()));
        if demanding {
            assert_eq!(claims["acr"], "gold");
            assert!(seconds(claims, "auth_time").is_some_and(|at| at > (NOW - 300 - SKEW - 1) as f64));
        }
    }
}

fn logout_token(claims: &Map<String, Value>) {
    let Ok(token) = logout_claims(claims, &SETTINGS, Timestamp::from_unix_seconds(NOW)) else { return };
    assert_eq!(claims["iss"], ISSUER);
    assert!(!claims.contains_key("nonce"), "an ID token");
    assert!(claims["events"].get("http://schemas.openid.net/event/backchannel-logout").is_some_and(Value::is_object));
    assert!(token.sid.is_some() || token.sub.is_some());
    assert_eq!(claims["jti"], token.jti.as_str());
    assert!(!token.jti.is_empty() && seconds(claims, "exp").is_some_and(|exp| exp + (SKEW as f64) >= NOW as f64));
}

fn kept(claims: &Map<String, Value>) {
    let path = claims.get("path").and_then(Value::as_str).unwrap_or("realm_access.roles");
    let mapping = BTreeMap::from([("groups".to_owned(), path.to_owned()), ("sub".to_owned(), "email".to_owned())]);
    let Ok(kept) = kept_claims(claims, "ann", &mapping) else { return };
    assert_eq!(kept["sub"], "ann");
    for name in ["iss", "aud", "nonce", "sid", "acr", "amr", "_claim_sources", "_claim_names", "cnf"] {
        assert!(!kept.contains_key(name), "{name}");
    }
    for (name, value) in kept.iter().filter(|(name, _)| *name != "sub" && *name != "groups") {
        assert_eq!(Some(value), claims.get(name));
    }
    assert!(serde_json::to_vec(&kept).expect("JSON").len() <= 64 * 1024);
}

//! The URL that a browser is sent to for signing in (OpenID Connect Core section 3.1.2.1, RFC 7636).
//!
//! Never lets a request or the configuration replace a protocol parameter, and never leaves PKCE out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use url::Url;

use super::attempt::{Asked, LoginAttempt};
use super::discovery::Metadata;
use super::error::ProviderError;
use super::grant::OAuthClient;
use super::settings::{ProviderSettings, ResponseMode};

/// The authorization URL for `attempt`.
pub(super) fn url(
    settings: &ProviderSettings,
    metadata: &Metadata,
    attempt: &LoginAttempt,
) -> Result<Url, ProviderError> {
    // The crate asserts what it is given here; an attempt that was read back could hold anything.
    if !(43..=128).contains(&attempt.verifier.expose().len()) {
        return Err(ProviderError::Bug("a PKCE verifier of a wrong length"));
    }
    let client = OAuthClient::new(ClientId::new(settings.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
        .set_redirect_uri(RedirectUrl::from_url(settings.redirect_uri.clone()));
    let challenge =
        PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(attempt.verifier.expose().clone()));
    let mut request = client
        .authorize_url(|| CsrfToken::new(attempt.state.expose().clone()))
        .add_scopes(scopes(settings).map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .add_extra_param("nonce", attempt.nonce.expose().as_str());
    if settings.response_mode == ResponseMode::FormPost {
        request = request.add_extra_param("response_mode", "form_post");
    }
    if let Some(resource) = &settings.resource {
        request = request.add_extra_param("resource", resource.as_str());
    }
    for (name, value) in further(settings, &attempt.asked) {
        request = request.add_extra_param(name, value);
    }
    Ok(request.url().0)
}

/// What the ID token must meet: what was asked for this login, else what the configuration asks for every one.
///
/// The shorter `max_age` counts. `acr` has no order that could be known here, so this login's replace the configured ones: what a
/// session must have been signed in with is a route's business.
pub(super) fn demanded(settings: &ProviderSettings, asked: &Asked) -> (Option<u64>, Vec<String>) {
    let configured = |name: &str| settings.authorize_params.get(name).map(String::as_str);
    let max_age = [asked.max_age, configured("max_age").and_then(|text| text.parse().ok())].into_iter().flatten().min();
    let acr_values = if asked.acr_values.is_empty() {
        configured("acr_values")
            .unwrap_or_default()
            .split(' ')
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect()
    } else {
        asked.acr_values.clone()
    };
    (max_age, acr_values)
}

/// `openid` first, then what is configured, each once.
fn scopes(settings: &ProviderSettings) -> impl Iterator<Item = &str> {
    std::iter::once("openid").chain(settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid"))
}

/// Configured parameters, those of this login over them, and protocol parameters in neither.
fn further<'a>(settings: &'a ProviderSettings, asked: &'a Asked) -> BTreeMap<&'a str, Cow<'a, str>> {
    let mut parameters: BTreeMap<&str, Cow<'_, str>> =
        settings.authorize_params.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str()))).collect();
    let (max_age, acr_values) = demanded(settings, asked);
    let of_this_login = [
        ("prompt", asked.prompt.as_deref().map(Cow::Borrowed)),
        ("login_hint", asked.login_hint.as_deref().map(Cow::Borrowed)),
        ("ui_locales", asked.ui_locales.as_deref().map(Cow::Borrowed)),
        ("max_age", max_age.map(|seconds| Cow::Owned(seconds.to_string()))),
        ("acr_values", (!acr_values.is_empty()).then(|| Cow::Owned(acr_values.join(" ")))),
    ];
    parameters.extend(of_this_login.into_iter().filter_map(|(name, value)| Some((name, value?))));
    parameters.retain(|name, _| !PROTOCOL_PARAMETERS.contains(name));
    parameters
}

/// Parameters of the authorization request that only the gateway itself may set: `authorize_params` must not name them.
pub const PROTOCOL_PARAMETERS: [&str; 14] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{SystemRandom, Timestamp};
    use crate::oidc::tests::settings;

    /// LOGIN-22: protocol parameters keep the gateway's values, even if the configuration were to name them.
    #[test]
    fn protocol_parameters_are_not_replaced() {
        let mut settings = settings("https://id.example.com");
        settings.authorize_params = PROTOCOL_PARAMETERS.map(|name| (name.to_owned(), "evil".to_owned())).into();
        let document = serde_json::json!({
            "issuer": "https://id.example.com", "authorization_endpoint": "https://id.example.com/authorize",
            "token_endpoint": "https://id.example.com/token", "jwks_uri": "https://id.example.com/jwks",
        });
        let metadata = Metadata::parse(document.to_string().as_bytes(), &settings.issuer, false).unwrap();
        let now = Timestamp::from_unix_seconds(0);
        let attempt = LoginAttempt::new(&settings, "/".to_owned(), Asked::default(), now, &SystemRandom);
        let url = url(&settings, &metadata, &attempt).unwrap();
        assert!(!url.as_str().contains("evil"), "{url}");
        assert_eq!(url.query_pairs().count(), 8);
    }
}

//! Requests to the token endpoint, and what an answer is made of (RFC 6749 sections 4.1.3, 5, 6).
//!
//! Never retries (a code or refresh token is good once), and never quotes an answer.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AccessToken, AsyncHttpClient, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, RefreshToken,
    RequestTokenError, Scope, StandardRevocableToken, TokenUrl,
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use url::Url;

use super::Inner;
use super::client::{ProviderClient, Wanted};
use super::discovery::Metadata;
use super::error::{Endpoint, Nonsense, ProviderError};
use super::settings::ProviderSettings;
use crate::base::Secret;

/// What the token endpoint gave.
#[derive(Clone)]
pub struct TokenAnswer {
    /// For the provider's own resources, and for upstreams where that is configured.
    pub access_token: Secret<String>,
    /// How long it lives; the configured lifetime where the provider sent nothing usable.
    pub expires_in: Duration,
    /// The next refresh token. `None` at a refresh: the one that was sent stays good (RFC 6749 section 6).
    pub refresh_token: Option<Secret<String>>,
    /// Not yet judged.
    pub id_token: Option<Secret<String>>,
    /// The granted scope. `None`: as asked, or at a refresh as before (RFC 6749 section 5.1).
    pub scope: Option<String>,
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// The OAuth client without any endpoint.
pub(super) type OAuthClient = oauth2::Client<
    BasicErrorResponse,
    TokenFields,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// A request to the token endpoint, up to what is asked there.
pub(super) struct TokenRequest<'a> {
    pub(super) client: oauth2::Client<
        BasicErrorResponse,
        TokenFields,
        BasicTokenIntrospectionResponse,
        StandardRevocableToken,
        BasicRevocationErrorResponse,
        EndpointNotSet,
        EndpointNotSet,
        EndpointNotSet,
        EndpointNotSet,
        EndpointSet,
    >,
    /// What it carries besides: the resource, and what proves that it is us.
    pub(super) parameters: Vec<(&'static str, String)>,
    pub(super) transport: Transport<'a>,
}

impl Inner {
    pub(super) fn token_request<'a>(&'a self, metadata: &'a Metadata) -> Result<TokenRequest<'a>, ProviderError> {
        let proof = self.authenticate(metadata)?;
        let resource = self.settings.resource.clone().map(|resource| ("resource", resource));
        let url = &metadata.token_endpoint;
        Ok(TokenRequest {
            client: proof.client.set_token_uri(TokenUrl::from_url(url.clone())),
            parameters: resource.into_iter().chain(proof.parameters).collect(),
            transport: Transport { client: &self.client, endpoint: Endpoint::Token, url, wanted: Wanted::Json },
        })
    }
}

/// Carries the crate's requests to `url`, the one that has been checked.
///
/// A type of its own and not a closure: a task that is spawned has to be `Send`, and of a closure the compiler cannot tell.
pub(super) struct Transport<'a> {
    pub(super) client: &'a ProviderClient,
    pub(super) endpoint: Endpoint,
    pub(super) url: &'a Url,
    pub(super) wanted: Wanted,
}

impl<'c> AsyncHttpClient<'c> for Transport<'_> {
    type Error = ProviderError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ProviderError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.client.call(self.endpoint, self.url, request, self.wanted).await?;
            Ok(HttpResponse::new(answer.body.expose().clone()))
        })
    }
}

/// Drops everything the crate says about an answer: its parse error holds the whole body.
pub(super) fn outcome<T, E>(
    endpoint: Endpoint,
    result: Result<T, RequestTokenError<ProviderError, E>>,
) -> Result<T, ProviderError>
where
    E: oauth2::ErrorResponse + 'static,
{
    result.map_err(|error| match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            ProviderError::Answer { endpoint, nonsense: Nonsense::Shape("not a token answer") }
        }
    })
}

/// The members of a token answer. Strict about what is trusted, tolerant about what is only advice.
#[derive(Deserialize)]
pub(super) struct TokenFields {
    access_token: AccessToken,
    token_type: TokenType,
    expires_in: Option<Value>,
    refresh_token: Option<RefreshToken>,
    id_token: Option<String>,
    scope: Option<Value>,
}

impl TokenFields {
    /// # Errors
    /// When the tokens are of a type that is not understood, or empty.
    pub(super) fn accept(self, settings: &ProviderSettings) -> Result<TokenAnswer, ProviderError> {
        let unusable = |what| ProviderError::Answer { endpoint: Endpoint::Token, nonsense: Nonsense::Shape(what) };
        if !self.token_type.0.eq_ignore_ascii_case("bearer") {
            return Err(unusable("`token_type` is not Bearer"));
        }
        if self.access_token.secret().is_empty() {
            return Err(unusable("`access_token` is empty"));
        }
        let secret = |text: String| (!text.is_empty()).then(|| Secret::new(text));
        Ok(TokenAnswer {
            access_token: Secret::new(self.access_token.into_secret()),
            expires_in: self.expires_in.as_ref().and_then(lifetime).unwrap_or(settings.access_token_lifetime),
            refresh_token: self.refresh_token.map(RefreshToken::into_secret).and_then(secret),
            id_token: self.id_token.and_then(secret),
            scope: self.scope.as_ref().and_then(scope),
        })
    }
}

impl oauth2::TokenResponse for TokenFields {
    type TokenType = TokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &TokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.as_ref().and_then(lifetime)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl fmt::Debug for TokenFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFields").finish_non_exhaustive()
    }
}

/// The crate wants a token answer to serialise. Nobody may write one down.
impl Serialize for TokenFields {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("token answers are not written"))
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct TokenType(String);

impl oauth2::TokenType for TokenType {}

/// `None` for everything that cannot be a lifetime: then the configured one is assumed.
fn lifetime(value: &Value) -> Option<Duration> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float saturates, and the range is looked at"
    )]
    let seconds = value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64))?;
    (1..=LONGEST_SECONDS).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// A string, or an array of strings as a few providers have it.
fn scope(value: &Value) -> Option<String> {
    match value {
        Value::String(scope) => Some(scope.clone()),
        Value::Array(scopes) => {
            scopes.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|scopes| scopes.join(" "))
        }
        _ => None,
    }
}

/// Ten years: beyond it is a mistake of units, or a way to say "for ever", which no token is.
const LONGEST_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::tests::settings;

    fn accept(changes: Value) -> Result<TokenAnswer, ProviderError> {
        let mut fields = json!({"access_token": "a", "token_type": "Bearer", "expires_in": 300});
        for (name, value) in changes.as_object().unwrap() {
            fields[name] = value.clone();
        }
        let fields: TokenFields = serde_json::from_value(fields).unwrap();
        fields.accept(&settings("https://id.example.com"))
    }

    /// TOK-14: whatever cannot be a lifetime becomes the configured one, and never an error.
    #[test]
    fn odd_lifetimes_become_the_configured_one() {
        let default = settings("https://id.example.com").access_token_lifetime;
        for (value, expected) in [
            (json!(300), Duration::from_secs(300)),
            (json!(300.7), Duration::from_secs(300)),
            (json!(null), default),
            (json!(0), default),
            (json!(0.5), default),
            (json!(-1), default),
            (json!("3600"), default),
            (json!(9_007_199_254_740_992_u64), default),
            (json!(1e300), default),
            (json!([3600]), default),
            (json!({}), default),
            (json!(true), default),
        ] {
            assert_eq!(accept(json!({ "expires_in": value })).unwrap().expires_in, expected, "{value}");
        }
    }

    /// TOK-15: `token_type` in any case, and no other type.
    #[test]
    fn only_bearer_tokens() {
        for (name, good) in [("Bearer", true), ("bEARER", true), ("mac", false), ("DPoP", false), ("", false)] {
            assert_eq!(accept(json!({ "token_type": name })).is_ok(), good, "{name}");
        }
    }

    /// REF-07: no refresh token, an empty one and `null` all mean "keep the one you have".
    #[test]
    fn absent_refresh_tokens_are_none() {
        for value in [json!(null), json!("")] {
            assert!(accept(json!({ "refresh_token": value })).unwrap().refresh_token.is_none());
        }
        assert!(accept(json!({})).unwrap().refresh_token.is_none());
        assert_eq!(accept(json!({"refresh_token": "r"})).unwrap().refresh_token.unwrap().expose(), "r");
    }

    /// LOGIN-19: a narrowed scope is recorded.
    #[test]
    fn the_granted_scope_is_recorded() {
        assert_eq!(accept(json!({})).unwrap().scope, None);
        assert_eq!(accept(json!({"scope": "openid"})).unwrap().scope.as_deref(), Some("openid"));
        assert_eq!(accept(json!({"scope": ["openid", "email"]})).unwrap().scope.as_deref(), Some("openid email"));
    }

    #[test]
    fn an_answer_is_neither_printed_nor_written() {
        let fields: TokenFields =
            serde_json::from_value(json!({"access_token": "s3", "token_type": "Bearer"})).unwrap();
        assert!(serde_json::to_string(&fields).is_err());
        assert_eq!(format!("{fields:?}"), "TokenFields { .. }");
        assert!(accept(json!({"access_token": ""})).is_err());
    }
}

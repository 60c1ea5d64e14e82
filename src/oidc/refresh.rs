//! New tokens for an old session (RFC 6749 section 6, OpenID Connect Core section 12).
//!
//! Never decides when, by whom or whether again: leases and sessions live elsewhere.

use oauth2::RefreshToken;

use super::Provider;
use super::error::{Endpoint, ProviderError};
use super::grant::{self, TokenAnswer, TokenRequest};
use super::id_token::{Expectations, IdToken, Nonce, Original};
use crate::base::{Secret, Timestamp};

impl Provider {
    /// Presents a refresh token at the token endpoint of its provider, once. The caller stores what comes back before anything else.
    ///
    /// # Errors
    /// [`ProviderError::is_invalid_grant`]: it is no longer good. [`ProviderError::is_temporary`]: nothing is known; the session stays.
    pub async fn refresh(&self, refresh_token: &Secret<String>) -> Result<TokenAnswer, ProviderError> {
        let inner = &self.0;
        let metadata = inner.metadata().await?;
        let TokenRequest { client, parameters, transport } = inner.token_request(&metadata.value)?;
        let refresh_token = RefreshToken::new(refresh_token.expose().clone());
        let request =
            parameters.into_iter().fold(client.exchange_refresh_token(&refresh_token), |request, (name, value)| {
                request.add_extra_param(name, value)
            });
        grant::outcome(Endpoint::Token, request.request_async(&transport).await)?.accept(&inner.settings)
    }

    /// Verifies and judges the ID token that came with a refresh; `None` when none came, which is allowed.
    ///
    /// `nonce` is the one of the login, if the session still knows it: a refreshed token may only repeat that one.
    ///
    /// # Errors
    /// [`ProviderError::is_verdict`]: it does not hold, and the session must end. Anything else: the keys cannot be fetched, and the
    /// session goes on with its old claims.
    pub async fn verify_refreshed(
        &self,
        answer: &TokenAnswer,
        original: Original<'_>,
        nonce: Option<&Secret<String>>,
        now: Timestamp,
    ) -> Result<Option<IdToken>, ProviderError> {
        let Some(id_token) = &answer.id_token else { return Ok(None) };
        let settings = &self.0.settings;
        let expected = Expectations {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            nonce: Nonce::AbsentOrExactly(nonce),
            now,
            skew: settings.clock_skew,
            // Freshness and strength were judged at the login, and a refresh is no authentication.
            max_age: None,
            acr_values: &[],
            access_token: Some(&answer.access_token),
            original: Some(original),
        };
        self.0.judged(id_token, &expected).await.map(Some)
    }
}

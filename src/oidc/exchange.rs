//! From a code to a person: redeem it, verify the ID token, take the claims.
//!
//! Never redeems a code at another provider than the one its login began at, and never believes an unverified token.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use oauth2::{AuthorizationCode, PkceCodeVerifier, RedirectUrl};
use serde_json::{Map, Value};

use super::attempt::LoginAttempt;
use super::error::{Endpoint, ProviderError};
use super::grant::{self, TokenAnswer, TokenRequest};
use super::id_token::{Expectations, IdToken, IdTokenError, Nonce, judge};
use super::response::AuthorizationResponse;
use super::{Inner, Provider, authorize, claims};
use crate::base::{Secret, Timestamp};
use crate::jose::{Expect, Typ};

impl Provider {
    /// Checks `iss` of an authorization response (RFC 9207), before its code or error is looked at.
    ///
    /// # Errors
    /// When it is another issuer's, or missing though announced; or when the metadata cannot be had.
    pub async fn check_response(&self, response: &AuthorizationResponse) -> Result<(), ProviderError> {
        let metadata = self.0.metadata().await?;
        Ok(response.check_iss(&self.0.settings.issuer, metadata.value.announces_iss)?)
    }

    /// Redeems a code (RFC 6749 section 4.1.3) with the attempt's PKCE verifier. One request: a code is good once.
    ///
    /// # Errors
    /// [`ProviderError::OtherProvider`] before anything is sent; [`ProviderError::is_invalid_grant`] when the code is no good.
    pub async fn exchange(&self, code: &Secret<String>, attempt: &LoginAttempt) -> Result<TokenAnswer, ProviderError> {
        let inner = &self.0;
        inner.check_attempt(attempt)?;
        let metadata = inner.metadata().await?;
        let TokenRequest { client, parameters, transport } = inner.token_request(&metadata.value)?;
        let request = client
            .exchange_code(AuthorizationCode::new(code.expose().clone()))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(inner.settings.redirect_uri.clone())))
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.expose().clone()));
        let request =
            parameters.into_iter().fold(request, |request, (name, value)| request.add_extra_param(name, value));
        grant::outcome(Endpoint::Token, request.request_async(&transport).await)?.accept(&inner.settings)
    }

    /// Verifies and judges the ID token of a login: signature, issuer, audience, times, nonce, `at_hash`, and what was demanded.
    ///
    /// # Errors
    /// [`ProviderError::IdToken`] says which rule it breaks.
    pub async fn verify_id_token(
        &self,
        answer: &TokenAnswer,
        attempt: &LoginAttempt,
        now: Timestamp,
    ) -> Result<IdToken, ProviderError> {
        let inner = &self.0;
        inner.check_attempt(attempt)?;
        let id_token = answer.id_token.as_ref().ok_or(IdTokenError::Absent)?;
        let (max_age, acr_values) = authorize::demanded(&inner.settings, &attempt.asked);
        let expected = Expectations {
            issuer: &inner.settings.issuer,
            client_id: &inner.settings.client_id,
            nonce: Nonce::Exactly(&attempt.nonce),
            now,
            skew: inner.settings.clock_skew,
            max_age: max_age.map(Duration::from_secs),
            acr_values: &acr_values,
            access_token: Some(&answer.access_token),
            original: None,
        };
        inner.judged(id_token, &expected).await
    }

    /// The claims that a session keeps: those of the ID token, with the userinfo endpoint's over them where that is configured,
    /// under the names that are configured.
    ///
    /// # Errors
    /// [`ProviderError::OtherSubject`] ends the login; so does more than a session may hold.
    pub async fn claims(
        &self,
        id_token: &IdToken,
        access_token: &Secret<String>,
    ) -> Result<Map<String, Value>, ProviderError> {
        let mut all = id_token.claims.clone();
        if self.0.settings.userinfo {
            claims::overlay(&mut all, self.userinfo(access_token, &id_token.sub).await?);
        }
        claims::kept(&all, &id_token.sub, &self.0.settings.claims)
    }

    /// The claims that a session keeps after a refresh: taken anew with the ID token that came along; without one, those of the userinfo
    /// endpoint over the old, or the old alone.
    ///
    /// # Errors
    /// As for [`Self::claims`]. Unless it is a verdict ([`ProviderError::is_verdict`]) the old claims stay good.
    pub async fn refreshed_claims(
        &self,
        id_token: Option<&IdToken>,
        sub: &str,
        access_token: &Secret<String>,
        before: &Map<String, Value>,
    ) -> Result<Map<String, Value>, ProviderError> {
        if let Some(id_token) = id_token {
            return self.claims(id_token, access_token).await;
        }
        let mut after = before.clone();
        if self.0.settings.userinfo {
            let userinfo = self.userinfo(access_token, sub).await?;
            after.extend(claims::kept(&userinfo, sub, &self.0.settings.claims)?);
        }
        Ok(after)
    }
}

impl Inner {
    /// LOGIN-12: name and issuer, because a name may have been given to another provider since.
    fn check_attempt(&self, attempt: &LoginAttempt) -> Result<(), ProviderError> {
        if attempt.provider == self.settings.name && attempt.issuer == self.settings.issuer {
            Ok(())
        } else {
            Err(ProviderError::OtherProvider)
        }
    }

    pub(super) async fn judged(
        self: &Arc<Self>,
        id_token: &Secret<String>,
        expected: &Expectations<'_>,
    ) -> Result<IdToken, ProviderError> {
        let metadata = self.metadata().await?;
        let accepted =
            Expect { algorithms: &metadata.value.algorithms, typ: Typ::Generic(&[]), max_bytes: ID_TOKEN_BYTES };
        let verified = self.verified(id_token.expose(), &accepted).await?.map_err(IdTokenError::Unverified)?;
        Ok(judge(&verified, expected)?)
    }
}

/// Group lists make ID tokens long; this is longer than any that fits into a logout request.
const ID_TOKEN_BYTES: usize = 64 * 1024;

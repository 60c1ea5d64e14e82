//! The provider's claims endpoint (OpenID Connect Core section 5.3).
//!
//! Never believes an answer about another subject, and never follows a URL inside the claims.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use serde_json::{Map, Value};

use super::Provider;
use super::client::{Answer, Wanted};
use super::error::{Endpoint, Nonsense, ProviderError};
use super::typed;
use crate::base::Secret;
use crate::jose::{Expect, Typ};

impl Provider {
    /// The claims that the access token opens, which must be those of `sub`.
    ///
    /// # Errors
    /// [`ProviderError::OtherSubject`] when they are somebody else's.
    pub async fn userinfo(
        &self,
        access_token: &Secret<String>,
        sub: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let inner = &self.0;
        let metadata = inner.metadata().await?;
        let Some(url) = &metadata.value.userinfo_endpoint else {
            return Err(ProviderError::Unsupported("a userinfo endpoint, which is configured"));
        };
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", access_token.expose())).map_err(|_| ProviderError::Answer {
                endpoint: Endpoint::Token,
                nonsense: Nonsense::Shape("an access token of odd characters"),
            })?;
        bearer.set_sensitive(true);
        let mut request = Request::new(Vec::new());
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let answer = inner.client.call(Endpoint::Userinfo, url, request, Wanted::JsonOrJwt).await?;
        let claims = if answer.is_jwt { self.signed(&answer).await? } else { plain(&answer)? };
        // Compared before anything else in it is used (section 5.3.2): the tokens could have been swapped.
        match typed::text(&claims, "sub") {
            Ok(Some(found)) if found == sub => Ok(claims),
            _ => Err(ProviderError::OtherSubject),
        }
    }

    async fn signed(&self, answer: &Answer) -> Result<Map<String, Value>, ProviderError> {
        let inner = &self.0;
        let token = std::str::from_utf8(answer.body.expose()).map_err(|_| unusable("not a JWT"))?;
        let metadata = inner.metadata().await?;
        let accepted =
            Expect { algorithms: &metadata.value.algorithms, typ: Typ::Generic(&[]), max_bytes: TOKEN_BYTES };
        let verified = inner.verified::<Map<String, Value>>(token.trim(), &accepted).await?;
        let claims = verified.map_err(ProviderError::SignedUserinfo)?.into_claims();
        // Section 5.3.2 asks for both in a signed answer; without them it could be one that was made for another client.
        if !matches!(typed::text(&claims, "iss"), Ok(Some(iss)) if iss == inner.settings.issuer) {
            return Err(unusable("a signed answer of another issuer"));
        }
        if !typed::audience(&claims).is_ok_and(|audience| audience.contains(&inner.settings.client_id.as_str())) {
            return Err(unusable("a signed answer for another client"));
        }
        Ok(claims)
    }
}

fn plain(answer: &Answer) -> Result<Map<String, Value>, ProviderError> {
    serde_json::from_slice(answer.body.expose()).map_err(|_| unusable("not an object of claims"))
}

fn unusable(what: &'static str) -> ProviderError {
    ProviderError::Answer { endpoint: Endpoint::Userinfo, nonsense: Nonsense::Shape(what) }
}

const TOKEN_BYTES: usize = 256 * 1024;

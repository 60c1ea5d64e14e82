//! Telling the provider that a session is over: the browser's last visit there, and the revocation of its tokens.
//!
//! Never keeps a session alive because the provider cannot be told: it is gone here first.

use std::fmt;

use oauth2::{AccessToken, RefreshToken, RevocationUrl, StandardRevocableToken};
use url::Url;

use super::Provider;
use super::client::Wanted;
use super::error::{Endpoint, ProviderError};
use super::grant;
use crate::base::Secret;

/// How the browser goes to the end-session endpoint (OpenID Connect RP-Initiated Logout 1.0).
#[derive(Clone, PartialEq, Eq)]
pub enum EndSession {
    /// By a redirect.
    Redirect(Url),
    /// By a form that posts itself: the URL would be too long for what stands in between.
    Post {
        /// Where to.
        action: Url,
        /// Names and values of its hidden fields.
        fields: Vec<(&'static str, String)>,
    },
}

impl fmt::Debug for EndSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redirect(_) => "Redirect",
            Self::Post { .. } => "Post",
        })
    }
}

/// What kind of token is revoked (RFC 7009 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token; most providers end its access tokens with it.
    Refresh,
}

impl Provider {
    /// Where to send the browser after its session has ended here. `None` when the provider has no such place, or it is switched off.
    ///
    /// # Errors
    /// When the provider's metadata cannot be had.
    pub async fn end_session(
        &self,
        id_token_hint: Option<&Secret<String>>,
        post_logout_redirect_uri: &Url,
        state: &str,
    ) -> Result<Option<EndSession>, ProviderError> {
        let settings = &self.0.settings;
        if !settings.logout.rp_initiated {
            return Ok(None);
        }
        let metadata = self.0.metadata().await?;
        let Some(endpoint) = &metadata.value.end_session_endpoint else { return Ok(None) };
        let mut fields = Vec::with_capacity(4);
        if let Some(hint) = id_token_hint {
            fields.push(("id_token_hint", hint.expose().clone()));
        }
        fields.push(("client_id", settings.client_id.clone()));
        fields.push(("post_logout_redirect_uri", post_logout_redirect_uri.as_str().to_owned()));
        fields.push(("state", state.to_owned()));
        Ok(Some(end_session(endpoint, fields)))
    }

    /// Revokes a token (RFC 7009). `false` when the provider has no endpoint for that.
    ///
    /// # Errors
    /// When it cannot be reached or refuses. Nothing depends on it: the session has ended before.
    pub async fn revoke(&self, token: &Secret<String>, kind: TokenKind) -> Result<bool, ProviderError> {
        let inner = &self.0;
        let metadata = inner.metadata().await?;
        let Some(url) = &metadata.value.revocation_endpoint else { return Ok(false) };
        let token: StandardRevocableToken = match kind {
            TokenKind::Access => AccessToken::new(token.expose().clone()).into(),
            TokenKind::Refresh => RefreshToken::new(token.expose().clone()).into(),
        };
        let proof = inner.authenticate(&metadata.value)?;
        let client = proof.client.set_revocation_url(RevocationUrl::from_url(as_https(url)));
        let mut request =
            client.revoke_token(token).map_err(|_| ProviderError::Bug("a revocation URL that is not https"))?;
        for (name, value) in proof.parameters {
            request = request.add_extra_param(name, value);
        }
        let transport =
            grant::Transport { client: &inner.client, endpoint: Endpoint::Revocation, url, wanted: Wanted::Status };
        grant::outcome(Endpoint::Revocation, request.request_async(&transport).await)?;
        Ok(true)
    }
}

fn end_session(endpoint: &Url, fields: Vec<(&'static str, String)>) -> EndSession {
    let mut url = endpoint.clone();
    url.query_pairs_mut().extend_pairs(&fields);
    if url.as_str().len() <= LONGEST_URL {
        EndSession::Redirect(url)
    } else {
        EndSession::Post { action: endpoint.clone(), fields }
    }
}

/// The crate builds no request for a plain revocation URL, not even on loopback. It only builds: where the request goes, and whether
/// http is allowed there, the transport decides by the real URL.
fn as_https(url: &Url) -> Url {
    let mut https = url.clone();
    // Cannot fail between two special schemes; if it did, the crate would refuse, and so would we.
    let _ = https.set_scheme("https");
    https
}

/// Every browser, proxy and server takes a URL of this length; not every one takes more.
const LONGEST_URL: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(hint: usize) -> Vec<(&'static str, String)> {
        vec![("id_token_hint", "h".repeat(hint)), ("client_id", "a&b c".to_owned()), ("state", "s".to_owned())]
    }

    /// LOGOUT-15: a URL that would be too long becomes a form.
    #[test]
    fn long_urls_become_forms() {
        let endpoint = Url::parse("https://id.example.com/logout?tenant=a").unwrap();
        let EndSession::Redirect(url) = end_session(&endpoint, fields(10)) else { panic!("a short one") };
        assert_eq!(
            url.as_str(),
            "https://id.example.com/logout?tenant=a&id_token_hint=hhhhhhhhhh&client_id=a%26b+c&state=s"
        );
        let EndSession::Post { action, fields } = end_session(&endpoint, fields(12 * 1024)) else {
            panic!("a long one")
        };
        assert_eq!(action, endpoint);
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn the_hint_is_not_printed() {
        let endpoint = Url::parse("https://id.example.com/logout").unwrap();
        assert_eq!(format!("{:?}", end_session(&endpoint, fields(10))), "Redirect");
    }
}

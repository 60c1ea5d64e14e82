//! OpenID providers: discovery, keys, the code flow, refresh and logout, and the only client that talks to them.
//!
//! Never keeps a session, decides about a request, or lets a code, token or provider's body into an error or a log.

mod attempt;
mod authenticate;
mod authorize;
mod cached;
mod claims;
mod client;
mod discovery;
mod error;
mod exchange;
mod grant;
mod id_token;
mod keys;
mod logout;
mod logout_token;
mod refresh;
mod response;
pub mod settings;
mod typed;
#[cfg(any(test, feature = "testing"))]
pub mod unasked;
mod userinfo;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use url::Url;

pub use attempt::{Asked, LoginAttempt};
pub use authorize::PROTOCOL_PARAMETERS;
pub use discovery::Metadata;
pub use error::{Endpoint, Nonsense, Outage, ProviderError};
pub use grant::TokenAnswer;
pub use id_token::{Expectations, IdClaims, IdToken, IdTokenError, Nonce, Original, judge};
pub use logout::{EndSession, TokenKind};
pub use logout_token::{LogoutToken, LogoutTokenError};
pub use response::{AuthorizationResponse, Outcome, ResponseError};
pub use settings::{ClientAuth, ClientCredential, LogoutSettings, ProviderSettings, ResponseMode};
pub use typed::ClaimError;

use crate::base::{Clock, Random, Timestamp};
use cached::{Cached, Kept};
use client::ProviderClient;
use keys::Keys;

/// One provider. Clones share everything.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    settings: ProviderSettings,
    /// Where the metadata is.
    discovery: Url,
    client: ProviderClient,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metadata: Arc<Cached<Metadata>>,
    keys: Keys,
}

/// Whether what is sent there stays on the browser's own machine (RFC 8252 section 7.3), so that http will do.
fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Provider {
    /// Takes the settings in. Never touches the network: a provider that is down does not keep the gateway from starting.
    ///
    /// # Errors
    /// When the settings cannot work: an issuer that is no acceptable URL, no credentials, protocol parameters in
    /// `authorize_params`, an unreadable `ca` file.
    pub fn new(
        settings: ProviderSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ProviderError> {
        let discovery = discovery::document_url(&settings.issuer, settings.allow_http)?;
        let wrong = |what: &str| Err(ProviderError::Settings(what.into()));
        if settings.client_id.is_empty() {
            return wrong("`client_id` must not be empty");
        }
        authenticate::check(&settings)?;
        if settings.redirect_uri.scheme() != "https"
            && !(settings.redirect_uri.scheme() == "http"
                && (settings.allow_http || is_loopback(&settings.redirect_uri)))
        {
            return wrong("the redirect URI must be https");
        }
        if let Some(name) = settings.authorize_params.keys().find(|name| PROTOCOL_PARAMETERS.contains(&name.as_str())) {
            return wrong(&format!("`authorize_params` must not set `{name}`, which belongs to the protocol"));
        }
        let client = ProviderClient::new(&settings)?;
        let metadata = Cached::new(Arc::clone(&clock));
        let keys = Keys::new(Arc::clone(&clock));
        Ok(Self(Arc::new(Inner { settings, discovery, client, clock, random, metadata, keys })))
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.settings.name
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &ProviderSettings {
        &self.0.settings
    }

    /// What is known of it without asking.
    #[must_use]
    pub fn status(&self) -> ProviderStatus {
        let (metadata, keys) = (&self.0.metadata, self.0.keys.cached());
        ProviderStatus {
            metadata: metadata.last_good().map(|kept| kept.fetched),
            keys: keys.last_good().map(|kept| kept.fetched),
            trouble: metadata.last_error().or_else(|| keys.last_error()),
        }
    }

    /// Fetches metadata and keys ahead of the first login. Nothing depends on it.
    ///
    /// # Errors
    /// When either cannot be had now; both are fetched again when they are needed.
    pub async fn warm(&self) -> Result<(), ProviderError> {
        self.0.metadata().await?;
        let inner = &self.0;
        let fetch = || Arc::clone(inner).fetch_keys();
        inner.keys.cached().current(fetch).await.map(drop)
    }

    /// What it says about itself; asked for when nothing is known yet.
    ///
    /// # Errors
    /// When nothing is known and it cannot be asked, or is not the configured issuer.
    pub async fn metadata(&self) -> Result<Metadata, ProviderError> {
        Ok(self.0.metadata().await?.value.clone())
    }

    /// Begins a login here: fresh state, nonce and PKCE verifier.
    #[must_use]
    pub fn begin(&self, return_to: String, asked: Asked, now: Timestamp) -> LoginAttempt {
        LoginAttempt::new(&self.0.settings, return_to, asked, now, &*self.0.random)
    }

    /// Where to send the browser for `attempt`.
    ///
    /// # Errors
    /// When the provider's metadata cannot be had, or is not the configured issuer's: nobody is sent anywhere then.
    pub async fn authorization_url(&self, attempt: &LoginAttempt) -> Result<Url, ProviderError> {
        let metadata = self.0.metadata().await?;
        authorize::url(&self.0.settings, &metadata.value, attempt)
    }
}

impl Inner {
    async fn metadata(self: &Arc<Self>) -> Result<Arc<Kept<Metadata>>, ProviderError> {
        let fetch = || {
            let inner = Arc::clone(self);
            async move { inner.fetch_metadata().await }
        };
        self.metadata.current(fetch).await
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.0.settings.name).finish_non_exhaustive()
    }
}

/// What is known of a provider, for operators.
#[derive(Clone, Debug)]
pub struct ProviderStatus {
    /// When its metadata was last read.
    pub metadata: Option<Timestamp>,
    /// When its keys were last read.
    pub keys: Option<Timestamp>,
    /// Why the last attempt to read either failed; `None` when it worked.
    pub trouble: Option<ProviderError>,
}

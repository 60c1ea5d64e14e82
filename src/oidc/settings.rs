//! What is known about a provider before it is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::base::Secret;
use crate::jose::SigningKey;

/// How the gateway authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// `private_key_jwt` with a key; with a secret `client_secret_basic`, unless the metadata only offers `client_secret_post`.
    #[default]
    Auto,
    /// RFC 6749 section 2.3.1, form-encoded, in the `Authorization` header.
    SecretBasic,
    /// In the form.
    SecretPost,
    /// An assertion that our key signs (RFC 7523 section 3, OpenID Connect Core section 9).
    PrivateKeyJwt,
}

/// What proves to the provider that it is us.
#[derive(Clone, Debug)]
pub enum ClientCredential {
    /// A secret that both know.
    Secret(Secret<String>),
    /// One private key, once for each algorithm that it may sign with: the best first, the most widespread last.
    Key(Arc<[SigningKey]>),
}

/// How the authorization response comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResponseMode {
    /// As query parameters.
    #[default]
    Query,
    /// As a cross-site form POST.
    FormPost,
}

/// Which kinds of logout take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutSettings {
    /// Send the browser to the provider's end-session endpoint.
    pub rp_initiated: bool,
    /// Let the provider end sessions by a logout token.
    pub back_channel: bool,
    /// Let the provider end sessions by a framed page.
    pub front_channel: bool,
    /// Where people land after logout; the `signed_out` page when `None`. A path, or a URL of a public origin.
    pub return_to: Option<String>,
}

impl Default for LogoutSettings {
    fn default() -> Self {
        Self { rp_initiated: true, back_channel: true, front_channel: true, return_to: None }
    }
}

/// One provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The configured name.
    pub name: Arc<str>,
    /// Exact, as configured: discovery is relative to it, and the metadata's `issuer` must be equal byte for byte.
    pub issuer: String,
    /// Whether http is allowed for the issuer and its endpoints (loopback, or `development`).
    pub allow_http: bool,
    /// Trust these roots (a PEM file) as well as the system's.
    pub ca: Option<PathBuf>,
    /// Our name there.
    pub client_id: String,
    /// Our secret or key there.
    pub credential: ClientCredential,
    /// How it is used.
    pub client_auth: ClientAuth,
    /// `openid` among them, always.
    pub scopes: Vec<String>,
    /// Query or form post.
    pub response_mode: ResponseMode,
    /// Merge the claims of the userinfo endpoint.
    pub userinfo: bool,
    /// Name in Vestibule = dotted path in the provider's claims.
    pub claims: BTreeMap<String, String>,
    /// Further parameters of the authorization request.
    pub authorize_params: BTreeMap<String, String>,
    /// RFC 8707.
    pub resource: Option<String>,
    /// Refresh on use when less than this is left, never more than half of the access token's life.
    pub refresh_ahead: Duration,
    /// Assumed where the provider sends no (usable) `expires_in`.
    pub access_token_lifetime: Duration,
    /// Allowance when its times are judged; 60 s at most by default.
    pub clock_skew: Duration,
    /// Which kinds of logout take part.
    pub logout: LogoutSettings,
    /// `https://app.example.com/oauth2/callback`, from the configuration alone.
    pub redirect_uri: Url,
}

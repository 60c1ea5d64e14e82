//! `[providers.*]` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::upstream::TrustFile;
use crate::config::value::{SecretSource, Span};

/// An OpenID provider. Its name is in the admin API, the metrics and the identity token's `provider`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderFile {
    /// **Required.** Exactly as the provider writes it: discovery is relative to it, and its metadata must say the same. `http://` as for
    /// `public_url`.
    #[schemars(extend("examples" = ["https://id.example.com/realms/staff"]))]
    pub issuer: Option<String>,
    /// Which roots its certificate may come from.
    pub tls: Option<TrustFile>,
    /// **Required.** Vestibule's name at the provider.
    #[schemars(extend("examples" = ["portal"]))]
    pub client_id: Option<String>,
    /// **Required without `client_key`.** Vestibule's secret at the provider.
    pub client_secret: Option<SecretSource>,
    /// In the place of a secret: the private key whose public half is registered at the provider, as JWK or PEM. EC on P-256 or P-384,
    /// Ed25519, or RSA of at least 2048 bits. The `kid` of assertions is that of the JWK, or else the key's thumbprint (RFC 7638).
    #[schemars(extend("examples" = [{"file": "/run/secrets/portal.jwk"}]))]
    pub client_key: Option<SecretSource>,
    /// How Vestibule authenticates at the token endpoint: one way per request, checked against the provider's metadata.
    #[schemars(extend("default" = "auto"))]
    pub client_auth: Option<ClientAuthName>,
    /// What is asked for. `openid` always is.
    #[schemars(extend("default" = ["openid", "profile", "email"], "examples" = [["openid", "profile", "email", "offline_access"]]))]
    pub scopes: Option<Vec<String>>,
    /// How the answer to a login comes back.
    #[schemars(extend("default" = "query"))]
    pub response_mode: Option<ResponseModeName>,
    /// Merges the claims of the userinfo endpoint into those of the ID token.
    #[schemars(extend("default" = false))]
    pub userinfo: Option<bool>,
    /// Name in Vestibule = dotted path in the provider's claims.
    #[schemars(extend("default" = {}, "examples" = [{"groups": "realm_access.roles"}]))]
    pub claims: Option<BTreeMap<String, String>>,
    /// Further parameters of the authorization request; those of the protocol itself are refused.
    #[schemars(extend("default" = {}, "examples" = [{"ui_locales": "sv en"}]))]
    pub authorize_params: Option<BTreeMap<String, String>>,
    /// The resource that access tokens are for (RFC 8707).
    #[schemars(extend("examples" = ["https://api.example.com"]))]
    pub resource: Option<String>,
    /// Tokens are refreshed on use when less than this is left of them, never more than half of their life.
    #[schemars(extend("default" = "60s"))]
    pub refresh_ahead: Option<Span>,
    /// Assumed life of an access token where the provider does not say `expires_in`.
    #[schemars(extend("default" = "5m"))]
    pub access_token_lifetime: Option<Span>,
    /// Allowance when the provider's times are judged, `60s` at most.
    #[schemars(extend("default" = "60s"))]
    pub clock_skew: Option<Span>,
    /// Which kinds of logout take part.
    pub logout: Option<ProviderLogoutFile>,
}

/// Which kinds of logout take part.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderLogoutFile {
    /// Sends the browser to the provider's end-session endpoint.
    #[schemars(extend("default" = true))]
    pub rp_initiated: Option<bool>,
    /// Lets the provider end sessions by a logout token.
    #[schemars(extend("default" = true))]
    pub back_channel: Option<bool>,
    /// Lets the provider end sessions by a framed page.
    #[schemars(extend("default" = true))]
    pub front_channel: Option<bool>,
    /// Where people land after logout: a path, or a URL of a public origin. The default is the `signed_out` page.
    #[schemars(extend("examples" = ["/goodbye"]))]
    pub return_to: Option<String>,
}

/// How the gateway authenticates as a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ClientAuthName {
    /// `private_key_jwt` with a key; with a secret `client_secret_basic`, unless the metadata only offers `client_secret_post`.
    #[serde(rename = "auto")]
    Auto,
    /// In the `Authorization` header.
    #[serde(rename = "client_secret_basic")]
    SecretBasic,
    /// In the form.
    #[serde(rename = "client_secret_post")]
    SecretPost,
    /// By an assertion that `client_key` signs (RFC 7523), addressed to the issuer.
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
}

/// How the answer to a login comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ResponseModeName {
    /// As query parameters.
    #[serde(rename = "query")]
    Query,
    /// As a cross-site form POST.
    #[serde(rename = "form_post")]
    FormPost,
}

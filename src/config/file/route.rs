//! `[[routes]]` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::{Limit, Size, Span};

/// One route.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteFile {
    /// A public host, or `*.` and a domain for exactly one more label. The default is every public host.
    #[schemars(extend("examples" = ["app.example.com", "*.example.com"]))]
    pub host: Option<String>,
    /// A prefix that ends at a segment's end, or `=` and an exact path.
    #[schemars(extend("default" = "/", "examples" = ["/api", "=/status"]))]
    pub path: Option<String>,
    /// `"keep"`: `%2F` is an ordinary character of its segment here; by default it is refused.
    #[schemars(extend("default" = "refuse"))]
    pub encoded_slash: Option<EncodedSlashName>,
    /// Which methods; all by default.
    #[schemars(extend("examples" = [["GET", "POST"]]))]
    pub methods: Option<Vec<String>>,
    /// **Required.** Name of the upstream.
    #[schemars(extend("examples" = ["portal"]))]
    pub upstream: Option<String>,
    /// Who may pass.
    #[schemars(extend("default" = "session"))]
    pub access: Option<AccessName>,
    /// Name of the provider to sign in at. Needed where there are several and `access` is not `public`.
    #[schemars(extend("examples" = ["corp"]))]
    pub provider: Option<String>,
    /// Claim = values: the caller must have one of the values of each claim that is named. `scope` is the scope that the provider granted.
    #[schemars(extend("default" = {}, "examples" = [{"groups": ["staff"]}]))]
    pub require: Option<BTreeMap<String, Vec<String>>>,
    /// Any one of these `acr` values; a weaker session is sent to step up.
    #[schemars(extend("default" = [], "examples" = [["urn:example:mfa"]]))]
    pub acr: Option<Vec<String>>,
    /// Sign in again when the last time is longer ago.
    #[schemars(extend("examples" = ["15m"]))]
    pub max_age: Option<Span>,
    /// How a request without a session is answered.
    #[schemars(extend("default" = "auto"))]
    pub signed_out: Option<SignedOutName>,
    /// Requests with an unsafe method that a session cookie vouches for and another site has caused: `"refuse"`, `"allow"`, or a list
    /// of the origins that may. `"header"`, for what only scripts call: every request by cookie, of our own pages and of whatever
    /// method, needs `X-Requested-With` or `X-Vestibule-Csrf`, and other sites' are refused but for the origins of `cors`.
    #[schemars(extend("default" = "refuse", "examples" = [["https://spa.example.com"]]))]
    pub cross_site: Option<CrossSiteFile>,
    /// Which other origins may read answers.
    pub cors: Option<CorsFile>,
    /// `true`: requests here (polling, telemetry) do not keep a session alive.
    #[schemars(extend("default" = false))]
    pub passive: Option<bool>,
    /// What caches are told about answers to signed-in people.
    #[schemars(extend("default" = "private"))]
    pub cache: Option<CacheName>,
    /// Browser security headers, name = value, that the application's answers get where they lack them; what it says itself stands.
    /// `Strict-Transport-Security` is `hsts`.
    #[schemars(extend("default" = {}, "examples" = [{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors 'self'"}]))]
    pub security_headers: Option<BTreeMap<String, String>>,
    /// Size of a request's body. The default is `limits.body_bytes`.
    #[schemars(extend("examples" = ["10MiB", "unlimited"]))]
    pub body_bytes: Option<Limit<Size>>,
}

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessName {
    /// Everybody; no session is looked at and no identity is sent.
    Public,
    /// Everybody; who has a session is named to the upstream.
    Optional,
    /// Signed-in people only.
    Session,
}

/// Whether a path may hold an encoded slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncodedSlashName {
    /// 400.
    Refuse,
    /// `%2F` is an ordinary character of its segment.
    Keep,
}

/// How a request without a session is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignedOutName {
    /// Navigations are sent to log in, everything else gets 401.
    Auto,
    /// GET and HEAD are always sent to log in.
    Redirect,
    /// Always 401.
    Unauthorized,
}

/// Cross-site requests with an unsafe method.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CrossSiteFile {
    /// From nowhere, or from everywhere.
    Word(CrossSiteName),
    /// From these origins.
    Origins(Vec<String>),
}

/// Cross-site requests with an unsafe method, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CrossSiteName {
    /// 403.
    Refuse,
    /// Forwarded: the application defends itself.
    Allow,
    /// 403 without the header `X-Requested-With` or `X-Vestibule-Csrf`, from our own pages too.
    Header,
}

/// Which other origins may read answers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CorsFile {
    /// Exact origins. Without any Vestibule adds no CORS headers.
    #[schemars(extend("default" = [], "examples" = [["https://spa.example.com"]]))]
    pub origins: Option<Vec<String>>,
}

/// What caches are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CacheName {
    /// Never to be stored by a shared cache.
    Private,
    /// Never to be stored at all: nothing is shown again by going back after a logout.
    NoStore,
    /// The application's own `Cache-Control` stands.
    Upstream,
}

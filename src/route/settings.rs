//! One checked route.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::pattern::{HostPattern, PathPattern};
use super::policy::Policy;

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Everybody; no session is looked at and no identity is sent.
    Public,
    /// Everybody; who has a session is named to the upstream.
    Optional,
    /// Signed-in people only.
    Session,
}

/// How a request without a session is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SignedOut {
    /// By Fetch metadata: navigations are sent to log in, everything else gets 401.
    #[default]
    Auto,
    /// GET and HEAD are always sent to log in.
    Redirect,
    /// Always 401.
    Unauthorized,
}

/// Whether a path may hold an encoded slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// 400.
    #[default]
    Refuse,
    /// `%2F` is an ordinary character of its segment.
    Keep,
}

/// Unsafe methods by cookie from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CrossSite {
    /// 403.
    #[default]
    Refuse,
    /// Forwarded.
    Allow,
    /// 403 from other sites but for the origins of `cors`, and 403 from everywhere without the header that a page elsewhere cannot
    /// send unasked.
    Header,
    /// Forwarded from these origins (`https://spa.example.com`), 403 from others.
    Origins(Vec<String>),
}

/// What caches are told about signed-in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CachePolicy {
    /// Never to be stored by a shared cache.
    #[default]
    Private,
    /// Never to be stored by anybody, the browser included.
    NoStore,
    /// The upstream's own `Cache-Control` stands.
    Upstream,
}

/// host + path + methods, with an access mode, requirements and an upstream.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its place in the file, from 0: logs and errors name it `routes[n]`.
    pub index: usize,
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; all when `None`.
    pub methods: Option<Vec<Method>>,
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Who may pass.
    pub access: AccessMode,
    /// Name of the provider to sign in at. Always set where `access` is not `Public`.
    pub provider: Option<Arc<str>>,
    /// What the caller's claims must be.
    pub policy: Policy,
    /// Any one of these `acr` values, or step up. Empty: any.
    pub acr: Vec<String>,
    /// Sign in again when `auth_time` is older.
    pub max_age: Option<Duration>,
    /// How a request without a session is answered.
    pub signed_out: SignedOut,
    /// Unsafe methods by cookie from elsewhere.
    pub cross_site: CrossSite,
    /// Origins that may read answers across origins (exact, `https://spa.example.com`). Empty: no CORS by the gateway.
    pub cors: Vec<String>,
    /// Requests here do not keep a session alive.
    pub passive: bool,
    /// What caches are told.
    pub cache: CachePolicy,
    /// Browser security headers that the upstream's answers get where they lack them.
    pub security_headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether a path may hold an encoded slash.
    pub encoded_slash: EncodedSlash,
    /// Largest request body in bytes, `limits.body_bytes` already considered; `None` is unlimited.
    pub body_bytes: Option<u64>,
}

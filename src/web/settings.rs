//! What the web rules need to be told.

use std::sync::Arc;

use ipnet::IpNet;

/// `same_site` of the session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SameSite {
    /// Not sent on cross-site requests at all.
    Strict,
    /// Sent on cross-site top-level navigations only.
    #[default]
    Lax,
    /// Sent always; needs `Secure`.
    None,
}

/// How our cookies are named and marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSettings {
    /// Name of the session cookie: `__Host-vestibule`, or plain `vestibule` where the public URL is http on loopback.
    /// The names of all our other cookies begin with it and a hyphen.
    pub name: String,
    /// `SameSite` of the session cookie.
    pub same_site: SameSite,
    /// Whether the session cookie is `Partitioned` (CHIPS).
    pub partitioned: bool,
    /// `Secure`; false only on a plain http loopback origin.
    pub secure: bool,
}

/// An origin that browsers see, as RFC 6454 has it: scheme, host and port, the host in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicOrigin {
    /// Whether the scheme is https.
    pub https: bool,
    /// Host in lower case; an IPv6 address in brackets.
    pub host: String,
    /// Port, the scheme's default included (443, 80).
    pub port: u16,
}

/// Who may say what about a request's origin.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// `public_url` first, then `also_public`. Never empty.
    pub public: Vec<Arc<PublicOrigin>>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` count. Empty by default.
    pub trusted_proxies: Vec<IpNet>,
    /// The endpoints' prefix, such as `/oauth2`: begins with `/`, does not end with one.
    pub endpoints: String,
    /// Every header name that carries identity to any upstream, as configured; removed from every request in every spelling.
    pub identity_headers: Vec<String>,
    /// `Strict-Transport-Security` for https answers that lack it, such as `max-age=31536000`.
    pub hsts: Option<String>,
}

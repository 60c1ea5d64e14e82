//! `[upstreams.*]` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::{Limit, Span};

/// An application.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamFile {
    /// **Required.** `http://host:port` (HTTP/1.1), `https://host:port` (HTTP/2 or HTTP/1.1), `h2c://host:port` (HTTP/2 without TLS) or
    /// `unix:/path`. No path: requests keep theirs.
    #[schemars(extend("examples" = ["http://portal:3000", "unix:/run/portal.sock"]))]
    pub url: Option<String>,
    /// The `Host` that the application sees: `"preserve"` (that of the browser), `"upstream"` (that of `url`), or a name.
    #[schemars(extend("default" = "preserve", "examples" = ["portal.internal"]))]
    pub host_header: Option<String>,
    /// Which roots its certificate may come from, and which one Vestibule shows it.
    pub tls: Option<UpstreamTlsFile>,
    /// How long it may take.
    pub timeouts: Option<TimeoutsFile>,
    /// Connections to it at most; more requests wait for as long as `timeouts.connect`, then get 503.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 4_096))]
    pub connections: Option<u64>,
    /// What it learns of the caller.
    pub identity: Option<UpstreamIdentityFile>,
}

/// Which roots a server's certificate may come from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrustFile {
    /// PEM file of roots that are trusted as well as the system's.
    #[schemars(extend("examples" = ["/etc/tls/inner-ca.pem"]))]
    pub ca: Option<String>,
}

/// TLS with an application.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTlsFile {
    /// PEM file of roots that are trusted as well as the system's.
    #[schemars(extend("examples" = ["/etc/tls/inner-ca.pem"]))]
    pub ca: Option<String>,
    /// PEM file with the chain, leaf first, that an application which asks for it is shown: so it can tell Vestibule from everybody
    /// else. Read at the start. Needs `key`.
    #[schemars(extend("examples" = ["/etc/tls/vestibule.pem"]))]
    pub certificate: Option<String>,
    /// PEM file with the private key of `certificate`.
    #[schemars(extend("examples" = ["/etc/tls/vestibule.key"]))]
    pub key: Option<String>,
}

/// How long an application may take. There is no total time: streams live.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsFile {
    /// Until connected, the TLS handshake included.
    #[schemars(extend("default" = "5s"))]
    pub connect: Option<Span>,
    /// Until the head of its response is complete.
    #[schemars(extend("default" = "60s"))]
    pub response: Option<Span>,
    /// A response or tunnel on which nothing moves.
    #[schemars(extend("default" = "unlimited"))]
    pub idle: Option<Limit<Span>>,
}

/// What an application learns of the caller.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamIdentityFile {
    /// `aud` of its token. The default is the upstream's name.
    pub audience: Option<String>,
    /// The header that carries the token; in `"Authorization"` it is sent as `Bearer`.
    #[schemars(extend("default" = "X-Vestibule-Identity"))]
    pub header: Option<String>,
    /// Claims of the session that go into the token beside those that always do; `scope` is the scope that the provider granted.
    #[schemars(extend("default" = [], "examples" = [["email", "name", "groups"]]))]
    pub claims: Option<Vec<String>>,
    /// Plain headers for applications that check no token: name of the header = claim.
    #[schemars(extend("default" = {}, "examples" = [{"X-Forwarded-User": "sub", "X-Forwarded-Email": "email"}]))]
    pub headers: Option<BTreeMap<String, String>>,
}

//! The configuration as written: one field for each key, every one of them optional.
//!
//! Nothing here is checked or defaulted. The comments are the reference: `docs/configuration.md` and `config/schema.json` are
//! made from them, and a file is checked against that schema before it is read into these types. A `default` in an attribute
//! is what `check` uses where the key is missing, and a test compares the two.

mod provider;
mod route;
mod session;
mod upstream;
mod webhook;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{Limit, SecretSource, Size, Span, Switch};

pub use provider::{ClientAuthName, ProviderFile, ProviderLogoutFile, ResponseModeName};
pub use route::{AccessName, CacheName, CrossSiteFile, CrossSiteName, EncodedSlashName, RouteFile, SignedOutName};
pub use session::{AlgorithmName, IdentityFile, KeysFile, NearCacheFile, SameSiteName, SessionFile, StoreFile};
pub use upstream::{UpstreamFile, UpstreamIdentityFile};
pub use webhook::{EventName, WebhookFile};

/// Vestibule's configuration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Vestibule's configuration")]
pub struct FileConfig {
    /// **Required.** The origin that browsers see: scheme, host and, if it is not the scheme's own, port. Redirect URIs are made
    /// from it and from nothing else. `http://` only on a loopback host (`localhost`, `127.0.0.1`, `[::1]`) or with
    /// `development = true`: the session cookie is then plain `vestibule` without `Secure`.
    #[schemars(extend("examples" = ["https://app.example.com"]))]
    pub public_url: Option<String>,
    /// Allows `http://` beyond loopback, for the public URL, for issuers and for Redis. For networks that only you can reach; `check` and
    /// the log warn of it.
    #[schemars(extend("default" = false))]
    pub development: Option<bool>,
    /// Further origins that browsers may use. For now: other ports of the host of `public_url`, with which they share cookies and so the
    /// session; the provider needs only the URIs of `public_url`. Another host needs the handoff.
    #[schemars(extend("default" = [], "examples" = [["https://app.example.com:8443"]]))]
    pub also_public: Option<Vec<String>>,
    /// Prefix of login, callback, logout, userinfo, session, auth and the other endpoints. It is never forwarded.
    #[schemars(extend("default" = "/oauth2"))]
    pub endpoints: Option<String>,
    /// `max-age` of `Strict-Transport-Security` on https answers that lack the header, or `"off"`.
    #[schemars(extend("default" = "1y"))]
    pub hsts: Option<Switch<Span>>,
    /// Where clients connect. Without any: one on `0.0.0.0:8080` without TLS.
    pub listeners: Option<Vec<ListenerFile>>,
    /// What stands between clients and Vestibule.
    pub network: Option<NetworkFile>,
    /// The bounds on what a client may do.
    pub limits: Option<LimitsFile>,
    /// Health, metrics and the admin API, on a listener of their own.
    pub admin: Option<AdminFile>,
    /// **Required.** Sessions, their store and their cookie.
    pub session: Option<SessionFile>,
    /// The signed token that upstreams receive.
    pub identity: Option<IdentityFile>,
    /// The OpenID providers that people sign in at, by name. At least one where a route is not `public`.
    pub providers: Option<BTreeMap<String, ProviderFile>>,
    /// The applications behind Vestibule, by name.
    pub upstreams: Option<BTreeMap<String, UpstreamFile>>,
    /// **Required.** Which requests go where, and who may pass. The most specific host and path wins, whatever the order; what matches
    /// no route is 404.
    pub routes: Option<Vec<RouteFile>>,
    /// Other systems that are told when sessions begin and end, by name.
    pub webhooks: Option<BTreeMap<String, WebhookFile>>,
    /// What is written where.
    pub telemetry: Option<TelemetryFile>,
}

/// One listener.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerFile {
    /// **Required.** An IP address and a port (port 0 picks one and reports it), or `unix:` and an absolute path.
    #[schemars(extend("examples" = ["0.0.0.0:8443", "[::]:8443", "unix:/run/vestibule.sock"]))]
    pub address: Option<String>,
    /// Certificates, chosen by SNI and read again when the files change. Without any the listener speaks plain HTTP.
    #[schemars(extend("default" = []))]
    pub certificates: Option<Vec<CertificateFile>>,
    /// `"https"`: this listener only redirects GET and HEAD to `public_url`, and refuses everything else.
    pub redirect: Option<RedirectName>,
}

/// A certificate chain and its private key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateFile {
    /// **Required.** PEM file with the chain, leaf first.
    #[schemars(extend("examples" = ["/etc/tls/app.pem"]))]
    pub certificate: Option<String>,
    /// **Required.** PEM file with the private key.
    #[schemars(extend("examples" = ["/etc/tls/app.key"]))]
    pub key: Option<String>,
}

/// What a listener redirects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedirectName {
    /// The public URL.
    Https,
}

/// What stands between clients and Vestibule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkFile {
    /// Addresses and networks of the proxies whose `Forwarded` and `X-Forwarded-*` count. Nobody's do by default.
    #[schemars(extend("default" = [], "examples" = [["10.0.0.0/8", "fd00::/8", "192.0.2.7"]]))]
    pub trusted_proxies: Option<Vec<String>>,
}

/// Each limit has an answer: 413, 414, 429, 431, 503, or a closed connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsFile {
    /// Size of a request's head, from `8KiB` to `1MiB`.
    #[schemars(extend("default" = "32KiB"))]
    pub header_bytes: Option<Size>,
    /// Fields of a request's head.
    #[schemars(range(min = 10, max = 1000), extend("default" = 100))]
    pub header_count: Option<u64>,
    /// From the first byte of a head to its end.
    #[schemars(extend("default" = "10s"))]
    pub header_time: Option<Span>,
    /// For a TLS handshake.
    #[schemars(extend("default" = "10s"))]
    pub handshake_time: Option<Span>,
    /// A kept-alive connection without a request, and a client that does not read its answer.
    #[schemars(extend("default" = "75s"))]
    pub idle_time: Option<Span>,
    /// A request's body that stalls.
    #[schemars(extend("default" = "30s"))]
    pub body_idle_time: Option<Span>,
    /// For requests to finish after SIGTERM; a second SIGTERM ends at once.
    #[schemars(extend("default" = "30s"))]
    pub drain_time: Option<Span>,
    /// HTTP/2 streams of one connection.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 100))]
    pub streams_per_connection: Option<u32>,
    /// Size of a request's body; a route can have its own.
    #[schemars(extend("default" = "unlimited", "examples" = ["10MiB"]))]
    pub body_bytes: Option<Limit<Size>>,
    /// Open connections; the excess gets 503 with `Retry-After` and is closed.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 10_000))]
    pub connections: Option<u64>,
    /// Requests under way; the excess gets 503 with `Retry-After`.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 4_096))]
    pub requests_in_flight: Option<u64>,
    /// Logins started per minute and client address; as many of its callbacks, of its logout tokens and of its bearer tokens may fail.
    /// `"unlimited"` where many people share one address.
    #[schemars(extend("default" = 120))]
    pub logins_per_minute: Option<Limit<PerMinute>>,
}

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PerMinute(#[schemars(range(min = 1, max = 1_000_000))] pub u32);

/// The admin listener.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminFile {
    /// IP address and port of `/livez`, `/readyz`, `/metrics` and `/api/`; never that of a public listener. Port 0 picks one and
    /// reports it.
    #[schemars(extend("default" = "127.0.0.1:9901"))]
    pub address: Option<String>,
    /// Bearer token for `/api/`, at least 16 characters. Without it `/api/` is off.
    pub token: Option<SecretSource>,
    /// `true`: `/readyz` stays 200 when the store has been away for 10 seconds.
    #[schemars(extend("default" = false))]
    pub ready_without_store: Option<bool>,
}

/// What is written where.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryFile {
    /// Which log lines are written: a level, or a list of `module=level`. The variable `RUST_LOG` goes before it.
    #[schemars(extend("default" = "info", "examples" = ["warn", "info,vestibule::oidc=debug"]))]
    pub log: Option<String>,
    /// How log lines look.
    #[schemars(extend("default" = "auto"))]
    pub format: Option<LogFormatName>,
    /// One line for each request.
    #[schemars(extend("default" = true))]
    pub access_log: Option<bool>,
    /// Where security events go: `["log"]`, among the log's lines whatever `log` and `RUST_LOG` say, or `[]`, nowhere.
    #[schemars(extend("default" = ["log"]))]
    pub audit: Option<Vec<AuditName>>,
}

/// Where security events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditName {
    /// Standard error, as lines of the target `vestibule::audit`.
    Log,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormatName {
    /// `pretty` on a terminal, `json` elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

//! `[session]` and `[identity]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::{Limit, SecretSource, Span};

/// Sessions, their store and their cookie.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionFile {
    /// **Required.** `redis://host:port/db`, `rediss://` for TLS, `redis+unix:///path` for a socket,
    /// `rediss-sentinel://host:26379/db?sentinelServiceName=main&node=host2:26379`, `rediss-cluster://host:6379?node=host2:6379`, or `"memory"`
    /// (one process; gone when it ends). A URL with a password is better read from `{ file = … }` or `{ env = … }`.
    #[schemars(extend("examples" = ["rediss://redis:6379/0", "memory", {"env": "REDIS_URL"}]))]
    pub store: Option<StoreFile>,
    /// Allows `redis://` without TLS beyond loopback.
    #[schemars(extend("default" = false))]
    pub plaintext: Option<bool>,
    /// **Required with Redis.** Newest first: the first seals what is stored, all open it. Each has at least 32 bytes; make one with
    /// `openssl rand -base64 48`.
    #[schemars(extend("examples" = [[{"file": "/run/secrets/vestibule-2026-11"}, {"env": "VESTIBULE_OLD_SECRET"}]]))]
    pub secrets: Option<Vec<SecretSource>>,
    /// A session ends after this long without activity.
    #[schemars(extend("default" = "30m"))]
    pub idle: Option<Span>,
    /// A session ends after this long in any case.
    #[schemars(extend("default" = "12h"))]
    pub lifetime: Option<Span>,
    /// Sessions of one user; the oldest makes room.
    #[schemars(extend("default" = "unlimited"))]
    pub per_user: Option<Limit<Sessions>>,
    /// For one call of the store, `30s` at most.
    #[schemars(extend("default" = "1s"))]
    pub deadline: Option<Span>,
    /// What this process remembers of the store.
    pub near_cache: Option<NearCacheFile>,
    /// The session cookie.
    pub cookie: Option<CookieFile>,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("format" = "store"))]
pub enum StoreFile {
    /// A URL, or `"memory"`.
    Url(String),
    /// The URL from elsewhere.
    Secret(SecretSource),
}

/// A number of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Sessions(#[schemars(range(min = 1, max = 100_000))] pub u32);

/// The near cache: sessions in this process, kept honest by Redis' invalidations.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NearCacheFile {
    /// About how many sessions it may hold: 8 KiB are counted for each, and those with larger tokens count for more.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 100_000))]
    pub sessions: Option<u64>,
    /// How late a replica may learn of a revocation, whatever the network does; `60s` at most. `"0s"` asks the store at every request.
    #[schemars(extend("default" = "2s"))]
    pub staleness: Option<Span>,
    /// How long an open stream goes on while the store cannot confirm; not shorter than `staleness`.
    #[schemars(extend("default" = "30s"))]
    pub streams: Option<Span>,
    /// How many replicas of Redis must have a heartbeat before it counts, and a revocation before it is acknowledged.
    #[schemars(range(min = 0, max = 5), extend("default" = 0))]
    pub replicas: Option<u32>,
}

/// The session cookie: always `HttpOnly`, `Path=/`, without `Domain`, and `Secure` on https.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CookieFile {
    /// Begins with `__Host-`. The default is `vestibule` where `public_url` is http.
    #[schemars(extend("default" = "__Host-vestibule"))]
    pub name: Option<String>,
    /// Which cross-site requests carry it.
    #[schemars(extend("default" = "lax"))]
    pub same_site: Option<SameSiteName>,
    /// Keeps one cookie for each site that frames the application (CHIPS). Needs https.
    #[schemars(extend("default" = false))]
    pub partitioned: Option<bool>,
}

/// Which cross-site requests carry the session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SameSiteName {
    /// None at all; people who follow a link from elsewhere look signed out.
    Strict,
    /// Top-level navigations.
    Lax,
    /// All; needs https.
    None,
}

/// The signed token that upstreams receive.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityFile {
    /// `iss` of the token. The default is `public_url`.
    #[schemars(extend("examples" = ["https://app.example.com"]))]
    pub issuer: Option<String>,
    /// How the token is signed.
    #[schemars(extend("default" = "ES256"))]
    pub algorithm: Option<AlgorithmName>,
    /// Life of a token, `5m` at most.
    #[schemars(extend("default" = "60s"))]
    pub lifetime: Option<Span>,
    /// `"managed"`: generated, sealed in the store, rotated, agreed by all replicas. Or a list of private keys (PEM files), the
    /// first of which signs while all are published; with `HS256` a list of shared keys of at least 32 bytes.
    #[schemars(extend("default" = "managed", "examples" = [[{"file": "/etc/vestibule/2026-11.pem"}, {"file": "/etc/vestibule/2026-08.pem"}]]))]
    pub keys: Option<KeysFile>,
    /// How long a managed key signs, at least `1h`.
    #[schemars(extend("default" = "30d"))]
    pub rotate_every: Option<Span>,
}

/// Where signing keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeysFile {
    /// `"managed"`.
    Managed(ManagedName),
    /// Keys from elsewhere.
    Listed(Vec<SecretSource>),
}

/// The word `"managed"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ManagedName {
    /// Keys are made and rotated by Vestibule.
    Managed,
}

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AlgorithmName {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// RSA, PKCS#1 v1.5.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA, PSS.
    #[serde(rename = "PS256")]
    Ps256,
    /// A shared key: every upstream that can check a token can also make one.
    #[serde(rename = "HS256")]
    Hs256,
}

impl AlgorithmName {
    /// As JOSE has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Hs256 => "HS256",
        }
    }
}

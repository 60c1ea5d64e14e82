//! What the identity token is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Secret;
use crate::jose::Algorithm;

/// Where signing keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Generated, sealed in the store, rotated, agreed by all replicas.
    Managed {
        /// How long a key signs.
        rotate_every: Duration,
    },
    /// PEM files (PKCS#8, SEC1 or PKCS#1 private keys): the first signs, all are published.
    Files(Vec<PathBuf>),
    /// A shared key of at least 32 bytes, for HS256 only: the first signs. Nothing is published.
    Shared(Vec<Secret<Vec<u8>>>),
}

/// The identity service's settings.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// `iss` of the token.
    pub issuer: String,
    /// How it is signed.
    pub algorithm: Algorithm,
    /// Its life, 5 minutes at most.
    pub lifetime: Duration,
    /// Where keys come from.
    pub keys: KeySource,
}

/// The header that carries the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenHeader {
    /// The token alone, in a header of this name.
    Named(http::HeaderName),
    /// `Authorization: Bearer …`.
    Authorization,
}

/// What one upstream gets.
#[derive(Clone, Debug)]
pub struct UpstreamIdentitySettings {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// `aud`.
    pub audience: String,
    /// Which header.
    pub header: TokenHeader,
    /// Claims of the session that go into the token.
    pub claims: Vec<String>,
    /// Plain headers: header name = claim (`sub`, or one of the session's claims).
    pub headers: BTreeMap<String, String>,
}

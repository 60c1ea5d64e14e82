//! The identity token: who is calling, signed for one upstream, minted once and used until half its life is over.
//!
//! Never talks HTTP or to a store (keys lie in a [`KeyVault`] that others build), and never sends part of what was configured.

pub mod claims;
mod error;
mod headers;
pub mod key_ring;
mod keys;
pub mod mint;
pub mod settings;
pub mod vault;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use claims::{Kind, RESERVED_CLAIMS, SCOPE, Subject, TYP};
pub use error::IdentityError;
pub use keys::{Jwks, KeyState, KeyStatus};
pub use mint::IdentityToken;
pub use settings::{IdentitySettings, KeySource, TokenHeader, UpstreamIdentitySettings};
pub use vault::{KeyVault, VaultError};

use crate::base::{Clock, Random, Timestamp};
use crate::jose;
use keys::Keys;
use mint::Mint;

/// The identity service: the signing keys, and the tokens made with them.
pub struct Identity {
    issuer: String,
    keys: Keys,
    mint: Mint,
    random: Arc<dyn Random>,
    signatures: AtomicU64,
}

impl Identity {
    /// Reads key files and shared keys now; managed keys with the first [`Self::refresh_keys`]. Blocks on the file system.
    ///
    /// Without a vault, managed keys live and die with this process.
    ///
    /// # Errors
    /// Names the file, header or setting that cannot be used.
    pub fn new(
        settings: IdentitySettings,
        upstreams: Vec<UpstreamIdentitySettings>,
        vault: Option<Arc<dyn KeyVault>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, IdentityError> {
        let mint = Mint::new(&settings, upstreams)?;
        let issuer = settings.issuer.clone();
        let keys = Keys::new(settings, vault, clock, Arc::clone(&random))?;
        Ok(Self { issuer, keys, mint, random, signatures: AtomicU64::new(0) })
    }

    /// Managed keys: reads the ring, publishes or retires keys when it is time, and agrees with the other replicas. To be called
    /// at the start and once a minute. For other sources it does nothing.
    ///
    /// # Errors
    /// When the vault cannot be reached or holds what cannot be read. The keys known so far stay in use.
    pub async fn refresh_keys(&self) -> Result<(), IdentityError> {
        self.keys.refresh().await
    }

    /// Whether there is a key to sign with.
    pub fn ready(&self) -> bool {
        self.keys.ready()
    }

    /// What `/.well-known/jwks.json` answers.
    pub fn jwks(&self) -> Arc<Jwks> {
        self.keys.jwks()
    }

    /// The keys by name and state, for the admin API.
    pub fn key_states(&self, now: Timestamp) -> Vec<KeyState> {
        self.keys.states(now)
    }

    /// The token and headers for this upstream: from the cache, or signed anew.
    ///
    /// Byte-identical for equal `sid`, `version` and upstream until half of its life is over or the key changes; never valid past
    /// the session's end. A subject without a `sid` is never cached.
    ///
    /// # Errors
    /// No key yet, an upstream that is not configured, a session that is over, or claims that do not fit into headers.
    pub fn mint(
        &self,
        upstream: &str,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> Result<Arc<IdentityToken>, IdentityError> {
        let keys = self.keys.current();
        let key = keys.signing(now).ok_or(IdentityError::NotReady)?;
        if let Some(token) = self.mint.cached(upstream, subject, key.kid(), now) {
            return Ok(token);
        }
        let token = self.mint.make(upstream, subject, key, &*self.random, now)?;
        self.signatures.fetch_add(1, Ordering::Relaxed);
        Ok(token)
    }

    /// Whether a token that was minted for the same reading of a session, which ends at `session_expires`, may be used again at `now`:
    /// the key still signs, and half of its life is not over.
    pub fn still_serves(&self, token: &IdentityToken, session_expires: Timestamp, now: Timestamp) -> bool {
        let keys = self.keys.current();
        keys.signing(now).is_some_and(|key| token.is_current(key.kid(), session_expires, now))
    }

    /// Whether a bearer string is one of ours, or pretends to be: the front door refuses it (RFC 8725 section 3.12).
    pub fn issued(&self, token: &str) -> bool {
        jose::resembles(token, TYP, &self.issuer)
    }

    /// How many tokens were signed so far.
    pub fn signatures(&self) -> u64 {
        self.signatures.load(Ordering::Relaxed)
    }

    /// How many tokens are held for reuse, and their weight in bytes.
    pub fn cached(&self) -> (usize, u64) {
        self.mint.cache_size()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("issuer", &self.issuer).field("ready", &self.ready()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

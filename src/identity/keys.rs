//! Where the keys come from (files, a shared secret, the vault) and the JWKS that shows their public halves.
//!
//! Never lets go of keys that worked because newer ones cannot be had.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::json;
use zeroize::Zeroizing;

use super::error::IdentityError;
use super::key_ring::{JWKS_MAX_AGE, KeyRing, RingSettings};
use super::settings::{IdentitySettings, KeySource};
use super::vault::{KeyVault, LocalVault};
use crate::base::{Clock, Random, Timestamp};
use crate::jose::{Algorithm, KeyError, SigningKey};

/// The published keys, ready to answer with.
#[derive(Clone, Debug)]
pub struct Jwks {
    /// The document: `{"keys":[…]}`, public members only.
    pub body: Bytes,
    /// Its strong entity tag, quotes included.
    pub etag: String,
    /// How long it may be cached.
    pub max_age: Duration,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// In the JWKS, not used yet.
    Published,
    /// Signs.
    Signing,
    /// Signs no more; still in the JWKS.
    Retiring,
}

/// One key, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// Its name.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Where it stands.
    pub status: KeyStatus,
    /// From when it signs; the epoch for keys that are not managed.
    pub use_from: Timestamp,
}

/// The keys in use, replaced as a whole.
pub(super) struct Keys {
    current: ArcSwap<Current>,
    managed: Option<Managed>,
}

/// One immutable state of the keys.
pub(super) struct Current {
    ring: KeyRing,
    jwks: Arc<Jwks>,
    /// The vault's version of it.
    version: Option<u64>,
}

struct Managed {
    settings: RingSettings,
    vault: Arc<dyn KeyVault>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Keys {
    pub(super) fn new(
        settings: IdentitySettings,
        vault: Option<Arc<dyn KeyVault>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, IdentityError> {
        let algorithm = settings.algorithm;
        let (ring, managed) = match settings.keys {
            KeySource::Managed { .. } if algorithm.is_symmetric() => {
                return Err(IdentityError::Settings("HS256 needs shared keys, which are not managed"));
            }
            KeySource::Managed { rotate_every } => {
                let settings = RingSettings { algorithm, rotate_every };
                let vault = vault.unwrap_or_else(|| Arc::new(LocalVault::default()));
                (KeyRing::default(), Some(Managed { settings, vault, clock, random }))
            }
            KeySource::Files(paths) => {
                let keys = paths.iter().enumerate().map(|(index, path)| from_file(algorithm, path, index == 0));
                (KeyRing::fixed(keys.collect::<Result<_, _>>()?), None)
            }
            KeySource::Shared(_) if !algorithm.is_symmetric() => {
                return Err(IdentityError::Settings("a shared key signs with HS256 alone"));
            }
            KeySource::Shared(keys) => {
                let keys = keys.iter().map(SigningKey::shared).collect::<Result<_, _>>()?;
                (KeyRing::fixed(keys), None)
            }
        };
        if managed.is_none() && ring.keys().is_empty() {
            return Err(IdentityError::Settings("there is no key"));
        }
        Ok(Self { current: ArcSwap::from_pointee(Current::new(ring, None)), managed })
    }

    pub(super) fn current(&self) -> Guard<Arc<Current>> {
        self.current.load()
    }

    pub(super) fn ready(&self) -> bool {
        !self.current.load().ring.keys().is_empty()
    }

    pub(super) fn jwks(&self) -> Arc<Jwks> {
        Arc::clone(&self.current.load().jwks)
    }

    pub(super) fn states(&self, now: Timestamp) -> Vec<KeyState> {
        let current = self.current.load();
        let signing = current.signing(now).map(SigningKey::kid);
        let states = current.ring.keys().iter().map(|managed| KeyState {
            kid: managed.key.kid().to_owned(),
            algorithm: managed.key.algorithm(),
            status: if signing == Some(managed.key.kid()) {
                KeyStatus::Signing
            } else if managed.use_from > now {
                KeyStatus::Published
            } else {
                KeyStatus::Retiring
            },
            use_from: managed.use_from,
        });
        states.collect()
    }

    pub(super) async fn refresh(&self) -> Result<(), IdentityError> {
        let Some(managed) = &self.managed else { return Ok(()) };
        for _ in 0..ATTEMPTS {
            let held = self.current.load_full();
            let read = managed.vault.read().await?;
            let version = read.as_ref().map(|(_, version)| *version);
            let (settings, random, now) = (managed.settings, Arc::clone(&managed.random), managed.clock.now());
            let before = Arc::clone(&held);
            // Making an RSA key takes long enough to be felt by requests.
            let stepped = tokio::task::spawn_blocking(move || {
                let ring = match read {
                    Some((_, version)) if before.version == Some(version) => before.ring.clone(),
                    Some((json, _)) => KeyRing::from_json(&json)?,
                    // Never filled, or the store lost it: what we have is known to those who verify, so it goes back.
                    None => before.ring.clone(),
                };
                let next = ring.step(now, settings, &*random)?;
                Ok::<_, IdentityError>((ring, next))
            });
            let (ring, next) = stepped.await.map_err(|_| IdentityError::Settings("making a key failed"))??;
            let to_write = match (&next, version) {
                (Some(next), _) => next,
                (None, None) => &ring,
                (None, Some(_)) => {
                    if held.version != version {
                        let current = Current::new(ring, version);
                        if current.jwks.etag != held.jwks.etag {
                            tracing::info!(keys = current.ring.keys().len(), "signing keys read");
                        }
                        self.current.store(Arc::new(current));
                    }
                    return Ok(());
                }
            };
            if managed.vault.swap(version, &to_write.to_json()?).await? {
                let newest = to_write.keys().last();
                tracing::info!(
                    keys = to_write.keys().len(),
                    newest = newest.map(|managed| managed.key.kid()),
                    use_from = newest.map(|managed| managed.use_from.rfc3339()),
                    "signing keys stepped"
                );
                // The vault names the version: it is learnt with the next read.
                self.current.store(Arc::new(Current::new(to_write.clone(), None)));
                return Ok(());
            }
        }
        Err(IdentityError::Contended)
    }
}

impl Current {
    fn new(ring: KeyRing, version: Option<u64>) -> Self {
        let public: Vec<_> = ring.keys().iter().rev().filter_map(|managed| managed.key.public_jwk()).collect();
        let body = json!({ "keys": public }).to_string();
        let hash = digest::digest(&digest::SHA256, body.as_bytes());
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash.as_ref().get(..16).unwrap_or_default()));
        Self { ring, jwks: Arc::new(Jwks { body: Bytes::from(body), etag, max_age: JWKS_MAX_AGE }), version }
    }

    /// The key that signs now.
    pub(super) fn signing(&self, now: Timestamp) -> Option<&SigningKey> {
        self.ring.signing(now)
    }
}

/// The first file must hold a key for the algorithm; the others are only published, and may be from before it was changed.
fn from_file(algorithm: Algorithm, path: &Path, signs: bool) -> Result<SigningKey, IdentityError> {
    let unreadable = |source| IdentityError::File { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let mut pem = Zeroizing::new(Vec::new());
    file.by_ref().take(MAX_FILE_BYTES).read_to_end(&mut pem).map_err(unreadable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata().map_err(unreadable)?.permissions().mode() & 0o007 != 0 {
            tracing::warn!(path = %path.display(), "the key file is open to every user of this machine");
        }
    }
    let others = [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256];
    match SigningKey::from_pem(algorithm, &pem) {
        Err(KeyError::WrongKind { .. }) if !signs => {
            others.iter().find_map(|other| SigningKey::from_pem(*other, &pem).ok()).ok_or(KeyError::Unreadable)
        }
        result => result,
    }
    .map_err(|source| IdentityError::FileKey { path: path.to_owned(), source })
}

const ATTEMPTS: usize = 5;
const MAX_FILE_BYTES: u64 = 64 * 1024;

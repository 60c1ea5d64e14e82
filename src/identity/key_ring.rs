//! The life of managed keys: published, then used, then retired, each step longer than anybody caches the JWKS.
//!
//! Never reads a clock or a store: [`KeyRing::step`] says what the next ring is, and the caller sees that all replicas agree.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::IdentityError;
use crate::base::{Random, Secret, Timestamp};
use crate::jose::{Algorithm, SigningKey};

/// How long others may cache our JWKS (`max-age`).
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// From publishing a key until it signs: six times the caching time, for those who cache longer than they are told, replicas that
/// learn of it a minute later, and clocks that differ.
pub const PUBLISH_LEAD: Duration = Duration::from_secs(30 * 60);
/// From a key's last signature until it is no longer published: its last token is dead after 5 minutes, and a replica that lost sight
/// of the vault may go on signing with it for a while.
pub const KEEP: Duration = Duration::from_secs(60 * 60);

/// All managed keys that are published, in the order in which they sign.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Vec<ManagedKey>,
}

/// A key and its place in time. It signs from `use_from` until its successor does, and is published [`KEEP`] longer.
#[derive(Clone, Debug)]
pub struct ManagedKey {
    /// The key.
    pub key: SigningKey,
    /// Since when it is in the JWKS.
    pub published_at: Timestamp,
    /// From when it signs.
    pub use_from: Timestamp,
}

/// What a ring is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// How tokens are signed. A change is a rotation.
    pub algorithm: Algorithm,
    /// How long a key signs; no less than [`PUBLISH_LEAD`] in effect.
    pub rotate_every: Duration,
}

impl KeyRing {
    /// The ring as it should be at `now`; `None` when it is that already.
    ///
    /// The first key ever is used at once. Later ones wait: at most one key is published ahead of its time, so that replicas of
    /// different settings (in the middle of a deployment) cannot outbid each other.
    ///
    /// # Errors
    /// When no key can be generated.
    pub fn step(
        &self,
        now: Timestamp,
        settings: RingSettings,
        random: &dyn Random,
    ) -> Result<Option<Self>, IdentityError> {
        let use_from = match self.keys.last() {
            None => Some(now),
            Some(newest) if newest.use_from > now => None,
            Some(newest) => {
                let due = newest.use_from + settings.rotate_every;
                let other_algorithm = newest.key.algorithm() != settings.algorithm;
                if other_algorithm || due <= now + PUBLISH_LEAD {
                    // A key that is overdue, or changes the algorithm, still waits until everybody knows it.
                    let soonest = now + PUBLISH_LEAD;
                    Some(if other_algorithm { soonest } else { due.max(soonest) })
                } else {
                    None
                }
            }
        };
        let mut keys = self.keys.clone();
        if let Some(use_from) = use_from {
            let key = SigningKey::generate(settings.algorithm, random)?;
            keys.push(ManagedKey { key, published_at: now, use_from });
        }
        let retired =
            keys.windows(2).take_while(|pair| pair.last().is_some_and(|next| next.use_from + KEEP <= now)).count();
        keys.drain(..retired);
        Ok((use_from.is_some() || retired > 0).then_some(Self { keys }))
    }

    /// The key that signs at `now`. Where all keys are of the future (another replica's clock is ahead) the first one does.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Option<&SigningKey> {
        let started = self.keys.iter().rev().find(|managed| managed.use_from <= now);
        started.or(self.keys.first()).map(|managed| &managed.key)
    }

    /// All keys, in the order in which they sign.
    #[must_use]
    pub fn keys(&self) -> &[ManagedKey] {
        &self.keys
    }

    /// A ring of keys that all sign since ever, the first of `keys` before the others.
    pub(super) fn fixed(keys: Vec<SigningKey>) -> Self {
        let since = Timestamp::from_unix_seconds(0);
        let keys = keys.into_iter().rev().map(|key| ManagedKey { key, published_at: since, use_from: since }).collect();
        Self { keys }
    }

    /// As it lies in the vault. Holds private keys.
    ///
    /// # Errors
    /// When a key cannot be written.
    pub fn to_json(&self) -> Result<Secret<Vec<u8>>, IdentityError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for managed in &self.keys {
            let der = managed.key.to_pkcs8()?.ok_or(IdentityError::Settings("managed keys cannot be shared keys"))?;
            keys.push(Stored {
                algorithm: managed.key.algorithm().as_str().to_owned(),
                pkcs8: STANDARD.encode(der.expose()),
                published_at: managed.published_at,
                use_from: managed.use_from,
            });
        }
        let json = serde_json::to_vec(&Document { version: VERSION, keys });
        json.map(Secret::new).map_err(|_| IdentityError::Ring("it cannot be serialised"))
    }

    /// Reads what [`Self::to_json`] wrote, and tests every key.
    ///
    /// # Errors
    /// For anything else, a later version too: what is not understood is not replaced.
    pub fn from_json(json: &Secret<Vec<u8>>) -> Result<Self, IdentityError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let version: Version =
            serde_json::from_slice(json.expose()).map_err(|_| IdentityError::Ring("it is no ring of keys"))?;
        if version.version != VERSION {
            return Err(IdentityError::Ring("a later version of the gateway wrote it"));
        }
        let document: Document =
            serde_json::from_slice(json.expose()).map_err(|_| IdentityError::Ring("it is no ring of keys"))?;
        let mut keys = Vec::with_capacity(document.keys.len());
        for stored in &document.keys {
            let algorithm =
                stored.algorithm.parse().map_err(|_| IdentityError::Ring("a key's algorithm is not known"))?;
            let der = STANDARD.decode(&stored.pkcs8).map_err(|_| IdentityError::Ring("a key is damaged"))?;
            let key = SigningKey::from_pkcs8(algorithm, &Zeroizing::new(der))?;
            keys.push(ManagedKey { key, published_at: stored.published_at, use_from: stored.use_from });
        }
        keys.sort_by_key(|managed| managed.use_from);
        Ok(Self { keys })
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    keys: Vec<Stored>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    algorithm: String,
    pkcs8: String,
    published_at: Timestamp,
    use_from: Timestamp,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.pkcs8.zeroize();
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    const DAY: Duration = Duration::from_secs(86_400);
    const ES256: RingSettings = RingSettings { algorithm: Algorithm::Es256, rotate_every: DAY };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_225_600) + Duration::from_secs(seconds)
    }

    fn step(ring: &KeyRing, now: Timestamp, settings: RingSettings) -> KeyRing {
        ring.step(now, settings, &SeededRandom::new(1)).unwrap().expect("a change")
    }

    fn quiet(ring: &KeyRing, now: Timestamp, settings: RingSettings) -> bool {
        ring.step(now, settings, &SeededRandom::new(1)).unwrap().is_none()
    }

    fn kid(ring: &KeyRing, now: Timestamp) -> String {
        ring.signing(now).unwrap().kid().to_owned()
    }

    /// ID-07: published, then used, then retired.
    #[test]
    fn a_rotation_step_by_step() {
        let empty = KeyRing::default();
        assert!(empty.signing(at(0)).is_none());
        let one = step(&empty, at(0), ES256);
        let first = kid(&one, at(0));
        assert_eq!(kid(&one, at(0) - Duration::from_secs(60)), first, "a replica whose clock is behind signs too");

        let due = at(86_400);
        assert!(quiet(&one, due - PUBLISH_LEAD - Duration::from_millis(1), ES256));
        let two = step(&one, due - PUBLISH_LEAD, ES256);
        assert_eq!(two.keys().len(), 2);
        assert_eq!(kid(&two, due - Duration::from_millis(1)), first);
        assert!(quiet(&two, due - Duration::from_millis(1), ES256));
        let second = kid(&two, due);
        assert_ne!(second, first);
        assert!(quiet(&two, due + KEEP - Duration::from_millis(1), ES256));
        let three = step(&two, due + KEEP, ES256);
        assert_eq!(three.keys().iter().map(|managed| managed.key.kid()).collect::<Vec<_>>(), [second]);
    }

    /// ID-07: neither an overdue rotation nor a change of algorithm skips the lead; two settings at once do not outbid each other.
    #[test]
    fn nothing_skips_the_lead() {
        let ed = RingSettings { algorithm: Algorithm::EdDsa, ..ES256 };
        let one = step(&KeyRing::default(), at(0), ES256);
        let late = at(90 * 86_400);
        let overdue = step(&one, late, ES256);
        assert_eq!(overdue.keys().last().unwrap().use_from, late + PUBLISH_LEAD);

        let changed = step(&one, at(60), ed);
        assert_eq!(changed.keys().last().unwrap().use_from, at(60) + PUBLISH_LEAD);
        assert_eq!(changed.signing(at(60)).unwrap().algorithm(), Algorithm::Es256);
        for settings in [ES256, ed] {
            assert!(quiet(&changed, at(120), settings));
        }
        assert_eq!(changed.signing(at(60) + PUBLISH_LEAD).unwrap().algorithm(), Algorithm::EdDsa);
    }

    #[test]
    fn a_very_short_period_is_as_long_as_the_lead() {
        let hasty = RingSettings { rotate_every: Duration::from_secs(1), ..ES256 };
        let mut ring = step(&KeyRing::default(), at(0), hasty);
        for minute in 0..600 {
            if let Some(next) = ring.step(at(minute * 60), hasty, &SeededRandom::new(1)).unwrap() {
                ring = next;
            }
            assert!(ring.keys().len() <= 5);
        }
        assert!(ring.keys().windows(2).all(|pair| pair[1].use_from.since(pair[0].use_from) >= PUBLISH_LEAD));
    }

    #[test]
    fn the_ring_survives_the_vault() {
        let ring = step(&step(&KeyRing::default(), at(0), ES256), at(86_400), ES256);
        let back = KeyRing::from_json(&ring.to_json().unwrap()).unwrap();
        for (one, other) in ring.keys().iter().zip(back.keys()) {
            assert_eq!(
                (one.key.kid(), one.published_at, one.use_from),
                (other.key.kid(), other.published_at, other.use_from)
            );
        }
        assert!(KeyRing::from_json(&Secret::new(b"{\"version\":2,\"keys\":7}".to_vec())).is_err());
        assert!(KeyRing::from_json(&Secret::new(b"junk".to_vec())).is_err());
    }
}

//! Under which names the store keeps what.
//!
//! No name holds a cookie, a state, a user or an address: what strangers or people bring goes in hashed.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::token::{SessionKey, Sid};

/// Over how many lists the operators' list is spread, so that on a cluster no one slot carries all logins.
pub(super) const SHARDS: u8 = 16;

/// All that Redis is asked to tell of begins like a record. Where its table of what was read is full, it makes room by a walk through its
/// tree of names that turns at random: a name in a branch of its own would be met again and again, among the records it is one of many.
const TRACKED: &str = "vestibule:session:{";
const GENERATION: &str = "vestibule:session:{generation}";
const BEAT: &str = "}:beat:";

/// One key of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The sealed record. The braces make it share a cluster slot with its activity and its operators' record.
    #[must_use]
    pub fn record(key: &SessionKey) -> Self {
        Self(format!("{TRACKED}{key}}}"))
    }

    /// The session whose record has this name.
    #[must_use]
    pub(super) fn record_of(name: &str) -> Option<SessionKey> {
        SessionKey::parse(name.strip_prefix(TRACKED)?.strip_suffix('}')?)
    }

    /// When the session was last used.
    #[must_use]
    pub fn activity(key: &SessionKey) -> Self {
        Self(format!("vestibule:seen:{{{key}}}"))
    }

    /// What operators see of it, sealed under the server secret alone.
    #[must_use]
    pub fn operator(key: &SessionKey) -> Self {
        Self(format!("vestibule:operator:{{{key}}}"))
    }

    /// From the public reference to the key.
    #[must_use]
    pub fn sid(sid: &Sid) -> Self {
        Self(format!("vestibule:sid:{sid}"))
    }

    /// The sessions of a user.
    #[must_use]
    pub fn user(issuer: &str, subject: &str) -> Self {
        Self::hashed("user", &[issuer, subject])
    }

    /// The sessions of a session at the provider.
    #[must_use]
    pub fn provider_sid(issuer: &str, sid: &str) -> Self {
        Self::hashed("provider-sid", &[issuer, sid])
    }

    /// All sessions, one list of several.
    #[must_use]
    pub fn shard(shard: u8) -> Self {
        Self(format!("vestibule:sessions:{}", shard % SHARDS))
    }

    /// The list of all sessions that this one is in.
    #[must_use]
    pub fn shard_of(key: &SessionKey) -> Self {
        let [first, ..] = *key.as_bytes();
        Self::shard(first)
    }

    /// The number that every revocation takes the next of.
    #[must_use]
    pub fn sequence() -> Self {
        Self("vestibule:sequence".to_owned())
    }

    /// The number of the last revocation of everybody.
    #[must_use]
    pub fn generation() -> Self {
        Self(GENERATION.to_owned())
    }

    /// Whether this is the name of the last revocation of everybody.
    #[must_use]
    pub(super) fn is_generation(name: &str) -> bool {
        name == GENERATION
    }

    /// What a near cache has changed to hear of it: the keys of one process share a slot.
    #[must_use]
    pub(super) fn beat(of: &str, number: u64) -> Self {
        Self(format!("{TRACKED}{of}{BEAT}{number}"))
    }

    /// Whether this is such a name.
    #[must_use]
    pub(super) fn is_beat(name: &str) -> bool {
        name.starts_with(TRACKED) && name.contains(BEAT)
    }

    /// The number of a user's last revocation.
    #[must_use]
    pub fn revoked_user(issuer: &str, subject: &str) -> Self {
        Self::hashed("revoked", &[issuer, subject])
    }

    /// Says that a session at the provider has ended.
    #[must_use]
    pub fn tombstone(issuer: &str, sid: &str) -> Self {
        Self::hashed("tombstone", &[issuer, sid])
    }

    /// Says that a login attempt's state was redeemed.
    #[must_use]
    pub fn attempt(state: &str) -> Self {
        Self::hashed("attempt", &[state])
    }

    /// Says that something single-use was used.
    #[must_use]
    pub fn burnt(name: &str) -> Self {
        Self::hashed("burnt", &[name])
    }

    /// A lease.
    #[must_use]
    pub fn lease(name: &str) -> Self {
        Self::hashed("lease", &[name])
    }

    /// A value that all replicas share. `name` is one of ours.
    #[must_use]
    pub fn managed(name: &str) -> Self {
        Self(format!("vestibule:managed:{name}"))
    }

    /// The whole key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A plain hash, not one under the server secret: the name has to survive the secret's rotation, or a revocation
    /// would miss what an older secret named.
    fn hashed(kind: &str, parts: &[&str]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(kind.as_bytes());
        for part in parts {
            // Lengths first: ("ab", "c") and ("a", "bc") are two users.
            hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(format!("vestibule:{kind}:{}", URL_SAFE_NO_PAD.encode(hash.finish())))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The indexes that name a session.
pub(super) fn indexes(key: &SessionKey, issuer: &str, subject: &str, provider_sid: Option<&str>) -> Vec<Name> {
    let mut indexes = vec![Name::user(issuer, subject)];
    indexes.extend(provider_sid.map(|sid| Name::provider_sid(issuer, sid)));
    indexes.push(Name::shard_of(key));
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::token::SessionToken;
    use crate::testing::SeededRandom;

    #[test]
    fn what_is_told_of_is_told_apart() {
        let key = *SessionToken::generate(&SeededRandom::new(1)).key();
        let (record, generation, beat) = (Name::record(&key), Name::generation(), Name::beat("lane", 7));
        for name in [&record, &generation, &beat] {
            assert_eq!(Name::record_of(name.as_str()), (*name == record).then_some(key), "{name}");
            assert_eq!(Name::is_generation(name.as_str()), *name == generation, "{name}");
            assert_eq!(Name::is_beat(name.as_str()), *name == beat, "{name}");
            assert!(name.as_str().starts_with(TRACKED), "{name}");
        }
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        assert_ne!(Name::user("https://a", "bc"), Name::user("https://ab", "c"));
        assert_ne!(Name::user("i", "s"), Name::revoked_user("i", "s"));
        assert_eq!(Name::user("i", "s"), Name::user("i", "s"));
    }

    #[test]
    fn what_belongs_to_one_session_shares_a_slot() {
        let key = *SessionToken::generate(&SeededRandom::new(1)).key();
        for name in [Name::record(&key), Name::activity(&key), Name::operator(&key)] {
            assert_eq!(Name::record_of(name.as_str()), (name == Name::record(&key)).then_some(key));
            assert!(name.as_str().ends_with(&format!("{{{key}}}")), "{name}");
        }
    }
}

//! What the demo's provider remembers: a bounded map whose entries expire.
//!
//! Never grows beyond its capacity: when it is full the entry that expires first makes room.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::{Random, Timestamp};

/// The SHA-256 of an unguessable text: what is looked up is never the secret itself, so that comparing reveals nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

/// Entries by the digest of their unguessable name.
#[derive(Debug)]
pub struct Shelf<V> {
    entries: HashMap<Digest, (Timestamp, V)>,
    capacity: usize,
    life: Duration,
}

impl<V> Shelf<V> {
    /// Room for `capacity` entries that live for `life`.
    #[must_use]
    pub fn new(capacity: usize, life: Duration) -> Self {
        Self { entries: HashMap::new(), capacity, life }
    }

    /// Puts `value` under a new name of 256 random bits, and returns the name.
    pub fn put(&mut self, value: V, random: &dyn Random, now: Timestamp) -> String {
        let name = random.token::<32>();
        self.put_as(Digest::of(&name), value, now);
        name
    }

    /// Puts `value` under a name that is known already.
    pub fn put_as(&mut self, name: Digest, value: V, now: Timestamp) {
        if self.entries.len() >= self.capacity {
            self.entries.retain(|_, (expires, _)| *expires > now);
        }
        if self.entries.len() >= self.capacity
            && let Some(first) = self.entries.iter().min_by_key(|(_, (expires, _))| *expires).map(|(name, _)| *name)
        {
            self.entries.remove(&first);
        }
        self.entries.insert(name, (now + self.life, value));
    }

    /// The entry, if it is there and alive.
    pub fn find(&mut self, name: Digest, now: Timestamp) -> Option<&mut V> {
        self.entries.get_mut(&name).filter(|(expires, _)| *expires > now).map(|(_, value)| value)
    }

    /// Takes the entry out: the second caller gets none.
    pub fn take(&mut self, name: Digest, now: Timestamp) -> Option<V> {
        self.entries.remove(&name).filter(|(expires, _)| *expires > now).map(|(_, value)| value)
    }

    /// Keeps only what `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.entries.retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    #[test]
    fn entries_expire_are_taken_once_and_make_room() {
        let random = SeededRandom::new(1);
        let now = Timestamp::from_unix_seconds(0);
        let mut shelf = Shelf::new(2, Duration::from_secs(10));
        let first = Digest::of(&shelf.put(1, &random, now));
        let second = Digest::of(&shelf.put(2, &random, now + Duration::from_secs(1)));
        let third = Digest::of(&shelf.put(3, &random, now + Duration::from_secs(2)));
        assert_eq!(shelf.find(first, now), None);
        assert_eq!(shelf.take(second, now), Some(2));
        assert_eq!(shelf.take(second, now), None);
        assert_eq!(shelf.find(third, now + Duration::from_secs(11)), Some(&mut 3));
        assert_eq!(shelf.find(third, now + Duration::from_secs(12)), None);
    }
}

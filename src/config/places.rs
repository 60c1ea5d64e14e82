//! Where each key stands in the text.
//!
//! Keeps no values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::problem::Place;

/// Where each key stands, and which are already known to be wrong.
#[derive(Debug)]
pub struct Places {
    file: Arc<str>,
    text: Arc<str>,
    starts: BTreeMap<String, usize>,
    broken: BTreeSet<String>,
}

impl Places {
    /// Of `text`, which stands in `file`.
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), starts: BTreeMap::new(), broken: BTreeSet::new() }
    }

    /// Notes that `key` begins at byte `start`.
    pub fn note(&mut self, key: &str, start: usize) {
        self.starts.entry(key.to_owned()).or_insert(start);
    }

    /// Notes that what stands at `key` could not be read: that it is missing from what was read means nothing.
    pub fn mark_broken(&mut self, key: &str) {
        self.broken.insert(key.to_owned());
    }

    /// Whether `key` or something around it could not be read.
    pub fn is_broken(&self, key: &str) -> bool {
        std::iter::successors(Some(key), |key| parent(key)).any(|key| self.broken.contains(key))
    }

    /// Whether `key` is written in the file.
    pub fn is_written(&self, key: &str) -> bool {
        self.starts.contains_key(key)
    }

    /// The place of `key`, or of the nearest key around it that is written.
    pub fn of(&self, key: &str) -> Place {
        let start = std::iter::successors(Some(key), |key| parent(key)).find_map(|key| self.starts.get(key));
        Place { file: self.file.clone(), position: start.map(|start| self.position(*start)), key: key.to_owned() }
    }

    /// The place of byte `start`, where no key can be named.
    pub fn at(&self, start: usize) -> Place {
        Place { file: self.file.clone(), position: Some(self.position(start)), key: String::new() }
    }

    fn position(&self, start: usize) -> (usize, usize) {
        let before = self.text.get(..start).unwrap_or(&self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

/// `a.b[2]` of `a.b[2].c`, `a.b` of `a.b[2]`. A dot inside a quoted name only yields a key that nobody has.
fn parent(key: &str) -> Option<&str> {
    key.rfind(['.', '[']).and_then(|at| key.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_placed_at_what_is_around_it() {
        let mut places = Places::new("v.toml", "é = 1\n\n  [a]\n");
        places.note("a", 10);
        places.mark_broken("a.b");
        assert_eq!(places.of("a.b[2].c").to_string(), "v.toml:3:3  a.b[2].c");
        assert_eq!(places.of("x").to_string(), "v.toml  x");
        assert!(places.is_broken("a.b[0]") && !places.is_broken("a"));
        assert_eq!(places.at(1000).position, Some((4, 1)));
    }
}

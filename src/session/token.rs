//! The three names of a session: what the browser holds, what the store knows, what people may say aloud.
//!
//! Only the first opens anything, and only the first must never be written anywhere but into the cookie.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::{Random, Secret};

/// The session cookie's value: 32 unguessable bytes. It opens the session and its record; nothing else does.
///
/// Its clones share one place, so that it is wiped once and with the last of them.
#[derive(Clone)]
pub struct SessionToken(Arc<Named>);

struct Named {
    bytes: Secret<[u8; 32]>,
    text: Secret<[u8; 43]>,
    key: SessionKey,
}

impl SessionToken {
    /// A new one. Sessions get theirs from here alone: a value that a browser brings is looked up, never adopted.
    #[must_use]
    pub(super) fn generate(random: &dyn Random) -> Self {
        let bytes = Secret::new(random.bytes::<32>());
        let text = Secret::new(spelled(bytes.expose()));
        Self::named(bytes, text)
    }

    /// Reads a cookie's value: exactly 43 characters of base64url, in the one spelling that we write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Secret::new(decode::<32>(text)?);
        Some(Self::named(bytes, Secret::new(text.as_bytes().try_into().ok()?)))
    }

    fn named(bytes: Secret<[u8; 32]>, text: Secret<[u8; 43]>) -> Self {
        let key = SessionKey::of(bytes.expose());
        Self(Arc::new(Named { bytes, text, key }))
    }

    /// Whether this is the cookie's value, found out in a time that does not depend on where they differ.
    #[must_use]
    pub fn is_spelled(&self, text: &str) -> bool {
        constant_time::verify_slices_are_equal(self.0.text.expose(), text.as_bytes()).is_ok()
    }

    /// The cookie's value.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.0.text.expose()).unwrap_or_default()
    }

    /// What the record's key is derived from.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.0.bytes.expose()
    }

    /// The name under which the store knows the session.
    #[must_use]
    pub fn key(&self) -> &SessionKey {
        &self.0.key
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[session token]")
    }
}

/// The session's name in the store and in logs: a hash of the token, so that a dump of the store yields no cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    fn of(token: &[u8; 32]) -> Self {
        // A label of our own: the same bytes hashed elsewhere for another purpose never meet this key.
        let mut hashed = zeroize::Zeroizing::new([0; KEY_LABEL.len() + 32]);
        let (label, rest) = hashed.split_at_mut(KEY_LABEL.len());
        label.copy_from_slice(KEY_LABEL);
        rest.copy_from_slice(token);
        let mut key = [0; 32];
        // In one piece: a hash of several takes memory and longer.
        key.copy_from_slice(digest::digest(&digest::SHA256, hashed.as_slice()).as_ref());
        Self(key)
    }

    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decode::<32>(text).map(Self)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(&self.0, &URL_SAFE_NO_PAD).fmt(f)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// The session's public reference: people, operators and upstreams name a session by it. It opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sid(String);

impl Sid {
    /// A new one, unrelated to the token.
    #[must_use]
    pub(super) fn generate(random: &dyn Random) -> Self {
        Self(random.token::<16>())
    }

    /// Reads one: 22 characters of base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decode::<16>(text).map(|_| Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const KEY_LABEL: &[u8] = b"vestibule session key\0";

/// Base64url without padding: the one spelling of a token.
fn spelled(bytes: &[u8; 32]) -> [u8; 43] {
    let mut text = [0; 43];
    // 32 bytes are 43 characters: the slice always fits.
    let _ = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
    text
}

/// Base64url without padding of exactly `N` bytes, trailing bits zero, or nothing.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The decoder wants room for the worst case of its last group.
    let mut buffer = zeroize::Zeroizing::new([0; 48]);
    if text.len() != (N * 8).div_ceil(6) {
        return None;
    }
    let length = URL_SAFE_NO_PAD.decode_slice(text, buffer.as_mut_slice()).ok()?;
    buffer.get(..length)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    #[test]
    fn only_the_canonical_spelling_is_read() {
        let token = SessionToken::generate(&SeededRandom::new(1));
        let text = token.expose().to_owned();
        assert_eq!(text.len(), 43);
        assert_eq!(SessionToken::parse(&text).map(|read| *read.key()), Some(*token.key()));
        let mut last = text.clone();
        let end = last.pop().unwrap();
        // The last character carries two bits that must be zero: the next letter decodes to the same bytes.
        last.push(char::from(end as u8 + 1));
        for wrong in [
            "",
            "short",
            &format!("{text}="),
            &format!("{text}A"),
            &format!(" {}", text.get(1..).unwrap()),
            &text.replacen(char::is_alphanumeric, "+", 1),
            &last,
            &"é".repeat(22),
        ] {
            assert!(SessionToken::parse(wrong).is_none(), "{wrong}");
        }
    }

    /// SESS-02: a session's name in the cookie has 256 random bits, and every one is new.
    #[test]
    fn tokens_have_256_bits_and_differ() {
        let tokens: Vec<_> = (0..100).map(|_| SessionToken::generate(&crate::base::SystemRandom)).collect();
        let different: std::collections::BTreeSet<_> = tokens.iter().map(SessionToken::expose).collect();
        assert_eq!(different.len(), 100);
        // A bit that is always the same is none: of a hundred it is so by chance once in 2^99.
        let all = |join: fn(u8, u8) -> u8| {
            tokens
                .iter()
                .map(|token| *token.bytes())
                .reduce(|one, other| std::array::from_fn(|at| join(one[at], other[at])))
        };
        assert_eq!(all(|one, other| one | other), Some([0xff; 32]), "a bit that is never set");
        assert_eq!(all(|one, other| one & other), Some([0; 32]), "a bit that is always set");
    }

    /// OPS-01: neither the token nor anything derived from it for the log shows the token.
    #[test]
    fn debug_and_key_do_not_show_the_token() {
        let token = SessionToken::generate(&SeededRandom::new(2));
        let shown = format!("{token:?} {:?} {}", token.key(), token.key());
        assert!(!shown.contains(token.expose()));
        assert_eq!(SessionKey::parse(&token.key().to_string()), Some(*token.key()));
    }

    #[test]
    fn a_sid_is_read_back_and_nothing_else_is() {
        let sid = Sid::generate(&SeededRandom::new(3));
        assert_eq!(Sid::parse(sid.as_str()), Some(sid));
        for wrong in ["", "..", "a b", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA*"] {
            assert_eq!(Sid::parse(wrong), None, "{wrong}");
        }
    }
}

//! Small encodings that tests need: base64url, hex, forms, random names.
//!
//! Must never be stricter than the wire: it shows what was sent.

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// base64url without padding.
pub fn b64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of unpadded base64url, or `None`.
pub fn from_b64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Ordinary base64.
pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of ordinary base64, or `None`.
pub fn from_b64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `prefix` and 24 random bytes: unguessable, and easy to find in a dump.
pub fn random_name(prefix: &str) -> String {
    format!("{prefix}{}", b64url(&random_bytes(24)))
}

/// That many random bytes.
pub fn random_bytes(n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    SystemRandom::new().fill(&mut bytes).expect("randomness");
    bytes
}

/// The pairs of a form or query.
pub fn pairs(form: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(form).into_owned().collect()
}

/// A form or query of these pairs.
pub fn form<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The first value of `name`.
pub fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Every byte as the character of the same number: loses nothing and is readable.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Whether `haystack` holds `needle`.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && memchr::memmem::find(haystack, needle).is_some()
}

/// The claims of a JWT, unchecked.
pub fn unverified_claims(jwt: &str) -> Option<serde_json::Value> {
    serde_json::from_slice(&from_b64url(jwt.split('.').nth(1)?)?).ok()
}

/// The header of a JWT, unchecked.
pub fn unverified_header(jwt: &str) -> Option<serde_json::Value> {
    serde_json::from_slice(&from_b64url(jwt.split('.').next()?)?).ok()
}

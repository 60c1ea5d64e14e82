//! Making tokens: compact JWS with an explicit `typ` (RFC 7515 section 7.1, RFC 8725 section 3.11).
//!
//! Never signs without a `typ`, and never with an algorithm other than the key's own.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::algorithm::Algorithm;
use super::key::SigningKey;
use crate::base::{Blame, Blamed};

/// Signs `claims`, which must serialise as a JSON object, as a token of kind `typ`.
///
/// # Errors
/// When the claims cannot be serialised or the crypto library fails: both are ours to mend.
pub fn sign(key: &SigningKey, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
    let header = Header { alg: key.algorithm().as_str(), typ, kid: key.kid() };
    let mut token = String::new();
    for part in [serde_json::to_vec(&header), serde_json::to_vec(claims)] {
        let part = part.map_err(|_| SignError::Claims)?;
        if part.first() != Some(&b'{') {
            return Err(SignError::Claims);
        }
        URL_SAFE_NO_PAD.encode_string(part, &mut token);
        token.push('.');
    }
    token.pop();
    let signature = key.signature(token.as_bytes()).ok_or(SignError::Key)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// `at_hash` (OpenID Connect Core section 3.1.3.6): the left half of the algorithm's hash, base64url. EdDSA goes with SHA-512.
#[must_use]
pub fn at_hash(algorithm: Algorithm, access_token: &str) -> String {
    let hash = match algorithm {
        Algorithm::Es256 | Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Hs256 => &digest::SHA256,
        Algorithm::Es384 | Algorithm::Rs384 | Algorithm::Ps384 => &digest::SHA384,
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa => &digest::SHA512,
    };
    let hash = digest::digest(hash, access_token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// They do not make a JSON object.
    #[error("the claims do not serialise as a JSON object")]
    Claims,
    /// The crypto library refused to sign.
    #[error("the key does not sign")]
    Key,
}

impl Blamed for SignError {
    fn blame(&self) -> Blame {
        Blame::Bug
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'a str,
    kid: &'a str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::SeededRandom;

    /// The access token and value of OpenID Connect Core appendix A.3, and the lengths of the other halves.
    #[test]
    fn at_hash_is_the_left_half() {
        assert_eq!(at_hash(Algorithm::Rs256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(at_hash(Algorithm::Es384, "x").len(), 32);
        assert_eq!(at_hash(Algorithm::EdDsa, "x").len(), 43);
        assert_eq!(at_hash(Algorithm::EdDsa, "x"), at_hash(Algorithm::Ps512, "x"));
    }

    #[test]
    fn only_objects_are_signed() {
        let key = SigningKey::generate(Algorithm::EdDsa, &SeededRandom::new(1)).unwrap();
        for claims in [json!([1]), json!("x"), json!(null), json!(1)] {
            assert!(matches!(sign(&key, "JWT", &claims), Err(SignError::Claims)));
        }
        assert_eq!(sign(&key, "JWT", &json!({})).unwrap().split('.').count(), 3);
    }
}

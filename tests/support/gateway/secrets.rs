//! Searching for secrets where none may be.
//!
//! Must never show a whole secret in its own message.

use crate::support::codec::{b64, b64url, contains};

/// Which of `secrets` stand in `bytes`: as they are, as Base64, form-encoded, or, of a JWT, the signature alone.
pub fn leaks(bytes: &[u8], secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets.iter().filter(|secret| secret.len() >= 12) {
        let mut forms = vec![secret.clone(), b64(secret.as_bytes()), b64url(secret.as_bytes())];
        forms.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
        if let [_, _, signature] = secret.split('.').collect::<Vec<_>>()[..] {
            forms.push(signature.to_owned());
        }
        forms.retain(|form| form.len() >= 12);
        if forms.iter().any(|form| contains(bytes, form.as_bytes())) {
            found.push(format!("{}…", secret.chars().take(24).collect::<String>()));
        }
    }
    found
}

/// # Panics
/// When one of `secrets` stands in `bytes`; `what` says where that is.
#[track_caller]
pub fn assert_holds_none(what: &str, bytes: &[u8], secrets: &[String]) {
    let found = leaks(bytes, secrets);
    assert!(found.is_empty(), "{what} holds {} of {} secrets: {found:?}", found.len(), secrets.len());
}

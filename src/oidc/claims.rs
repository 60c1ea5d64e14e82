//! Which of a provider's claims a session keeps, and under which names.
//!
//! Kept by default: `sub email email_verified name preferred_username given_name family_name picture locale groups roles`, and what
//! the configuration maps. Never kept: what belongs to the protocol, or points elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ProviderError;

/// Lays the userinfo endpoint's claims over the ID token's. What an ID token says as a token stays its own.
pub(super) fn overlay(claims: &mut Map<String, Value>, userinfo: Map<String, Value>) {
    claims.extend(userinfo.into_iter().filter(|(name, _)| !PROTOCOL.contains(&name.as_str())));
}

/// The claims a session keeps: the standard ones, then those of `mapping` (our name = path in the provider's claims).
///
/// A mapped name replaces the standard claim of that name even where its path leads nowhere: whoever maps `groups` does not mean the
/// provider's own `groups`.
///
/// # Errors
/// When they are more than a session may hold.
pub(super) fn kept(
    claims: &Map<String, Value>,
    sub: &str,
    mapping: &BTreeMap<String, String>,
) -> Result<Map<String, Value>, ProviderError> {
    let mut kept = Map::new();
    for name in STANDARD {
        if let Some(value) = claims.get(name).filter(|value| !value.is_null()) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    for (name, path) in mapping {
        kept.remove(name);
        let value = at_path(claims, path).filter(|value| !value.is_null());
        if let Some(value) = value.filter(|_| !PROTOCOL.contains(&path.as_str())) {
            kept.insert(name.clone(), value.clone());
        }
    }
    // Who somebody is, no mapping can change.
    kept.insert("sub".to_owned(), Value::from(sub));
    let bytes = serde_json::to_vec(&kept).map_err(|_| ProviderError::Bug("claims that do not serialise"))?.len();
    if bytes > CLAIMS_BYTES { Err(ProviderError::ClaimsTooLarge) } else { Ok(kept) }
}

/// Follows a dotted path. Names may hold dots themselves (`https://example.com/roles`), so the longest name that is there wins.
fn at_path<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let dots: Vec<usize> = path.match_indices('.').map(|(at, _)| at).collect();
    dots.into_iter().rev().find_map(|at| {
        let inner = claims.get(path.get(..at)?)?.as_object()?;
        at_path(inner, path.get(at + 1..)?)
    })
}

/// OpenID Connect Core section 5.1, as far as applications commonly ask, and the two names that carry rights.
const STANDARD: [&str; 11] = [
    "sub",
    "email",
    "email_verified",
    "name",
    "preferred_username",
    "given_name",
    "family_name",
    "picture",
    "locale",
    "groups",
    "roles",
];

/// Claims about the token, not about the person, and pointers to claims elsewhere (Core section 5.6.2), which are never followed.
const PROTOCOL: [&str; 19] = [
    "iss",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "azp",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "auth_time",
    "acr",
    "amr",
    "cnf",
    "events",
    "_claim_names",
    "_claim_sources",
];
const CLAIMS_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn mapped(claims: Value, mapping: &[(&str, &str)]) -> Value {
        let mapping = mapping.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        Value::Object(kept(&object(claims), "ann", &mapping).unwrap())
    }

    #[test]
    fn standard_claims_stay_and_protocol_claims_go() {
        let claims = json!({
            "iss": "i", "sub": "ann", "aud": "me", "exp": 1, "iat": 1, "nonce": "n", "at_hash": "h", "sid": "s", "acr": "gold",
            "email": "a@b.c", "email_verified": false, "groups": ["x"], "department": "7", "name": null,
            "_claim_names": {"credit": "src"}, "_claim_sources": {"src": {"endpoint": "https://elsewhere.example"}},
        });
        let expected = json!({"sub": "ann", "email": "a@b.c", "email_verified": false, "groups": ["x"]});
        assert_eq!(mapped(claims, &[]), expected);
    }

    #[test]
    fn paths() {
        let claims = json!({
            "realm_access": {"roles": ["a"], "deep": {"er": 1}}, "https://example.com/roles": ["b"],
            "a.b": {"c": "long name"}, "a": {"b": {"c": "short name"}, "d": "other"}, "groups": ["own"], "department": "7",
        });
        for (path, expected) in [
            ("realm_access.roles", json!(["a"])),
            ("realm_access.deep.er", json!(1)),
            ("https://example.com/roles", json!(["b"])),
            ("a.b.c", json!("long name")),
            ("a.d", json!("other")),
            ("department", json!("7")),
        ] {
            assert_eq!(mapped(claims.clone(), &[("x", path)])["x"], expected, "{path}");
        }
        for path in ["", ".", "a.", ".a", "a.b.c.d", "nowhere", "realm_access.roles.0", "department.x"] {
            assert_eq!(mapped(claims.clone(), &[("x", path)]).get("x"), None, "{path:?}");
        }
        assert_eq!(mapped(claims.clone(), &[("groups", "realm_access.roles")])["groups"], json!(["a"]));
        assert_eq!(mapped(claims, &[("groups", "nowhere")]).get("groups"), None);
    }

    #[test]
    fn nobody_is_renamed_and_protocol_claims_are_not_mapped_in() {
        let claims = json!({"sub": "ann", "oid": "bob", "nonce": "n"});
        assert_eq!(mapped(claims, &[("sub", "oid"), ("x", "nonce")]), json!({"sub": "ann"}));
    }

    #[test]
    fn userinfo_lies_over_the_id_token_except_for_what_a_token_says_of_itself() {
        let mut claims = object(json!({"sub": "ann", "email": "old@b.c", "acr": "silver", "iss": "i"}));
        overlay(&mut claims, object(json!({"email": "new@b.c", "acr": "gold", "iss": "x", "picture": "p"})));
        assert_eq!(
            Value::Object(claims),
            json!({"sub": "ann", "email": "new@b.c", "acr": "silver", "iss": "i", "picture": "p"})
        );
    }

    #[test]
    fn a_session_holds_only_so_much() {
        let groups = vec!["x".repeat(100); 1000];
        assert!(matches!(
            kept(&object(json!({ "groups": groups })), "ann", &BTreeMap::new()),
            Err(ProviderError::ClaimsTooLarge)
        ));
    }
}

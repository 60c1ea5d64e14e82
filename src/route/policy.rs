//! What the caller's claims must be.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Claims and the values that are good enough. All named claims must match one of theirs; no claims: everybody passes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// Claim = values.
    pub require: BTreeMap<String, Vec<String>>,
}

/// The first claim that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim {claim:?} has none of the required values")]
pub struct Missing {
    /// Its name.
    pub claim: String,
}

impl Policy {
    /// Whether these claims are good enough.
    ///
    /// `scope` is what was granted to the gateway in the caller's name: `require.scope` asks for one of its words, whatever a claim of that
    /// name says.
    ///
    /// A value is compared exactly, with a string, number or boolean, or with each member of an array. An `email` counts only
    /// when the provider says `email_verified: true`: anybody can claim an address.
    ///
    /// # Errors
    ///
    /// The first claim that is not as it must be.
    pub fn permits(&self, claims: &Map<String, Value>, scope: Option<&str>) -> Result<(), Missing> {
        for (claim, values) in &self.require {
            let trusted = claim != "email" || claims.get("email_verified") == Some(&Value::Bool(true));
            let matches = if claim == "scope" {
                scope.unwrap_or_default().split(' ').any(|word| values.iter().any(|value| value == word))
            } else {
                claims.get(claim).is_some_and(|found| has_one_of(found, values))
            };
            if !(trusted && matches) {
                return Err(Missing { claim: claim.clone() });
            }
        }
        Ok(())
    }
}

fn has_one_of(found: &Value, values: &[String]) -> bool {
    match found {
        Value::Array(members) => members.iter().any(|member| is_one_of(member, values)),
        other => is_one_of(other, values),
    }
}

fn is_one_of(found: &Value, values: &[String]) -> bool {
    match found {
        Value::String(text) => values.iter().any(|value| value == text),
        Value::Number(number) => {
            let number = number.to_string();
            values.contains(&number)
        }
        Value::Bool(truth) => values.iter().any(|value| value == if *truth { "true" } else { "false" }),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn permits(require: &[(&str, &[&str])], claims: &Value) -> bool {
        let require = require
            .iter()
            .map(|(claim, values)| ((*claim).to_owned(), values.iter().map(|&value| value.to_owned()).collect()))
            .collect();
        Policy { require }.permits(claims.as_object().unwrap(), None).is_ok()
    }

    /// LOGIN-19: the granted scope is asked by its words, and no claim stands in for it.
    #[test]
    fn the_granted_scope_counts() {
        let policy = Policy { require: BTreeMap::from([("scope".to_owned(), vec!["orders:write".to_owned()])]) };
        let claims = json!({ "scope": "orders:write", "sub": "ada" });
        for (scope, passes) in [
            (Some("openid orders:write"), true),
            (Some("orders:write"), true),
            (Some("openid orders:writer"), false),
            (Some("openid"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(policy.permits(claims.as_object().unwrap(), scope).is_ok(), passes, "{scope:?}");
        }
    }

    /// ID-14: all named claims must have one of their values; nothing else is good enough.
    #[test]
    fn truth_table() {
        let claims = json!({
            "groups": ["staff", "dev"], "role": "admin", "level": 3, "active": true, "none": null, "deep": [["staff"]], "map": {"staff": 1},
            "empty": [], "mixed": [1, false, "x"],
        });
        for (require, passes) in [
            (&[][..], true),
            (&[("groups", &["staff"][..])], true),
            (&[("groups", &["ops", "dev"])], true),
            (&[("groups", &["ops"])], false),
            (&[("groups", &["Staff"])], false),
            (&[("groups", &["staf"])], false),
            (&[("groups", &[])], false),
            (&[("role", &["admin"])], true),
            (&[("role", &["adm"])], false),
            (&[("level", &["3"])], true),
            (&[("level", &["3.0"])], false),
            (&[("active", &["true"])], true),
            (&[("active", &["false"])], false),
            (&[("none", &["null"])], false),
            (&[("deep", &["staff"])], false),
            (&[("map", &["staff"])], false),
            (&[("empty", &[""])], false),
            (&[("mixed", &["false"])], true),
            (&[("absent", &["x"])], false),
            (&[("groups", &["staff"]), ("role", &["admin"])], true),
            (&[("groups", &["staff"]), ("role", &["user"])], false),
        ] {
            assert_eq!(permits(require, &claims), passes, "{require:?}");
        }
    }

    /// TOK-18: an e-mail address that is not verified opens nothing.
    #[test]
    fn unverified_addresses_open_nothing() {
        let require = &[("email", &["ada@example.com"][..])];
        for (claims, passes) in [
            (json!({ "email": "ada@example.com", "email_verified": true }), true),
            (json!({ "email": "ada@example.com" }), false),
            (json!({ "email": "ada@example.com", "email_verified": false }), false),
            (json!({ "email": "ada@example.com", "email_verified": "true" }), false),
            (json!({ "email": "ada@example.com", "email_verified": 1 }), false),
            (json!({ "email": "ada@evil.com@example.com", "email_verified": true }), false),
        ] {
            assert_eq!(permits(require, &claims), passes, "{claims}");
        }
    }
}

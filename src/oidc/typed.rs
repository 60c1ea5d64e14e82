//! Claims read by type: a claim is there in its right shape, or absent, or the token is refused.
//!
//! Never converts: a number in quotes is no number.

use serde_json::{Map, Value};

use crate::base::Timestamp;

/// Why a claim cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It has to be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// It is there in another type or shape than it may have.
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
}

/// A string claim. `null` counts as absent: some providers write it for "none".
pub(super) fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, ClaimError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(ClaimError::Malformed(name)),
    }
}

/// A string claim that names something: neither empty nor longer than `longest` bytes, without control characters.
pub(super) fn name<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
    longest: usize,
) -> Result<Option<&'a str>, ClaimError> {
    let value = text(claims, name)?;
    match value {
        Some(value) if value.is_empty() || value.len() > longest || value.chars().any(char::is_control) => {
            Err(ClaimError::Malformed(name))
        }
        value => Ok(value),
    }
}

/// A NumericDate (RFC 7519 section 2), fractions cut off.
pub(super) fn moment(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, ClaimError> {
    let number = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(ClaimError::Malformed(name)),
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the range is looked at right after, and a cast from float saturates"
    )]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
    match seconds {
        Some(seconds) if (0..=LATEST).contains(&seconds) => Ok(Some(Timestamp::from_unix_seconds(seconds))),
        _ => Err(ClaimError::Malformed(name)),
    }
}

/// `aud` (RFC 7519 section 4.1.3): one string, or an array of them that is not empty.
pub(super) fn audience(claims: &Map<String, Value>) -> Result<Vec<&str>, ClaimError> {
    match claims.get("aud") {
        None | Some(Value::Null) => Err(ClaimError::Missing("aud")),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(many)) if !many.is_empty() => {
            many.iter().map(|one| one.as_str().ok_or(ClaimError::Malformed("aud"))).collect()
        }
        Some(_) => Err(ClaimError::Malformed("aud")),
    }
}

/// A list of strings, or one string alone, as some providers write it.
pub(super) fn texts(claims: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, ClaimError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(many)) => {
            many.iter().map(|one| one.as_str().map(str::to_owned).ok_or(ClaimError::Malformed(name))).collect()
        }
        Some(_) => Err(ClaimError::Malformed(name)),
    }
}

/// Makes an absent claim an error.
pub(super) fn required<T>(value: Option<T>, name: &'static str) -> Result<T, ClaimError> {
    value.ok_or(ClaimError::Missing(name))
}

/// OpenID Connect Core section 2: `sub` has at most 255 ASCII characters.
pub(super) const SUBJECT_BYTES: usize = 255;
/// No limit stands in any specification; it becomes part of an index' key.
pub(super) const SID_BYTES: usize = 1024;
/// The end of the year 9999: beyond it is a mistake of units.
const LATEST: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Map<String, Value> {
        json!({ "x": value, "aud": value }).as_object().unwrap().clone()
    }

    /// TOK-06: wrong types are refused, never converted.
    #[test]
    fn moments_are_numbers_in_range() {
        for (value, expected) in [
            (json!(1_767_225_600), Ok(Some(1_767_225_600))),
            (json!(1_767_225_600.9), Ok(Some(1_767_225_600))),
            (json!(0), Ok(Some(0))),
            (json!(null), Ok(None)),
            (json!("1767225600"), Err(ClaimError::Malformed("x"))),
            (json!(-1), Err(ClaimError::Malformed("x"))),
            (json!(1_767_225_600_000_i64), Err(ClaimError::Malformed("x"))),
            (json!(u64::MAX), Err(ClaimError::Malformed("x"))),
            (json!(1e300), Err(ClaimError::Malformed("x"))),
            (json!([1]), Err(ClaimError::Malformed("x"))),
            (json!(true), Err(ClaimError::Malformed("x"))),
        ] {
            let read = moment(&claims(value.clone()), "x").map(|at| at.map(Timestamp::unix_seconds));
            assert_eq!(read, expected, "{value}");
        }
    }

    /// TOK-06: `sub` and `sid` are strings of a sensible length; printable characters of every kind may be in them.
    #[test]
    fn names_have_a_length_and_no_control_characters() {
        for (value, good) in [
            (json!("a"), true),
            (json!("auth0|5f7c é\"<>&%"), true),
            (json!("x".repeat(255)), true),
            (json!("x".repeat(256)), false),
            (json!(""), false),
            (json!("a\nb"), false),
            (json!("a\u{0}"), false),
            (json!(7), false),
            (json!(["a"]), false),
            (json!({}), false),
        ] {
            assert_eq!(name(&claims(value.clone()), "x", SUBJECT_BYTES).is_ok(), good, "{value}");
        }
    }

    #[test]
    fn audiences() {
        assert_eq!(audience(&claims(json!("me"))), Ok(vec!["me"]));
        assert_eq!(audience(&claims(json!(["me", "you"]))), Ok(vec!["me", "you"]));
        for value in [json!([]), json!(["me", 1]), json!(1), json!({"me": true})] {
            assert_eq!(audience(&claims(value.clone())), Err(ClaimError::Malformed("aud")), "{value}");
        }
        assert_eq!(audience(&claims(json!(null))), Err(ClaimError::Missing("aud")));
    }
}

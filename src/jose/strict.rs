//! JSON as tokens must have it: one object, no member twice, not too deep (RFC 8725 section 2.5, RFC 7519 section 4).
//!
//! Never repairs or guesses.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one JSON object.
///
/// # Errors
/// Which of the rules it breaks.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, StrictError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut broken = None;
    let value = Strict { depth: 0, broken: &mut broken }.deserialize(&mut json);
    match (value, json.end()) {
        (Ok(Value::Object(members)), Ok(())) => Ok(members),
        _ => Err(broken.unwrap_or(StrictError::Json)),
    }
}

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrictError {
    /// Not UTF-8, not JSON, or no object.
    Json,
    /// A member twice.
    Duplicate,
    /// Deeper than is reasonable.
    Depth,
}

struct Strict<'b> {
    depth: usize,
    broken: &'b mut Option<StrictError>,
}

impl Strict<'_> {
    fn inner(&mut self) -> Strict<'_> {
        Strict { depth: self.depth + 1, broken: self.broken }
    }

    fn refuse<E: serde::de::Error>(&mut self, why: StrictError) -> E {
        *self.broken = Some(why);
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(self.refuse(StrictError::Depth));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self.inner())? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(self.refuse(StrictError::Duplicate));
            }
            let value = map.next_value_seed(self.inner())?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// Real tokens nest three or four deep.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_objects_read_as_usual() {
        let text = r#" {"a":[1,-2,3.5,"x",null,true],"b":{"c":{"a":18446744073709551615}},"":"\u0000"} "#;
        assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), serde_json::from_str::<Value>(text).unwrap());
    }

    /// TOK-06: members twice, at any depth and in any spelling, and whatever is no object.
    #[test]
    fn rules() {
        for (text, why) in [
            (r#"{"iss":"a","iss":"a"}"#, StrictError::Duplicate),
            (r#"{"iss":"a","\u0069ss":"b"}"#, StrictError::Duplicate),
            (r#"{"a":{"b":1,"b":2}}"#, StrictError::Duplicate),
            (r#"{"a":[{"b":1,"b":2}]}"#, StrictError::Duplicate),
            ("[]", StrictError::Json),
            ("null", StrictError::Json),
            ("\"{}\"", StrictError::Json),
            ("{} {}", StrictError::Json),
            ("{}x", StrictError::Json),
            ("{\"a\":1,}", StrictError::Json),
            ("{\"a\":1e999}", StrictError::Json),
            ("", StrictError::Json),
        ] {
            assert_eq!(object(text.as_bytes()), Err(why), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(StrictError::Json));
    }

    /// DOS-08: nesting is bounded.
    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(nested(32).as_bytes()).is_ok());
        assert_eq!(object(nested(33).as_bytes()), Err(StrictError::Depth));
        assert_eq!(object(nested(100_000).as_bytes()), Err(StrictError::Depth));
    }
}

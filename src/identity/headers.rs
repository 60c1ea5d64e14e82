//! Plain identity headers: one claim, one well-formed field (RFC 9110 section 5.5).
//!
//! Never sends part of a value, and never a value that could read as two.

use http::HeaderValue;
use serde_json::Value;

/// The field's value for a claim: text as it is, arrays joined by commas, everything outside visible ASCII percent-encoded as UTF-8,
/// as are `%` itself and a comma within an array's element. `None` where there is nothing to say.
///
/// # Errors
/// For line breaks and NUL, and for objects and arrays in arrays.
pub(super) fn header_value(claim: &Value) -> Result<Option<HeaderValue>, &'static str> {
    let mut text = String::new();
    match claim {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                encode(&scalar(element)?, true, &mut text)?;
            }
        }
        other => encode(&scalar(other)?, false, &mut text)?,
    }
    if text.is_empty() {
        return Ok(None);
    }
    HeaderValue::from_str(&text).map(Some).map_err(|_| "it cannot be encoded")
}

fn scalar(value: &Value) -> Result<std::borrow::Cow<'_, str>, &'static str> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(true) => Ok("true".into()),
        Value::Bool(false) => Ok("false".into()),
        Value::Null => Ok("".into()),
        Value::Array(_) | Value::Object(_) => Err("it is not text, a number, a truth value or a list of these"),
    }
}

fn encode(value: &str, in_list: bool, out: &mut String) -> Result<(), &'static str> {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        let outer_space = byte == b' ' && (in_list || index == 0 || index == last);
        match byte {
            b'\r' | b'\n' | 0 => return Err("it holds a line break or NUL"),
            b'%' => out.push_str("%25"),
            b',' if in_list => out.push_str("%2C"),
            // White space at the ends of a field is not part of its value.
            b' ' if outer_space => out.push_str("%20"),
            b' '..=b'~' => out.push(char::from(byte)),
            other => {
                use std::fmt::Write as _;
                write!(out, "%{other:02X}").map_err(|_| "it cannot be encoded")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(claim: &Value) -> Option<String> {
        header_value(claim).unwrap().map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn claims_become_one_field() {
        for (claim, expected) in [
            (json!("ada@example.com"), Some("ada@example.com")),
            (json!("Ada Lovelace, Countess"), Some("Ada Lovelace, Countess")),
            (json!("Zoë"), Some("Zo%C3%AB")),
            (json!("100%"), Some("100%25")),
            (json!(" x\t"), Some("%20x%09")),
            (json!("\u{7f}"), Some("%7F")),
            (json!(7), Some("7")),
            (json!(true), Some("true")),
            (json!(["staff", "a,b", "c d", 3]), Some("staff,a%2Cb,c%20d,3")),
            (json!([]), None),
            (json!(""), None),
            (json!(null), None),
        ] {
            assert_eq!(text(&claim).as_deref(), expected, "{claim}");
        }
    }

    /// ID-13: line breaks, NUL and structures are refused, in lists as well.
    #[test]
    fn what_could_split_a_field_is_refused() {
        for claim in [json!("a\r\nX-Admin: 1"), json!("a\nb"), json!("a\rb"), json!("a\u{0}b"), json!(["a\nb"])] {
            assert!(header_value(&claim).is_err(), "{claim}");
        }
        assert!(header_value(&json!({"a": 1})).is_err() && header_value(&json!([["a"]])).is_err());
    }

    proptest! {
        /// ID-13: whatever the text, the field is visible ASCII and decodes to that text, or there is none.
        #[test]
        fn fields_decode_to_the_claim(claim in any::<String>()) {
            match header_value(&json!(claim)) {
                Ok(value) => {
                    let field = value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
                    prop_assert!(field.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && field.trim() == field);
                    let mut decoded = Vec::new();
                    let mut rest = field.as_bytes();
                    while let Some((&byte, after)) = rest.split_first() {
                        rest = after;
                        if byte == b'%' {
                            decoded.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                            rest = &rest[2..];
                        } else {
                            decoded.push(byte);
                        }
                    }
                    prop_assert_eq!(String::from_utf8(decoded).unwrap(), claim);
                }
                Err(_) => prop_assert!(claim.contains(['\r', '\n', '\0'])),
            }
        }
    }
}

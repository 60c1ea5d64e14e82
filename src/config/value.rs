//! The kinds of values that TOML has no words for: durations, sizes, secrets from elsewhere, "unlimited" and "off".
//!
//! Each knows how it is written, and its schema says so; what a value means for its key is not decided here.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A duration as written: `"30m"`, `"12h"`, `"1h30m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// Reads numbers with the units `s`, `m`, `h`, `d`, `w`, `y` (365 days).
    ///
    /// # Errors
    /// When it is written otherwise, or is longer than a hundred years.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut seconds: u64 = 0;
        let mut rest = text;
        loop {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at_checked(digits).ok_or(NOT_A_SPAN)?;
            let mut units = after.chars();
            let unit = match units.next() {
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3_600,
                Some('d') => DAY,
                Some('w') => 7 * DAY,
                Some('y') => 365 * DAY,
                _ => return Err(NOT_A_SPAN),
            };
            let number: u64 = number.parse().map_err(|_| NOT_A_SPAN)?;
            seconds = number
                .checked_mul(unit)
                .and_then(|more| seconds.checked_add(more))
                .ok_or("is longer than 100 years")?;
            rest = units.as_str();
            if rest.is_empty() {
                break;
            }
        }
        if seconds > 100 * 365 * DAY { Err("is longer than 100 years") } else { Ok(Self(Duration::from_secs(seconds))) }
    }

    /// The shortest way to write `duration` in whole seconds.
    #[must_use]
    pub fn write(duration: Duration) -> String {
        let seconds = duration.as_secs();
        let units = [(365 * DAY, 'y'), (DAY, 'd'), (3_600, 'h'), (60, 'm')];
        match units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
            Some((unit, letter)) => format!("{}{letter}", seconds / unit),
            None => format!("{seconds}s"),
        }
    }
}

/// A number of bytes as written: `"32KiB"`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    /// Reads a number with one of the units `B`, `KiB`, `MiB`, `GiB`, `TiB`.
    ///
    /// # Errors
    /// When it is written otherwise, or does not fit 64 bits.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or(NOT_A_SIZE)?;
        let shift = match unit.trim_start_matches(' ') {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            "KB" | "kB" | "MB" | "GB" | "K" | "M" | "G" | "k" => {
                return Err("has a unit of two meanings; the units are B, KiB (1024), MiB, GiB and TiB");
            }
            _ => return Err(NOT_A_SIZE),
        };
        let number: u64 = number.parse().map_err(|_| NOT_A_SIZE)?;
        number.checked_mul(1 << shift).map(Self).ok_or("is too large")
    }

    /// The shortest exact way to write `bytes`.
    #[must_use]
    pub fn write(bytes: u64) -> String {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
            Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
            None => format!("{bytes}B"),
        }
    }
}

/// Where a secret is read from. It never stands in the configuration itself, which is copied, shown and committed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("format" = "secret", "examples" = [{"file": "/run/secrets/name"}, {"env": "NAME"}]))]
pub enum SecretSource {
    /// A file; one newline at its end is not part of the secret. A relative path starts at the configuration's folder.
    File(SecretFile),
    /// An environment variable.
    Env(SecretEnv),
}

/// A secret in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// Path of the file.
    pub file: String,
}

/// A secret in an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretEnv {
    /// Name of the variable.
    pub env: String,
}

/// A limit, or the word `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Limit<T> {
    /// `"unlimited"`.
    Unlimited(Unlimited),
    /// At most this.
    To(T),
}

impl<T> Limit<T> {
    /// The limit, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Unlimited(_) => None,
            Self::To(value) => Some(value),
        }
    }
}

/// The word `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unlimited {
    /// No limit.
    Unlimited,
}

/// Something, or the word `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Switch<T> {
    /// `"off"`.
    Off(Off),
    /// This.
    On(T),
}

/// The word `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Off {
    /// Not at all.
    Off,
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "span", "pattern": "^([0-9]+[smhdwy])+$" })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => Self::parse(&text).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"], "format": "size", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$", "minimum": 0,
        })
    }
}

const DAY: u64 = 86_400;
const NOT_A_SPAN: &str = "is not a duration; write a number and a unit (s, m, h, d, w, y), such as \"30m\"";
const NOT_A_SIZE: &str = "is not a size; write a number and a unit (B, KiB, MiB, GiB, TiB), such as \"32KiB\"";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_numbers_with_units() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("30m", 1_800),
            ("12h", 43_200),
            ("1h30m", 5_400),
            ("1y", 365 * DAY),
            ("2w", 14 * DAY),
        ] {
            assert_eq!(Span::parse(text), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "30", "m", "30 m", "-1s", "1.5h", "500ms", "1h30", "99999999999999999999s", "101y", "٣s", "1é"]
        {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in [("0B", 0), ("32KiB", 32_768), ("10 MiB", 10 << 20), ("1TiB", 1 << 40)] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "32", "KiB", "32KB", "32k", "-1B", "99999999999TiB", "1é"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(seconds in 0..100 * 365 * DAY, bytes: u64) {
            let span = Duration::from_secs(seconds);
            prop_assert_eq!(Span::parse(&Span::write(span)), Ok(Span(span)));
            prop_assert_eq!(Size::parse(&Size::write(bytes)), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (Span::parse(&text), Size::parse(&text));
        }
    }
}

//! The name of one request, in logs, in answers and towards upstreams.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::base::Random;

/// 16 random bytes as base64url; never allocated.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 22]);

impl RequestId {
    /// A new one.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        let mut text = [b'0'; 22];
        // 16 bytes are 22 characters: the slice always fits.
        let _ = URL_SAFE_NO_PAD.encode_slice(random.name(), &mut text);
        Self(text)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its text as a field value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("0"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    #[test]
    fn every_request_has_its_own() {
        let random = SeededRandom::new(1);
        let (first, second) = (RequestId::new(&random), RequestId::new(&random));
        assert_ne!(first, second);
        assert_eq!(first.to_string().len(), 22);
        assert!(first.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        assert_eq!(first.header_value(), first.as_str());
    }
}

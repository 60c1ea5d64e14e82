//! The name of one request, in logs, in answers and towards upstreams.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::base::Random;

/// 16 random bytes. They become text, base64url, where somebody reads them: of most requests nobody does.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// A new one.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        Self(random.name())
    }

    /// Its text as a field value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("0"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(&self.0, &URL_SAFE_NO_PAD).fmt(f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
        assert!(first.to_string().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        assert_eq!(first.header_value(), first.to_string());
    }
}

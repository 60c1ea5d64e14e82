//! Telling our own kind of token from others at a glance, in order to refuse it.
//!
//! Checks no signature: nothing may ever be *allowed* because of what is read here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::verify::same_typ;

/// Whether `token` is a compact JWS that gives itself out as of this `typ`, or as from this issuer.
#[must_use]
pub fn resembles(token: &str, typ: &str, issuer: &str) -> bool {
    #[derive(Deserialize)]
    struct Header {
        typ: Option<String>,
    }
    #[derive(Deserialize)]
    struct Payload {
        iss: Option<String>,
    }
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
    let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_typ = serde_json::from_slice::<Header>(&header)
        .ok()
        .and_then(|header| header.typ)
        .is_some_and(|named| same_typ(&named, typ));
    is_typ
        || serde_json::from_slice::<Payload>(&payload)
            .ok()
            .and_then(|payload| payload.iss)
            .is_some_and(|named| named == issuer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_typ_or_by_issuer() {
        let token = |header: &str, payload: &str| {
            format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
        };
        let ours = |token: &str| resembles(token, "vestibule+jwt", "https://app.example");
        assert!(ours(&token(r#"{"typ":"vestibule+jwt"}"#, "{}")));
        assert!(ours(&token(r#"{"typ":"application/Vestibule+JWT"}"#, "junk")));
        assert!(ours(&token("junk", r#"{"iss":"https://app.example"}"#)));
        assert!(ours(&token(r#"{"typ":"at+jwt"}"#, r#"{"iss":"https://app.example"}"#)));
        assert!(!ours(&token(r#"{"typ":"at+jwt"}"#, r#"{"iss":"https://id.example"}"#)));
        assert!(!ours(&token(r#"{"typ":7}"#, r#"{"iss":["https://app.example"]}"#)));
        assert!(!ours("opaque") && !ours("") && !ours("..") && !ours("é.é.é"));
    }

    proptest! {
        #[test]
        fn no_text_panics(token in "\\PC{0,80}") {
            let _ = resembles(&token, "a", "b");
        }
    }
}

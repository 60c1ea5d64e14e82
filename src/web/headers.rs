//! Which fields may travel: hop-by-hop ones end here (RFC 9110 section 7.6.1), and only the gateway speaks under its names.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, TE};
use http::{Response, StatusCode};

pub use super::caching::{add_hsts, add_vary, forbid_storing, make_private};
use super::owned::Owned;
use super::present::Present;
use super::set_cookie::is_ours_set_cookie;
use super::settings::CookieSettings;

/// What the removed hop-by-hop fields said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopByHop {
    /// `TE: trailers`: the sender takes trailers. Whoever forwards says so anew.
    pub trailers: bool,
}

/// Removes the fields that are for the next hop alone: `Connection`, what it names, and the well-known ones.
///
/// A `Connection` that names a field on which decisions or the meaning of the message hang is not obeyed (ID-03).
pub fn remove_hop_by_hop(headers: &mut HeaderMap) -> HopByHop {
    let present = Present::among(headers);
    let said = if present.te { hop_by_hop(headers) } else { HopByHop::default() };
    let named = if present.connection { named_by_connection(headers) } else { Vec::new() };
    remove(headers, |name| is_hop_by_hop(name) || named.contains(name));
    said
}

/// Removes from a request what is hop-by-hop and what only the gateway may say.
pub fn strip_request(headers: &mut HeaderMap, owned: &Owned) -> HopByHop {
    let said = hop_by_hop(headers);
    let named = named_by_connection(headers);
    remove(headers, |name| is_hop_by_hop(name) || owned.owns(name) || named.contains(name));
    said
}

/// Removes from a response what is hop-by-hop, and every `Set-Cookie` that means one of our cookies.
pub fn strip_response(headers: &mut HeaderMap, cookies: &CookieSettings) {
    remove_hop_by_hop(headers);
    strip_our_cookies(headers, cookies);
}

/// Removes every `Set-Cookie` that means one of our cookies; the others keep their order.
pub fn strip_our_cookies(headers: &mut HeaderMap, cookies: &CookieSettings) {
    if headers.get_all(SET_COOKIE).iter().any(|line| is_ours_set_cookie(line, cookies)) {
        let lines: Vec<HeaderValue> =
            headers.get_all(SET_COOKIE).iter().filter(|line| !is_ours_set_cookie(line, cookies)).cloned().collect();
        headers.remove(SET_COOKIE);
        for line in lines {
            headers.append(SET_COOKIE, line);
        }
    }
}

/// Adds fields to an answer where it lacks them (CSRF-09).
///
/// Not to a 304, which would write them into the answer that the browser keeps (RFC 9111 section 3.2), and that one may have
/// had its own.
pub fn add_absent(answer: &mut Response<impl Sized>, fields: &[(HeaderName, HeaderValue)]) {
    if answer.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    for (name, value) in fields {
        answer.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
}

/// Removes from trailers, in either direction, what must not come after a body: framing, routing, authentication,
/// identity, forwarding, and what changes how the head was meant (RFC 9110 section 6.5.1).
pub fn strip_trailers(trailers: &mut HeaderMap, owned: &Owned) {
    remove(trailers, |name| {
        is_hop_by_hop(name)
            || owned.owns(name)
            || starts_with_any(name, TRAILER_PREFIXES)
            || TRAILER_NAMES.contains(&name.as_str())
    });
}

/// A text as a plain header's value. CR, LF and NUL are refused; other controls, non-ASCII (as UTF-8), `%`, and blanks at
/// either end are percent-encoded, so that decoding gives exactly the text again.
#[must_use]
pub fn header_value(text: &str) -> Option<HeaderValue> {
    if text.contains(['\r', '\n', '\0']) {
        return None;
    }
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
    if text.bytes().all(plain) && !text.starts_with(' ') && !text.ends_with(' ') {
        return HeaderValue::from_str(text).ok();
    }
    let inner = text.len() - text.trim_end_matches(' ').len();
    let (start, end) = (text.len() - text.trim_start_matches(' ').len(), text.len() - inner);
    let mut out = String::with_capacity(text.len() * 2);
    for (at, byte) in text.bytes().enumerate() {
        if plain(byte) && at >= start && at < end {
            out.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            let _ = write!(out, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(out).ok()
}

/// Whether a field is for the next hop alone, whatever `Connection` says.
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    // By the first byte, since every field of every message is asked about.
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'h') => name == "http2-settings",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => name == "proxy-connection" || name.starts_with("proxy-auth"),
        Some(b't') => name == "te" || name == "transfer-encoding",
        Some(b'u') => name == "upgrade",
        _ => false,
    }
}

/// What the hop-by-hop fields say, before they go.
pub(crate) fn hop_by_hop(headers: &HeaderMap) -> HopByHop {
    HopByHop { trailers: has_token(headers, &TE, "trailers") }
}

/// Whether a comma-separated field has `token`, in any case of letters.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// The members of a comma-separated field.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|field| field.to_str().unwrap_or_default().split(','))
        .map(|token| token.trim_matches([' ', '\t']))
        .filter(|token| !token.is_empty())
}

/// What `Connection` names, as far as it is obeyed. Nothing is allocated for `close` and `keep-alive`.
pub(crate) fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    // `keep-alive` is what nearly every `Connection` says, in these letters.
    let names_none = |value: &HeaderValue| {
        let value = value.as_bytes();
        value == b"keep-alive" || value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    if headers.get_all(CONNECTION).iter().all(names_none) {
        return Vec::new();
    }
    tokens(headers, &CONNECTION)
        .filter(|token| !token.eq_ignore_ascii_case("close") && !token.eq_ignore_ascii_case("keep-alive"))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !starts_with_any(name, END_TO_END_PREFIXES) && !END_TO_END.contains(&name.as_str()))
        .collect()
}

/// Removes every field whose name is `unwanted`; allocates only when there are several.
pub(crate) fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let mut doomed = headers.keys().filter(|name| unwanted(name)).cloned();
    let Some(first) = doomed.next() else { return };
    let others: Vec<HeaderName> = doomed.collect();
    headers.remove(first);
    for name in others {
        headers.remove(name);
    }
}

fn starts_with_any(name: &HeaderName, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.as_str().starts_with(prefix))
}

/// Never hop-by-hop, whatever a `Connection` field says of them.
const END_TO_END: &[&str] = &[
    "accept",
    "authorization",
    "cache-control",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "host",
    "location",
    "origin",
    "range",
    "referer",
    "set-cookie",
    "trailer",
    "vary",
    "via",
    "www-authenticate",
];
const END_TO_END_PREFIXES: &[&str] = &["access-control-", "content-", "sec-", "if-"];

/// Not in trailers, beyond what is hop-by-hop or ours.
const TRAILER_NAMES: &[&str] = &[
    "age",
    "authentication-info",
    "authorization",
    "cache-control",
    "clear-site-data",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "trailer",
    "vary",
    "via",
    "warning",
    "www-authenticate",
];
const TRAILER_PREFIXES: &[&str] = &["access-control-", "content-", "if-", "sec-"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::web::settings::SameSite;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    /// HTTP-05: `Connection`, what it names, and the well-known hop-by-hop fields go; the rest stays.
    #[test]
    fn hop_by_hop_fields_end_here() {
        let mut headers = map(&[
            ("connection", "close, X-Foo"),
            ("connection", "keep-alive"),
            ("x-foo", "1"),
            ("x-bar", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "gzip;q=0.5, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("proxy-authenticate", "x"),
            ("proxy-authentication-info", "x"),
            ("http2-settings", "AAA"),
            ("trailer", "x-sum"),
        ]);
        assert_eq!(remove_hop_by_hop(&mut headers), HopByHop { trailers: true });
        assert_eq!(names(&headers), ["trailer", "x-bar"]);
    }

    /// ID-03: `Connection` cannot take away what decisions hang on.
    #[test]
    fn connection_cannot_name_protected_fields() {
        let fields = [
            ("authorization", "a"),
            ("cookie", "b"),
            ("host", "c"),
            ("origin", "d"),
            ("sec-fetch-site", "e"),
            ("content-type", "f"),
        ];
        let mut headers = map(&fields);
        for (name, _) in fields {
            headers.append(CONNECTION, HeaderValue::from_static(name));
        }
        remove_hop_by_hop(&mut headers);
        assert_eq!(names(&headers).len(), fields.len());
    }

    /// ID-01: every inbound copy of a name of ours goes, whatever its spelling and however often it comes.
    #[test]
    fn our_names_are_removed_from_requests() {
        let owned = Owned::new(["X-Team"]);
        let mut headers = map(&[
            ("x-vestibule-identity", "forged"),
            ("X_Vestibule_Identity", "forged"),
            ("x-team", "a"),
            ("x-team", "b"),
            ("x_team_", "c"),
            ("x-forwarded-for", "6.6.6.6"),
            ("accept", "*/*"),
            ("x-request-id", "1"),
        ]);
        strip_request(&mut headers, &owned);
        assert_eq!(names(&headers), ["accept", "x-request-id"]);
    }

    /// ID-04, HTTP-22: trailers carry no framing, routing, authentication, identity or forwarding, in either direction.
    #[test]
    fn trailers_carry_no_meaning() {
        let owned = Owned::new(["X-Identity"]);
        let mut trailers = map(&[
            ("x-identity", "forged"),
            ("x_identity", "forged"),
            ("authorization", "x"),
            ("cookie", "x"),
            ("set-cookie", "x"),
            ("location", "x"),
            ("host", "x"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "x"),
            ("forwarded", "x"),
            ("connection", "x"),
            ("te", "x"),
            ("trailer", "x"),
            ("content-type", "x"),
            ("cache-control", "x"),
            ("x-vestibule-a", "x"),
            ("grpc-status", "0"),
            ("grpc-message", "ok"),
            ("x-checksum", "1"),
            ("server-timing", "a"),
        ]);
        strip_trailers(&mut trailers, &owned);
        assert_eq!(names(&trailers), ["grpc-message", "grpc-status", "server-timing", "x-checksum"]);
    }

    /// SESS-08, HTTP-25: only our `Set-Cookie` lines go; the others stay apart and in order.
    #[test]
    fn upstreams_cannot_touch_our_cookies() {
        let cookies = CookieSettings {
            name: "__Host-vestibule".into(),
            same_site: SameSite::Lax,
            partitioned: false,
            secure: true,
        };
        let mut headers = map(&[
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "__Host-vestibule=x; Path=/; Secure"),
            ("set-cookie", "b=2"),
            ("set-cookie", "__host-Vestibule-login-1=; Max-Age=0"),
            ("set-cookie", "a=3"),
            ("connection", "x-internal"),
            ("x-internal", "1"),
        ]);
        strip_response(&mut headers, &cookies);
        let lines: Vec<&HeaderValue> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(lines, ["a=1; Path=/", "b=2", "a=3"]);
        assert_eq!(names(&headers), ["set-cookie"]);
    }

    /// ID-13: one well-formed field, or none.
    #[test]
    fn plain_values_are_encoded_or_refused() {
        for (text, value) in [
            ("Ada Lovelace", "Ada Lovelace"),
            ("", ""),
            ("Åsa", "%C3%85sa"),
            ("100%", "100%25"),
            ("a\tb\u{7f}", "a%09b%7F"),
            (" a b ", "%20a b%20"),
            ("  ", "%20%20"),
            ("a,\"b\"", "a,\"b\""),
        ] {
            assert_eq!(header_value(text).unwrap(), value, "{text:?}");
        }
        for text in ["a\rb", "a\nb", "a\0b", "a\r\nX-Admin: yes"] {
            assert_eq!(header_value(text), None, "{text:?}");
        }
    }

    proptest! {
        /// ID-13: the encoding can be undone.
        #[test]
        fn plain_values_decode_to_what_they_were(text in "\\PC{0,20}") {
            let value = header_value(&text).unwrap();
            let shown = value.to_str().unwrap();
            prop_assert_eq!(shown.trim(), shown);
            prop_assert_eq!(crate::web::path::decoded(shown), text);
        }
    }
}

//! Field names and values: whose they are, and how far they travel.

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName};

use super::fixture::{NETWORK, fields, lines, percent_decoded};
use crate::web::cookie::is_ours_set_cookie;
use crate::web::headers::{header_value, strip_request, strip_response, strip_trailers};

/// Each line of the input is a field of a request, of its trailers and of an answer. None that some server takes for one of ours goes on,
/// none that is for one hop alone does, and what goes on is untouched.
pub fn headers(data: &[u8]) {
    let came = fields(lines(data));
    let mut request = came.clone();
    strip_request(&mut request, NETWORK.owned());
    untouched(&came, &request);
    for name in request.keys() {
        assert!(!is_spoken_for(name), "{name} goes on");
        assert!(!HOP_BY_HOP.contains(&name.as_str()), "{name} goes on");
    }
    // A client cannot have taken away what decides about its request, or says what its body is.
    for name in ["cookie", "content-type", "content-length", "host", "origin", "sec-fetch-site"] {
        assert_eq!(came.contains_key(name), request.contains_key(name), "{name}");
    }
    let mut again = request.clone();
    strip_request(&mut again, NETWORK.owned());
    assert_eq!(again, request);

    let mut trailers = came.clone();
    strip_trailers(&mut trailers, NETWORK.owned());
    untouched(&came, &trailers);
    for name in trailers.keys() {
        assert!(!is_spoken_for(name) && !HOP_BY_HOP.contains(&name.as_str()), "{name} goes on as a trailer");
        assert!(!NEVER_TRAILERS.contains(&name.as_str()), "{name} goes on as a trailer");
    }

    let mut answer = came.clone();
    strip_response(&mut answer, NETWORK.cookies());
    for (name, value) in &answer {
        assert!(!HOP_BY_HOP.contains(&name.as_str()), "{name} comes back");
        assert!(*name != SET_COOKIE || !is_ours_set_cookie(value, NETWORK.cookies()), "{value:?} comes back");
    }

    if let Ok(text) = std::str::from_utf8(data) {
        written(text);
    }
}

/// A claim as a field's value: no second line, and whoever decodes it has the claim again.
fn written(text: &str) {
    let Some(value) = header_value(text) else {
        assert!(text.contains(['\r', '\n', '\0']), "{text:?} has no form");
        return;
    };
    let shown = value.to_str().expect("ASCII");
    assert_eq!(percent_decoded(shown), text.as_bytes(), "{shown:?}");
    assert!(shown.trim_ascii() == shown && shown.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{shown:?}");
}

/// What is left is a part of what came: per name all of its values in their order, or none.
fn untouched(came: &HeaderMap, left: &HeaderMap) {
    for name in left.keys() {
        assert!(left.get_all(name).iter().eq(came.get_all(name)), "{name}");
    }
}

/// Whether CGI, WSGI, PHP and their like make a variable of it that only the gateway may set.
pub(super) fn is_spoken_for(name: &HeaderName) -> bool {
    let variable: String =
        name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let variable = variable.trim_end_matches('_');
    OURS.contains(&variable) || OUR_BEGINNINGS.iter().any(|begin| variable.starts_with(begin))
}

const OURS: &[&str] = &[
    "FORWARDED",
    "PROXY",
    "X_FORWARDED",
    "X_IDENTITY",
    "X_METHOD_OVERRIDE",
    "X_ORIGINAL",
    "X_REAL_IP",
    "X_REWRITE_URL",
    "X_USER_NAME",
    "X_VESTIBULE",
];
const OUR_BEGINNINGS: &[&str] = &[
    "CLIENT_CERT",
    "X_AUTH_REQUEST_",
    "X_CLIENT_CERT",
    "X_FORWARDED_",
    "X_HTTP_METHOD",
    "X_ORIGINAL_",
    "X_SSL_",
    "X_VESTIBULE_",
];

/// RFC 9110 section 7.6.1, RFC 9113 section 8.2.2.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// RFC 9110 section 6.5.1.
const NEVER_TRAILERS: &[&str] = &[
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "host",
    "location",
    "range",
    "set-cookie",
    "trailer",
    "www-authenticate",
];

//! `Cookie` and `Set-Cookie`.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::fixture::{NETWORK, lines};
use crate::web::cookie::is_ours_set_cookie;
use crate::web::{Cookies, SessionCookie};

/// Each line of the input is a `Cookie` field, and a `Set-Cookie` of an upstream's. Our cookies never go on, in whatever spelling;
/// everybody else's do, in their order and bytes; two session cookies are none.
pub fn cookies(data: &[u8]) {
    let settings = NETWORK.cookies();
    let mut headers = HeaderMap::new();
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for line in lines(data) {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        set_cookie(&value);
        pieces.extend(line.split(|&byte| byte == b';').map(|piece| piece.trim_ascii().to_vec()));
        headers.append(COOKIE, value);
    }
    let cookies = Cookies::read(&headers, settings);
    let forwarded = cookies.forward.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
    let passed: Vec<&[u8]> = if forwarded.is_empty() {
        Vec::new()
    } else {
        forwarded.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).collect()
    };

    for piece in &passed {
        assert!(!is_mine(piece), "forwarded: {:?}", String::from_utf8_lossy(forwarded));
    }
    let mut all = pieces.iter();
    for piece in &passed {
        assert!(all.any(|one| one == piece), "made up: {:?}", String::from_utf8_lossy(forwarded));
    }
    let foreign = |piece: &[u8]| !piece.is_empty() && !is_like_mine(piece);
    let expected = pieces.iter().map(Vec::as_slice).filter(|piece| foreign(piece));
    assert!(expected.eq(passed.iter().copied().filter(|piece| foreign(piece))), "lost: {pieces:?} became {passed:?}");

    let named: Vec<&[u8]> = pieces.iter().filter_map(|piece| exactly(piece, &settings.name)).collect();
    match (&cookies.session, named.as_slice()) {
        (SessionCookie::None, []) | (SessionCookie::Several, [_, _, ..]) => {}
        (SessionCookie::One(value), [one]) if value.as_bytes() == *one => {}
        (found, named) => panic!("{found:?}, and there are {}", named.len()),
    }
}

/// Whether a server that trims names, ignores their case and reads nameless cookies would take this for one of ours.
fn is_mine(piece: &[u8]) -> bool {
    let text: Vec<u8> = piece.iter().filter(|byte| !byte.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
    let nameless = text.iter().position(|&byte| byte != b'=').map_or(&[][..], |at| &text[at..]);
    let name = nameless.split(|&byte| byte == b'=').next().unwrap_or_default();
    name == b"__host-vestibule" || name.starts_with(b"__host-vestibule-")
}

fn is_like_mine(piece: &[u8]) -> bool {
    let text: Vec<u8> = piece.iter().filter(|byte| **byte > b' ').map(u8::to_ascii_lowercase).collect();
    text.windows(b"__host-vestibule".len()).any(|window| window == b"__host-vestibule")
}

/// The value, if the piece is a pair of text with exactly this name.
fn exactly<'a>(piece: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = piece.iter().position(|&byte| byte == b'=')?;
    let value = piece[at + 1..].trim_ascii();
    (piece[..at].trim_ascii() == name.as_bytes() && std::str::from_utf8(value).is_ok()).then_some(value)
}

/// RFC 6265bis section 5.6, as browsers have it: what they would store under a name of ours must be known as ours.
fn set_cookie(line: &HeaderValue) {
    let pair = line.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    let ours = is_ours_set_cookie(line, NETWORK.cookies());
    assert!(ours || !is_mine(pair), "not seen as ours: {:?}", String::from_utf8_lossy(pair));
    assert!(!ours || is_like_mine(pair), "taken for ours: {:?}", String::from_utf8_lossy(pair));
}

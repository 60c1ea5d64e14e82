//! The request's cookies, parted into ours and the application's.

use std::fmt;

use bytes::BytesMut;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use memchr::memchr;

pub use super::set_cookie::{delete, is_ours_set_cookie, name, set, set_session};
use super::settings::CookieSettings;

/// The session cookie, as a request carried it.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum SessionCookie {
    /// There is none.
    #[default]
    None,
    /// Its value: the secret that opens a session, if it is one of ours.
    One(String),
    /// Several with the name: which is meant cannot be known (RFC 6265 section 4.2.2), so none counts.
    Several,
}

impl fmt::Debug for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::One(_) => "One([secret])",
            Self::Several => "Several",
        })
    }
}

/// What the `Cookie` fields of a request hold.
#[derive(Clone, Default)]
pub struct Cookies {
    /// The session cookie.
    pub session: SessionCookie,
    /// The application's cookies, unchanged in order and bytes; what is forwarded.
    pub forward: Option<HeaderValue>,
    /// The line that holds our other cookies, if any. It is read when one is asked for: what is forwarded never asks.
    ours: Option<HeaderValue>,
}

impl Cookies {
    /// Reads all `Cookie` fields; HTTP/2 may split them (RFC 9113 section 8.2.3).
    #[must_use]
    pub fn read(headers: &HeaderMap, settings: &CookieSettings) -> Self {
        let mut fields = headers.get_all(COOKIE).iter();
        let Some(first) = fields.next() else { return Self::default() };
        let Some(second) = fields.next() else { return Self::read_line(first.clone(), settings) };

        let mut joined = BytesMut::from(first.as_bytes());
        for field in [second].into_iter().chain(fields) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(field.as_bytes());
        }
        // Parts that were field values are one when joined; were they not, nothing would be forwarded.
        HeaderValue::from_maybe_shared(joined.freeze())
            .map_or_else(|_| Self::default(), |line| Self::read_line(line, settings))
    }

    /// The value of one of our other cookies. Several with one name count as none.
    #[must_use]
    pub fn ours(&self, name: &str) -> Option<&str> {
        let mut found = self.pairs().filter(|(found, _)| *found == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Our other cookies whose names begin with `prefix`, as name and value, in the browser's order.
    pub fn ours_with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.pairs().filter(move |(name, _)| name.starts_with(prefix)).take(MAX_OURS)
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let line = self.ours.as_ref().map_or(&[][..], HeaderValue::as_bytes);
        let text = |bytes| std::str::from_utf8(bytes).ok();
        pieces(line).filter_map(pair).filter_map(move |(name, value)| Some((text(name)?, text(value)?)))
    }

    fn read_line(mut line: HeaderValue, settings: &CookieSettings) -> Self {
        let mut cookies = Self::default();
        let bytes = line.as_bytes();
        if !pieces(bytes).any(|piece| is_ours(piece, &settings.name)) {
            // Applications' cookies can be secrets as well.
            line.set_sensitive(true);
            cookies.forward = Some(line);
            return cookies;
        }
        let mut kept = BytesMut::new();
        let mut blank = true;
        let mut separate = false;
        for piece in pieces(bytes) {
            if is_ours(piece, &settings.name) {
                cookies.take(piece, settings);
                continue;
            }
            if separate {
                kept.extend_from_slice(b";");
                kept.extend_from_slice(piece);
            } else {
                kept.extend_from_slice(piece.trim_ascii_start());
            }
            separate = true;
            blank &= piece.trim_ascii().is_empty();
        }
        if !blank {
            cookies.forward = HeaderValue::from_maybe_shared(kept.freeze()).ok().map(|mut value| {
                value.set_sensitive(true);
                value
            });
        }
        cookies.ours = Some(line);
        cookies
    }

    /// Takes a pair of ours. Only the exact name counts; look-alikes are merely not forwarded.
    fn take(&mut self, piece: &[u8], settings: &CookieSettings) {
        let Some((name, value)) = pair(piece) else { return };
        if name == settings.name.as_bytes()
            && let Ok(value) = std::str::from_utf8(value)
        {
            self.session = match self.session {
                SessionCookie::None => SessionCookie::One(value.to_owned()),
                SessionCookie::One(_) | SessionCookie::Several => SessionCookie::Several,
            };
        }
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Whether a `name=value` pair is ours, as anybody might read it: the session cookie's name, alone or followed by a hyphen,
/// in any case of letters, also as the value of a nameless cookie (browsers send `=n=v` as `n=v`), whatever blanks
/// and controls are about.
pub(crate) fn is_ours(pair: &[u8], name: &str) -> bool {
    // As nearly every pair is written. Anything else is looked at byte by byte.
    let pair = pair.strip_prefix(b" ").unwrap_or(pair);
    if let Some((begin, b'=' | b'-')) =
        pair.get(..=name.len()).and_then(<[u8]>::split_last).map(|(last, begin)| (begin, *last))
        && (begin == name.as_bytes() || begin.eq_ignore_ascii_case(name.as_bytes()))
    {
        return true;
    }
    let mut bytes = pair.iter().copied().filter(|&byte| byte > b' ' && byte != 0x7f).skip_while(|&byte| byte == b'=');
    name.bytes().all(|expected| bytes.next().is_some_and(|byte| byte.eq_ignore_ascii_case(&expected)))
        && matches!(bytes.next(), None | Some(b'=' | b'-'))
}

/// Name and value, without the blanks around them.
fn pair(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = piece.split_at_checked(memchr(b'=', piece)?)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (piece, after) = memchr(b';', line).and_then(|at| line.split_at_checked(at)).unwrap_or((line, &[]));
        // What comes after begins with the semicolon.
        rest = after.get(1..);
        Some(piece)
    })
}

/// More than we ever set at a time; a browser that sends more was made to.
const MAX_OURS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::web::return_to::tests::unescape;
    use crate::web::settings::SameSite;

    fn settings() -> CookieSettings {
        CookieSettings { name: "__Host-vestibule".into(), same_site: SameSite::Lax, partitioned: false, secure: true }
    }

    fn read(fields: &[&[u8]]) -> Cookies {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field).unwrap());
        }
        Cookies::read(&headers, &settings())
    }

    fn forwarded(cookies: &Cookies) -> Option<&[u8]> {
        cookies.forward.as_ref().map(HeaderValue::as_bytes)
    }

    /// SESS-06: the corpus of Cookie lines, each with what is forwarded of it.
    #[test]
    fn corpus() {
        let mut cases = 0;
        for line in include_str!("../../tests/data/cookies.txt").lines() {
            if line.is_empty() || line.starts_with("# ") {
                continue;
            }
            let (raw, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no arrow in {line:?}"));
            let (raw, expected) = (unescape(raw), unescape(expected));
            let cookies = read(&[raw.as_bytes()]);
            let expected = if expected == "nothing" { None } else { Some(expected.as_bytes()) };
            assert_eq!(forwarded(&cookies), expected, "{raw:?}");
            let shown = String::from_utf8_lossy(forwarded(&cookies).unwrap_or_default()).into_owned();
            assert!(!shown.contains("SECRET"), "{shown}");
            cases += 1;
        }
        assert!(cases > 40, "{cases}");
    }

    /// SESS-09: several session cookies are never a choice, in one field or in several.
    #[test]
    fn several_session_cookies_are_none() {
        for fields in [
            &[&b"__Host-vestibule=a; __Host-vestibule=b"[..]][..],
            &[b"__Host-vestibule=b; __Host-vestibule=a"],
            &[b"__Host-vestibule=a; x=1; __Host-vestibule=a"],
            &[b"__Host-vestibule=a", b"__Host-vestibule=b"],
            &[b"__Host-vestibule=a", b"x=1", b"__Host-vestibule=b", b"__Host-vestibule=c"],
        ] {
            assert_eq!(read(fields).session, SessionCookie::Several);
        }
        assert_eq!(read(&[b"x=1; __Host-vestibule=a"]).session, SessionCookie::One("a".into()));
        assert_eq!(read(&[b"__host-vestibule=a; =__Host-vestibule=b"]).session, SessionCookie::None);
    }

    /// HTTP-26: HTTP/2's crumbs are one line; SESS-06: ours are taken out of it.
    #[test]
    fn crumbs_are_joined() {
        let cookies = read(&[b"a=1", b"__Host-vestibule=SECRET", b"b=2; c=3"]);
        assert_eq!(forwarded(&cookies), Some(&b"a=1; b=2; c=3"[..]));
        assert_eq!(forwarded(&read(&[b"a=1", b"b=2"])), Some(&b"a=1; b=2"[..]));
    }

    #[test]
    fn our_other_cookies_by_exact_name() {
        let cookies = read(&[
            b"__Host-vestibule-login-b=2; __Host-vestibule-login-a=1; __Host-vestibule-loop=3; __HOST-vestibule-loop=4",
        ]);
        assert_eq!(cookies.ours("__Host-vestibule-loop"), Some("3"));
        assert_eq!(cookies.ours("__Host-vestibule-return"), None);
        let attempts: Vec<_> = cookies.ours_with_prefix("__Host-vestibule-login-").collect();
        assert_eq!(attempts, [("__Host-vestibule-login-b", "2"), ("__Host-vestibule-login-a", "1")]);
        assert_eq!(read(&[b"__Host-vestibule-loop=1; __Host-vestibule-loop=2"]).ours("__Host-vestibule-loop"), None);
    }

    /// OPS-01: printing cookies shows no value.
    #[test]
    fn debug_shows_no_value() {
        let cookies = read(&[b"__Host-vestibule=SECRET; __Host-vestibule-login-a=SECRET; app=SECRET"]);
        assert!(!format!("{cookies:?}").contains("SECRET"));
        assert!(!format!("{:?}", cookies.forward).contains("SECRET"));
    }

    proptest! {
        /// SESS-06: foreign cookies pass byte for byte, and ours never pass, whatever is about them.
        #[test]
        fn foreign_pass_and_ours_do_not(before in "[a-z= \"]{0,8}", after in "[a-z=, \"]{0,8}", blank in "[ \t]{0,2}") {
            let plain = format!("k={before}; j={after}");
            let cookies = read(&[plain.as_bytes()]);
            prop_assert_eq!(forwarded(&cookies), Some(plain.as_bytes()));
            let mixed = format!("k={before};{blank}__Host-vestibule{blank}=SECRET; j={after}");
            let cookies = read(&[mixed.as_bytes()]);
            prop_assert_eq!(forwarded(&cookies), Some(plain.as_bytes()));
            prop_assert_eq!(cookies.session, SessionCookie::One("SECRET".into()));
        }
    }
}

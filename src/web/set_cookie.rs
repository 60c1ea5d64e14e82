//! The `Set-Cookie` lines that we send, and those of upstreams that mean our cookies.

use std::time::Duration;

use cookie::Cookie;
use http::HeaderValue;

use super::cookie::is_ours;
use super::settings::{CookieSettings, SameSite};

/// A `Set-Cookie` line: `HttpOnly`, `Path=/`, no `Domain`, an explicit `SameSite`, `Secure` unless the public URL is plain
/// http on loopback. Without `max_age` the cookie ends with the browser.
///
/// `value` is of our own making (base64url); one that no cookie may hold gives a line that deletes.
#[must_use]
pub fn set(
    settings: &CookieSettings,
    name: &str,
    value: &str,
    max_age: Option<Duration>,
    same_site: SameSite,
) -> HeaderValue {
    if !value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')) {
        return line(settings, name, "", Some(Duration::ZERO), same_site);
    }
    line(settings, name, value, max_age, same_site)
}

/// The `Set-Cookie` line of a session: it ends with the browser.
#[must_use]
pub fn set_session(settings: &CookieSettings, token: &str) -> HeaderValue {
    set(settings, &settings.name, token, None, settings.same_site)
}

/// A `Set-Cookie` line that deletes a cookie of ours, marked as it was when it was set.
#[must_use]
pub fn delete(settings: &CookieSettings, name: &str) -> HeaderValue {
    let same_site = if name == settings.name { settings.same_site } else { SameSite::Lax };
    line(settings, name, "", Some(Duration::ZERO), same_site)
}

/// Name of another cookie of ours: the session cookie's, a hyphen, and `suffix`.
#[must_use]
pub fn name(settings: &CookieSettings, suffix: &str) -> String {
    format!("{}-{suffix}", settings.name)
}

/// Whether a browser would take an upstream's `Set-Cookie` line for one of our cookies, in whatever spelling.
#[must_use]
pub fn is_ours_set_cookie(line: &HeaderValue, settings: &CookieSettings) -> bool {
    let pair = line.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    is_ours(pair, &settings.name)
}

fn line(
    settings: &CookieSettings,
    name: &str,
    value: &str,
    max_age: Option<Duration>,
    same_site: SameSite,
) -> HeaderValue {
    let same_site = match same_site {
        SameSite::Strict => cookie::SameSite::Strict,
        // Browsers refuse `SameSite=None` without `Secure`.
        SameSite::None if settings.secure => cookie::SameSite::None,
        SameSite::Lax | SameSite::None => cookie::SameSite::Lax,
    };
    let mut cookie = Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(settings.secure)
        .same_site(same_site)
        .partitioned(settings.partitioned && settings.secure && name == settings.name)
        .build();
    if let Some(max_age) = max_age {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        cookie.set_max_age(cookie::time::Duration::seconds(seconds));
    }
    // Name and value are plain ASCII by now; an empty line is one that browsers ignore.
    HeaderValue::try_from(cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> CookieSettings {
        CookieSettings { name: "__Host-vestibule".into(), same_site: SameSite::Lax, partitioned: false, secure: true }
    }

    /// SESS-03: every line of ours has Secure, HttpOnly, Path=/, an explicit SameSite and no Domain; SESS-18: no Max-Age
    /// unless asked.
    #[test]
    fn lines_have_every_mark() {
        let settings = settings();
        let attempt = name(&settings, "login-abc");
        for line in [
            set_session(&settings, "token"),
            set(&settings, &settings.name, "token", Some(Duration::from_secs(60)), SameSite::Strict),
            set(&settings, &attempt, "sealed", Some(Duration::from_secs(600)), SameSite::None),
            delete(&settings, &settings.name),
            delete(&settings, &attempt),
        ] {
            let text = line.to_str().unwrap().to_owned();
            let cookie = Cookie::parse(text.clone()).unwrap();
            assert_eq!(cookie.secure(), Some(true), "{text}");
            assert_eq!(cookie.http_only(), Some(true), "{text}");
            assert_eq!(cookie.path(), Some("/"), "{text}");
            assert_eq!(cookie.domain(), None, "{text}");
            assert!(cookie.same_site().is_some(), "{text}");
            assert!(cookie.name().starts_with("__Host-"), "{text}");
        }
        let session = set(&settings, &settings.name, "token", None, SameSite::Lax);
        assert!(!session.to_str().unwrap().contains("Max-Age"));
        assert!(delete(&settings, &settings.name).to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(set(&settings, &settings.name, "a;b", None, SameSite::Lax), delete(&settings, &settings.name));
    }

    #[test]
    fn partitioned_is_the_session_cookie_alone_and_plain_http_has_no_secure() {
        let partitioned = CookieSettings { partitioned: true, same_site: SameSite::None, ..settings() };
        assert!(
            set(&partitioned, &partitioned.name, "x", None, SameSite::None).to_str().unwrap().contains("Partitioned")
        );
        assert!(delete(&partitioned, &partitioned.name).to_str().unwrap().contains("Partitioned"));
        assert!(
            !set(&partitioned, &name(&partitioned, "loop"), "x", None, SameSite::Lax)
                .to_str()
                .unwrap()
                .contains("Partitioned")
        );
        let plain = CookieSettings { name: "vestibule".into(), secure: false, ..settings() };
        assert_eq!(set(&plain, "vestibule", "x", None, SameSite::None), "vestibule=x; HttpOnly; SameSite=Lax; Path=/");
    }

    /// SESS-08: the spellings that browsers take for our cookies, and others that they do not.
    #[test]
    fn spellings_of_our_cookies() {
        let settings = settings();
        for ours in [
            "__Host-vestibule=x",
            "__Host-vestibule=",
            "__Host-vestibule",
            " __Host-vestibule=x",
            "\t__Host-vestibule =x",
            "__host-VESTIBULE=x; Path=/",
            "=__Host-vestibule=x",
            " = __Host-vestibule=x",
            "==__Host-vestibule=x",
            "__Host-vestibule-login-a=x",
            "__Host-vestibule-loop=",
            "=__host-vestibule-login-a=x",
            "__Host-vesti\tbule=x",
            "__Host-vestibule\t=x",
        ] {
            assert!(is_ours_set_cookie(&HeaderValue::from_str(ours).unwrap(), &settings), "{ours:?}");
        }
        for foreign in [
            "a=__Host-vestibule=x",
            "__Host-vestibules=x",
            "vestibule=x",
            "__Host-vestibul=x",
            "__Host-vestibule.a=x",
            "",
            "=",
            "a=1; __Host-vestibule=x",
            "x__Host-vestibule=x",
            "__Secure-vestibule=x",
        ] {
            assert!(!is_ours_set_cookie(&HeaderValue::from_str(foreign).unwrap(), &settings), "{foreign:?}");
        }
    }
}

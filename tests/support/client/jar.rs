//! The cookies of one browser (RFC 6265bis, section 5).
//!
//! Must never keep a cookie that breaks its prefix or its attributes.

use std::time::{Duration, Instant};

use url::{Host, Url};

/// One stored cookie.
#[derive(Clone, Debug)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whose it is: the host that set it, or its `Domain`.
    pub domain: String,
    /// Sent to exactly `domain`.
    pub host_only: bool,
    /// `Path`.
    pub path: String,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite` as written, in lower case; none was written: `None`.
    pub same_site: Option<String>,
    /// When it goes, for persistent ones.
    pub expires: Option<Instant>,
}

/// What happened to one `Set-Cookie` line that was not stored.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The line.
    pub line: String,
    /// Why.
    pub why: &'static str,
}

/// The jar.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
    /// Lines that a browser would not have stored; tests assert that there are none of ours.
    pub refused: Vec<Refused>,
}

impl Jar {
    /// Takes one `Set-Cookie` line that came from `url`. `cross_site` tells whether a subresource of another site
    /// caused the request: then only `SameSite=None` cookies are taken.
    pub fn store(&mut self, url: &Url, line: &str, cross_site: bool) {
        match parse(url, line) {
            Err(why) => self.refused.push(Refused { line: line.to_owned(), why }),
            Ok(cookie) if cross_site && cookie.same_site.as_deref() != Some("none") => {
                self.refused.push(Refused { line: line.to_owned(), why: "cross-site without SameSite=None" });
            }
            Ok(cookie) => {
                let same = |old: &Cookie| {
                    old.name == cookie.name
                        && old.domain == cookie.domain
                        && old.path == cookie.path
                        && old.host_only == cookie.host_only
                };
                // A replaced cookie keeps its place in the order, as section 5.7 has it.
                let place = self.cookies.iter().position(same);
                let gone = cookie.expires.is_some_and(|at| at <= Instant::now());
                match (place, gone) {
                    (Some(at), true) => drop(self.cookies.remove(at)),
                    (Some(at), false) => self.cookies[at] = cookie,
                    (None, true) => {}
                    (None, false) => self.cookies.push(cookie),
                }
            }
        }
    }

    /// The `Cookie` header for `url`: longer paths first. `allowed` judges by `SameSite`.
    pub fn header(&self, url: &Url, allowed: impl Fn(&Cookie) -> bool) -> Option<String> {
        let mut sent: Vec<&Cookie> =
            self.cookies.iter().filter(|cookie| cookie.matches(url) && allowed(cookie)).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// All living cookies.
    pub fn all(&self) -> Vec<Cookie> {
        self.cookies.iter().filter(|cookie| cookie.lives()).cloned().collect()
    }

    /// The first living cookie of that name.
    pub fn named(&self, name: &str) -> Option<Cookie> {
        self.cookies.iter().find(|cookie| cookie.name == name && cookie.lives()).cloned()
    }

    /// Puts a cookie there, unchecked, for `url`'s host.
    pub fn plant(&mut self, url: &Url, name: &str, value: &str) {
        self.remove(name);
        self.cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: url.host_str().unwrap_or_default().to_owned(),
            host_only: true,
            path: "/".to_owned(),
            secure: url.scheme() == "https",
            http_only: true,
            same_site: Some("lax".to_owned()),
            expires: None,
        });
    }

    /// Forgets every cookie of that name.
    pub fn remove(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }
}

impl Cookie {
    fn lives(&self) -> bool {
        self.expires.is_none_or(|at| at > Instant::now())
    }

    fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let domain = if self.host_only {
            host == self.domain
        } else {
            host == self.domain || host.ends_with(&format!(".{}", self.domain))
        };
        let path = url.path();
        let path = path == self.path
            || path.starts_with(&self.path) && (self.path.ends_with('/') || path[self.path.len()..].starts_with('/'));
        // Loopback is trustworthy for Chromium as far as `Secure` is concerned.
        let secure = !self.secure || url.scheme() == "https" || is_loopback(url);
        self.lives() && domain && path && secure
    }
}

fn parse(url: &Url, line: &str) -> Result<Cookie, &'static str> {
    if line.bytes().any(|byte| byte < 0x20 && byte != b'\t' || byte == 0x7f) {
        return Err("control character");
    }
    let mut parts = line.split(';');
    let first = parts.next().unwrap_or_default();
    let (name, value) = first.split_once('=').map_or(("", first.trim()), |(name, value)| (name.trim(), value.trim()));
    if name.is_empty() && value.is_empty() {
        return Err("empty");
    }
    if name.len() + value.len() > 4096 {
        return Err("name and value above 4096 bytes");
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: host.clone(),
        host_only: true,
        path: default_path(url),
        secure: false,
        http_only: false,
        same_site: None,
        expires: None,
    };
    let (mut path_given, mut max_age) = (None, None);
    for part in parts {
        let (key, value) = part.split_once('=').map_or((part.trim(), ""), |(key, value)| (key.trim(), value.trim()));
        match key.to_ascii_lowercase().as_str() {
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "samesite" => cookie.same_site = Some(value.to_ascii_lowercase()),
            "path" if value.starts_with('/') => {
                value.clone_into(&mut cookie.path);
                path_given = Some(value);
            }
            "domain" if !value.is_empty() => {
                cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
                cookie.host_only = false;
            }
            "max-age" => max_age = value.parse::<i64>().ok(),
            // The only date that matters to us is one in the past.
            "expires" if value.contains(" 1970 ") || value.contains("-1970 ") => {
                cookie.expires = cookie.expires.or_else(|| Some(Instant::now()));
            }
            _ => {}
        }
    }
    if let Some(seconds) = max_age {
        let left = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(34_560_000));
        cookie.expires = Some(Instant::now() + left);
    }
    if !cookie.host_only && host != cookie.domain && !host.ends_with(&format!(".{}", cookie.domain)) {
        return Err("Domain of somebody else");
    }
    let trustworthy = url.scheme() == "https" || is_loopback(url);
    if cookie.secure && !trustworthy {
        return Err("Secure over http");
    }
    if cookie.same_site.as_deref() == Some("none") && !cookie.secure {
        return Err("SameSite=None without Secure");
    }
    let lower = cookie.name.to_ascii_lowercase();
    if lower.starts_with("__secure-") && !(cookie.secure && url.scheme() == "https") {
        return Err("__Secure- without Secure");
    }
    let host_prefix = lower.starts_with("__host-");
    if host_prefix && !(cookie.secure && url.scheme() == "https" && cookie.host_only && path_given == Some("/")) {
        return Err("__Host- without Secure, Path=/ or with Domain");
    }
    if lower.starts_with("__host-http-") && !cookie.http_only {
        return Err("__Host-Http- without HttpOnly");
    }
    Ok(cookie)
}

fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        Some(at) if at > 0 => url.path()[..at].to_owned(),
        _ => "/".to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

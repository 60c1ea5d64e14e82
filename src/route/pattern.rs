//! What `host` and `path` of a route match.

use std::fmt;

use url::Host;

use crate::web::path::{CanonicalPath, PathError, decoded};

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a host name or address.
    #[error("{0:?} is not a host name")]
    Host(String),
    /// A scheme, port or path where a host belongs.
    #[error("{0:?} is more than a host: neither scheme nor port nor path belongs here")]
    MoreThanHost(String),
    /// `*` anywhere but as the first label.
    #[error("{0:?} has a * that is not its first label: only \"*.example.com\" is known, and it matches one label")]
    Wildcard(String),
    /// Not a path that requests can have.
    #[error("{path:?} can match no request: {error}")]
    Path {
        /// As written.
        path: String,
        /// Why.
        #[source]
        error: PathError,
    },
    /// A path in another than its canonical form.
    #[error("{path:?} can match no request; its canonical form is {canonical:?}")]
    NotCanonical {
        /// As written.
        path: String,
        /// As it should be.
        canonical: String,
    },
    /// `/api/` as a prefix.
    #[error("{0:?} ends with a slash: a path matches itself and everything below it without one")]
    TrailingSlash(String),
    /// `*`, `{` or `}`.
    #[error("{0:?} looks like a glob: a path is a prefix, or exact with = before it")]
    Glob(String),
    /// `;` or an encoded slash, which servers read differently.
    #[error(
        "{0:?} holds a semicolon or an encoded slash, which servers read differently: no route can be chosen by it"
    )]
    Ambiguous(String),
}

/// Which hosts a route is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum HostPattern {
    /// Every public host.
    #[default]
    Any,
    /// `*.example.com`, kept as `example.com`: exactly one label before it.
    Wildcard(Box<str>),
    /// This host alone, in lower case.
    Exact(Box<str>),
}

impl HostPattern {
    /// Reads a host name or address, `*.` and a domain, or nothing for any host.
    ///
    /// # Errors
    ///
    /// When it is more than a host, or none.
    pub fn parse(text: Option<&str>) -> Result<Self, PatternError> {
        let Some(text) = text else { return Ok(Self::Any) };
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') {
            return Err(PatternError::Wildcard(text.to_owned()));
        }
        let brackets = name.starts_with('[') && name.ends_with(']');
        if name.contains(['/', '@', '?', '#', '\\']) || !brackets && name.contains(':') {
            return Err(PatternError::MoreThanHost(text.to_owned()));
        }
        let wrong = || PatternError::Host(text.to_owned());
        if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '%') {
            return Err(wrong());
        }
        let host = Host::parse(name).map_err(|_| wrong())?;
        if wildcard && !matches!(host, Host::Domain(_)) {
            return Err(wrong());
        }
        let host = host.to_string().into_boxed_str();
        Ok(if wildcard { Self::Wildcard(host) } else { Self::Exact(host) })
    }

    /// Whether it matches a host in lower case, without a port.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *host,
            Self::Wildcard(domain) => parent(host) == Some(domain),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any host"),
            Self::Wildcard(domain) => write!(f, "*.{domain}"),
            Self::Exact(host) => f.write_str(host),
        }
    }
}

/// The host without its first label; an address has no labels.
pub(super) fn parent(host: &str) -> Option<&str> {
    let (label, domain) = host.split_once('.')?;
    (!label.is_empty() && !host.bytes().last().is_some_and(|byte| byte.is_ascii_digit() && is_ipv4(host)))
        .then_some(domain)
}

fn is_ipv4(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Which paths a route is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern {
    /// Canonical; of a prefix without a slash at its end, so that `/` is empty.
    text: Box<str>,
    /// The same with its escapes decoded.
    decoded: Box<str>,
    exact: bool,
}

impl PathPattern {
    /// Reads `/prefix`, which matches itself and everything below it, or `=/exact`.
    ///
    /// # Errors
    ///
    /// When no request can have such a path, or servers would disagree about it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (exact, path) = match text.strip_prefix('=') {
            Some(path) => (true, path),
            None => (false, text),
        };
        if path.contains(['*', '{', '}']) {
            return Err(PatternError::Glob(text.to_owned()));
        }
        let canonical =
            CanonicalPath::parse(path).map_err(|error| PatternError::Path { path: path.to_owned(), error })?;
        if canonical.as_str() != path {
            return Err(PatternError::NotCanonical { path: path.to_owned(), canonical: canonical.as_str().to_owned() });
        }
        if path.contains([';', '\\']) || path.contains("%3B") || canonical.has_encoded_slash() {
            return Err(PatternError::Ambiguous(text.to_owned()));
        }
        let path = match (exact, path.strip_suffix('/')) {
            (false, Some("")) => "",
            (false, Some(_)) => return Err(PatternError::TrailingSlash(text.to_owned())),
            (true, _) | (false, None) => path,
        };
        Ok(Self { text: path.into(), decoded: decoded(path).into(), exact })
    }

    /// Whether it matches a canonical path.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        matches(&self.text, self.exact, path)
    }

    /// Whether it matches a path whose escapes are decoded.
    pub(super) fn matches_decoded(&self, path: &str) -> bool {
        matches(&self.decoded, self.exact, path)
    }

    /// More specific first: the longer, then the exact one.
    pub(super) fn specificity(&self) -> (usize, bool) {
        (self.text.len(), self.exact)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exact, &*self.text) {
            (true, text) => write!(f, "={text}"),
            (false, "") => f.write_str("/"),
            (false, text) => f.write_str(text),
        }
    }
}

fn matches(pattern: &str, exact: bool, path: &str) -> bool {
    // The pattern of every path is empty and points nowhere; to compare that with anything costs a fault inside the processor.
    let rest = if pattern.is_empty() { Some(path) } else { path.strip_prefix(pattern) };
    rest.is_some_and(|rest| rest.is_empty() || !exact && rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (pattern, host, matches) in [
            (None, "app.example.com", true),
            (Some("app.example.com"), "app.example.com", true),
            (Some("APP.example.com"), "app.example.com", true),
            (Some("app.example.com"), "xapp.example.com", false),
            (Some("*.example.com"), "app.example.com", true),
            (Some("*.example.com"), "a.app.example.com", false),
            (Some("*.example.com"), "example.com", false),
            (Some("*.example.com"), ".example.com", false),
            (Some("b\u{fc}cher.example"), "xn--bcher-kva.example", true),
            (Some("127.0.0.1"), "127.0.0.1", true),
            (Some("[::1]"), "[::1]", true),
        ] {
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(host), matches, "{pattern:?} {host}");
        }
        for text in [
            "",
            "*",
            "*.",
            "*.*.example.com",
            "a.*.com",
            "https://a",
            "a:80",
            "a/b",
            "a b",
            "*.127.0.0.1",
            "u@a",
            "a%2eb",
        ] {
            assert!(HostPattern::parse(Some(text)).is_err(), "{text}");
        }
        assert_eq!(HostPattern::parse(Some("*.Example.com")).unwrap().to_string(), "*.example.com");
    }

    /// HTTP-07: a path is matched alone, anchored, at segment boundaries.
    #[test]
    fn paths_are_anchored() {
        for (pattern, path, matches) in [
            ("/", "/", true),
            ("/", "/a/b", true),
            ("/public", "/public", true),
            ("/public", "/public/", true),
            ("/public", "/public/a", true),
            ("/public", "/publicadmin", false),
            ("/public", "/adminpublic", false),
            ("/public", "/admin/public", false),
            ("/public", "/Public", false),
            ("=/status", "/status", true),
            ("=/status", "/status/", false),
            ("=/status", "/status/a", false),
            ("=/", "/", true),
            ("=/", "/a", false),
            ("=/a/", "/a/", true),
            ("=/a/", "/a", false),
            ("/caf%C3%A9", "/caf%C3%A9/a", true),
        ] {
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn paths_that_match_nothing_are_refused() {
        for (text, error) in [
            ("api", "does not begin with a slash"),
            ("", "does not begin with a slash"),
            ("=", "does not begin with a slash"),
            ("/api/", "ends with a slash"),
            ("/a/../b", "canonical form is \"/b\""),
            ("/%7euser", "canonical form is \"/~user\""),
            ("/a//b", "empty segment"),
            ("/a?b", "must be encoded"),
            ("/api/*", "glob"),
            ("/api/{id}", "glob"),
            ("/a;b", "semicolon"),
            ("/a%2Fb", "encoded slash"),
        ] {
            let found = PathPattern::parse(text).unwrap_err().to_string();
            assert!(found.contains(error), "{text}: {found}");
        }
        for text in ["/", "/api", "=/api/", "=/"] {
            assert_eq!(PathPattern::parse(text).unwrap().to_string(), text);
        }
    }
}

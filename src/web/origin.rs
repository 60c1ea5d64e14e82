//! Origins that browsers see (RFC 6454).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use url::Url;

use super::authority::Authority;
use super::settings::PublicOrigin;

/// Why a text is no public origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Neither `https://` nor `http://`.
    #[error("it must begin with https:// or http://")]
    Scheme,
    /// The host is missing or no host.
    #[error("its host is not valid")]
    Host,
    /// The port is no port.
    #[error("its port is not valid")]
    Port,
    /// A path, a query, a fragment or user information.
    #[error("it must be scheme, host and port alone: no path, query, fragment or user information")]
    NotAlone,
}

impl PublicOrigin {
    /// Reads `https://app.example.com`, with or without a port and one trailing slash.
    ///
    /// # Errors
    ///
    /// When it is anything but scheme, host and port.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(OriginError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(OriginError::NotAlone);
        }
        // The URL parser forgives blanks and tabs; a configuration file should not.
        if authority.contains(|c: char| c.is_control() || c.is_whitespace() || c == '%') {
            return Err(OriginError::Host);
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => OriginError::Port,
            _ => OriginError::Host,
        })?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(OriginError::Host)?;
        let port = url.port_or_known_default().filter(|&port| port != 0).ok_or(OriginError::Port)?;
        Ok(Self { https, host: host.to_owned(), port })
    }

    /// `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// The port that its scheme implies.
    #[must_use]
    pub const fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }

    /// Whether a `Host` field or `:authority` names it: the case of letters is free, the default port may be left out.
    #[must_use]
    pub fn matches_authority(&self, authority: &str) -> bool {
        Authority::parse(authority).is_some_and(|authority| self.is_at(&authority))
    }

    /// The same, for an authority that was read already.
    #[must_use]
    pub fn is_at(&self, authority: &Authority<'_>) -> bool {
        // As nearly everybody writes it; only then letter by letter.
        let is_host = authority.host == self.host || authority.host.eq_ignore_ascii_case(&self.host);
        is_host && authority.port.unwrap_or(self.default_port()) == self.port
    }

    /// Whether an `Origin` field's text is exactly this origin, as browsers serialize it.
    #[must_use]
    pub fn is_origin(&self, origin: &str) -> bool {
        let Some(rest) = origin.strip_prefix(self.scheme()).and_then(|rest| rest.strip_prefix("://")) else {
            return false;
        };
        match rest.strip_prefix(self.host.as_str()) {
            Some("") => self.port == self.default_port(),
            Some(port) => {
                self.port != self.default_port()
                    && port
                        .strip_prefix(':')
                        .is_some_and(|port| !port.starts_with(['0', '+']) && port.parse() == Ok(self.port))
            }
            None => false,
        }
    }

    /// Whether `origin`, the text of another public origin, has this scheme and this host: browsers keep one set of cookies for
    /// all ports of a host (RFC 6265 section 8.5).
    #[must_use]
    pub fn shares_cookies_with(&self, origin: &str) -> bool {
        let host = origin.strip_prefix(self.scheme()).and_then(|rest| rest.strip_prefix("://"));
        let Some(port) = host.and_then(|rest| rest.strip_prefix(self.host.as_str())) else { return false };
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    }

    /// Whether only this machine can be meant.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.strip_suffix('.').unwrap_or(&self.host);
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
                .and_then(|host| host.parse::<Ipv6Addr>().ok())
                .is_some_and(|address| address.to_canonical().is_loopback())
    }

    /// Host, and port unless it is the scheme's own, as `Host` has it.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.default_port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for PublicOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.host)?;
        if self.port == self.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl std::str::FromStr for PublicOrigin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_browsers_call_an_origin() {
        for (text, shown) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://App.Example.COM/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("https://app.example.com:8443/", "https://app.example.com:8443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:80", "http://[::1]"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(PublicOrigin::parse(text).unwrap().to_string(), shown);
        }
        for (text, error) in [
            ("app.example.com", OriginError::Scheme),
            ("ftp://app.example.com", OriginError::Scheme),
            ("https:app.example.com", OriginError::Scheme),
            ("https://", OriginError::Host),
            ("https://a b", OriginError::Host),
            ("https://a%2eb", OriginError::Host),
            ("https://a:0", OriginError::Port),
            ("https://a:99999", OriginError::Port),
            ("https://a//", OriginError::NotAlone),
            ("https://a/b", OriginError::NotAlone),
            ("https://a?b", OriginError::NotAlone),
            ("https://a#b", OriginError::NotAlone),
            ("https://u:p@a", OriginError::NotAlone),
        ] {
            assert_eq!(PublicOrigin::parse(text), Err(error), "{text}");
        }
    }

    /// SESS-15: a session's cookie counts at all ports of its host, and at no other host.
    #[test]
    fn cookies_are_of_one_host() {
        let origin = PublicOrigin::parse("https://app.example.com:8443").unwrap();
        for same in ["https://app.example.com", "https://app.example.com:8443", "https://app.example.com:1"] {
            assert!(origin.shares_cookies_with(same), "{same}");
        }
        for other in [
            "http://app.example.com",
            "https://app.example.com.evil.example",
            "https://app.example.com:80.evil.example",
            "https://app.example.company",
            "https://xapp.example.com",
            "https://example.com",
            "",
        ] {
            assert!(!origin.shares_cookies_with(other), "{other}");
        }
    }

    #[test]
    fn authorities_and_origins_are_compared_whole() {
        let origin = PublicOrigin::parse("https://app.example.com").unwrap();
        for same in ["app.example.com", "APP.example.com", "app.example.com:443"] {
            assert!(origin.matches_authority(same), "{same}");
        }
        for other in
            ["app.example.com:80", "app.example.com.", "xapp.example.com", "app.example.com:", "", "a@app.example.com"]
        {
            assert!(!origin.matches_authority(other), "{other}");
        }
        assert!(origin.is_origin("https://app.example.com"));
        for other in
            ["http://app.example.com", "https://app.example.com:443", "https://app.example.com.evil", "null", ""]
        {
            assert!(!origin.is_origin(other), "{other}");
        }
        let odd = PublicOrigin::parse("http://localhost:8080").unwrap();
        assert!(odd.is_origin("http://localhost:8080"));
        assert!(!odd.is_origin("http://localhost"));
        assert!(!odd.is_origin("http://localhost:08080"));
    }

    #[test]
    fn loopback() {
        for text in ["http://localhost", "http://a.localhost:1", "http://127.8.0.1", "http://[::1]:8080"] {
            assert!(PublicOrigin::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["http://localhost.example.com", "http://10.0.0.1", "http://[::2]"] {
            assert!(!PublicOrigin::parse(text).unwrap().is_loopback(), "{text}");
        }
    }
}

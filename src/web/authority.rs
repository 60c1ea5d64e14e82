//! `host[:port]`, and the rule of the one host: RFC 9112 section 3.2, RFC 9113 section 8.3.1.

use http::header::HOST;
use http::{HeaderMap, Uri, Version};

use super::rejected::RequestError;

/// A `Host` field or `:authority` that is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// As it came; an IPv6 address in brackets.
    pub host: &'a str,
    /// If it was given.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads a host name or address with or without a port. User information, an empty host or port, and every character
    /// that no host name has are refused.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        // Only an address in brackets has colons of its own.
        let after_brackets = if text.starts_with('[') { text.rfind(']').map_or(0, |at| at + 1) } else { 0 };
        let colon = text.get(after_brackets..)?.bytes().position(|byte| byte == b':').map(|at| at + after_brackets);
        let (host, port) = match colon {
            None => (text, None),
            Some(at) => {
                let digits = text.get(at + 1..)?;
                if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                (text.get(..at)?, Some(digits.parse().ok().filter(|&port| port != 0)?))
            }
        };
        let valid = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
            }
        };
        valid.then_some(Self { host, port })
    }
}

/// The one authority that a request names, by its target and its `Host` fields.
///
/// # Errors
///
/// When it names none, several, or one that is no authority.
pub(crate) fn of_request<'a>(
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
) -> Result<Authority<'a>, RequestError> {
    let mut fields = headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(RequestError::ManyHosts);
    }
    let field = field.map(|field| field.to_str().map_err(|_| RequestError::InvalidHost)).transpose()?;
    let target = uri.authority().map(http::uri::Authority::as_str);

    if version >= Version::HTTP_2 {
        let target = target.ok_or(RequestError::NoHost)?;
        if field.is_some_and(|field| !field.eq_ignore_ascii_case(target)) {
            return Err(RequestError::HostMismatch);
        }
        return Authority::parse(target).ok_or(RequestError::InvalidHost);
    }
    let field = field.ok_or(RequestError::NoHost)?;
    // An absolute target; RFC 9112 section 3.2.2 would have it win, but two names in one request are nobody's honest need.
    if target.is_some_and(|target| !target.eq_ignore_ascii_case(field)) {
        return Err(RequestError::HostMismatch);
    }
    Authority::parse(field).ok_or(RequestError::InvalidHost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, host, port) in [
            ("app.example.com", "app.example.com", None),
            ("app.example.com:8443", "app.example.com", Some(8443)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:443", "[2001:db8::1]", Some(443)),
        ] {
            assert_eq!(Authority::parse(text), Some(Authority { host, port }), "{text}");
        }
        for text in [
            "", ":", ":80", "a:", "a:0", "a:65536", "a:+80", "a:80:80", "a b", "a,b", "u@a", "a/b", "a?b", "a#b",
            "a\\b", "[::1", "::1", "[::1]x", "[::g]", "[]", "a%2eb", "ä",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }
}

//! What proxies before us say: `Forwarded` (RFC 7239) and `X-Forwarded-*`.
//!
//! Read from right to left, because only what a trusted peer appended is worth anything; nothing here decides who is trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What was learnt from the forwarding fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The client: the first address from the right that is not trusted, or the last one that could be read.
    pub(crate) client: IpAddr,
    /// Addresses read, client first, without the peer itself. Empty when the peer is the client.
    pub(crate) hops: Vec<IpAddr>,
    /// The host that the outermost trusted proxy was asked for.
    pub(crate) host: Option<String>,
}

/// Reads the fields of a request whose peer is trusted. With both kinds present `Forwarded` wins.
pub(crate) fn read(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> Chain {
    let mut chain = Chain { client: peer, hops: Vec::new(), host: None };
    if headers.contains_key(FORWARDED) {
        // Each element describes the request as one proxy got it: the last one read is the outermost that is trusted.
        for element in elements(headers) {
            if let Some(host) = element.host {
                chain.host = Some(host);
            }
            if !step(&mut chain, element.node.as_deref().and_then(node_address), &trusts) {
                break;
            }
        }
    } else {
        for entry in list(headers, &X_FORWARDED_FOR) {
            if !step(&mut chain, node_address(entry), &trusts) {
                break;
            }
        }
        chain.host = list(headers, &X_FORWARDED_HOST).next().map(str::to_owned);
    }
    chain.hops.reverse();
    chain
}

/// `X-Forwarded-For` as it goes on: the hops we believe, then the peer.
#[must_use]
pub fn forwarded_for(hops: &[IpAddr], peer: IpAddr) -> HeaderValue {
    use std::fmt::Write as _;
    if let (IpAddr::V4(peer), true) = (peer, hops.is_empty()) {
        return dotted(peer);
    }
    let mut text = String::with_capacity(16 * (hops.len() + 1));
    for hop in hops {
        let _ = write!(text, "{hop}, ");
    }
    let _ = write!(text, "{peer}");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}

/// What nearly every request needs, without the machinery of formatting.
fn dotted(address: Ipv4Addr) -> HeaderValue {
    let mut text = [0; 15];
    let mut length = 0;
    let mut put = |byte| {
        if let Some(place) = text.get_mut(length) {
            *place = byte;
            length += 1;
        }
    };
    for (n, octet) in address.octets().into_iter().enumerate() {
        if n > 0 {
            put(b'.');
        }
        if octet >= 100 {
            put(b'0' + octet / 100);
        }
        if octet >= 10 {
            put(b'0' + octet / 10 % 10);
        }
        put(b'0' + octet % 10);
    }
    let text = text.get(..length).unwrap_or_default();
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Takes one entry; whether to read on. An entry that is no address ends the reading.
fn step(chain: &mut Chain, entry: Option<IpAddr>, trusts: &impl Fn(IpAddr) -> bool) -> bool {
    let Some(address) = entry else { return false };
    chain.client = address;
    chain.hops.push(address);
    trusts(address) && chain.hops.len() < MAX_HOPS
}

/// One element of `Forwarded`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element {
    node: Option<String>,
    host: Option<String>,
}

/// The elements of all `Forwarded` fields, from right to left. A field that is not well formed is one element that says
/// nothing: quotes that a stranger left open must not swallow what a trusted proxy appended, nor invent another.
fn elements(headers: &HeaderMap) -> impl Iterator<Item = Element> {
    let mut all: Vec<Element> = Vec::new();
    for field in headers.get_all(FORWARDED) {
        match field.to_str().ok().and_then(parse_forwarded) {
            Some(elements) => all.extend(elements),
            None => all.push(Element::default()),
        }
    }
    all.into_iter().rev()
}

/// RFC 7239 section 4, strictly; `None` when it is not well formed.
fn parse_forwarded(field: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut element = Element::default();
    let mut rest = field.trim_matches(OWS);
    loop {
        if !rest.starts_with([',', ';']) && !rest.is_empty() {
            let (name, after) = rest.split_at_checked(rest.find('=')?)?;
            let (value, after) = value(after.strip_prefix('=')?)?;
            rest = after.trim_start_matches(OWS);
            let slot = match name {
                _ if name.is_empty() || !name.bytes().all(is_token) => return None,
                _ if name.eq_ignore_ascii_case("for") => Some(&mut element.node),
                _ if name.eq_ignore_ascii_case("host") => Some(&mut element.host),
                _ => None,
            };
            if let Some(slot) = slot
                && slot.replace(value).is_some()
            {
                // Each parameter at most once.
                return None;
            }
        }
        match rest.as_bytes().first() {
            None => {
                elements.push(element);
                return Some(elements);
            }
            Some(b',') => elements.push(std::mem::take(&mut element)),
            Some(b';') => {}
            Some(_) => return None,
        }
        rest = rest.get(1..)?.trim_start_matches(OWS);
    }
}

/// A token or a quoted string, and what follows.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return (!token.is_empty()).then(|| (token.to_owned(), rest));
    };
    let mut out = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((out, quoted.get(at + 1..)?)),
            '\\' => out.push(characters.next()?.1),
            _ => out.push(character),
        }
    }
    None
}

/// The members of a comma-separated field, from right to left. What is not text is a member that says nothing.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let fields: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    fields
        .into_iter()
        .rev()
        .flat_map(|field| field.to_str().unwrap_or_default().rsplit(',').map(|entry| entry.trim_matches(OWS)))
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn node_address(text: &str) -> Option<IpAddr> {
    let address =
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).or_else(
            || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6),
        )?;
    Some(address.to_canonical())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// More hops than any honest chain has.
const MAX_HOPS: usize = 32;
const OWS: [char; 2] = [' ', '\t'];

pub(crate) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    /// What is found when 10.0.0.0/8 and 2001:db8:: are trusted.
    fn found(fields: &[(&str, &str)]) -> Chain {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        read(&headers, PEER.parse().unwrap(), |address| match address {
            IpAddr::V4(v4) => v4.octets()[0] == 10,
            IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0xdb8],
        })
    }

    /// HTTP-09: read from right to left, skip the trusted, stop at the first that is not; what is no address ends it.
    #[test]
    fn the_client_is_the_first_untrusted_from_the_right() {
        for (fields, client) in [
            (&[][..], PEER),
            (&[("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
            (&[("x-forwarded-for", "6.6.6.6, 198.51.100.7")], "198.51.100.7"),
            (&[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.2.2.2")], "198.51.100.7"),
            (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.7,10.2.2.2")], "198.51.100.7"),
            (&[("x-forwarded-for", "10.3.3.3, 10.2.2.2")], "10.3.3.3"),
            (&[("x-forwarded-for", "6.6.6.6, unknown, 10.2.2.2")], "10.2.2.2"),
            (&[("x-forwarded-for", "6.6.6.6,,10.2.2.2")], "10.2.2.2"),
            (&[("x-forwarded-for", "unknown")], PEER),
            (&[("x-forwarded-for", "198.51.100.7:4711")], "198.51.100.7"),
            (&[("x-forwarded-for", "2a00::1")], "2a00::1"),
            (&[("x-forwarded-for", "[2a00::1]:4711, 2001:db8::5")], "2a00::1"),
            (&[("x-forwarded-for", "198.51.100.7, ::ffff:10.2.2.2")], "198.51.100.7"),
            (&[("forwarded", "for=198.51.100.7")], "198.51.100.7"),
            (&[("forwarded", "for=6.6.6.6;proto=http, For=\"198.51.100.7:1\";by=_x ,for=10.2.2.2")], "198.51.100.7"),
            (&[("forwarded", "for=\"[2a00::1]:4711\"")], "2a00::1"),
            (&[("forwarded", "for=6.6.6.6, for=unknown, for=10.2.2.2")], "10.2.2.2"),
            (&[("forwarded", "for=6.6.6.6, proto=https, for=10.2.2.2")], "10.2.2.2"),
            (&[("forwarded", "for=198.51.100.7"), ("x-forwarded-for", "6.6.6.6")], "198.51.100.7"),
            (&[("forwarded", "proto=https"), ("x-forwarded-for", "6.6.6.6")], PEER),
            // Quotes that a stranger left open.
            (&[("forwarded", "for=6.6.6.6;x=\", for=198.51.100.7")], PEER),
            (&[("forwarded", "for=6.6.6.6;x=\", for=\"[2a00::1]:1\"")], PEER),
            (&[("forwarded", "for=6.6.6.6;for=7.7.7.7")], PEER),
        ] {
            assert_eq!(found(fields).client, client.parse::<IpAddr>().unwrap(), "{fields:?}");
        }
    }

    /// HTTP-09: only what was believed goes on, the peer last.
    #[test]
    fn believed_hops_go_on() {
        let chain = found(&[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.2.2.2")]);
        assert_eq!(forwarded_for(&chain.hops, PEER.parse().unwrap()), "198.51.100.7, 10.2.2.2, 10.0.0.1");
        assert_eq!(forwarded_for(&[], PEER.parse().unwrap()), "10.0.0.1");
    }

    /// HTTP-10: the host is the one that the outermost trusted proxy was asked for.
    #[test]
    fn the_host_is_the_outermost_trusted_proxys() {
        for (fields, host) in [
            (
                &[("forwarded", "for=6.6.6.6;host=evil, for=198.51.100.7;host=app, for=10.2.2.2;host=inner")][..],
                Some("app"),
            ),
            (&[("forwarded", "for=198.51.100.7, for=10.2.2.2;host=\"app:8443\"")], Some("app:8443")),
            (&[("forwarded", "for=198.51.100.7"), ("x-forwarded-host", "evil")], None),
            (&[("x-forwarded-host", "evil, app")], Some("app")),
            (&[], None),
        ] {
            assert_eq!(found(fields).host.as_deref(), host, "{fields:?}");
        }
    }

    proptest! {
        /// HTTP-09: whatever a stranger writes first, what the trusted proxy appended decides, or nothing does.
        #[test]
        fn a_stranger_cannot_choose_the_client(garbage in "[ -~]{0,40}") {
            let honest: IpAddr = "198.51.100.7".parse().unwrap();
            let peer: IpAddr = PEER.parse().unwrap();
            let list = found(&[("x-forwarded-for", &format!("{garbage}, {honest}"))]);
            prop_assert_eq!(list.client, honest);
            let quoted = found(&[("forwarded", &format!("{garbage}, for=\"{honest}:80\""))]);
            prop_assert!(quoted.client == honest || quoted.client == peer, "{:?}", quoted);
            let apart = found(&[("forwarded", &garbage), ("forwarded", "for=198.51.100.7")]);
            prop_assert_eq!(apart.client, honest);
        }
    }
}

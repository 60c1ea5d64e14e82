//! A whole head: host, forwarding, Fetch metadata, Accept, and everything that is read of them at once.

use std::net::IpAddr;

use http::header::{ACCEPT, AUTHORIZATION, COOKIE, EXPECT, FORWARDED, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use super::fixture::{NETWORK, fields, lines};
use super::headers::is_spoken_for;
use crate::testing::SeededRandom;
use crate::web::cross_site::Verdict;
use crate::web::{CanonicalPath, ClientRequest, Connection, Format, RequestId};

/// The first line of the input is `METHOD TARGET`, the others are fields. A stranger names nobody but itself, a trusted proxy vouches only
/// for what it appended, and whether a page elsewhere may ask so is what the table of the metadata says.
pub fn request(data: &[u8]) {
    let Some(parts) = parts(data) else { return };
    stranger(&parts);
    for peer in ["10.0.0.1", "2001:db8::7"] {
        vouched_for(&parts, peer);
    }
}

fn parts(data: &[u8]) -> Option<Parts> {
    let mut lines = lines(data);
    let line = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = line.split_once(' ')?;
    let mut parts = Request::builder().method(method).uri(target).body(()).ok()?.into_parts().0;
    parts.headers = fields(lines);
    // A host that is not named can only be refused: mutations are better spent on the rest.
    if !parts.headers.contains_key(HOST) {
        parts.headers.insert(HOST, HeaderValue::from_static("app.example.com"));
    }
    if parts.headers.remove("x-http-10").is_some() {
        parts.version = Version::HTTP_10;
    }
    Some(parts)
}

fn read(parts: &Parts, peer: &str) -> Option<ClientRequest> {
    let peer: IpAddr = peer.parse().expect("an address");
    let connection = Connection::new(Some((peer, 4711).into()), true);
    let client =
        ClientRequest::read(parts.clone(), &connection, &NETWORK, RequestId::new(&SeededRandom::new(1))).ok()?;
    assert!(NETWORK.public().contains(&client.origin));
    let again = CanonicalPath::parse(client.path.as_str()).expect("canonical");
    assert_eq!(again, client.path);
    assert_eq!(client.query(), parts.uri.query());
    for name in client.headers.keys() {
        assert!(![HOST, COOKIE, AUTHORIZATION, EXPECT].contains(name) && !is_spoken_for(name), "{name} goes on");
    }
    Some(client)
}

fn stranger(parts: &Parts) {
    let Some(client) = read(parts, "192.0.2.1") else { return };
    assert_eq!((client.address, client.forwarded_for.len()), (client.peer, 0));
    assert!(client.described.is_none());
    assert_eq!(client.forwarded_for_value(), "192.0.2.1");
    // Whatever it says of proxies changes nothing.
    let mut silent = parts.clone();
    for name in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-original-url"] {
        silent.headers.remove(name);
    }
    let same = read(&silent, "192.0.2.1").expect("fields that mean nothing");
    assert_eq!((same.origin, same.address, &same.path), (client.origin.clone(), client.address, &client.path));
    if silent.headers.contains_key("connection") {
        return;
    }
    judged(parts, &client);
}

fn vouched_for(parts: &Parts, peer: &str) {
    let Some(client) = read(parts, peer) else { return };
    let (first, others) = match client.forwarded_for.split_first() {
        Some((first, others)) => (*first, others),
        None => (client.peer, &[][..]),
    };
    assert_eq!(client.address, first);
    assert!(others.iter().all(|hop| NETWORK.trusts(*hop)), "{:?}", client.forwarded_for);
    assert!(client.forwarded_for.len() <= 32);

    // What stands before an address that is not trusted was written by that stranger: it may write something else.
    if NETWORK.trusts(client.address) {
        return;
    }
    let name = if parts.headers.contains_key(FORWARDED) { FORWARDED } else { X_FORWARDED_FOR };
    for lie in ["203.0.113.66", "for=203.0.113.66;host=other.example", "\"", "for=\"", "10.0.0.9", ","] {
        for headers in [Some(with_first(&parts.headers, &name, lie)), with_beginning(&parts.headers, &name, lie)] {
            let mut lying = parts.clone();
            let Some(headers) = headers else { continue };
            lying.headers = headers;
            let told = read(&lying, peer).expect("forwarding is never refused for what stands to the left");
            assert_eq!(told.address, client.address, "{lie:?}");
            assert_eq!(told.forwarded_for, client.forwarded_for, "{lie:?}");
        }
    }
}

/// The lie in a field of its own.
fn with_first(headers: &HeaderMap, name: &HeaderName, value: &'static str) -> HeaderMap {
    let mut out = headers.clone();
    out.remove(name);
    for value in std::iter::once(&HeaderValue::from_static(value)).chain(headers.get_all(name)) {
        out.append(name, value.clone());
    }
    out
}

/// The lie in the first field. A `Forwarded` that it makes malformed says nothing at all, which is no lie that was believed.
fn with_beginning(headers: &HeaderMap, name: &HeaderName, lie: &str) -> Option<HeaderMap> {
    if *name == FORWARDED && (lie.contains('"') || !lie.starts_with("for=")) {
        return None;
    }
    let first = headers.get(name)?;
    let mut value = format!("{lie}, ").into_bytes();
    value.extend_from_slice(first.as_bytes());
    let mut out = headers.clone();
    out.remove(name);
    out.append(name, HeaderValue::from_bytes(&value).ok()?);
    for value in headers.get_all(name).iter().skip(1) {
        out.append(name, value.clone());
    }
    Some(out)
}

/// The table of `Fetch::judge`, read from the fields themselves; and what an answer is written in.
fn judged(parts: &Parts, client: &ClientRequest) {
    let one = |name: &str| {
        let mut all = parts.headers.get_all(name).iter();
        let first = all.next()?;
        Some(if all.next().is_none() { first.to_str().unwrap_or_default() } else { "" })
    };
    let upgrade = client.upgrade.is_some();
    let safe = !upgrade && [Method::GET, Method::HEAD, Method::OPTIONS].contains(&client.method);
    let spa = "https://spa.example.com".to_owned();
    let origin = one("origin").filter(|origin| !origin.is_empty() && *origin != "null");
    let by_origin = origin == Some(client.origin.to_string().as_str());
    let custom = ["x-requested-with", "x-vestibule-csrf"].iter().any(|name| parts.headers.contains_key(*name));
    let document =
        one("sec-fetch-mode") == Some("navigate") && !matches!(one("sec-fetch-dest"), Some("object" | "embed"));
    let expected = match one("sec-fetch-site") {
        _ if origin == Some(&spa) => true,
        Some("same-origin" | "none") if !upgrade => true,
        // Without a mode whether it is a document is a guess, which is not looked at here.
        Some(_) if !upgrade && safe && one("sec-fetch-mode").is_none() => return,
        Some(_) if !upgrade => safe && document,
        _ if parts.headers.contains_key(ORIGIN) => by_origin,
        _ => safe || custom,
    };
    let verdict = client.fetch.judge(&client.method, upgrade, &[spa], &client.origin);
    assert_eq!(verdict == Verdict::Allow, expected, "{verdict:?} {:?}", parts.headers);

    let starts = client.fetch.may_start_login(&client.method);
    let named = one("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    let tab = one("sec-fetch-dest").is_none_or(|dest| dest == "document");
    let reads = client.method == Method::GET || client.method == Method::HEAD;
    assert!(!starts || named && tab && reads && !upgrade, "{:?}", parts.headers);

    let html = parts.headers.get_all(ACCEPT).iter().any(|value| {
        let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
        text.contains("text/html") || text.contains("application/xhtml+xml")
    });
    assert!(client.format() == Format::Problem || html, "{:?}", parts.headers);
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

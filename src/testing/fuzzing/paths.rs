//! Canonical paths, and the routes that are found by them.

use http::Method;
use http::uri::PathAndQuery;
use url::Url;

use super::fixture::{TABLE, percent_decoded, resolved_by_browsers};
use crate::route::{HostPattern, Route};
use crate::web::CanonicalPath;
use crate::web::path::{decoded, without_parameters};

/// A path that is accepted has one reading: it stays as it is when read again, a browser reads the same, and of the servers that
/// decode, drop parameters, merge slashes and resolve dots, in whatever order, none takes it for another route's.
pub fn paths(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok(path) = CanonicalPath::parse(raw) else { return };
    let canonical = path.as_str();
    assert!(canonical.starts_with('/') && canonical.bytes().all(|byte| byte.is_ascii_graphic()), "{canonical:?}");

    let again = CanonicalPath::parse(canonical).expect("what is canonical is accepted");
    assert_eq!((again.as_str(), again.has_encoded_slash()), (canonical, path.has_encoded_slash()), "{raw:?}");
    if let Ok(target) = PathAndQuery::try_from(format!("{raw}?%2e%2e/=//%2f")) {
        let of = CanonicalPath::of(&target).expect("a query changes nothing");
        assert_eq!((of.as_str(), of.query()), (canonical, Some("%2e%2e/=//%2f")), "{raw:?}");
    }
    assert_eq!(path.has_encoded_slash(), canonical.to_ascii_lowercase().contains("%2f"), "{canonical:?}");

    as_browsers_read_it(raw, canonical);
    routed(&path);
}

fn as_browsers_read_it(raw: &str, canonical: &str) {
    let base = Url::parse("https://app.example.com/below/here").expect("a URL");
    for text in [raw, canonical] {
        let read = base.join(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        assert_eq!(read.origin(), base.origin(), "{text:?}");
        let path = resolved_by_browsers(text);
        assert_eq!(percent_decoded(&path), percent_decoded(canonical), "{text:?} is {path:?}");
        assert_eq!(path.matches('/').count(), canonical.matches('/').count(), "{text:?} is {path:?}");
    }
}

/// The route by which a naive server with the same rules would go, if it went by `path`: host first, then the longest, then the exact.
fn taken<'a>(host: &str, path: &str, pattern: impl Fn(&Route) -> String) -> Option<(&'a HostPattern, String)> {
    let class = |route: &Route| match route.host {
        HostPattern::Any => 0,
        HostPattern::Wildcard(_) => 1,
        HostPattern::Exact(_) => 2,
    };
    let matching = TABLE.routes().iter().filter(|route| {
        let pattern = pattern(route);
        let below = |prefix: &str| path.starts_with(&format!("{prefix}/")) || path == prefix;
        route.host.matches(host)
            && match (pattern.strip_prefix('='), pattern.as_str()) {
                (Some(exact), _) => path == exact,
                (None, "/") => path.starts_with('/'),
                (None, prefix) => below(prefix),
            }
    });
    let best = matching.max_by_key(|route| {
        let written = route.path.to_string();
        let exact = written.starts_with('=');
        let length = written.trim_start_matches('=').len();
        (class(route), if written == "/" { 0 } else { length }, exact)
    })?;
    Some((&best.host, best.path.to_string()))
}

fn merged(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

/// Merges slashes and resolves dot segments, as servers do after they have decoded.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

fn routed(path: &CanonicalPath) {
    let text = path.as_str();
    let written = |route: &Route| route.path.to_string();
    let plain = |route: &Route| String::from_utf8(percent_decoded(&route.path.to_string())).expect("UTF-8");
    for host in ["app.example.com", "other.app.example.com"] {
        let raw = taken(host, text, written);
        let stripped = without_parameters(text);
        let mut decoding = vec![
            decoded(text).into_owned(),
            decoded(&stripped).into_owned(),
            without_parameters(&decoded(text)).into_owned(),
        ];
        decoding.extend(decoding.clone().iter().map(|path| merged(path)));
        let agreed = taken(host, &stripped, written) == raw && decoding.iter().all(|it| taken(host, it, plain) == raw);
        for method in [Method::GET, Method::POST] {
            let found = TABLE.find(host, path, &method);
            let Some(route) = found else {
                let fits = TABLE.routes().iter().any(|route| {
                    Some((&route.host, route.path.to_string())) == raw
                        && route.methods.as_ref().is_none_or(|methods| methods.contains(&method))
                });
                assert!(!agreed || !fits, "{method} {host}{text}: every reading takes {raw:?}, and it is not found");
                continue;
            };
            assert!(agreed, "{method} {host}{text}: {raw:?} in one reading, not in another");
            assert_eq!(raw, Some((&route.host, route.path.to_string())), "{method} {host}{text}");
            for reading in &decoding {
                let reading = resolved(reading);
                // What an exact path says of the same path with a dot more is not its affair.
                if !route.path.to_string().starts_with('=') {
                    assert_eq!(taken(host, &reading, plain), raw, "{method} {host}{text} resolves to {reading:?}");
                }
            }
        }
    }
}

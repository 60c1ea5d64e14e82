//! Many configurations at once: nothing panics, nothing is lost, and the pages made from the types are fresh.

use proptest::prelude::*;

use super::{around, parse};
use crate::config::{reference, schema};

fn fresh(path: &str, made: &str, command: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, made).unwrap();
    }
    let stands = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stands == made, "{path} is stale; make it anew: {command}");
}

#[test]
fn the_reference_is_fresh() {
    fresh("docs/configuration.md", &reference(), "vestibule docs configuration > docs/configuration.md");
}

#[test]
fn the_schema_is_fresh() {
    fresh("config/schema.json", &schema(), "vestibule docs schema > config/schema.json");
}

#[test]
fn every_key_is_described() {
    fn walk(path: &str, schema: &serde_json::Value, missing: &mut Vec<String>) {
        for (name, below) in schema.get("properties").and_then(|all| all.as_object()).into_iter().flatten() {
            let path = format!("{path}.{name}");
            if below.get("description").and_then(|text| text.as_str()).unwrap_or_default().is_empty() {
                missing.push(path.clone());
            }
            walk(&path, below, missing);
            walk(&path, below.get("items").unwrap_or(&serde_json::Value::Null), missing);
            walk(&path, below.get("additionalProperties").unwrap_or(&serde_json::Value::Null), missing);
        }
    }
    let mut missing = Vec::new();
    walk("", &crate::config::docs::schema_value(), &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

/// Mistakes that have nothing to do with each other: where they go, and the key that is named.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("", "hsts = \"soon\"\n", "hsts"),
    ("", "endpoints = \"oauth2\"\n", "endpoints"),
    ("", "colour = \"blue\"\n", "colour"),
    ("", "also_public = [\"https://elsewhere.example\"]\n", "also_public[0]"),
    ("[session]\n", "idle = \"13h\"\n", "session.idle"),
    ("[session]\n", "deadline = 5\n", "session.deadline"),
    ("[session]\n", "stroe = \"memory\"\n", "session.stroe"),
    ("[session]\n", "near_cache = { replicas = 9 }\n", "session.near_cache.replicas"),
    ("[providers.corp]\n", "clock_skew = \"1h\"\n", "providers.corp.clock_skew"),
    ("[providers.corp]\n", "userinfo = \"true\"\n", "providers.corp.userinfo"),
    ("[providers.corp]\n", "dpop = true\n", "providers.corp.dpop"),
    ("[providers.corp]\n", "tls = { ca = \"/nowhere\" }\n", "providers.corp.tls.ca"),
    ("[upstreams.portal]\n", "connections = 0\n", "upstreams.portal.connections"),
    ("[upstreams.portal]\n", "identity = { claims = [\"sub\"] }\n", "upstreams.portal.identity.claims[0]"),
    ("[[routes]]\n", "provider = \"crop\"\n", "routes[0].provider"),
    ("[[routes]]\n", "methods = [\"get\"]\n", "routes[0].methods[0]"),
    ("[[routes]]\n", "when = \"true\"\n", "routes[0].when"),
    ("[[routes]]\n", "path = \"/oauth2\"\n", "routes[0].path"),
    ("[admin]\n", "address = \"0.0.0.0:8080\"\n", "admin.address"),
    ("[telemetry]\n", "log = \"=\"\n", "telemetry.log"),
];

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for text in [
        format!("hsts = {}", "[".repeat(20_000)),
        format!("hsts = {}{}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("routes = {}", "{ a = ".repeat(5_000)),
        format!("telemetry.audit = {}{}", "[".repeat(60), "]".repeat(60)),
    ] {
        assert!(parse(&text).is_err());
    }
}

/// A configuration with the chosen mistakes, and the keys that have to be named.
fn planted(chosen: &[usize]) -> (String, Vec<&'static str>) {
    let mut text = around("#top", "[admin]\n[telemetry]\n");
    let mut keys = Vec::new();
    for (head, line, key) in chosen.iter().filter_map(|index| MISTAKES.get(*index)) {
        text = if head.is_empty() {
            text.replace("#top", &format!("{line}#top"))
        } else {
            text.replace(head, &format!("{head}{line}"))
        };
        keys.push(*key);
    }
    (text, keys)
}

/// OPS-05: every mistake in one go, in the order of the file.
#[test]
fn all_mistakes_at_once() {
    let (text, mut keys) = planted(&(0..MISTAKES.len()).collect::<Vec<_>>());
    let problems = parse(&text).unwrap_err();
    let mut named: Vec<&str> = problems.iter().map(|problem| problem.place.key.as_str()).collect();
    let positions: Vec<_> = problems.iter().map(|problem| problem.place.position).collect();
    assert!(positions.is_sorted() && positions.iter().all(Option::is_some));
    keys.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, keys);
    assert!(problems.to_string().ends_with(&format!("{} problems", MISTAKES.len())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// OPS-05: each planted mistake is reported, and nothing follows from it.
    #[test]
    fn every_planted_mistake_is_reported_and_no_other(chosen in proptest::sample::subsequence((0..MISTAKES.len()).collect::<Vec<_>>(), 0..MISTAKES.len())) {
        let (text, mut keys) = planted(&chosen);
        let mut named: Vec<String> = match parse(&text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(|problem| problem.place.key.clone()).collect(),
        };
        keys.sort_unstable();
        named.sort_unstable();
        prop_assert_eq!(named, keys);
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = parse(&text);
    }

    /// What the schema lets through can be read.
    #[test]
    fn no_value_is_too_odd(
        key in proptest::sample::select(vec!["public_url", "hsts", "listeners", "session", "session.store", "session.secrets", "session.near_cache",
            "session.near_cache.replicas", "providers", "providers.corp", "providers.corp.claims", "upstreams.portal.timeouts.idle",
            "identity.keys", "limits.body_bytes", "limits.connections", "limits.logins_per_minute", "routes", "admin.token"]),
        value in proptest::sample::select(vec!["1", "-1", "0", "18446744073709551616", "0x7fffffffffffffff", "4294967296", "1.5", "nan", "inf", "true", "\"\"", "\"text\"",
            "\"unlimited\"", "\"off\"", "\"10s\"", "\"1KiB\"", "[]", "[1]", "[[]]", "[{}]", "{}", "{ file = \"x\" }", "{ file = 1 }",
            "{ env = \"x\", file = \"x\" }", "1979-05-27", "\"\\u0000\"", "{ a = 1 }", "{ a = {} }", "{ a = \"b\" }", "[\"a\", 1]", "\"managed\""]),
        text in ".{0,12}",
    ) {
        for value in [value.to_owned(), toml::Value::String(text).to_string()] {
            if let Err(problems) = parse(&format!("{key} = {value}\n")) {
                prop_assert!(!problems.to_string().contains("cannot be read here"), "{}", problems);
                prop_assert!(problems.iter().all(|problem| problem.what != "This cannot be read."), "{}", problems);
            }
        }
    }
}

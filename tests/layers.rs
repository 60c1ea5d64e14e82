//! Imports point one way (ARCHITECTURE.md): a module may use its own layer's folder and every lower layer, nothing else.

#![allow(clippy::expect_used, clippy::string_slice, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Low to high. Modules in one row do not know each other.
const LAYERS: &[&[&str]] = &[
    &["base", "telemetry"],
    &["web", "jose"],
    &["route"],
    &["server", "session", "oidc", "identity", "upstream"],
    &["access", "webhook"],
    &["endpoints"],
    &["gateway"],
    &["admin"],
    &["config"],
    &["app"],
    &["demo", "cli"],
];

/// Crates that only these places may name: whoever changes a library then knows where to look.
const OWNED: &[(&str, &[&str])] = &[
    ("fred", &["src/session/redis"]),
    ("jsonwebtoken", &["src/jose"]),
    ("oauth2", &["src/oidc"]),
    ("hyper_rustls", &["src/oidc/client", "src/webhook/delivery"]),
    ("clap", &["src/cli"]),
    ("argon2", &["src/demo"]),
    ("toml", &["src/config"]),
];

/// Exceptions, each with its reason.
const ALLOWED: &[(&str, &str)] = &[
    // The demo is assembled by the command that runs it.
    ("cli", "demo"),
    // Only tests of the stores use the manual clock.
    ("session", "testing"),
];

/// Wrong imports in one file's text: the modules of this crate that `module` may not use.
fn wrong(module: &str, text: &str) -> Vec<String> {
    let level = |name: &str| LAYERS.iter().position(|row| row.contains(&name));
    let Some(own) = level(module) else { return Vec::new() };
    let mut found = Vec::new();
    for line in production(text) {
        let mut rest = line;
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => {
                    group.split(',').map(|part| part.trim().split("::").next().unwrap_or_default()).collect()
                }
                None => vec![rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()],
            };
            for name in names {
                let Some(other) = level(name) else { continue };
                let allowed = name == module || other < own || ALLOWED.contains(&(module, name));
                if !allowed {
                    found.push(format!("{module} uses {name}: {}", line.trim()));
                }
            }
        }
    }
    found
}

/// The lines that are not tests: a test may stand on anything, and module docs may speak of anyone.
fn production(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(any(test"))
        .filter(|line| !line.trim_start().starts_with("//"))
}

fn sources() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![Path::new("src").to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                all.insert(path.to_string_lossy().replace('\\', "/"), text);
            }
        }
    }
    assert!(all.len() > 30, "the test looks at the sources");
    all
}

fn module_of(path: &str) -> &str {
    path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default()
}

/// Whether a file only holds tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/testing/")
}

#[test]
fn imports_point_one_way() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if !is_test(&path) {
            found.extend(wrong(module_of(&path), &text).into_iter().map(|what| format!("{path}: {what}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_library_is_named_only_where_it_belongs() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if is_test(&path) {
            continue;
        }
        for (library, places) in OWNED {
            let named = production(&text)
                .any(|line| line.contains(&format!("{library}::")) && !line.contains(&format!("_{library}::")));
            if named && !places.iter().any(|place| path.starts_with(place)) {
                found.push(format!("{path} names {library}, which belongs to {}", places.join(", ")));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    for path in sources().keys() {
        let module = module_of(path);
        let known = LAYERS.iter().any(|row| row.contains(&module)) || ["lib", "main", "testing"].contains(&module);
        assert!(known, "{path}: give `{module}` a place in LAYERS");
    }
}

/// The rule itself can fail: planted imports of every wrong kind are found, right ones are not.
#[test]
fn a_planted_import_is_found() {
    assert_eq!(wrong("web", "use crate::session::Sessions;").len(), 1);
    assert_eq!(wrong("session", "use crate::oidc::Provider;").len(), 1);
    assert_eq!(wrong("access", "let x = crate::gateway::Gateway::new();").len(), 1);
    assert_eq!(wrong("jose", "use crate::{base::Secret, web::Body};").len(), 1);
    assert_eq!(wrong("gateway", "use crate::access::Permit;").len(), 0);
    assert_eq!(wrong("session", "use crate::base::Clock;").len(), 0);
    assert_eq!(wrong("web", "// crate::session is not for us\n#[cfg(test)]\nuse crate::session::X;").len(), 0);
}

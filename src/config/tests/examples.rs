//! What people copy, and what defaults mean.

use std::path::Path;

use super::{PROVIDER, TestEnvironment, UPSTREAM, around, parse};
use crate::config::{Config, docs};
use crate::oidc::ClientAuth;
use crate::server::ListenAddress;
use crate::session::StoreSettings;
use crate::web::SameSite;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

#[test]
fn every_example_is_accepted() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let config = Config::parse(&text, &path, &TestEnvironment::furnished());
            let config = config.unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(config.upstreams.len(), config.upstream_identity.len());
            // Only what is meant for trying out has something to warn of.
            assert_eq!(config.warnings.is_empty(), !text.contains("development = true"), "{:?}", config.warnings);
            count += 1;
        }
    }
    assert_eq!(count, 5);
}

#[test]
fn the_smallest_file_means_what_the_reference_says() {
    let config = parse(&around("", "")).unwrap();
    assert_eq!(config.public_url, "https://app.example.com");
    assert!(
        matches!(config.listeners.as_slice(), [one] if one.address == ListenAddress::Tcp(([0, 0, 0, 0], 8080).into()))
    );
    assert_eq!(config.network.endpoints, "/oauth2");
    assert_eq!(config.network.hsts.as_deref(), Some("max-age=31536000"));
    assert_eq!(
        (config.cookie.name.as_str(), config.cookie.same_site, config.cookie.secure),
        ("__Host-vestibule", SameSite::Lax, true)
    );
    assert_eq!(config.admin.address, ([127, 0, 0, 1], 9901).into());
    assert!(config.admin.token.is_none());
    let [provider] = config.providers.as_slice() else { panic!("one provider") };
    assert_eq!(provider.redirect_uri.as_str(), "https://app.example.com/oauth2/callback");
    assert_eq!(provider.scopes, ["openid", "profile", "email"]);
    assert_eq!(provider.client_auth, ClientAuth::Auto);
    assert!(!provider.allow_http);
    assert_eq!(config.routes.first().and_then(|route| route.provider.as_deref()), Some("corp"));
    assert_eq!(config.identity.issuer, "https://app.example.com");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

/// `__Host-` and `Secure` wherever the public URL is https, and neither where browsers would refuse them.
#[test]
fn the_cookie_follows_the_public_url() {
    let text = around("", "").replace("https://app.example.com", "http://localhost:8080");
    let config = parse(&text).unwrap();
    assert_eq!((config.cookie.name.as_str(), config.cookie.secure), ("vestibule", false));
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings.iter().all(|warning| warning.to_string().contains("public_url")), "{:?}", config.warnings);
}

/// LOGIN-18, OPS-05: http beyond loopback is behind a named switch, and the switch is warned of.
#[test]
fn development_lets_http_pass_and_says_so() {
    let text = around("", "").replace("https://", "http://").replace("127.0.0.1:6379", "redis:6379");
    assert_eq!(parse(&text).unwrap_err().iter().count(), 3);
    let config = parse(&format!("development = true\n{text}")).unwrap();
    let warned: Vec<&str> = config.warnings.iter().map(|warning| warning.place.key.as_str()).collect();
    assert_eq!(warned, ["development", "public_url", "session.store", "providers.corp.issuer"]);
    assert!(config.development && config.providers.iter().all(|provider| provider.allow_http));
    let loopback = around("", "").replace("https://id.example.com", "http://[::1]:9000");
    assert!(parse(&loopback).unwrap().providers.iter().all(|provider| provider.allow_http));
}

/// TLS-09: `redis://` beyond loopback only with an explicit switch.
#[test]
fn plaintext_redis_needs_a_switch() {
    for (store, switch, accepted) in [
        ("redis://redis:6379", "", false),
        ("redis://10.0.0.1", "", false),
        ("redis://redis:6379", "plaintext = true", true),
        ("rediss://redis:6379", "", true),
        ("redis://localhost", "", true),
        ("redis://127.0.0.1:7000/3", "", true),
        ("redis://[::1]:6379", "", true),
        ("redis://localhost.example.com", "", false),
        ("redis+unix:///run/redis.sock", "", true),
    ] {
        let text = around("", "").replace("redis://127.0.0.1:6379\"", &format!("{store}\"\n{switch}"));
        let result = parse(&text);
        assert_eq!(
            result.is_ok(),
            accepted,
            "{store}: {}",
            result.err().map(|problems| problems.to_string()).unwrap_or_default()
        );
    }
}

#[test]
fn a_store_in_memory_needs_no_secret_and_keeps_one_over_reloads() {
    let text = around("", "")
        .replace("redis://127.0.0.1:6379", "memory")
        .replace("secrets = [{ file = \"/run/secrets/vestibule\" }]", "");
    let config = parse(&text).unwrap();
    assert!(matches!(config.session.store, StoreSettings::Memory));
    assert_eq!(config.session.secrets.iter().map(|secret| secret.expose().len()).collect::<Vec<_>>(), [32]);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let mut environment = TestEnvironment::furnished();
    environment.file("/etc/vestibule/secrets/one", "canary-one-of-32-bytes-and-some-more\r\n");
    let text = around("", "").replace("/run/secrets/vestibule", "secrets/one");
    let config = Config::parse(&text, Path::new("/etc/vestibule/vestibule.toml"), &environment).unwrap();
    assert_eq!(config.session.secrets.first().unwrap().expose(), b"canary-one-of-32-bytes-and-some-more");
    assert!(Config::parse(&text, Path::new("/etc/other/vestibule.toml"), &environment).is_err());
}

#[test]
fn identity_headers_of_every_upstream_are_removed_from_requests() {
    let more = "[upstreams.b]\nurl = \"http://b\"\nidentity = { header = \"Authorization\", headers = { X-Forwarded-User = \"sub\" } }\n\
        [upstreams.c]\nurl = \"http://c\"\nidentity = { header = \"X-Token\" }\n";
    let config = parse(&around("", more)).unwrap();
    assert_eq!(
        config.network.identity_headers,
        ["x-vestibule-identity", "authorization", "x-forwarded-user", "x-token"]
    );
}

#[test]
fn body_sizes_are_inherited_by_routes() {
    let more = "body_bytes = \"unlimited\"\n[[routes]]\npath = \"/small\"\nupstream = \"portal\"\nbody_bytes = 10\n\
        [[routes]]\npath = \"/same\"\nupstream = \"portal\"\n[limits]\nbody_bytes = \"1MiB\"\n";
    let config = parse(&around("", more)).unwrap();
    assert_eq!(config.routes.iter().map(|route| route.body_bytes).collect::<Vec<_>>(), [None, Some(10), Some(1 << 20)]);
}

#[test]
fn ports_of_upstreams_are_those_of_their_schemes() {
    use crate::upstream::Target;
    for (url, target) in [
        ("http://a", Target::Http { host: "a".to_owned(), port: 80 }),
        ("https://A", Target::Https { host: "a".to_owned(), port: 443 }),
        ("https://a:80", Target::Https { host: "a".to_owned(), port: 80 }),
        ("https://[::1]:80/", Target::Https { host: "[::1]".to_owned(), port: 80 }),
        ("http://a:443", Target::Http { host: "a".to_owned(), port: 443 }),
        ("h2c://a", Target::H2c { host: "a".to_owned(), port: 80 }),
        ("unix:/run/a.sock", Target::Unix("/run/a.sock".into())),
    ] {
        let config = parse(&around("", "").replace("http://portal:3000", url)).unwrap();
        assert_eq!(config.upstreams.first().unwrap().target, target);
    }
}

/// The defaults in the schema, and so in the reference, are those that are used.
#[test]
fn writing_every_default_changes_nothing() {
    let schema = docs::schema_value();
    let without = around("", "[[listeners]]\naddress = \"0.0.0.0:8080\"\n");
    let expected = format!("{:?}", parse(&without).unwrap());
    let mut tried = 0;
    let places = [
        ("", "/properties"),
        ("[limits]", "/properties/limits/properties"),
        ("[admin]", "/properties/admin/properties"),
        ("[network]", "/properties/network/properties"),
        ("[session]", "/properties/session/properties"),
        ("[session.near_cache]", "/properties/session/properties/near_cache/properties"),
        ("[session.cookie]", "/properties/session/properties/cookie/properties"),
        ("[identity]", "/properties/identity/properties"),
        ("[providers.corp]", "/properties/providers/additionalProperties/properties"),
        ("[providers.corp.logout]", "/properties/providers/additionalProperties/properties/logout/properties"),
        ("[upstreams.portal]", "/properties/upstreams/additionalProperties/properties"),
        ("[upstreams.portal.timeouts]", "/properties/upstreams/additionalProperties/properties/timeouts/properties"),
        ("[upstreams.portal.identity]", "/properties/upstreams/additionalProperties/properties/identity/properties"),
        ("[[routes]]", "/properties/routes/items/properties"),
        ("[telemetry]", "/properties/telemetry/properties"),
        ("[[listeners]]", "/properties/listeners/items/properties"),
    ];
    for (head, pointer) in places {
        for (key, schema) in schema.pointer(pointer).unwrap().as_object().unwrap() {
            let Some(default) = schema.get("default") else { continue };
            let line = format!("{key} = {}\n", toml::Value::try_from(default).unwrap());
            let text = if head.is_empty() {
                format!("{line}{without}")
            } else if without.contains(&format!("{head}\n")) {
                without.replace(&format!("{head}\n"), &format!("{head}\n{line}"))
            } else {
                format!("{without}{head}\n{line}")
            };
            let config = parse(&text).unwrap_or_else(|problems| panic!("{head} {line}: {problems}"));
            assert_eq!(format!("{config:?}"), expected, "{head} {line}");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
    // Sections above are found by their first lines.
    assert!(PROVIDER.starts_with("[providers.corp]\n") && UPSTREAM.starts_with("[upstreams.portal]\n"));
}

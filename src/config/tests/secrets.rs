//! Secrets come from elsewhere and go nowhere.

use std::path::Path;

use super::{TestEnvironment, around, parse};
use crate::config::Config;
use crate::config::document;
use crate::oidc::ClientCredential;

fn complete() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/vestibule.toml");
    Config::parse(&std::fs::read_to_string(&path).unwrap(), &path, &TestEnvironment::furnished()).unwrap()
}

/// OPS-02: neither what is printed nor what is debugged holds a secret.
#[test]
fn what_is_shown_holds_no_secret() {
    let config = complete();
    for shown in [config.redacted(), format!("{config:?}"), format!("{config:#?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    let shown = config.redacted();
    assert!(shown.contains("client_secret = \"[secret]\""), "{shown}");
    assert!(shown.contains("token = \"[secret]\""));
    assert!(shown.contains("store = \"rediss://redis:6379/0\""), "{shown}");
    assert!(shown.contains("issuer = \"https://id.example.com/realms/staff\""));
    assert!(shown.contains("logins_per_minute = 120"));
}

/// CLI-02, OPS-02: a key takes the secret's place, and neither it nor its kind is printed.
#[test]
fn a_client_may_have_a_key() {
    for (method, file) in [("auto", "/run/secrets/portal.jwk"), ("private_key_jwt", "/etc/tls/other.key")] {
        let written = format!("client_auth = \"{method}\"\nclient_key = {{ file = \"{file}\" }}");
        let text = around("", "").replace("client_secret = { file = \"/run/secrets/portal\" }", &written);
        let config = parse(&text).unwrap();
        let [provider] = config.providers.as_slice() else { panic!("one provider") };
        let ClientCredential::Key(keys) = &provider.credential else { panic!("a key") };
        assert_eq!(keys.iter().map(|key| key.algorithm().as_str()).collect::<Vec<_>>(), ["ES256"]);
        let shown = config.redacted();
        assert!(shown.contains("client_key = \"[secret]\"") && !shown.contains("client_secret"), "{shown}");
        assert!(shown.contains(&format!("client_auth = \"{method}\"")) && !shown.contains("canary"), "{shown}");
        assert!(!format!("{config:?}").contains("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"));
    }
}

/// With the secrets' places put back, what is printed is a configuration again, and means the same.
#[test]
fn what_is_printed_is_written_in_the_words_of_the_file() {
    let config = complete();
    let shown = config.redacted();
    let (_, _, problems) = document::read(&shown, "printed");
    for problem in &problems {
        assert!(problem.what.starts_with("A secret does not stand"), "{problem}\n{shown}");
    }
    let text = shown
        .replace(
            "secrets = [\"[secret]\", \"[secret]\"]",
            "secrets = [{ file = \"/run/secrets/vestibule-2026-11\" }, { env = \"VESTIBULE_OLD_SECRET\" }]",
        )
        .replace("client_secret = \"[secret]\"", "client_secret = { file = \"/run/secrets/portal\" }")
        .replace("token = \"[secret]\"", "token = { file = \"/run/secrets/vestibule-admin\" }");
    let again = parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert_eq!(again.redacted(), shown);
}

/// OPS-02: a store's password, wherever it stands in its URL, is not printed.
#[test]
fn passwords_of_stores_are_not_printed() {
    for (url, warned) in [
        ("redis://:canary@127.0.0.1:6379/0", true),
        ("redis://user:canary@localhost", true),
        ("redis-cluster://user:canary@localhost", true),
        ("redis-sentinel://localhost/0?sentinelServiceName=main&sentinelPassword=canary", true),
        ("redis-sentinel://localhost/0?sentinelServiceName=canary", false),
    ] {
        let config = parse(&around("", "").replace("redis://127.0.0.1:6379", url)).unwrap();
        assert!(!config.redacted().contains("canary"), "{}", config.redacted());
        assert!(!format!("{config:?}").contains("canary"));
        assert_eq!(config.warnings.iter().any(|warning| warning.to_string().contains("password")), warned, "{url}");
        assert!(config.warnings.iter().all(|warning| !warning.to_string().contains("canary")));
    }
    // Nor where it is what is wrong.
    for url in [
        "redis://canary@localhost/0",
        "redis://localhost/0?password=canary",
        "redis+unix:///run/redis.sock?password=canary",
        "redis-sentinel://localhost/0?sentinelServiceName=main&sentinelpassword=canary",
        "redis-cluster://localhost/0?node=canary",
    ] {
        let problems = parse(&around("", "").replace("redis://127.0.0.1:6379", url)).unwrap_err();
        assert!(!format!("{problems} {problems:?}").contains("canary"), "{url}: {problems}");
    }
}

/// OPS-02: files that everybody may read are warned of, and certificates are not secrets.
#[test]
fn files_that_everybody_may_read_are_warned_of() {
    let mut environment = TestEnvironment::furnished();
    for (_, world_readable) in environment.files.values_mut() {
        *world_readable = true;
    }
    let text = around(
        "",
        "[[listeners]]\naddress = \"0.0.0.0:8443\"\ncertificates = [{ certificate = \"/etc/tls/app.pem\", key = \"/etc/tls/app.key\" }]\n",
    );
    let config = Config::parse(&text, Path::new("vestibule.toml"), &environment).unwrap();
    let warned: Vec<&str> = config.warnings.iter().map(|warning| warning.place.key.as_str()).collect();
    assert_eq!(
        warned,
        ["session.secrets[0].file", "providers.corp.client_secret.file", "listeners[0].certificates[0].key"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let problems = Config::load(Path::new("nowhere.toml"), &TestEnvironment::default()).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "nowhere.toml\n    The configuration cannot be read: there is no such file.\n1 problem"
    );
}

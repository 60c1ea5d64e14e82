//! The configuration as a whole. Every refusal has its message in `broken.txt`.

mod corpus;
mod examples;
mod generated;
mod secrets;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Config, Environment, FileContents, Problems};
use crate::base::Secret;

/// Variables and files that exist nowhere else.
#[derive(Debug, Default)]
pub(super) struct TestEnvironment {
    vars: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, (Vec<u8>, bool)>,
}

impl TestEnvironment {
    /// With what the examples and the corpus name: secrets, a certificate and its key, another key.
    pub(super) fn furnished() -> Self {
        let mut environment = Self::default();
        for name in ["vestibule", "vestibule-2026-11", "portal", "client", "vestibule-admin", "again"] {
            environment.file(&format!("/run/secrets/{name}"), &format!("canary-{name}-of-32-bytes-and-some-more\n"));
        }
        environment.file("/run/secrets/redis-url", "rediss://vestibule:canary-password@redis:6379/0\n");
        environment.file("/run/secrets/again", "canary-vestibule-of-32-bytes-and-some-more");
        environment.file("/run/secrets/short", "canary-short\n");
        environment.file("/run/secrets/blank", "\n");
        environment.file("/run/secrets/coded", "whsec_canary?\n");
        environment.file("/run/secrets/lines", "canary\nlines\n");
        environment.file("/etc/vestibule/session.secret", "canary-session-of-32-bytes-and-some-more");
        environment.file("/etc/vestibule/client.secret", "canary-client");
        for name in ["VESTIBULE_OLD_SECRET", "VESTIBULE_SECRET", "SHOP_CLIENT_SECRET"] {
            environment.vars.insert(name.to_owned(), format!("canary-{name}-of-32-bytes"));
        }
        environment.vars.insert("CLUSTER_URL".to_owned(), "redis-cluster://:canary@redis:6379".to_owned());
        let pair = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).unwrap();
        for name in ["app", "shop"] {
            environment.file(&format!("/etc/tls/{name}.pem"), &pair.cert.pem());
            environment.file(&format!("/etc/tls/{name}.key"), &pair.signing_key.serialize_pem());
        }
        environment.file("/etc/tls/inner-ca.pem", &pair.cert.pem());
        let other = rcgen::KeyPair::generate().unwrap();
        environment.file("/etc/tls/other.key", &other.serialize_pem());
        environment.file("/etc/tls/nonsense.pem", "canary nonsense");
        environment.file("/run/secrets/portal.jwk", JWK);
        environment
    }

    /// Puts a file there that only its owner may read.
    pub(super) fn file(&mut self, path: &str, text: &str) {
        self.files.insert(path.into(), (text.as_bytes().to_vec(), false));
    }
}

impl Environment for TestEnvironment {
    fn var(&self, name: &str) -> Option<Secret<String>> {
        self.vars.get(name).cloned().map(Secret::new)
    }

    fn read(&self, path: &Path) -> io::Result<FileContents> {
        let (bytes, world_readable) = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(FileContents { bytes: Secret::new(bytes.clone()), world_readable: *world_readable })
    }

    fn ephemeral_secret(&self) -> Secret<Vec<u8>> {
        Secret::new(vec![7; 32])
    }
}

/// The private key of RFC 7517 appendix A.2, with another name.
const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","kid":"canary-portal"}"#;

/// Checks `text` as `vestibule.toml`.
pub(super) fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, Path::new("vestibule.toml"), &TestEnvironment::furnished())
}

/// The smallest configuration, with `top` before its first section and `end` after its last.
pub(super) fn around(top: &str, end: &str) -> String {
    format!("public_url = \"https://app.example.com\"\n{top}\n{SESSION}{PROVIDER}{UPSTREAM}{ROUTE}{end}\n")
}

pub(super) const SESSION: &str =
    "[session]\nstore = \"redis://127.0.0.1:6379\"\nsecrets = [{ file = \"/run/secrets/vestibule\" }]\n";
pub(super) const PROVIDER: &str = "[providers.corp]\nissuer = \"https://id.example.com\"\nclient_id = \"portal\"\n\
    client_secret = { file = \"/run/secrets/portal\" }\n";
pub(super) const UPSTREAM: &str = "[upstreams.portal]\nurl = \"http://portal:3000\"\n";
pub(super) const ROUTE: &str = "[[routes]]\nupstream = \"portal\"\n";

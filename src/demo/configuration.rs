//! The configuration of the demo's gateway, in the words of a file that people would write.
//!
//! Never holds a secret in its text: secrets are named, and handed over beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::places::Front;
use super::{AUDIENCE, CLIENT_ID};
use crate::base::Secret;
use crate::config::{Environment, FileContents};

/// What the configuration is made of.
#[derive(Debug)]
pub struct Configured {
    /// Where the gateway listens.
    pub front: Front,
    /// The provider.
    pub issuer: String,
    /// The application.
    pub application: String,
    /// The gateway's secret at the provider.
    pub client_secret: Secret<String>,
    /// For the admin API.
    pub admin_token: Secret<String>,
    /// Seals the sessions in memory.
    pub seal: Secret<Vec<u8>>,
}

impl Configured {
    /// The text of the file.
    #[must_use]
    pub fn toml(&self) -> String {
        let Front { listen, also, admin, .. } = &self.front;
        let mut listeners = String::new();
        for address in std::iter::once(listen).chain(also) {
            let _ = write!(listeners, "\n[[listeners]]\naddress = \"{address}\"\n");
        }
        format!(
            r#"# The gateway of `vestibule demo`: {public} in front of an application, with a provider beside it.
public_url = "{public}"
{listeners}
[admin]
address = "{admin}"
token = {{ env = "{ADMIN_TOKEN}" }}

[telemetry]
log = "warn" # what there is to read is the welcome; RUST_LOG=info shows the rest
audit = []

[session]
store = "memory"

[providers.demo]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = {{ env = "{CLIENT_SECRET}" }}
scopes = ["openid", "profile", "email", "offline_access"]

[upstreams.{AUDIENCE}]
url = "{application}"

[upstreams.{AUDIENCE}.identity]
claims = ["email", "name", "groups"]
headers = {{ "X-Forwarded-User" = "sub", "X-Forwarded-Email" = "email" }}

[[routes]]
path = "/"
upstream = "{AUDIENCE}"
access = "session"

[[routes]]
path = "/public"
upstream = "{AUDIENCE}"
access = "public"

[[routes]]
path = "/api"
upstream = "{AUDIENCE}"
access = "session"
signed_out = "unauthorized"
"#,
            public = self.front.public_url(),
            issuer = self.issuer,
            application = self.application,
        )
    }

    /// The secrets that the text names.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<&'static str, Secret<String>> {
        BTreeMap::from([(CLIENT_SECRET, self.client_secret.clone()), (ADMIN_TOKEN, self.admin_token.clone())])
    }

    /// What the configuration reads besides itself: these secrets and nothing of the machine.
    #[must_use]
    pub fn environment(&self) -> DemoEnvironment {
        DemoEnvironment { secrets: self.secrets(), seal: self.seal.clone() }
    }
}

/// An environment of two variables and no files.
#[derive(Clone, Debug)]
pub struct DemoEnvironment {
    secrets: BTreeMap<&'static str, Secret<String>>,
    seal: Secret<Vec<u8>>,
}

impl Environment for DemoEnvironment {
    fn var(&self, name: &str) -> Option<Secret<String>> {
        self.secrets.get(name).cloned()
    }

    fn read(&self, _: &Path) -> io::Result<FileContents> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn ephemeral_secret(&self) -> Secret<Vec<u8>> {
        self.seal.clone()
    }
}

const CLIENT_SECRET: &str = "VESTIBULE_DEMO_CLIENT_SECRET";
const ADMIN_TOKEN: &str = "VESTIBULE_DEMO_ADMIN_TOKEN";

//! The configuration of the demo's gateway, in the words of a file that people would write.
//!
//! Never holds a secret in its text: secrets are named, and handed over beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::places::Front;
use super::{AUDIENCE, CLIENT_ID};
use crate::base::Secret;

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
}

const CLIENT_SECRET: &str = "VESTIBULE_DEMO_CLIENT_SECRET";
const ADMIN_TOKEN: &str = "VESTIBULE_DEMO_ADMIN_TOKEN";

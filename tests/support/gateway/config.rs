//! Configurations for tests: the common shape in a few calls, everything else as TOML.
//!
//! Must never set what the product has a safe default for, unless tests need it otherwise.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::support::badop::BadOp;
use crate::support::codec::random_name;
use crate::support::echo::Echo;
use crate::support::redis::Redis;
use crate::support::tls::{TestCa, write_secret};

/// A configuration with the files that it names, ready to be written.
#[derive(Clone)]
pub struct Prepared {
    text: String,
    files: Vec<(String, String)>,
    pub(super) admin_token: String,
    pub(super) environment: Vec<(String, String)>,
    pub(super) ca: Option<TestCa>,
    hosts: Vec<String>,
}

impl Prepared {
    /// Writes everything; the path of the configuration.
    pub(super) fn write(&self, dir: &Path, port: u16, public_port: u16) -> PathBuf {
        for (name, content) in &self.files {
            write_secret(&dir.join(name), content.as_bytes());
        }
        let text = self.text.replace("@PORT@", &port.to_string());
        let text = text.replace("@PUBLIC_PORT@", &public_port.to_string());
        let text = text.replace("@DIR@", &dir.display().to_string());
        let file = dir.join(format!("vestibule-{port}.toml"));
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Every `host:port` that leads to the gateway.
    pub(super) fn hosts(&self, public_url: &str) -> Vec<String> {
        let mut hosts = self.hosts.clone();
        if let Ok(url) = url::Url::parse(public_url) {
            let port = url.port_or_known_default().unwrap_or(80);
            hosts = hosts.iter().map(|host| host.replace("@PUBLIC_PORT@", &port.to_string())).collect();
            hosts.push(format!("{}:{port}", url.host_str().unwrap_or_default()));
        }
        hosts
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        self.files.iter().map(|(_, content)| content.clone()).filter(|content| content.len() >= 12).collect()
    }
}

impl From<&str> for Prepared {
    fn from(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            files: Vec::new(),
            admin_token: String::new(),
            environment: Vec::new(),
            ca: None,
            hosts: Vec::new(),
        }
    }
}

impl From<String> for Prepared {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Builds a configuration: store in memory, one listener on loopback, everything logged as JSON.
///
/// Placeholders in any text: `@PORT@` (the listener's), `@PUBLIC_PORT@` (the browsers'), `@DIR@` (the files').
#[derive(Clone)]
pub struct ConfigBuilder {
    table: Table,
    routes: Vec<Value>,
    prepared: Prepared,
}

impl ConfigBuilder {
    /// Without provider, upstream and route: add them.
    pub fn new() -> Self {
        let admin_token = random_name("canary-admin-token-");
        let mut prepared = Prepared::from("");
        prepared.admin_token.clone_from(&admin_token);
        prepared.files.push(("admin-token".to_owned(), admin_token));
        prepared.files.push(("server-secret".to_owned(), random_name("canary-server-secret-")));
        Self { table: Table::new(), routes: Vec::new(), prepared }.with(
            r#"
            public_url = "http://127.0.0.1:@PUBLIC_PORT@"
            listeners = [{ address = "127.0.0.1:@PORT@" }]
            [limits]
            logins_per_minute = "unlimited"
            [admin]
            address = "127.0.0.1:0"
            token = { file = "@DIR@/admin-token" }
            [session]
            store = "memory"
            secrets = [{ file = "@DIR@/server-secret" }]
            [telemetry]
            log = "info,vestibule=trace"
            format = "json"
            "#,
        )
    }

    /// The most common test: one provider `corp`, one upstream `app`, everything behind a session.
    pub fn usual(op: &BadOp, echo: &Echo) -> Self {
        Self::new().provider("corp", op).upstream("app", &echo.url())
    }

    /// Lays this TOML over what is there: tables are merged, everything else replaced.
    ///
    /// # Panics
    /// When it is no TOML.
    #[must_use]
    pub fn with(mut self, toml: &str) -> Self {
        let over: Table = toml.parse().unwrap_or_else(|error| panic!("{error}\n{toml}"));
        merge(&mut self.table, over);
        self
    }

    /// A provider on loopback with its registered client.
    #[must_use]
    pub fn provider(self, name: &str, op: &BadOp) -> Self {
        let client = op.client();
        self.provider_at(name, op.issuer(), &client.id, &client.secret)
    }

    /// Any provider.
    #[must_use]
    pub fn provider_at(self, name: &str, issuer: &str, client_id: &str, client_secret: &str) -> Self {
        let file = format!("{name}-client-secret");
        self.file(&file, client_secret).with(&format!(
            "[providers.{name}]\nissuer = {}\nclient_id = {}\nclient_secret = {{ file = \"@DIR@/{file}\" }}",
            quoted(issuer),
            quoted(client_id),
        ))
    }

    /// An upstream. The first one gets the route `/` unless routes are given.
    #[must_use]
    pub fn upstream(self, name: &str, url: &str) -> Self {
        self.with(&format!("[upstreams.{name}]\nurl = {}", quoted(url)))
    }

    /// A route, as the TOML inside of `[[routes]]`. With the first one the route `/` is no longer there by itself.
    ///
    /// # Panics
    /// When it is no TOML.
    #[must_use]
    pub fn route(mut self, toml: &str) -> Self {
        self.routes.push(Value::Table(toml.parse().unwrap_or_else(|error| panic!("{error}\n{toml}"))));
        self
    }

    /// Sessions in that Redis.
    #[must_use]
    pub fn redis(self, redis: &Redis) -> Self {
        self.store(&redis.url())
    }

    /// Sessions in that store.
    #[must_use]
    pub fn store(self, url: &str) -> Self {
        self.with(&format!("session.store = {}", quoted(url)))
    }

    /// https under that host name, with a certificate of that authority (for `127.0.0.1` and `localhost` too).
    #[must_use]
    pub fn tls(mut self, ca: &TestCa, host: &str) -> Self {
        let issued = ca.issue(&[host, "127.0.0.1", "localhost"]);
        self.prepared.ca = Some(ca.clone());
        self.with(&format!(
            "public_url = \"https://{host}:@PUBLIC_PORT@\"\n[[listeners]]\naddress = \"127.0.0.1:@PORT@\"\n\
             certificates = [{{ certificate = \"{}\", key = \"{}\" }}]",
            issued.certificate.display(),
            issued.key.display(),
        ))
    }

    /// Lets browsers find another host at this gateway, such as one of `also_public`.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.prepared.hosts.push(format!("{host}:@PUBLIC_PORT@"));
        self
    }

    /// A file in `@DIR@`, readable by us alone.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.prepared.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// A variable in the gateway's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.prepared.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The configuration's text, placeholders and all.
    ///
    /// # Panics
    /// Never: what was parsed can be written.
    pub fn text(&self) -> String {
        let mut table = self.table.clone();
        let first = table.get("upstreams").and_then(Value::as_table).and_then(|upstreams| upstreams.keys().next());
        match (self.routes.as_slice(), first.cloned()) {
            ([], Some(upstream)) if !table.contains_key("routes") => {
                let route = Table::from_iter([("upstream".to_owned(), Value::String(upstream))]);
                table.insert("routes".to_owned(), Value::Array(vec![Value::Table(route)]));
            }
            ([], _) => {}
            (routes, _) => drop(table.insert("routes".to_owned(), Value::Array(routes.to_vec()))),
        }
        toml::to_string(&table).unwrap()
    }
}

impl Default for ConfigBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl From<ConfigBuilder> for Prepared {
    fn from(builder: ConfigBuilder) -> Self {
        Self { text: builder.text(), ..builder.prepared }
    }
}

impl From<&ConfigBuilder> for Prepared {
    fn from(builder: &ConfigBuilder) -> Self {
        builder.clone().into()
    }
}

fn merge(into: &mut Table, over: Table) {
    for (name, value) in over {
        match (into.get_mut(&name), value) {
            (Some(Value::Table(into)), Value::Table(over)) => merge(into, over),
            (_, value) => drop(into.insert(name, value)),
        }
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

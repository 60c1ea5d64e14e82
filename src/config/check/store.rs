//! `session.store`: which store, and how it is reached.

use std::path::Path;

use url::Url;

use super::{Check, is_loopback};
use crate::base::Secret;
use crate::config::file::{SessionFile, StoreFile};
use crate::session::{RedisStore, StoreSettings};

const KEY: &str = "session.store";

impl Check<'_> {
    pub(super) fn store(&mut self, written: &SessionFile, development: bool) -> Option<StoreSettings> {
        let (text, inline) = match &written.store {
            None => {
                self.missing(KEY, FIX);
                return None;
            }
            Some(StoreFile::Url(text)) => (Secret::new(text.clone()), true),
            Some(StoreFile::Secret(source)) => (self.secret_text(KEY, source)?, false),
        };
        if text.expose() == "memory" {
            return Some(StoreSettings::Memory);
        }
        // Nothing of the URL is ever repeated: it may hold a password.
        let Ok(url) = Url::parse(text.expose()) else {
            self.problem(KEY, "This is not a URL.", FIX);
            return None;
        };
        if !self.store_url(&url) {
            return None;
        }
        if let Err(why) = RedisStore::check(&text) {
            let fix = match url.scheme() {
                "redis-sentinel" | "rediss-sentinel" => FIX_SENTINEL,
                "redis-cluster" | "rediss-cluster" => FIX_CLUSTER,
                _ => FIX,
            };
            self.problem(KEY, format!("This URL names no store: {}.", why.why()), fix);
            return None;
        }
        self.store_in_the_clear(&url, written.plaintext.unwrap_or(false) || development);
        if inline && (url.password().is_some() || url.query_pairs().any(|(name, _)| name == "sentinelPassword")) {
            self.warn(KEY, "The URL holds a password. Keep it out of the configuration: { file = … } or { env = … }.");
        }
        Some(StoreSettings::Redis(text))
    }

    /// What has words of its own. Whether nothing was wrong.
    fn store_url(&mut self, url: &Url) -> bool {
        let mut fine = true;
        let mut wrong = |check: &mut Self, what: &str, fix: &str| {
            check.problem(KEY, what, fix);
            fine = false;
        };
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "ca" if !value.starts_with('/') => {
                    wrong(self, "`ca` in the URL is not an absolute path.", "Write ?ca=/etc/tls/inner-ca.pem.");
                }
                "ca" => self.roots(KEY, Path::new(value.as_ref())),
                "db" if value.parse::<u8>().is_err() => wrong(self, "`db` in the URL is not a database number.", FIX),
                _ => {}
            }
        }
        let host = url.host_str().unwrap_or_default();
        let database = url.path().trim_start_matches('/');
        match url.scheme() {
            "redis" | "rediss" if host.is_empty() || !(database.is_empty() || database.parse::<u8>().is_ok()) => {
                wrong(self, "This is not the URL of a Redis server: host, port and database number.", FIX);
            }
            "redis+unix" if !url.path().starts_with('/') || url.path() == "/" || !matches!(host, "" | "localhost") => {
                wrong(self, "This is not the absolute path of a Unix socket.", FIX);
            }
            "redis" | "rediss" | "redis+unix" => {}
            "redis-sentinel" | "rediss-sentinel" | "redis-cluster" | "rediss-cluster" => {}
            _ => wrong(self, "This is not a store that Vestibule knows.", FIX),
        }
        fine
    }

    /// TLS, or nobody between us and any of the hosts.
    fn store_in_the_clear(&mut self, url: &Url, meant: bool) {
        let scheme = url.scheme();
        if !matches!(scheme, "redis" | "redis-sentinel" | "redis-cluster") {
            return;
        }
        let nodes = url.query_pairs().filter(|(name, _)| name == "node");
        let nodes: Vec<String> = nodes.filter_map(|(_, node)| Some(node.split_once(':')?.0.to_owned())).collect();
        if nodes.iter().map(String::as_str).chain(url.host_str()).all(is_loopback) {
            return;
        }
        let secured = scheme.replacen("redis", "rediss", 1);
        if meant {
            let what =
                format!("What Redis is told, its password too, can be read on the way: the URL is not {secured}://.");
            self.warn(KEY, &what);
        } else {
            let fix = format!("Use {secured}://, or set `session.plaintext = true` if the network protects it.");
            self.problem(KEY, format!("{scheme}:// is not encrypted, and the host is not loopback."), &fix);
        }
    }
}

const FIX: &str = "Write redis://host:6379/0, rediss://host:6379/0 (TLS), redis+unix:///path, or \"memory\".";
const FIX_SENTINEL: &str = "Write rediss-sentinel://host:26379/0?sentinelServiceName=main&node=host2:26379.";
const FIX_CLUSTER: &str = "Write rediss-cluster://host:6379?node=host2:6379.";

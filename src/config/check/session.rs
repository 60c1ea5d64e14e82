//! `[session]`: the store, its secrets, and times that fit together.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;
use url::Url;

use super::{Check, DAY, SECOND, YEAR, is_loopback};
use crate::base::Secret;
use crate::config::file::{FileConfig, NearCacheFile, SessionFile, StoreFile};
use crate::config::not_yet;
use crate::config::value::Limit;
use crate::session::{NearCacheSettings, SessionSettings, StoreSettings};

impl Check<'_> {
    pub(super) fn session(&mut self, file: &FileConfig, development: bool) -> Option<SessionSettings> {
        let written = file.session.clone().unwrap_or_default();
        let store = self.store(&written, development);
        // A store that is wrong may be meant to be one in memory.
        let required = matches!(store, Some(StoreSettings::Redis(_))) || written.store.is_none();
        let secrets = self.secrets(&written, required);
        let idle = self.span("session.idle", written.idle, Duration::from_secs(30 * 60), YEAR);
        let lifetime = self.span("session.lifetime", written.lifetime, DAY / 2, YEAR);
        if idle > lifetime {
            let key = if written.idle.is_some() { "session.idle" } else { "session.lifetime" };
            self.problem(
                key,
                "Sessions would end by their lifetime before they can be idle for so long.",
                "Let `idle` be no longer than `lifetime`.",
            );
        }
        let deadline = self.span("session.deadline", written.deadline, SECOND, 30 * SECOND);
        let near_cache = self.near_cache(&written.near_cache.unwrap_or_default(), idle);
        if near_cache.replicas > 0 && matches!(store, Some(StoreSettings::Memory)) {
            let what = "A store in memory has no replicas.";
            self.problem("session.near_cache.replicas", what, "Take it out, or let `session.store` be a Redis.");
        }
        let per_user = written.per_user.and_then(Limit::value).map(|sessions| sessions.0);
        Some(SessionSettings { store: store?, secrets, idle, lifetime, per_user, deadline, near_cache })
    }

    fn store(&mut self, written: &SessionFile, development: bool) -> Option<StoreSettings> {
        const KEY: &str = "session.store";
        const FIX: &str = "Write redis://host:6379/0, rediss://host:6379/0 (TLS), redis+unix:///path, or \"memory\".";
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
        if let Some(entry) = not_yet::refused(KEY, &DeValue::String(text.expose().as_str().into())) {
            self.problem(KEY, format!("Not supported yet: {}.", entry.what), FIX);
            return None;
        }
        // Nothing of the URL is ever repeated: it may hold a password.
        let Ok(url) = Url::parse(text.expose()) else {
            self.problem(KEY, "This is not a URL.", FIX);
            return None;
        };
        let host = url.host_str().unwrap_or_default();
        let database = url.path().trim_start_matches('/');
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "ca" if !value.starts_with('/') => {
                    self.problem(KEY, "`ca` in the URL is not an absolute path.", "Write ?ca=/etc/tls/inner-ca.pem.")
                }
                "ca" => self.roots(KEY, Path::new(value.as_ref())),
                "db" if value.parse::<u8>().is_err() => {
                    self.problem(KEY, "`db` in the URL is not a database number.", FIX)
                }
                _ => {}
            }
        }
        match url.scheme() {
            "redis" | "rediss" if host.is_empty() || !(database.is_empty() || database.parse::<u8>().is_ok()) => {
                self.problem(KEY, "This is not the URL of a Redis server: host, port and database number.", FIX);
            }
            "redis+unix" if !url.path().starts_with('/') || url.path() == "/" || !matches!(host, "" | "localhost") => {
                self.problem(KEY, "This is not the absolute path of a Unix socket.", FIX);
            }
            "redis" if !is_loopback(host) => {
                if written.plaintext.unwrap_or(false) || development {
                    self.warn(
                        KEY,
                        "What Redis is told, its password too, can be read on the way: the URL is not rediss://.",
                    );
                } else {
                    let fix = "Use rediss://, or set `session.plaintext = true` if the network protects it.";
                    self.problem(KEY, "redis:// is not encrypted, and the host is not loopback.", fix);
                }
            }
            "redis" | "rediss" | "redis+unix" => {}
            _ => {
                self.problem(KEY, "This is not a store that Vestibule knows.", FIX);
                return None;
            }
        }
        if inline && url.password().is_some() {
            self.warn(KEY, "The URL holds a password. Keep it out of the configuration: { file = … } or { env = … }.");
        }
        Some(StoreSettings::Redis(text))
    }

    fn secrets(&mut self, written: &SessionFile, required: bool) -> Vec<Secret<Vec<u8>>> {
        const KEY: &str = "session.secrets";
        let sources = written.secrets.as_deref().unwrap_or_default();
        if sources.is_empty() && !required {
            return vec![self.environment.ephemeral_secret()];
        }
        if sources.is_empty() && !self.places.is_broken("session.store") {
            self.missing(KEY, "Redis needs it: [{ file = \"/run/secrets/vestibule\" }]. Make the secret with: openssl rand -base64 48");
        }
        let mut secrets: Vec<Secret<Vec<u8>>> = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let key = format!("{KEY}[{index}]");
            let Some(secret) = self.secret(&key, source) else { continue };
            if secret.expose().len() < SECRET {
                let what = format!("This secret has fewer than {SECRET} bytes.");
                self.problem(&key, what, "Make one with: openssl rand -base64 48");
            }
            if let Some(other) = secrets.iter().position(|other| other.expose() == secret.expose()) {
                self.problem(
                    &key,
                    format!("This secret is the same as secrets[{other}]."),
                    "Take it out, or put a new secret first.",
                );
            }
            secrets.push(secret);
        }
        secrets
    }

    fn near_cache(&mut self, written: &NearCacheFile, idle: Duration) -> NearCacheSettings {
        let key = "session.near_cache.staleness";
        let staleness = self.span_or_zero(key, written.staleness, 2 * SECOND, 60 * SECOND);
        if staleness > idle {
            self.problem(key, "This is longer than `session.idle`.", "Let it be a few seconds.");
        }
        let key = "session.near_cache.streams";
        let streams = self.span(key, written.streams, (30 * SECOND).max(staleness), DAY);
        if streams < staleness {
            let what = "Streams would be closed while requests are still served.";
            self.problem(key, what, "Let `streams` be no shorter than `staleness`.");
        }
        NearCacheSettings {
            sessions: usize::try_from(written.sessions.unwrap_or(100_000)).unwrap_or(usize::MAX),
            staleness,
            streams,
            replicas: written.replicas.unwrap_or(0),
        }
    }
}

/// Bytes of the shortest secret.
pub(super) const SECRET: usize = 32;

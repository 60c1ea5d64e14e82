//! `[session]`: its secrets, and times that fit together.

use std::time::Duration;

use super::{Check, DAY, SECOND, YEAR};
use crate::base::Secret;
use crate::config::file::{FileConfig, NearCacheFile, SessionFile};
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

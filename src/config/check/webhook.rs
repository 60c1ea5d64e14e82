//! `[webhooks.*]`: who is told of sessions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::{Check, DAY, HOUR, is_loopback};
use crate::base::Secret;
use crate::config::document::quoted;
use crate::config::file::{EventName, FileConfig, WebhookFile};
use crate::config::value::SecretSource;
use crate::webhook::{SECRET_BYTES, WebhookSettings};

impl Check<'_> {
    pub(super) fn webhooks(&mut self, file: &FileConfig, development: bool) -> Vec<WebhookSettings> {
        let mut webhooks = Vec::new();
        for (name, written) in file.webhooks.iter().flatten() {
            let key = format!("webhooks.{}", quoted(name));
            self.name(&key, name);
            webhooks.extend(self.webhook(&key, name, written, development));
        }
        webhooks
    }

    fn webhook(&mut self, key: &str, name: &str, written: &WebhookFile, development: bool) -> Option<WebhookSettings> {
        let url = self.receiver(&format!("{key}.url"), written.url.as_deref(), development);
        let secret = self.signing_secret(&format!("{key}.secret"), written.secret.as_ref());
        let ca = written.tls.as_ref().and_then(|tls| tls.ca.as_ref()).map(|ca| self.path(ca));
        if let Some(ca) = &ca {
            self.roots(&format!("{key}.tls.ca"), ca);
        }
        let events = written.events.as_deref().unwrap_or(&[EventName::Ended]);
        if events.is_empty() {
            self.warn(&format!("{key}.events"), "This webhook is told nothing.");
        }
        let give_up = self.span(&format!("{key}.give_up"), written.give_up, HOUR, 7 * DAY);
        Some(WebhookSettings {
            name: name.into(),
            url: url?,
            secret: secret?,
            started: events.contains(&EventName::Started),
            ended: events.contains(&EventName::Ended),
            ca,
            queue: usize::try_from(written.queue.unwrap_or(10_000)).unwrap_or(usize::MAX),
            give_up,
        })
    }

    fn receiver(&mut self, key: &str, written: Option<&str>, development: bool) -> Option<Url> {
        const FIX: &str = "Write it like \"https://siem.example.com/vestibule\".";
        let Some(text) = written else {
            self.missing(key, FIX);
            return None;
        };
        // Nothing of the URL is repeated: such URLs often hold a secret.
        let Some(url) = Url::parse(text).ok().filter(Url::has_host) else {
            self.problem(key, "This is not a URL.", FIX);
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.problem(key, "This URL has user information, which is not sent.", "The signature says who we are.");
        }
        let host = url.host_str().unwrap_or_default();
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" if development => {
                self.warn(key, "This is not https: who signs in and out can be read on the way.");
            }
            "http" => {
                let fix = "Use https://, or set `development = true` for a network that only you can reach.";
                self.problem(key, "This is not https, and the host is not loopback.", fix);
            }
            _ => self.problem(key, "This is not https://.", FIX),
        }
        Some(url)
    }

    fn signing_secret(&mut self, key: &str, source: Option<&SecretSource>) -> Option<Secret<Vec<u8>>> {
        const FIX: &str = "Make one with: printf whsec_%s \"$(openssl rand -base64 32)\"";
        let Some(source) = source else {
            self.missing(key, FIX);
            return None;
        };
        let written = self.secret(key, source)?;
        let bytes = match written.expose().strip_prefix(b"whsec_") {
            None => written,
            Some(coded) => match STANDARD.decode(coded) {
                Ok(bytes) => Secret::new(bytes),
                Err(_) => {
                    self.problem(key, "What follows whsec_ is not base64.", FIX);
                    return None;
                }
            },
        };
        if !SECRET_BYTES.contains(&bytes.expose().len()) {
            self.problem(key, "This secret does not have 24 to 64 bytes.", FIX);
            return None;
        }
        Some(bytes)
    }
}

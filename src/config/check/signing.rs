//! `[identity]`: how identity tokens are signed, and with what.

use std::sync::Arc;
use std::time::Duration;

use super::session::SECRET;
use super::{Check, DAY, HOUR, SECOND, YEAR};
use crate::base::Secret;
use crate::config::file::{AlgorithmName, FileConfig, KeysFile};
use crate::config::value::SecretSource;
use crate::identity::{IdentitySettings, KeySource};
use crate::jose::{Algorithm, KeyError, SigningKey};
use crate::web::PublicOrigin;

impl Check<'_> {
    pub(super) fn identity(
        &mut self,
        file: &FileConfig,
        origin: Option<&Arc<PublicOrigin>>,
    ) -> Option<IdentitySettings> {
        let written = file.identity.clone().unwrap_or_default();
        let issuer = written.issuer.or_else(|| origin.map(ToString::to_string));
        if let Some(issuer) = &issuer
            && !url::Url::parse(issuer).is_ok_and(|url| {
                url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none()
            })
        {
            let fix = "Write it like \"https://app.example.com\", without query and fragment.";
            self.problem("identity.issuer", "This is not a URL that can name an issuer.", fix);
        }
        let lifetime = self.span("identity.lifetime", written.lifetime, 60 * SECOND, 300 * SECOND);
        let algorithm: Algorithm = written.algorithm.unwrap_or(AlgorithmName::Es256).as_str().parse().ok()?;
        let listed = match &written.keys {
            Some(KeysFile::Listed(sources)) => Some(sources.as_slice()),
            Some(KeysFile::Managed(_)) | None => None,
        };
        let keys = match listed {
            _ if self.places.is_broken("identity.keys") => None,
            _ if algorithm == Algorithm::Hs256 => self.shared_keys(listed),
            Some(sources) => self.key_files(algorithm, sources),
            None => Some(KeySource::Managed { rotate_every: Duration::ZERO }),
        };
        let rotate_every = self.span("identity.rotate_every", written.rotate_every, 30 * DAY, YEAR);
        if rotate_every < HOUR {
            let what = "Keys are published before and after they sign; that takes longer than this.";
            self.problem("identity.rotate_every", what, "The shortest is \"1h\".");
        }
        let keys = match keys? {
            KeySource::Managed { .. } => KeySource::Managed { rotate_every },
            listed => {
                if written.rotate_every.is_some() {
                    self.warn("identity.rotate_every", "This has no effect: only managed keys are rotated.");
                }
                listed
            }
        };
        Some(IdentitySettings { issuer: issuer?, algorithm, lifetime, keys })
    }

    fn shared_keys(&mut self, sources: Option<&[SecretSource]>) -> Option<KeySource> {
        let Some(sources) = sources.filter(|sources| !sources.is_empty()) else {
            let key = if self.places.is_written("identity.keys") { "identity.keys" } else { "identity.algorithm" };
            self.problem(key, "HS256 needs a shared key.", "Write keys = [{ file = … }], or use ES256.");
            return None;
        };
        let mut keys: Vec<Secret<Vec<u8>>> = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let key = format!("identity.keys[{index}]");
            let Some(secret) = self.secret(&key, source) else { continue };
            if secret.expose().len() < SECRET {
                self.problem(
                    &key,
                    format!("This key has fewer than {SECRET} bytes."),
                    "Make one with: openssl rand -base64 48",
                );
            }
            keys.push(secret);
        }
        Some(KeySource::Shared(keys))
    }

    fn key_files(&mut self, algorithm: Algorithm, sources: &[SecretSource]) -> Option<KeySource> {
        if sources.is_empty() {
            self.problem("identity.keys", "There is no key to sign with.", "Name a PEM file, or write \"managed\".");
            return None;
        }
        let mut paths = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let key = format!("identity.keys[{index}]");
            let SecretSource::File(source) = source else {
                let what = format!("Private keys for {} come from PEM files.", algorithm.as_str());
                self.problem(&key, what, "Write { file = … }.");
                continue;
            };
            let path = self.path(&source.file);
            let Some(contents) = self.secret_file(&format!("{key}.file"), &path) else { continue };
            let pem = contents.bytes.expose();
            match SigningKey::from_pem(algorithm, pem) {
                // What is only published may be from before the algorithm was changed.
                Err(KeyError::WrongKind { .. })
                    if index > 0 && OTHERS.iter().any(|other| SigningKey::from_pem(*other, pem).is_ok()) => {}
                Ok(_) => {}
                Err(error) => {
                    let what = format!("{} cannot be used with {}: {error}.", path.display(), algorithm.as_str());
                    self.problem(&key, what, "Make one that fits, or correct `identity.algorithm`.");
                }
            }
            paths.push(path);
        }
        Some(KeySource::Files(paths))
    }
}

/// One algorithm for each kind of key pair.
const OTHERS: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256];

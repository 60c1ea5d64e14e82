//! From what is written to what cannot be wrong: required keys, ranges, names that exist, and what keys mean together.
//!
//! Never stops at the first mistake. What is returned beside a problem is a stand-in and goes nowhere.

mod certificate;
mod listener;
mod provider;
mod public;
mod rest;
mod route;
mod session;
mod signing;
mod store;
mod upstream;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(in crate::config) use public::written_hsts;

use super::Config;
use super::environment::{Environment, FileContents};
use super::file::FileConfig;
use super::places::Places;
use super::problem::{Problem, Problems, Warning};
use super::suggest::closest;
use super::value::{SecretSource, Span};
use crate::base::Secret;
use crate::web::PublicOrigin;

/// Judges `file`; `problems` are those that reading it found.
///
/// # Errors
/// With every mistake there is.
pub fn check(
    file: &FileConfig,
    places: Places,
    problems: Vec<Problem>,
    environment: &dyn Environment,
    folder: &Path,
) -> Result<Config, Problems> {
    let mut check = Check { places, problems, warnings: Vec::new(), environment, folder: folder.to_owned() };
    let config = check.all(file);
    match (Problems::collect(check.problems), config) {
        (Some(problems), _) => Err(problems),
        (None, Some(mut config)) => {
            config.warnings = check.warnings;
            config.warnings.sort_by_key(|warning| warning.place.position.unwrap_or_default());
            Ok(config)
        }
        (None, None) => Err(Problems::one(
            check.places.of(""),
            "This configuration cannot be used, and nothing was found that is wrong with it. Please report that."
                .to_owned(),
            "",
        )),
    }
}

/// The mistakes found so far, and what they are found with.
struct Check<'a> {
    places: Places,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    environment: &'a dyn Environment,
    folder: PathBuf,
}

impl Check<'_> {
    fn all(&mut self, file: &FileConfig) -> Option<Config> {
        let development = file.development.unwrap_or(false);
        if development {
            self.warn(
                "development",
                "http:// is accepted beyond loopback. Never switch this on where strangers can listen.",
            );
        }
        let public = self.public(file, development);
        let origin = public.as_ref().and_then(|public| public.first());
        let cookie = self.cookie(file, origin);
        let endpoints = self.endpoints(file);
        let listeners = self.listeners(file, origin);
        let admin = self.admin(file, &listeners);
        let limits = self.limits(file);
        let session = self.session(file, development);
        let identity = self.identity(file, origin);
        let providers = self.providers(file, public.as_deref().unwrap_or_default(), &endpoints, development);
        let (upstreams, upstream_identity) = self.upstreams(file, &listeners);
        let routes = self.routes(file, public.as_deref(), &endpoints, limits.body_bytes);
        let hsts = self.hsts(file);
        let network = self.network(file, public.unwrap_or_default(), endpoints, &upstream_identity, hsts);
        let webhooks = self.webhooks(file, development);
        let telemetry = self.telemetry(file);
        Some(Config {
            public_url: network.public.first()?.to_string(),
            listeners,
            limits,
            network,
            cookie,
            admin,
            session: session?,
            identity: identity?,
            upstream_identity,
            providers,
            upstreams,
            routes,
            webhooks,
            telemetry,
            development,
            warnings: Vec::new(),
            _checked: (),
        })
    }

    fn problem(&mut self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        let problem = Problem { place: self.places.of(key), what: what.into(), fix: fix.into() };
        self.problems.push(problem);
    }

    /// `key` is required and not there. If it was there and could not be read, that was said already.
    fn missing(&mut self, key: &str, fix: impl Into<String>) {
        if !self.places.is_broken(key) {
            self.problem(key, "This key is required.", fix);
        }
    }

    fn warn(&mut self, key: &str, what: impl Into<String>) {
        self.warnings.push(Warning { place: self.places.of(key), what: what.into() });
    }

    /// A duration of at least a second and at most `most`.
    fn span(&mut self, key: &str, written: Option<Span>, default: Duration, most: Duration) -> Duration {
        let span = written.map_or(default, |span| span.0);
        if span < SECOND {
            self.problem(key, "This is shorter than a second.", "The shortest is \"1s\".");
        } else if span > most {
            let fix = format!("The longest is \"{}\".", Span::write(most));
            self.problem(key, "This is too long.", fix);
        }
        span
    }

    /// The same, where zero is possible too.
    fn span_or_zero(&mut self, key: &str, written: Option<Span>, default: Duration, most: Duration) -> Duration {
        if written == Some(Span(Duration::ZERO)) { Duration::ZERO } else { self.span(key, written, default, most) }
    }

    /// A path in the configuration starts at the configuration's folder.
    fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// Reads a file that the configuration names; the reason why not is a problem.
    fn file(&mut self, key: &str, path: &Path) -> Option<FileContents> {
        match self.environment.read(path) {
            Ok(contents) => Some(contents),
            Err(error) => {
                let what = format!("The file {} cannot be read: {}.", path.display(), why(&error));
                let fix = match error.kind() {
                    std::io::ErrorKind::PermissionDenied => "Let the user that Vestibule runs as read it.",
                    std::io::ErrorKind::NotFound => {
                        "Make the file, or correct the path; a relative one starts at the folder of the configuration."
                    }
                    _ => "",
                };
                self.problem(key, what, fix);
                None
            }
        }
    }

    /// The same for a file that nobody else should read.
    fn secret_file(&mut self, key: &str, path: &Path) -> Option<FileContents> {
        let contents = self.file(key, path)?;
        if contents.world_readable {
            let what = format!("Every user of this machine may read {}. Take that away: chmod o-r.", path.display());
            self.warn(key, what);
        }
        Some(contents)
    }

    /// A secret from where `source` says, without one newline at its end.
    fn secret(&mut self, key: &str, source: &SecretSource) -> Option<Secret<Vec<u8>>> {
        let (bytes, from) = match source {
            SecretSource::File(source) => {
                let path = self.path(&source.file);
                let contents = self.secret_file(&format!("{key}.file"), &path)?;
                let bytes = contents.bytes.expose();
                let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                (
                    Secret::new(bytes.strip_suffix(b"\r").unwrap_or(bytes).to_vec()),
                    format!("The file {}", path.display()),
                )
            }
            SecretSource::Env(source) => {
                let Some(value) = self.environment.var(&source.env) else {
                    let what = format!("The environment variable {} is not set.", source.env);
                    self.problem(&format!("{key}.env"), what, "Set it, or read the secret from { file = … }.");
                    return None;
                };
                (Secret::new(value.expose().as_bytes().to_vec()), format!("The environment variable {}", source.env))
            }
        };
        if bytes.expose().is_empty() {
            self.problem(key, format!("{from} is empty."), "Put the secret there.");
            return None;
        }
        Some(bytes)
    }

    /// A secret that is text without control characters.
    fn secret_text(&mut self, key: &str, source: &SecretSource) -> Option<Secret<String>> {
        let bytes = self.secret(key, source)?;
        match std::str::from_utf8(bytes.expose()) {
            Ok(text) if !text.chars().any(char::is_control) => Some(Secret::new(text.to_owned())),
            _ => {
                self.problem(
                    key,
                    "This secret is not one line of text.",
                    "Look for line breaks and bytes that are not UTF-8.",
                );
                None
            }
        }
    }

    /// `name` is none of `known`.
    fn unknown_name<'n>(&mut self, key: &str, kind: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) {
        let fix = match closest(name, known.clone()) {
            Some(meant) => format!("Did you mean {meant:?}?"),
            None if known.clone().next().is_none() => {
                format!("Describe it in [{kind}s.{}].", super::document::quoted(name))
            }
            None => format!("Known: {}.", super::document::listed(known)),
        };
        self.problem(key, format!("There is no {kind} {name:?}."), fix);
    }

    /// Names are part of metrics, URLs and logs.
    fn name(&mut self, key: &str, name: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            self.problem(
                key,
                "This name cannot be used.",
                "Names have up to 64 letters (A to Z), digits, hyphens and underscores.",
            );
        }
    }

    /// A list of exact origins, as browsers write them.
    fn origins(&mut self, key: &str, written: &[String]) -> Vec<String> {
        let mut origins = Vec::new();
        for (index, text) in written.iter().enumerate() {
            match PublicOrigin::parse(text) {
                Ok(origin) => origins.push(origin.to_string()),
                Err(error) => {
                    self.problem(
                        &format!("{key}[{index}]"),
                        format!("This is not an origin: {error}."),
                        "Write it like \"https://spa.example.com\".",
                    );
                }
            }
        }
        origins
    }
}

/// Why a file cannot be read, without its path.
pub(in crate::config) fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        kind => kind.to_string(),
    }
}

/// Whether `host` can only mean this machine.
fn is_loopback(host: &str) -> bool {
    PublicOrigin { https: false, host: host.to_ascii_lowercase(), port: 80 }.is_loopback()
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

//! The configuration: what is written becomes what cannot be wrong, or a list of everything that is.
//!
//! Never starts anything, never keeps what was written, and never repeats a secret.

mod check;
mod docs;
mod document;
mod environment;
mod file;
mod not_yet;
mod places;
mod print;
mod problem;
mod reference;
mod shape;
mod suggest;
mod value;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use docs::schema;
pub use environment::{Environment, FileContents, SystemEnvironment};
pub use problem::{Place, Problem, Problems, Warning};
pub use reference::reference;

use crate::admin::AdminSettings;
use crate::identity::{IdentitySettings, UpstreamIdentitySettings};
use crate::oidc::ProviderSettings;
use crate::route::Route;
use crate::server::{LimitSettings, ListenerSettings};
use crate::session::SessionSettings;
use crate::telemetry::TelemetrySettings;
use crate::upstream::UpstreamSettings;
use crate::web::{CookieSettings, NetworkSettings};
use crate::webhook::WebhookSettings;

/// A configuration that was checked. There is no other way to make one than [`Config::parse`].
#[derive(Clone, Debug)]
#[allow(clippy::manual_non_exhaustive, reason = "the attribute would only keep other crates from making one")]
pub struct Config {
    /// The origin that browsers see, without a slash at its end.
    pub public_url: String,
    /// Where clients connect; at least one, and one of them serves.
    pub listeners: Vec<ListenerSettings>,
    /// The bounds on what a client may do.
    pub limits: LimitSettings,
    /// Origins, trusted proxies, the endpoints' prefix.
    pub network: NetworkSettings,
    /// How cookies are named and marked.
    pub cookie: CookieSettings,
    /// The admin listener.
    pub admin: AdminSettings,
    /// Sessions and their store.
    pub session: SessionSettings,
    /// The signed token that upstreams receive.
    pub identity: IdentitySettings,
    /// What each upstream learns of the caller; one for each of `upstreams`.
    pub upstream_identity: Vec<UpstreamIdentitySettings>,
    /// The providers, in the order of their names.
    pub providers: Vec<ProviderSettings>,
    /// The upstreams, in the order of their names.
    pub upstreams: Vec<UpstreamSettings>,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
    /// Who is told of sessions, in the order of their names.
    pub webhooks: Vec<WebhookSettings>,
    /// What is written where.
    pub telemetry: TelemetrySettings,
    /// Whether http was allowed beyond loopback.
    pub development: bool,
    /// What works and should be known; to be logged at start.
    pub warnings: Vec<Warning>,
    /// Private, so that only `check` can make one.
    _checked: (),
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// With every mistake there is, each with its place.
    pub fn load(path: &Path, environment: &dyn Environment) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let nowhere = || Place { file: name.as_str().into(), position: None, key: String::new() };
        let contents = environment.read(path).map_err(|error| {
            Problems::one(nowhere(), format!("The configuration cannot be read: {}.", check::why(&error)), "")
        })?;
        let text = std::str::from_utf8(contents.bytes.expose())
            .map_err(|_| Problems::one(nowhere(), "The configuration is not UTF-8 text.".to_owned(), ""))?;
        Self::parse(text, path, environment)
    }

    /// Checks `text`, which stands in the file at `path`: relative paths in it start at that file's folder.
    ///
    /// # Errors
    /// With every mistake there is, each with its place.
    pub fn parse(text: &str, path: &Path, environment: &dyn Environment) -> Result<Self, Problems> {
        let (file, places, problems) = document::read(text, &path.display().to_string());
        let Some(file) = file else {
            let place = places.of("");
            return Err(
                Problems::collect(problems).unwrap_or_else(|| Problems::one(place, "This is not TOML.".to_owned(), ""))
            );
        };
        check::check(&file, places, problems, environment, path.parent().unwrap_or(Path::new("")))
    }
}

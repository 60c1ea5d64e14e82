//! `vestibule demo`: a provider with a sign-in form, an application, and the configuration of a gateway between them.
//!
//! Never writes a file, never leaves loopback, and never starts the gateway itself: that is the assembly's business.

pub mod answer;
pub mod application;
pub mod configuration;
pub mod form;
pub mod look;
pub mod places;
pub mod provider;
pub mod serve;
pub mod shelf;
pub mod welcome;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::base::{Blame, Blamed, Clock, Random, Secret};
use application::Application;
use application::frame;
use application::identity::Trust;
use application::keys::{Keys, KeysAt};
use configuration::{Configured, DemoEnvironment};
use places::Front;
use provider::Provider;
use provider::discovery::KeysError;
use provider::request::Client;
use welcome::Welcome;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where the gateway listens; a loopback address. When its port is taken, a free one is used.
    pub listen: SocketAddr,
    /// Where the gateway's admin listener is; a loopback address. When its port is taken, a free one is used.
    pub admin: SocketAddr,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 8080).into(), admin: (Ipv4Addr::LOCALHOST, 9901).into() }
    }
}

/// Why the demo does not start.
#[derive(Debug, Error)]
pub enum DemoError {
    /// Its passwords are printed for everybody, so nobody else may reach it.
    #[error("the demo listens on loopback only, and {0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// No port to be had.
    #[error("no port of {at} can be bound")]
    Bind {
        /// Where.
        at: std::net::IpAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No key to sign with.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Blamed for DemoError {
    fn blame(&self) -> Blame {
        match self {
            Self::NotLoopback(_) | Self::Bind { .. } => Blame::Client,
            Self::Keys(_) => Blame::Bug,
        }
    }
}

/// Provider and application, bound and ready; and what the gateway between them has to be told.
#[derive(Debug)]
pub struct Demo {
    provider: (TcpListener, Arc<Provider>),
    application: (TcpListener, Arc<Application>),
    configured: Configured,
    welcome: Welcome,
}

impl Demo {
    /// Finds ports, makes keys and secrets, binds provider and application.
    ///
    /// # Errors
    /// When an address is not loopback, no port is free, or no key can be made.
    pub async fn start(
        options: DemoOptions,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, DemoError> {
        let bind =
            async || serve::bind().await.map_err(|source| DemoError::Bind { at: Ipv4Addr::LOCALHOST.into(), source });
        let (provider_listener, provider_at) = bind().await?;
        let (application_listener, application_at) = bind().await?;

        // Last, so that neither of them takes a port that was found free for the gateway.
        let front = Front::find(options.listen, options.admin)?;

        let client_secret: String = random.token::<32>();
        let admin_token: String = random.token::<24>();
        let public = front.public_url();
        let client = Client {
            id: CLIENT_ID.to_owned(),
            secret: Secret::new(client_secret.clone()),
            redirect_uri: format!("{public}/oauth2/callback"),
            post_logout_redirect_uri: format!("{public}/oauth2/signed_out"),
        };
        let seal = Secret::new(random.bytes::<32>().to_vec());
        let provider = Provider::new(&provider_at.to_string(), client, Arc::clone(&clock), random)?;

        let application_url = format!("http://{application_at}");
        let keys_at = KeysAt { address: front.listen, authority: front.authority(), path: "/oauth2/jwks" };
        let trust = Trust { issuer: public.clone(), audience: AUDIENCE.to_owned(), keys: Keys::new(keys_at) };
        let places = frame::Places {
            public,
            provider: provider.issuer().to_owned(),
            application: application_url.clone(),
            cookie: COOKIE,
        };
        let application = Application::new(trust, places, clock);

        let configured = Configured {
            front: front.clone(),
            issuer: provider.issuer().to_owned(),
            application: application_url.clone(),
            client_secret: Secret::new(client_secret),
            admin_token: Secret::new(admin_token),
            seal,
        };
        let welcome = Welcome { front, application: application_url, admin_token: configured.admin_token.clone() };
        Ok(Self {
            provider: (provider_listener, Arc::new(provider)),
            application: (application_listener, Arc::new(application)),
            configured,
            welcome,
        })
    }

    /// The gateway's configuration, as a file would hold it.
    #[must_use]
    pub fn config_toml(&self) -> String {
        self.configured.toml()
    }

    /// What the `{ env = … }` of the configuration mean; the process' own environment is left alone.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<&'static str, Secret<String>> {
        self.configured.secrets()
    }

    /// The same as what a configuration reads besides itself: no variable and no file of the machine.
    #[must_use]
    pub fn environment(&self) -> DemoEnvironment {
        self.configured.environment()
    }

    /// What to open, whom to sign in as, and what to try. In colour when standard output is a terminal.
    #[must_use]
    pub fn welcome(&self) -> String {
        self.welcome.text(welcome::stdout_has_colour())
    }

    /// Serves provider and application until `shutdown`.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let stop = CancellationToken::new();
        let (provider_listener, provider) = self.provider;
        let (application_listener, application) = self.application;
        let end = async {
            shutdown.await;
            stop.cancel();
        };
        tokio::join!(
            end,
            serve::serve(provider_listener, provider, stop.clone()),
            serve::serve(application_listener, application, stop.clone()),
        );
    }
}

/// The gateway's name at the provider.
const CLIENT_ID: &str = "vestibule-demo";
/// The application's name in identity tokens.
const AUDIENCE: &str = "demo";
/// What the session cookie is called over plain http on loopback.
const COOKIE: &str = "vestibule";

#[cfg(test)]
mod tests;

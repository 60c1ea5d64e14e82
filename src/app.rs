//! Builds the running gateway from a checked configuration, runs it, and ends it gracefully: the only place that knows
//! everyone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Refresher, TakeBack};
use crate::admin::Admin;
use crate::base::{Clock, Random, Secret};
use crate::config::Config;
use crate::endpoints::{Endpoints, Rate};
use crate::gateway::{Front, Gateway, ToHttps};
use crate::identity::{Identity, IdentityError, KeySource, KeyVault, VaultError};
use crate::oidc::{Provider, ProviderError};
use crate::route::{Table, TableError};
use crate::server::{LimitSettings, ListenAddress, ListenError, Listener, ListenerSettings, Shutdown};
use crate::session::{SessionError, Sessions, Witness};
use crate::telemetry::Metrics;
use crate::telemetry::audit::{self, Event, Record};
use crate::upstream::{Tunnels, Upstream, UpstreamError};
use crate::web::Network;
use crate::webhook::{WebhookError, Webhooks};

/// Under which name the managed signing keys lie in the store.
const KEYS: &str = "identity-keys";

/// How often the signing keys are looked at.
const KEYS_EVERY: Duration = Duration::from_secs(60);
/// And until they have been read once.
const KEYS_AT_FIRST: Duration = Duration::from_millis(500);
/// So long does the start wait for them.
const FIRST_KEYS: Duration = Duration::from_secs(1);

/// So long does the end wait for receivers of webhooks.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("provider {0}: {1}")]
    Provider(String, #[source] ProviderError),
    #[error("upstream {0}: {1}")]
    Upstream(String, #[source] UpstreamError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Routes(#[from] TableError),
}

/// A gateway whose sockets are open and that waits to be run.
#[derive(Debug)]
pub struct App {
    front: Arc<Front>,
    listeners: Vec<Listener>,
    admin: (Listener, Arc<Admin>),
    limits: LimitSettings,
    draining: Arc<AtomicBool>,
}

impl App {
    /// Opens the sockets and builds every part. Neither the store nor any provider or upstream has to be there.
    ///
    /// # Errors
    ///
    /// What cannot be opened or loaded, with what to do.
    pub async fn build(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, StartError> {
        let configuration = config.redacted();
        let mut listeners = Vec::new();
        for settings in &config.listeners {
            listeners.push(Listener::bind(settings)?);
        }
        let admin_listener = Listener::bind(&ListenerSettings {
            address: ListenAddress::Tcp(config.admin.address),
            certificates: Vec::new(),
            redirect_to_https: false,
        })?;

        let mut providers = BTreeMap::new();
        for settings in config.providers {
            let name = Arc::clone(&settings.name);
            let provider = Provider::new(settings, Arc::clone(&clock), Arc::clone(&random))
                .map_err(|error| StartError::Provider(name.to_string(), error))?;
            providers.insert(name, provider);
        }
        let providers = Arc::new(providers);
        let webhooks = Arc::new(Webhooks::new(config.webhooks, Arc::clone(&clock), Arc::clone(&random))?);
        let mut sessions = Sessions::connect(config.session, Arc::clone(&clock), Arc::clone(&random))?;
        if !webhooks.is_empty() {
            sessions = sessions.with_witness(Arc::clone(&webhooks) as Arc<dyn Witness>);
        }
        let sessions = Arc::new(sessions.with_witness(Arc::new(TakeBack::start(Arc::clone(&providers)))));
        let vault: Option<Arc<dyn KeyVault>> = match config.identity.keys {
            KeySource::Managed { .. } => Some(Arc::new(StoredKeys(Arc::clone(&sessions)))),
            KeySource::Files(_) | KeySource::Shared(_) => None,
        };
        let identity = Arc::new(Identity::new(
            config.identity,
            config.upstream_identity,
            vault,
            Arc::clone(&clock),
            Arc::clone(&random),
        )?);
        // Who comes first needs a key, too. A store that is away does not keep us from starting: they are asked for again.
        if let Ok(Err(error)) = tokio::time::timeout(FIRST_KEYS, identity.refresh_keys()).await {
            tracing::warn!(%error, "the signing keys could not be read yet");
        }
        let network = Arc::new(Network::new(config.network, config.cookie.clone()));
        let owned = Arc::new(network.owned().clone());
        let mut upstreams = BTreeMap::new();
        for settings in config.upstreams {
            let name = Arc::clone(&settings.name);
            let upstream = Upstream::new(&settings, Arc::clone(&owned))
                .map_err(|error| StartError::Upstream(name.to_string(), error))?;
            upstreams.insert(name, upstream);
        }
        let routes = Arc::new(Table::new(config.routes)?);
        let metrics = Arc::new(Metrics::default());
        let refresher = Refresher::new(
            Arc::clone(&sessions),
            Arc::clone(&providers),
            Arc::clone(&metrics),
            Arc::clone(&clock),
            Arc::clone(&random),
        );
        let closing = CancellationToken::new();
        let gateway = Arc::new(Gateway {
            access: Access { sessions: Arc::clone(&sessions), refresher: Arc::clone(&refresher) },
            endpoints: Endpoints {
                sessions: Arc::clone(&sessions),
                providers,
                refresher,
                identity: Arc::clone(&identity),
                routes: Arc::clone(&routes),
                network: Arc::clone(&network),
                cookie: config.cookie.clone(),
                closing: closing.clone(),
                rate: Rate::new(config.limits.logins_per_minute),
                metrics: Arc::clone(&metrics),
                clock: Arc::clone(&clock),
                random: Arc::clone(&random),
            },
            sessions,
            identity,
            routes,
            upstreams,
            network,
            cookie: config.cookie,
            limits: config.limits.clone(),
            tunnels: Tunnels::default(),
            webhooks,
            closing,
            metrics,
            clock: Arc::clone(&clock),
            random,
        });
        let front = Arc::new(Front::new(gateway));
        let draining = Arc::new(AtomicBool::new(false));
        let admin = Arc::new(Admin {
            settings: config.admin,
            front: Arc::clone(&front),
            draining: Arc::clone(&draining),
            configuration,
            clock,
        });
        Ok(Self { front, listeners, admin: (admin_listener, admin), limits: config.limits, draining })
    }

    /// Where clients connect, as operators write it: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.listeners.iter().map(|listener| listener.address().to_owned()).collect()
    }

    /// Where health, metrics and the API are.
    #[must_use]
    pub fn admin_address(&self) -> &str {
        self.admin.0.address()
    }

    /// The gateway that answers.
    #[must_use]
    pub fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// Serves until `shutdown` begins to drain, then finishes what is under way within `limits.drain_time`.
    pub async fn run(self, shutdown: Shutdown) {
        let mut background = JoinSet::new();
        background.spawn(keep_keys(self.front.current()));
        background.spawn(warm_providers(self.front.current()));

        let mut serving = JoinSet::new();
        for listener in self.listeners {
            let (front, limits, shutdown) = (Arc::clone(&self.front), self.limits.clone(), shutdown.clone());
            serving.spawn(async move {
                if listener.redirects_to_https() {
                    listener.serve(Arc::new(ToHttps(front)), limits, shutdown).await;
                } else {
                    listener.serve(front, limits, shutdown).await;
                }
            });
        }
        // Health and metrics answer to the last: a balancer has to see that this replica goes away.
        let admin_shutdown = Shutdown::new();
        let (listener, admin) = self.admin;
        let (limits, admin_ends) = (self.limits.clone(), admin_shutdown.clone());
        let admin = tokio::spawn(async move { listener.serve(admin, limits, admin_ends).await });

        shutdown.drain.cancelled().await;
        self.draining.store(true, Ordering::Relaxed);
        tracing::info!(limit = ?self.limits.drain_time, "draining: no new connections, requests under way are finished");
        let gateway = self.front.current();
        gateway.closing.cancel();
        let finish = async {
            let served = async { while serving.join_next().await.is_some() {} };
            tokio::join!(gateway.tunnels.drained(self.limits.drain_time), served);
        };
        tokio::select! {
            () = finish => {}
            () = shutdown.stop.cancelled() => {}
        }
        background.shutdown().await;
        tokio::select! {
            () = gateway.webhooks.finish(LAST_EVENTS) => {}
            () = shutdown.stop.cancelled() => {}
        }
        admin_shutdown.drain.cancel();
        admin_shutdown.stop.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
        tracing::info!("stopped");
    }
}

/// Reads, rotates and retires the managed keys; keeps the last good ones while the store is away.
async fn keep_keys(gateway: Arc<Gateway>) {
    let mut published = String::new();
    loop {
        match gateway.identity.refresh_keys().await {
            Ok(()) => {
                let jwks = gateway.identity.jwks();
                if jwks.etag != published {
                    audit::write(Event::KeysRotated, Record::default());
                    published.clone_from(&jwks.etag);
                }
            }
            Err(error) => tracing::warn!(%error, "the signing keys could not be read"),
        }
        let pause = if gateway.identity.ready() { KEYS_EVERY } else { KEYS_AT_FIRST };
        tokio::time::sleep(pause).await;
    }
}

/// Asks every provider once, so that the first login does not wait; whether it answers does not matter here.
async fn warm_providers(gateway: Arc<Gateway>) {
    for provider in gateway.endpoints.providers.values() {
        if let Err(error) = provider.warm().await {
            tracing::warn!(provider = &**provider.name(), %error, "the provider does not answer yet; people can sign in once it does");
        }
    }
}

/// The shelf in the store where the managed keys lie, sealed by the session service.
#[derive(Debug)]
struct StoredKeys(Arc<Sessions>);

#[async_trait]
impl KeyVault for StoredKeys {
    async fn read(&self) -> Result<Option<(Secret<Vec<u8>>, u64)>, VaultError> {
        self.0.managed_read(KEYS).await.map_err(VaultError::new)
    }

    async fn swap(&self, expected: Option<u64>, value: &Secret<Vec<u8>>) -> Result<bool, VaultError> {
        self.0.managed_swap(KEYS, expected, value.expose()).await.map_err(VaultError::new)
    }
}

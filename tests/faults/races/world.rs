//! The parties of the races, and what people, providers and operators do in them.
//!
//! Must never decide what is right: it does what it is told and says what came back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::sync::Semaphore;
use url::Url;

use super::journal::{Journal, now};
use crate::support::codec::{b64url, form, from_b64url, random_name, sha256};
use crate::support::fault_proxy::Mode;
use crate::support::{Ask, BadOp, Browser, ConfigBuilder, Echo, FaultProxy, Page, Redis, Replicas, Site};
use crate::world::ready;

/// The default of `session.near_cache.staleness`: so late may a replica learn of a revocation.
pub(crate) const STALENESS: Duration = Duration::from_secs(2);
/// The longest that a piece of the conversation between a replica and the store waits.
const JITTER: Duration = Duration::from_millis(5);

/// A session that somebody holds the cookie of.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) browser: Browser,
    /// The `Cookie` line, whatever is in the jar by now.
    pub(crate) line: String,
    /// The session's key in the store.
    pub(crate) key: String,
    /// The session at the provider.
    pub(crate) provider_sid: String,
}

/// How a login came back.
pub(crate) struct Return {
    pub(crate) page: Page,
    pub(crate) seat: Option<Seat>,
}

/// How the token endpoint treats one user for now.
#[derive(Clone)]
struct Pace {
    takes: Duration,
    asked: Arc<Asked>,
}

/// That the token endpoint was asked on behalf of a user.
pub(crate) struct Asked {
    /// One for each time.
    pub(crate) times: Semaphore,
    pub(crate) first: OnceLock<u64>,
}

pub(crate) struct World {
    pub(crate) op: BadOp,
    pub(crate) replicas: Replicas,
    pub(crate) redis: Option<Redis>,
    pub(crate) journal: Option<Journal>,
    _echo: Echo,
    _way: Option<FaultProxy>,
    paces: Arc<Mutex<BTreeMap<String, Pace>>>,
    /// The provider lets in whom its script names: one at a time.
    desk: tokio::sync::Mutex<()>,
}

impl World {
    /// Two replicas on one Redis, with a way there on which everything is late by a time of its own.
    pub(crate) async fn redis(seed: u64, idle: Duration) -> Self {
        let redis = Redis::start().await;
        let way = FaultProxy::start(redis.address()).await;
        let mut world = Self::start(2, idle, |config| config.store(&redis.url_at(way.address))).await;
        world.journal = Some(Journal::start(&redis));
        way.set(Mode::Jitter { seed, most: JITTER });
        (world.redis, world._way) = (Some(redis), Some(way));
        world
    }

    /// One process that keeps its sessions itself.
    pub(crate) async fn memory(idle: Duration) -> Self {
        Self::start(1, idle, |config| config).await
    }

    async fn start(replicas: usize, idle: Duration, store: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let (op, echo) = (BadOp::start().await, Echo::start().await);
        let config = store(ConfigBuilder::usual(&op, &echo));
        // A trace of thousands of sessions says nothing that the store's journal does not.
        let idle = format!("session.idle = \"{}s\"\ntelemetry.log = \"warn\"", idle.as_secs());
        let replicas = Replicas::start(config.with(&idle), replicas).await;
        for gateway in replicas.all() {
            ready(gateway).await;
        }
        let paces: Arc<Mutex<BTreeMap<String, Pace>>> = Arc::default();
        let known = Arc::clone(&paces);
        op.script(|script| {
            script.pace(move |_, user| {
                let pace = known.lock().unwrap().get(user).cloned();
                pace.map_or(Duration::ZERO, |pace| {
                    pace.asked.first.get_or_init(now);
                    pace.asked.times.add_permits(1);
                    pace.takes
                })
            });
        });
        Self {
            op,
            replicas,
            redis: None,
            journal: None,
            _echo: echo,
            _way: None,
            paces,
            desk: tokio::sync::Mutex::default(),
        }
    }

    fn url(&self, path: &str) -> String {
        self.replicas.url(path)
    }

    /// From now on the user's tokens take so long.
    pub(crate) fn slow(&self, user: &str, takes: Duration) -> Arc<Asked> {
        let asked = Arc::new(Asked { times: Semaphore::new(0), first: OnceLock::new() });
        self.paces.lock().unwrap().insert(user.to_owned(), Pace { takes, asked: Arc::clone(&asked) });
        asked
    }

    pub(crate) fn no_longer_slow(&self, user: &str) {
        self.paces.lock().unwrap().remove(user);
    }

    /// A browser that has never been here.
    pub(crate) fn browser(&self) -> Browser {
        self.replicas[0].browser()
    }

    /// Begins a login at a replica, and says yes to it at the provider: where that sends the browser back to.
    pub(crate) async fn begin(&self, at: usize, browser: &Browser, user: &str, provider_sid: &str) -> Url {
        let start = self.replicas[at].through(browser).step(self.url("/oauth2/login?return_to=%2F")).await;
        let authorize = start.location().unwrap_or_else(|| panic!("no login: {start:?}"));
        browser.jar(|jar| jar.plant(&authorize, "badop_sid", provider_sid));
        let _turn = self.desk.lock().await;
        self.op.script(|script| {
            script.user(user);
        });
        browser.step(authorize).await.location().expect("the way back")
    }

    /// Comes back from the provider at a replica.
    pub(crate) async fn come_back(&self, at: usize, browser: &Browser, callback: Url, provider_sid: &str) -> Return {
        let page = self.replicas[at].through(browser).step(callback).await;
        let set = page.set_cookies();
        let value = set.iter().find_map(|line| line.strip_prefix("vestibule=")?.split(';').next());
        let seat = value.filter(|value| !value.is_empty()).map(|value| Seat {
            browser: browser.clone(),
            line: format!("vestibule={value}"),
            key: key_of(value),
            provider_sid: provider_sid.to_owned(),
        });
        Return { page, seat }
    }

    /// A login of a browser that has never been here, as the user, at one replica.
    pub(crate) async fn sign_in(&self, at: usize, user: &str) -> Seat {
        let (browser, provider_sid) = (self.browser(), random_name("provider-sid-"));
        let callback = self.begin(at, &browser, user, &provider_sid).await;
        let Return { page, seat } = self.come_back(at, &browser, callback, &provider_sid).await;
        seat.unwrap_or_else(|| panic!("{user} was not let in: {page:?}"))
    }

    /// What the application's page answers to this cookie at a replica.
    pub(crate) async fn ask(&self, at: usize, seat: &Seat) -> u16 {
        self.script(at, seat, Method::GET, "/").await.status
    }

    /// At all replicas at once.
    pub(crate) async fn ask_all(&self, seat: &Seat) -> Vec<u16> {
        let asks = (0..self.replicas.all().len()).map(|at| self.ask(at, seat));
        futures_util::future::join_all(asks).await
    }

    /// Renews the session's tokens.
    pub(crate) async fn refresh(&self, at: usize, seat: &Seat) -> u16 {
        self.script(at, seat, Method::POST, "/oauth2/session/refresh").await.status
    }

    pub(crate) async fn log_out(&self, at: usize, seat: &Seat) -> u16 {
        self.script(at, seat, Method::POST, "/oauth2/logout").await.status
    }

    /// The reference by which operators name the session.
    pub(crate) async fn public_sid(&self, at: usize, seat: &Seat) -> String {
        let page = self.script(at, seat, Method::GET, "/oauth2/session").await;
        page.expect_status(200).json()["sid"].as_str().expect("a sid").to_owned()
    }

    pub(crate) async fn end_by_operator(&self, at: usize, public_sid: &str) -> u16 {
        self.replicas[at].admin("DELETE", &format!("/api/sessions/{public_sid}"), None).await.status
    }

    pub(crate) async fn revoke_user(&self, at: usize, user: &str) -> u16 {
        let whom = json!({"provider": "corp", "sub": user});
        self.replicas[at].admin("POST", "/api/revocations", Some(&whom)).await.status
    }

    pub(crate) async fn revoke_everybody(&self, at: usize) -> u16 {
        self.replicas[at].admin("POST", "/api/revocations", Some(&json!({"all": true}))).await.status
    }

    pub(crate) async fn send_logout_token(&self, at: usize, sub: Option<&str>, sid: Option<&str>) -> u16 {
        let (token, url) = (self.op.logout_token(sub, sid), self.url("/oauth2/logout/backchannel"));
        self.op.send_logout(&self.replicas[at].browser(), &url, &token).await.status
    }

    pub(crate) async fn show_frame(&self, at: usize, provider_sid: &str) -> u16 {
        let query = form(&[("iss", self.op.issuer()), ("sid", provider_sid)]);
        let url = self.url(&format!("/oauth2/logout/frontchannel?{query}"));
        self.replicas[at].browser().ask(Ask::frame(url)).await.status
    }

    async fn script(&self, at: usize, seat: &Seat, method: Method, path: &str) -> Page {
        let ask = Ask::fetch(method, self.url(path)).header("cookie", &seat.line);
        self.replicas[at].browser().ask(ask).await
    }
}

/// The store's key of a cookie, as docs/sessions.md has it: a hash.
fn key_of(cookie: &str) -> String {
    let bytes = from_b64url(cookie).expect("an opaque cookie");
    b64url(&sha256(&[b"vestibule session key\0".as_slice(), &bytes].concat()))
}

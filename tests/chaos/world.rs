//! The parties, and the ways between them.
//!
//! Must never decide what is right: it does what it is told and writes down what came back.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::Method;
use url::Url;

use crate::history::{End, History, Session, Whom};
use crate::support::codec::random_name;
use crate::support::{
    Ask, BadOp, Browser, ConfigBuilder, Echo, Endpoint, FaultProxy, Page, Redis, Replicas, Site, eventually,
};
use crate::weather::{Climate, Ways};

/// The longest that anything takes to be good again once the weather is: connections that were half-open are found out.
const RECOVERY: Duration = Duration::from_secs(15);

pub(crate) struct World {
    pub(crate) op: BadOp,
    pub(crate) echo: Echo,
    _redis: Redis,
    pub(crate) ways: Ways,
    pub(crate) replicas: Replicas,
    history: Mutex<History>,
    /// The provider lets in whom its script names: one at a time.
    desk: tokio::sync::Mutex<()>,
}

impl World {
    pub(crate) async fn start(climate: Climate) -> Arc<Self> {
        let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
        let ways = Ways {
            stores: [FaultProxy::start(redis.address()).await, FaultProxy::start(redis.address()).await],
            provider: FaultProxy::start(op.address()).await,
            upstream: FaultProxy::start(echo.address).await,
        };
        // Browsers find the provider itself; the gateways ask by the way that breaks.
        let asked_at = format!("http://{}", ways.provider.address);
        op.script(|script| {
            // Long enough for the store to go away between a grant and its write.
            if climate == Climate::Stores {
                script.delay(Endpoint::Token, Duration::from_millis(80));
            }
            script.discovery(move |document| {
                for (member, path) in
                    [("token_endpoint", "token"), ("jwks_uri", "jwks"), ("revocation_endpoint", "revoke")]
                {
                    document[member] = format!("{asked_at}/{path}").into();
                }
            });
        });
        let config = ConfigBuilder::new()
            .provider("corp", &op)
            .upstream("app", &format!("http://{}", ways.upstream.address))
            .with(
                "[upstreams.app]\ntimeouts = { connect = \"1s\", response = \"2s\" }\n\
                 identity = { headers = { \"X-Forwarded-User\" = \"sub\" } }",
            )
            .route("path = \"/\"\nupstream = \"app\"")
            .route("path = \"/root\"\nupstream = \"app\"\nrequire = { groups = [\"root\"] }");
        let at = |way: &FaultProxy| config.clone().store(&redis.url_at(way.address)).into();
        let replicas = Replicas::start_each(ways.stores.iter().map(at).collect()).await;
        for gateway in replicas.all() {
            let url = format!("{}/readyz", gateway.admin_url());
            eventually("a ready replica", Duration::from_secs(30), || async {
                (Browser::new().fetch(url.clone()).await.status == 200).then_some(())
            })
            .await;
        }
        let history = Mutex::default();
        Arc::new(Self { op, echo, _redis: redis, ways, replicas, history, desk: tokio::sync::Mutex::default() })
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.replicas.url(path)
    }

    /// Asks one replica. `None` when nobody answers.
    pub(crate) async fn ask(&self, replica: usize, ask: Ask) -> Option<Page> {
        self.replicas[replica].browser().attempt(ask).await.ok()
    }

    /// A script's request with a session's cookie.
    pub(crate) fn with_cookie(&self, method: Method, path: &str, line: &str) -> Ask {
        Ask::fetch(method, self.url(path)).header("cookie", line)
    }

    /// Begins a login at a replica, and says yes to it at the provider: the way back.
    pub(crate) async fn begin(&self, replica: usize, browser: &Browser, user: &str, provider_sid: &str) -> Option<Url> {
        let at = self.replicas[replica].through(browser);
        let authorize = at.attempt(Ask::navigation(self.url("/oauth2/login?return_to=%2F"))).await.ok()?.location()?;
        if !authorize.as_str().starts_with(self.op.issuer()) {
            return None;
        }
        browser.jar(|jar| jar.plant(&authorize, "badop_sid", provider_sid));
        let _turn = self.desk.lock().await;
        self.op.script(|script| {
            script.user(user);
        });
        browser.step(authorize).await.location()
    }

    /// Writes a session down. Answers its number.
    pub(crate) fn let_in(&self, user: &str, line: String, provider_sid: &str, sent: Instant) -> usize {
        let mut history = self.history();
        let (user, provider_sid) = (user.to_owned(), provider_sid.to_owned());
        let begun = Instant::now();
        history.sessions.push(Session {
            user,
            line,
            provider_sid,
            sent,
            begun,
            renewed: false,
            at_last: Vec::new(),
            renews_at_last: None,
        });
        history.sessions.len() - 1
    }

    /// Has sessions ended by that request.
    pub(crate) async fn end(&self, whom: Whom, replica: usize, ask: Ask) {
        let number = self.end_begins(whom);
        if let Some(page) = self.ask(replica, ask).await {
            self.end_answered(number, page.status);
        }
        self.end_is_over(number);
    }

    /// Somebody is about to ask for an end.
    pub(crate) fn end_begins(&self, whom: Whom) -> usize {
        let mut history = self.history();
        history.ends.push(End { whom, asked: Instant::now(), answered: None, acknowledged: None });
        history.ends.len() - 1
    }

    /// One of those who were asked answered. Answers whether that acknowledges it.
    pub(crate) fn end_answered(&self, number: usize, status: u16) -> bool {
        if status == 200 {
            self.history().ends[number].acknowledged.get_or_insert_with(Instant::now);
        }
        status == 200
    }

    /// All of them did, or will not. Answers whether one acknowledged it.
    pub(crate) fn end_is_over(&self, number: usize) -> bool {
        let mut history = self.history();
        let end = &mut history.ends[number];
        end.answered = Some(Instant::now());
        end.acknowledged.is_some()
    }

    /// The weather is good again: what everybody's cookie opens now, and whether the tokens of who lives can be renewed.
    pub(crate) async fn look_at_last(&self, renew: bool) {
        for replica in [0, 1] {
            let settled = || async {
                let whoever = self.sign_in_plainly(replica).await?;
                let ask = self.with_cookie(Method::GET, "/last", &whoever);
                (self.ask(replica, ask).await?.status == 200).then_some(())
            };
            eventually("service after the storm", RECOVERY, settled).await;
        }
        // What was acknowledged in the last moment has to be known everywhere by then.
        tokio::time::sleep(crate::history::STALENESS).await;
        let lines: Vec<String> = self.history().sessions.iter().map(|session| session.line.clone()).collect();
        for (number, line) in lines.into_iter().enumerate() {
            let mut statuses = Vec::new();
            for replica in [0, 1] {
                statuses.push(self.answer(replica, Method::GET, "/last", &line).await);
            }
            let lives = statuses.iter().all(|status| *status == 200);
            self.history().sessions[number].at_last = statuses;
            if renew && lives {
                let status = self.answer(number % 2, Method::POST, "/oauth2/session/refresh", &line).await;
                self.history().sessions[number].renews_at_last = Some(status);
            }
        }
    }

    /// An answer that is no excuse, within the time that a recovery may take.
    async fn answer(&self, replica: usize, method: Method, path: &str, line: &str) -> u16 {
        eventually("an answer", RECOVERY, || async {
            let page = self.ask(replica, self.with_cookie(method.clone(), path, line)).await?;
            (!matches!(page.status, 502..=504)).then_some(page.status)
        })
        .await
    }

    async fn sign_in_plainly(&self, replica: usize) -> Option<String> {
        let (browser, sid) = (self.replicas[replica].browser(), random_name("provider-sid-"));
        let callback = self.begin(replica, &browser, "somebody", &sid).await?;
        cookie_of(&browser.attempt(Ask::navigation(callback)).await.ok()?)
    }
}

/// The `Cookie` line that an answer gives.
pub(crate) fn cookie_of(page: &Page) -> Option<String> {
    let set = page.set_cookies();
    let value = set.iter().find_map(|line| line.strip_prefix("vestibule=")?.split(';').next())?;
    (!value.is_empty()).then(|| format!("vestibule={value}"))
}

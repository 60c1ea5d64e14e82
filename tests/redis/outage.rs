//! A store that goes away and comes back, in every way that a network or a process has.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;

use crate::support::fault_proxy::Mode;
use crate::support::{
    Ask, BadOp, Browser, ConfigBuilder, Echo, Endpoint, FaultProxy, Gateway, Page, Redis, Site, eventually, sign_in,
};
use crate::world::{STALENESS, cookies, opens_session, ready, readyz};

/// `session.deadline`, and what a busy machine adds.
const DEADLINE: Duration = Duration::from_millis(1000 + 800);

/// A gateway whose way to Redis can break.
struct Outage {
    op: BadOp,
    echo: Echo,
    redis: Redis,
    way: FaultProxy,
    gateway: Gateway,
    browser: Browser,
    cookies: String,
}

impl Outage {
    /// Somebody is signed in.
    async fn start() -> Self {
        let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
        let way = FaultProxy::start(redis.address()).await;
        // Everything is written: what takes its time there has made connections hang.
        let config =
            ConfigBuilder::usual(&op, &echo).store(&redis.url_at(way.address)).with("[telemetry]\nlog = \"trace\"");
        let gateway = Gateway::start(config).await;
        ready(&gateway).await;
        let browser = gateway.browser();
        sign_in(&browser, &gateway, "/").await;
        let cookies = cookies(&browser);
        Self { op, echo, redis, way, gateway, browser, cookies }
    }

    /// Makes a request within the time that it may take at most.
    async fn ask(&self, ask: Ask) -> Page {
        let start = Instant::now();
        let page = self.browser.ask(ask).await;
        assert!(start.elapsed() < DEADLINE, "{:?} for {}", start.elapsed(), page.url);
        page
    }

    /// The store has just gone: soon nobody can say who is calling, and says so.
    async fn is_felt(&self, how: &str) {
        let limit = STALENESS + DEADLINE;
        eventually(&format!("503 after {how}"), limit, || async {
            let page = self.ask(Ask::fetch(Method::GET, self.gateway.url("/"))).await;
            assert!(matches!(page.status, 200 | 503), "{how}: {page:?}");
            assert_eq!(page.set_cookies(), [""; 0], "{how}");
            (page.status == 503).then_some(())
        })
        .await;
        let (hits, logins) = (self.echo.count(), self.op.count(Endpoint::Authorize));
        let url = |path: &str| self.gateway.url(path);
        let asks = [
            Ask::navigation(url("/deep?a=1")),
            Ask::fetch(Method::GET, url("/api")),
            Ask::form(url("/form"), &[("a", "b")]),
            Ask::fetch(Method::GET, url("/oauth2/userinfo")),
            Ask::fetch(Method::GET, url("/oauth2/session")),
            Ask::fetch(Method::POST, url("/oauth2/session/refresh")),
            Ask::fetch(Method::POST, url("/oauth2/logout")),
        ];
        for page in join_all(asks.map(|ask| self.ask(ask))).await {
            let page = page.expect_status(503);
            let retry = page.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
            assert!(retry.is_some_and(|seconds| (1..=30).contains(&seconds)), "{how}: {page:?}");
            assert_eq!(page.set_cookies(), [""; 0], "{how}: {}", page.url);
            assert!(page.location().is_none(), "{how}: {}", page.url);
        }
        assert_eq!((self.echo.count(), self.op.count(Endpoint::Authorize)), (hits, logins), "{how}");
    }

    /// The store is there again: so is the session, with the same cookie.
    async fn heals(&self, how: &str, limit: Duration) {
        eventually(&format!("service after {how}"), limit, || async {
            let page = self.browser.fetch(self.gateway.url("/")).await;
            assert!(matches!(page.status, 200 | 503), "{how}: {page:?}");
            (page.status == 200).then_some(())
        })
        .await;
        assert_eq!(cookies(&self.browser), self.cookies, "{how}");
    }
}

/// SESS-13: whatever happens on the way to the store, people get a fast 503 and keep their sessions, the application is not
/// asked, nobody is sent to sign in; and when the way is good again, so is the same cookie.
#[tokio::test]
async fn a_broken_way_to_the_store_signs_nobody_out() {
    // Next to each other: most of it is waiting.
    let all = [
        (Mode::Cut, Duration::from_secs(2)),
        (Mode::Blackhole, Duration::from_secs(5)),
        (Mode::SwallowAnswers, Duration::from_secs(5)),
        (Mode::Delay(Duration::from_secs(3)), Duration::from_secs(5)),
    ];
    join_all(all.map(|(mode, limit)| async move {
        let (outage, how) = (Outage::start().await, format!("{mode:?}"));
        outage.way.set(mode);
        outage.is_felt(&how).await;
        outage.way.set(Mode::Pass);
        outage.heals(&how, limit).await;
    }))
    .await;
}

/// SESS-13: the way breaks while a refresh is under way, for a moment and for so long that it is noticed: the session stays, and
/// the way is used again as soon as it is good.
#[tokio::test]
async fn a_way_that_breaks_during_a_refresh_heals() {
    let (moment, long) = (Duration::from_millis(200), Duration::from_millis(3300));
    let ways = [Mode::Cut, Mode::SwallowAnswers, Mode::Blackhole];
    let all = ways.into_iter().flat_map(|mode| [moment, long].map(|time| (mode, time)));
    join_all(all.map(|(mode, time)| async move {
        let (outage, how) = (Outage::start().await, format!("{mode:?} for {time:?}"));
        let gate = outage.op.hold(Endpoint::Token);
        let refresh = tokio::spawn({
            let (browser, url) = (outage.browser.clone(), outage.gateway.url("/oauth2/session/refresh"));
            async move { browser.ask(Ask::fetch(Method::POST, url)).await }
        });
        gate.arrived().await;
        outage.way.set(mode);
        gate.open();
        // Requests go on meanwhile.
        let until = Instant::now() + time;
        while Instant::now() < until {
            let asked = join_all((0..4).map(|_| outage.browser.fetch(outage.gateway.url("/")))).await;
            assert!(asked.iter().all(|page| matches!(page.status, 200 | 503)), "{how}: {asked:?}");
        }
        outage.way.set(Mode::Pass);
        outage.heals(&how, Duration::from_secs(5)).await;
        let page = refresh.await.unwrap();
        assert!(matches!(page.status, 200 | 503), "{how}: {page:?}");
    }))
    .await;
}

/// SESS-13: a server that stands still, and one that dies and comes back with its data.
#[tokio::test]
async fn a_server_that_stands_still_or_dies_signs_nobody_out() {
    let mut outage = Outage::start().await;
    outage.redis.pause();
    outage.is_felt("SIGSTOP").await;
    outage.redis.go_on();
    outage.heals("SIGSTOP", Duration::from_secs(2)).await;

    assert_eq!(outage.redis.cli(&["SAVE"]), "OK");
    outage.redis.kill().await;
    outage.is_felt("SIGKILL").await;
    outage.redis.start_again().await;
    outage.heals("SIGKILL", Duration::from_secs(2)).await;
}

/// A store that comes back empty knows nobody, and says so: 401 and a login, no 503, and no loop.
#[tokio::test]
async fn a_store_that_comes_back_empty_means_signing_in_again() {
    let mut outage = Outage::start().await;
    outage.redis.restart_empty().await;
    let refused = eventually("a clear answer", Duration::from_secs(3), || async {
        let page = outage.gateway.browser();
        let ask = Ask::fetch(Method::GET, outage.gateway.url("/")).header("cookie", &outage.cookies);
        Some(page.ask(ask).await).filter(|page| page.status != 503 && page.status != 200)
    })
    .await;
    assert_eq!(refused.status, 401);
    let logins = outage.op.count(Endpoint::Authorize);
    sign_in(&outage.browser, &outage.gateway, "/again").await;
    assert_eq!(outage.op.count(Endpoint::Authorize), logins + 1);
    assert_ne!(cookies(&outage.browser), outage.cookies);
}

/// A login that comes back while the store is away makes no session, keeps its attempt, and can be finished later.
#[tokio::test]
async fn a_login_survives_an_outage() {
    let outage = Outage::start().await;
    let person = outage.browser.stranger();
    let login = person.step(outage.gateway.url("/later")).await.location().unwrap();
    let callback = person.step(login).await.location().unwrap();
    outage.way.set(Mode::Cut);
    outage.is_felt("a cut").await;
    // Begun meanwhile: that needs no store.
    let begun = outage.browser.stranger().step(outage.gateway.url("/")).await;
    assert!(begun.location().unwrap().as_str().starts_with(outage.op.issuer()));
    let page = person.step(callback.as_str()).await.expect_status(503);
    assert!(page.header("retry-after").is_some() && !opens_session(&page));
    outage.way.set(Mode::Pass);
    outage.heals("a cut", Duration::from_secs(2)).await;
    // As by the reload button.
    let page = person.navigate(callback.as_str()).await.expect_status(200);
    assert_eq!(page.url.as_str(), outage.gateway.url("/later"));
}

/// A replica says that it is not ready when the store has been away for ten seconds, and that it is as soon as it is back.
#[tokio::test]
async fn readiness_follows_the_store_with_patience() {
    let outage = Outage::start().await;
    let gone = Instant::now();
    outage.way.set(Mode::Cut);
    eventually("a replica that is not ready", Duration::from_secs(15), || async {
        (readyz(&outage.gateway).await == 503).then_some(())
    })
    .await;
    assert!(gone.elapsed() > Duration::from_secs(9), "a short outage takes no replica away: {:?}", gone.elapsed());
    let livez = Ask::plain(Method::GET, format!("{}/livez", outage.gateway.admin_url()));
    Browser::new().ask(livez).await.expect_status(200);
    outage.way.set(Mode::Pass);
    ready(&outage.gateway).await;
}

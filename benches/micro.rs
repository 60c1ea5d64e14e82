//! What single steps of a hot request cost: `cargo bench --bench micro [NAME]`.
//!
//! Times say little on a shared machine; `benches/instructions` counts the instructions of each of these under valgrind instead,
//! by way of `MICRO_RUNS`: run so often, and tell nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "no stranger comes here, and its figures are for a terminal"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method, Request};
use vestibule::base::{Clock as _, Secret, SystemRandom};
use vestibule::config::Config;
use vestibule::identity::{Identity, Kind, Subject};
use vestibule::route::Table;
use vestibule::server::framing::Framing;
use vestibule::session::contract::{Replica, sample_login, sample_settings};
use vestibule::session::{LiveSession, MemoryStore, SessionStore};
use vestibule::testing::ManualClock;
use vestibule::web::cookie::Cookies;
use vestibule::web::{CanonicalPath, ClientRequest, Connection, Network, RequestId};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::from_arguments();
        sessions(&bench).await;
        tokens(&bench).await;
        reading(&bench);
    });
}

async fn sessions(bench: &Bench) {
    let clock = ManualClock::default();
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let mut far = sample_settings();
    far.near_cache.staleness = std::time::Duration::ZERO;
    let (near, far) = (Replica::over(&store), Replica::with(&store, far));
    let live = near.log_in(sample_login("ada")).await;
    near.bring_near(&live).await;
    bench.run_async("session/near", async || black_box(near.find(&live).await)).await;
    bench.run_async("session/read-and-open", async || black_box(far.find(&live).await)).await;
}

async fn tokens(bench: &Bench) {
    let config = config();
    let clock = ManualClock::default();
    let identity =
        Identity::new(config.identity, config.upstream_identity, None, Arc::new(clock.clone()), Arc::new(SystemRandom))
            .unwrap();
    identity.refresh_keys().await.unwrap();
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("ada")).await;
    let now = clock.now();
    bench.run("token/cached", || {
        black_box(identity.mint("portal", &subject(&live, live.session().sid.as_str()), now)).is_ok()
    });
    // Without a reference nothing is kept.
    bench.run("token/signed", || black_box(identity.mint("portal", &subject(&live, ""), now)).is_ok());
}

fn reading(bench: &Bench) {
    let config = config();
    let table = Table::new(config.routes).unwrap();
    let path = CanonicalPath::parse("/api/items/17").unwrap();
    bench.run("route/find", || table.find(black_box("app.example.com"), &path, &Method::GET).is_some());

    let mut framing = Framing::new(64 * 1024, 100);
    bench.run("head/framing", || framing.check(black_box(HEAD)).accepted == HEAD.len());

    let mut headers = HeaderMap::new();
    let line = format!("theme=dark; {}={}; lang=en", config.cookie.name, "A".repeat(43));
    headers.insert(COOKIE, HeaderValue::try_from(line).unwrap());
    bench.run("cookies/read", || black_box(Cookies::read(&headers, &config.cookie)).forward.is_some());

    let network = Network::new(config.network, config.cookie.clone());
    let connection = Connection::new(Some(([192, 0, 2, 1], 4711).into()), true);
    let request = Request::get("/api/items/17?page=2")
        .header("host", "app.example.com")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-language", "en-US,en;q=0.5")
        .header("accept-encoding", "gzip, deflate, br")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", headers[COOKIE].clone())
        .body(())
        .unwrap();
    let (head, ()) = request.into_parts();
    bench.run("request/read", || {
        ClientRequest::read(head.clone(), &connection, &network, RequestId::new(&SystemRandom)).is_ok()
    });
}

const HEAD: &[u8] = b"GET /api/items/17?page=2 HTTP/1.1\r\nHost: app.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: same-origin\r\n\
    Cookie: theme=dark; __Host-vestibule=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; lang=en\r\n\r\n";

fn subject<'a>(live: &'a LiveSession, sid: &'a str) -> Subject<'a> {
    let session = live.session();
    Subject {
        kind: Kind::User,
        provider: &session.provider,
        issuer: &session.issuer,
        sub: &session.subject,
        sid,
        version: live.version(),
        auth_time: session.auth_time,
        acr: session.acr.as_deref(),
        amr: &session.amr,
        claims: &session.claims,
        scope: session.scope.as_deref(),
        session_expires: session.expires,
        client_id: None,
    }
}

fn config() -> Config {
    let text = r#"
        public_url = "https://app.example.com"
        [session]
        store = "memory"
        secrets = [{ env = "SECRET" }]
        [providers.corp]
        issuer = "https://id.example.com"
        client_id = "portal"
        client_secret = { env = "CLIENT_SECRET" }
        [upstreams.portal]
        url = "http://portal:3000"
        identity = { claims = ["email", "groups"] }
        [[routes]]
        upstream = "portal"
        [[routes]]
        path = "/api"
        upstream = "portal"
        [[routes]]
        path = "/static"
        upstream = "portal"
        access = "public"
        "#;
    let environment = BTreeMap::from(
        ["SECRET", "CLIENT_SECRET"].map(|name| (name, Secret::new(format!("{name}-of-no-value-0123456789012345")))),
    );
    Config::parse(text, Path::new("micro.toml"), &environment).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Which steps, and how often.
struct Bench {
    only: Option<String>,
    runs: Option<u32>,
}

impl Bench {
    fn from_arguments() -> Self {
        let only = std::env::args().skip(1).find(|word| !word.starts_with("--"));
        Self { only, runs: std::env::var("MICRO_RUNS").ok().and_then(|runs| runs.parse().ok()) }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    fn run<T>(&self, name: &str, mut step: impl FnMut() -> T) {
        futures_util::FutureExt::now_or_never(self.run_async(name, async || step()));
    }

    async fn run_async<T>(&self, name: &str, mut step: impl AsyncFnMut() -> T) {
        if !self.wants(name) {
            return;
        }
        let (batches, runs) = self.runs.map_or((BATCHES, BATCH), |runs| (1, runs));
        let mut took = Vec::new();
        for _ in 0..batches {
            let began = Instant::now();
            for _ in 0..runs {
                black_box(step().await);
            }
            took.push(began.elapsed().as_nanos() / u128::from(runs.max(1)));
        }
        took.sort_unstable();
        if self.runs.is_none() {
            // The fastest batch is the one that was disturbed least.
            println!("{name:<24} {:>8} ns  (median {} ns)", took[0], took[took.len() / 2]);
        }
    }
}

const BATCHES: usize = 50;
const BATCH: u32 = 1000;

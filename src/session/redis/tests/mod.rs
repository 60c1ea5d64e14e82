//! The store over real Redis servers: the contract, what a dump shows, accounts, TLS and outages.
//!
//! Each test starts its own server; none needs one that is there already.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::RedisStore;
use crate::base::{Secret, SystemClock, SystemRandom};
use crate::session::contract::{RealTime, Replica, sample_login, sample_settings};
use crate::session::names::Name;
use crate::session::{Lookup, SessionStore, StoreError, Unavailable};

/// A server of its own, gone when dropped.
struct Server {
    directory: TempDir,
    child: Child,
    args: Vec<String>,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let child = Self::spawn(directory.path(), &args);
        let server = Self { directory, child, args };
        server.wait();
        server
    }

    fn spawn(directory: &Path, args: &[String]) -> Child {
        Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--rdbcompression", "no", "--dir"])
            .arg(directory)
            .arg("--unixsocket")
            .arg(directory.join("redis.sock"))
            .args(args)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server 7 is installed")
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if self.cli(&["PING"]).contains("PONG") || self.cli(&["PING"]).contains("NOAUTH") {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server did not start");
    }

    fn cli(&self, args: &[&str]) -> String {
        let socket = self.directory.path().join("redis.sock");
        let output = Command::new("redis-cli").arg("-s").arg(socket).args(args).stderr(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.directory.path().join("redis.sock"));
    }

    fn restart(&mut self) {
        self.child = Self::spawn(self.directory.path(), &self.args);
    }

    fn url(&self) -> String {
        self.url_as("")
    }

    /// `user:password@host`: the client wants a host with them and ignores it.
    fn url_as(&self, account: &str) -> String {
        format!("redis+unix://{account}{}", self.directory.path().join("redis.sock").display())
    }

    /// Every key with its time to live in milliseconds.
    fn keys(&self) -> Vec<(String, i64)> {
        let list = "local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do \
                    all[#all + 1] = key .. ' ' .. redis.call('PTTL', key) end return all";
        let listed = self.cli(&["EVAL", list, "0"]);
        let read = |line: &str| line.rsplit_once(' ').map(|(key, left)| (key.to_owned(), left.parse().unwrap()));
        listed.lines().filter(|line| !line.is_empty()).filter_map(read).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

const DEADLINE: Duration = Duration::from_millis(400);

fn connect(url: String) -> RedisStore {
    RedisStore::connect(&Secret::new(url), DEADLINE, Arc::new(SystemClock)).unwrap()
}

/// Waits until the store answers.
async fn available(store: &dyn SessionStore, within: Duration) -> Duration {
    let start = Instant::now();
    loop {
        let answer = store.ping().await;
        if answer.is_ok() && store.away_since().is_none() {
            return start.elapsed();
        }
        assert!(start.elapsed() < within, "not available after {within:?}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn connected(server: &Server) -> Arc<dyn SessionStore> {
    let store = connect(server.url());
    available(&store, Duration::from_secs(5)).await;
    Arc::new(store)
}

mod crowd;
mod outages;
mod tracking;

mod alone {
    use super::*;

    crate::store_contract!(async {
        let server = Server::start(&[]);
        let store = connect(server.url());
        available(&store, Duration::from_secs(5)).await;
        (store, RealTime, server)
    });
}

/// One node, and yet every rule of a cluster: a command or script over two slots would be refused.
mod cluster {
    use super::*;

    crate::store_contract!(in turn start(), empty);

    async fn start() -> (Server, String) {
        let port = free_port().to_string();
        let server =
            Server::start(&["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--port", &port]);
        server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        // A cluster takes its time before it takes writes.
        let until = Instant::now() + Duration::from_secs(20);
        while !server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok") && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (server, format!("redis-cluster://127.0.0.1:{port}"))
    }

    /// Addressed as one server it says only by its refusal that it is none.
    #[tokio::test]
    async fn one_that_is_addressed_as_a_server() {
        let (server, _) = start().await;
        let store = connected(&server).await;
        assert_eq!(commands_of_a_login(&store).await, 1 + 10, "refused once, then one by one");
        assert_eq!(commands_of_a_login(&store).await, 10);
        assert!(server.cli(&["FLUSHALL"]).contains("OK"));
        crate::session::contract::a_user_is_revoked_everywhere_and_only_there(store, &RealTime).await;
    }

    async fn empty((server, url): &(Server, String)) -> (RedisStore, RealTime) {
        assert!(server.cli(&["FLUSHALL"]).contains("OK"));
        let store = connect(url.clone());
        available(&store, Duration::from_secs(5)).await;
        (store, RealTime)
    }
}

/// The steps before the provider is asked go in one command, and so do those after it.
#[tokio::test]
async fn a_login_takes_two_commands() {
    let server = Server::start(&[]);
    assert_eq!(commands_of_a_login(&connected(&server).await).await, 2);
}

async fn commands_of_a_login(store: &Arc<dyn SessionStore>) -> u64 {
    // What is near has questions of its own.
    let mut settings = sample_settings();
    settings.near_cache.staleness = Duration::ZERO;
    let replica = Replica::with(store, settings);
    let before = store.counters().commands();
    let live = replica.log_in(sample_login("u1")).await;
    let commands = store.counters().commands() - before;
    assert!(replica.is_alive(&live).await);
    commands
}

fn free_port() -> u16 {
    // A cluster's bus listens 10000 above, so the port has to be low.
    for _ in 0..100 {
        let port = 20_000 + u16::from_le_bytes((&SystemRandom as &dyn crate::base::Random).bytes::<2>()) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// SESS-11, SESS-12: a dump of the store yields no cookie, no token, and nothing about the person.
#[tokio::test]
async fn a_dump_shows_no_cookie_and_no_token() {
    let server = Server::start(&[]);
    let store = connected(&server).await;
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("canary-subject")).await;
    store.touch_session(live.key(), replica.now()).await.unwrap();
    replica.sessions.managed_swap("keys", None, b"canary-key").await.unwrap();
    replica.sessions.revoke_user("https://id.example", "canary-other").await.unwrap();
    replica.sessions.burn("canary-jti", Duration::from_secs(60)).await.unwrap();
    assert!(server.cli(&["SAVE"]).contains("OK"));
    let dump = std::fs::read(server.directory.path().join("dump.rdb")).unwrap();
    let holds = |text: &str| dump.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&live.key().to_string()), "the dump is readable");
    let cookie = live.token().expose();
    assert!(!holds(cookie) && !holds(cookie.get(..12).unwrap()), "the cookie");
    assert!(!dump.windows(16).any(|window| live.token().bytes().starts_with(window)), "the cookie's bytes");
    for secret in ["canary", "id.example", "203.0.113.9", "Browser/1", "staff"] {
        assert!(!holds(secret), "{secret}");
    }
}

/// SESS-14: every key expires no later than the session, except the sequence, the generation and managed keys; when a
/// session has ended, only what guards against it is left.
#[tokio::test]
async fn every_key_has_an_expiry() {
    let server = Server::start(&[]);
    let store = connected(&server).await;
    let replica = Replica::over(&store);
    let mut all = Vec::new();
    for user in 0..10 {
        all.push(replica.log_in(sample_login(&format!("u{}", user % 3))).await);
    }
    for live in &all {
        store.touch_session(live.key(), replica.now()).await.unwrap();
        let Lookup::Found(held) = replica.load(live).await else { panic!("not found") };
        replica.sessions.replace(&held, held.session().clone(), replica.now()).await.unwrap();
    }
    replica.sessions.acquire_lease("refresh", "owner", Duration::from_secs(5)).await.unwrap();
    replica.sessions.managed_swap("keys", None, b"key").await.unwrap();
    replica.sessions.revoke_user("https://id.example", "u0").await.unwrap();
    replica.sessions.revoke_provider_sid("https://id.example", "op-u1").await.unwrap();
    let check = |keys: Vec<(String, i64)>| {
        for (key, left) in keys {
            let forever =
                ["vestibule:sequence", Name::generation().as_str(), "vestibule:managed:keys"].contains(&key.as_str());
            assert_eq!(left == -1, forever, "{key}");
            assert!(left <= i64::try_from(sample_settings().lifetime.as_millis()).unwrap(), "{key} {left}");
        }
    };
    assert!(server.keys().len() > 15);
    check(server.keys());
    replica.sessions.revoke_all().await.unwrap();
    check(server.keys());
    let kinds = ["attempt", "revoked", "tombstone", "lease", "sequence", "managed"];
    for (key, _) in server.keys() {
        let near = key == Name::generation().as_str() || Name::is_beat(&key);
        assert!(near || kinds.contains(&key.split(':').nth(1).unwrap()), "{key}");
    }
}

/// TLS-09: the account of the documentation, on no more than our keys, is enough for everything.
#[tokio::test]
async fn a_least_rights_account_is_enough() {
    let documented = include_str!("../../../../docs/operations.md")
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER vestibule on >… "))
        .expect("the account's line in the documentation");
    let rights: Vec<&str> =
        ["ACL", "SETUSER", "vestibule", "on", ">p@ssword"].into_iter().chain(documented.split(' ')).collect();
    let server = Server::start(&[]);
    assert!(server.cli(&rights).contains("OK"));
    assert!(server.cli(&["ACL", "SETUSER", "default", "off"]).contains("OK"));
    let store = connect(server.url_as("vestibule:p%40ssword@localhost"));
    available(&store, Duration::from_secs(5)).await;
    let store: Arc<dyn SessionStore> = Arc::new(store);
    crate::session::contract::a_user_is_revoked_everywhere_and_only_there(Arc::clone(&store), &RealTime).await;
    crate::session::contract::values_are_agreed_by_all_replicas(Arc::clone(&store), &RealTime).await;
    crate::session::contract::an_idle_session_is_not_listed(Arc::clone(&store), &RealTime).await;
    crate::session::contract::somebody_who_comes_back_in_time_keeps_the_session(Arc::clone(&store), &RealTime).await;
    // A wrong password is the store's trouble, not the end of the process.
    let wrong = connect(server.url_as("vestibule:wrong@localhost"));
    is_said(&wrong, Unavailable::Credentials).await;
    assert!(matches!(wrong.ping().await, Err(StoreError::Unavailable(_))));
}

/// Waits until the log has said why the store is away.
async fn is_said(store: &RedisStore, why: Unavailable) {
    let said = async {
        while !store.commands.shared.outage.said(why) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), said).await.expect("the log says why");
}

/// TLS-09: TLS by the URL, and a certificate that no trusted root signed is refused.
#[tokio::test]
async fn tls_is_used_and_checked() {
    let directory = TempDir::new().unwrap();
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert_file, key.cert.pem()).unwrap();
    std::fs::write(&key_file, key.signing_key.serialize_pem()).unwrap();
    let port = free_port().to_string();
    let (cert, key) = (cert_file.display().to_string(), key_file.display().to_string());
    let _server = Server::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &cert,
        "--tls-auth-clients",
        "no",
    ]);
    let trusted = connect(format!("rediss://127.0.0.1:{port}?ca={cert}"));
    available(&trusted, Duration::from_secs(5)).await;
    assert!(trusted.mark_once(&Name::burnt("x"), Duration::from_secs(1)).await.unwrap());
    let untrusted = connect(format!("rediss://127.0.0.1:{port}"));
    is_said(&untrusted, Unavailable::Tls).await;
    assert!(matches!(untrusted.ping().await, Err(StoreError::Unavailable(_))));
    assert!(untrusted.away_since().is_some());
}

/// Another program's key under one of our names is a bug somewhere, not an outage.
#[tokio::test]
async fn a_foreign_key_is_nonsense_and_no_outage() {
    let server = Server::start(&[]);
    let store = connected(&server).await;
    let name = Name::managed("keys");
    server.cli(&["LPUSH", name.as_str(), "x"]);
    assert!(matches!(store.read_shared(&name).await, Err(StoreError::Nonsense(_))));
    server.cli(&["DEL", name.as_str()]);
    server.cli(&["SET", name.as_str(), "short"]);
    assert!(matches!(store.read_shared(&name).await, Err(StoreError::Nonsense(_))));
    assert_eq!(store.away_since(), None);
}

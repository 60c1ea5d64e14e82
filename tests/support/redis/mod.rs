//! A real redis-server.
//!
//! Must never touch a Redis that it did not start.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::codec::random_name;
use crate::support::process::{Process, Signal};
use crate::support::tls::{Flavour, TestCa};
use crate::support::wait::{eventually, free_port};

pub mod cluster;
pub mod sentinel;

pub use cluster::Cluster;
pub use sentinel::Sentinel;

/// What Redis answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A string, simple or bulk.
    Text(Vec<u8>),
    /// A number.
    Number(i64),
    /// Nothing.
    Null,
    /// An error's text.
    Error(String),
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// As text; lists line by line.
    pub fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Number(number) => number.to_string(),
            Self::Null => String::new(),
            Self::Error(text) => text.clone(),
            Self::List(list) => list.iter().map(Self::text).collect::<Vec<_>>().join("\n"),
        }
    }

    /// All bytes in it, lists laid flat with line ends between.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(bytes) => bytes.clone(),
            Self::List(list) => list.iter().flat_map(|item| [item.bytes(), b"\n".to_vec()].concat()).collect(),
            other => other.text().into_bytes(),
        }
    }
}

/// How Redis is set up.
#[derive(Default)]
pub struct Setup {
    user: Option<(String, String, String)>,
    tls: Option<TestCa>,
    lines: Vec<String>,
    control: Option<String>,
    sentinel: bool,
}

impl Setup {
    /// An account with these rights (`~* &* +@all` for all); nobody gets in without one then.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, rights: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned(), rights.to_owned()));
        self
    }

    /// TLS as well, on another port, with a certificate for `127.0.0.1` and `localhost`.
    #[must_use]
    pub fn tls(mut self, ca: &TestCa) -> Self {
        self.tls = Some(ca.clone());
        self
    }

    /// A further line of `redis.conf`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// A replica of `primary`.
    #[must_use]
    pub fn replica_of(self, primary: &Redis) -> Self {
        self.line(&format!("replicaof 127.0.0.1 {}", primary.peer_port()))
    }

    /// One of several that replicate from each other, accounts or not, and soon notice that one is gone.
    #[must_use]
    fn peer(mut self, control: &str) -> Self {
        if self.user.is_some() {
            self = self.line("masteruser support").line(&format!("masterauth {control}"));
        }
        if self.tls.is_some() {
            self = self.line("tls-replication yes");
        }
        self.control = Some(control.to_owned());
        self.line("repl-diskless-sync-delay 0").line("repl-ping-replica-period 1")
    }

    /// Starts it.
    pub async fn start(self) -> Redis {
        let dir = TempDir::new().unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let control = self.control.unwrap_or_else(|| random_name("support-"));
        let mut text = format!(
            "bind 127.0.0.1\nport {port}\ndir {dir}\nunixsocket {dir}/redis.sock\nsave \"\"\nappendonly no\n\
             rdbcompression no\nloglevel notice\n",
            dir = dir.path().display()
        );
        if let Some((name, password, rights)) = &self.user {
            text.push_str(&format!("user default off\nuser support on >{control} ~* &* +@all\n"));
            text.push_str(&format!("user {name} on >{password} {rights}\n"));
        }
        if let Some(ca) = &self.tls {
            let issued = ca.issue(&["127.0.0.1", "localhost"]);
            text.push_str(&format!(
                "tls-port {tls_port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients no\n",
                issued.certificate.display(),
                issued.key.display(),
                ca.path().display()
            ));
            // Between servers, whoever calls has to show one too.
            let calling = ca.issue_flavour(&["127.0.0.1"], Flavour::Client);
            text.push_str(&format!(
                "tls-client-cert-file {}\ntls-client-key-file {}\n",
                calling.certificate.display(),
                calling.key.display()
            ));
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        std::fs::write(dir.path().join("redis.conf"), text).unwrap();
        let (sentinel, tls) = (self.sentinel, self.tls.is_some());
        let process = spawn(&dir, sentinel);
        let mut redis = Redis { process, dir, port, tls_port, user: self.user, control, tls, sentinel };
        redis.ready().await;
        redis
    }
}

/// The server; ends with the value.
pub struct Redis {
    process: Process,
    dir: TempDir,
    port: u16,
    tls_port: u16,
    user: Option<(String, String, String)>,
    control: String,
    tls: bool,
    sentinel: bool,
}

impl Redis {
    /// Without accounts, TLS and persistence.
    ///
    /// # Panics
    /// When redis-server is not installed or does not get ready.
    pub async fn start() -> Self {
        Self::setup().start().await
    }

    /// To be set up further.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Its plain address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its URL for the gateway, with the account.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same with another address, such as a proxy's.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("redis://{}{address}/0", self.account())
    }

    /// Its TLS URL.
    pub fn tls_url(&self) -> String {
        assert!(self.tls, "this Redis was started without TLS");
        format!("rediss://{}localhost:{}/0", self.account(), self.tls_port)
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Where others like it, and clients of several of them, find it: over TLS if it has that.
    fn peer_port(&self) -> u16 {
        if self.tls { self.tls_port } else { self.port }
    }

    fn account(&self) -> String {
        self.user.as_ref().map_or_else(String::new, |(name, password, _)| format!("{name}:{password}@"))
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::Kill);
        self.process.end(Duration::from_secs(5)).await;
    }

    /// Stands still, connections open.
    pub fn pause(&mut self) {
        self.process.signal(Signal::Stop);
    }

    /// Goes on.
    pub fn go_on(&mut self) {
        self.process.signal(Signal::Cont);
    }

    /// Kills it and starts it on the same port, empty.
    pub async fn restart_empty(&mut self) {
        let _ = std::fs::remove_file(self.dir.path().join("dump.rdb"));
        self.start_again().await;
    }

    /// Kills it and starts it on the same port with all its data.
    pub async fn restart_with_data(&mut self) {
        assert_eq!(self.command(&["SAVE"]).text(), "OK");
        self.start_again().await;
    }

    /// Kills it if it runs, and starts it on the same port with what was saved last.
    pub async fn start_again(&mut self) {
        if self.process.has_ended().is_none() {
            self.kill().await;
        }
        self.process = spawn(&self.dir, self.sentinel);
        self.ready().await;
    }

    async fn ready(&mut self) {
        eventually("redis-server", Duration::from_secs(15), || {
            if let Some(status) = self.process.has_ended() {
                panic!("redis-server has ended ({status})\n{}", self.process.output());
            }
            let ready = self.try_command(&["PING"]).is_ok_and(|reply| reply.text() == "PONG");
            async move { ready.then_some(()) }
        })
        .await;
    }

    /// One command, by an account that may do everything.
    ///
    /// # Panics
    /// When there is no answer within 5 seconds.
    pub fn command(&self, words: &[&str]) -> Reply {
        self.try_command(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same as text.
    pub fn cli(&self, words: &[&str]) -> String {
        self.command(words).text()
    }

    /// One command that may fail to get through.
    ///
    /// # Errors
    /// The socket's.
    pub fn try_command(&self, words: &[&str]) -> std::io::Result<Reply> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.connect()?.send(&words)
    }

    fn connect(&self) -> std::io::Result<Connection> {
        let limit = Duration::from_secs(5);
        let socket = TcpStream::connect_timeout(&self.address(), limit)?;
        socket.set_read_timeout(Some(limit))?;
        let mut connection = Connection(BufReader::new(socket));
        if self.user.is_some() {
            connection.send(&[b"AUTH", b"support", self.control.as_bytes()])?;
        }
        Ok(connection)
    }

    /// All keys.
    ///
    /// # Panics
    /// When Redis does not answer.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let Reply::List(keys) = self.command(&["KEYS", "*"]) else { return Vec::new() };
        keys.into_iter().map(|key| key.bytes()).collect()
    }

    /// The names of all sessions' records.
    pub fn records(&self) -> Vec<String> {
        let keys = self.keys().into_iter().map(|key| String::from_utf8(key).unwrap());
        keys.filter(|key| {
            let name = key.strip_prefix("vestibule:session:{").and_then(|name| name.strip_suffix('}'));
            name.is_some_and(|name| name.len() == 43)
        })
        .collect()
    }

    /// Every key and value, with line ends between: for searches.
    ///
    /// # Panics
    /// When Redis does not answer.
    pub fn dump_all(&self) -> Vec<u8> {
        let mut connection = self.connect().unwrap();
        let mut dump = Vec::new();
        for key in self.keys() {
            let kind = connection.send(&[b"TYPE", &key]).unwrap().text();
            let command: &[&[u8]] = match kind.as_str() {
                "string" => &[b"GET", &key],
                "hash" => &[b"HGETALL", &key],
                "list" => &[b"LRANGE", &key, b"0", b"-1"],
                "set" => &[b"SMEMBERS", &key],
                "zset" => &[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"],
                "stream" => &[b"XRANGE", &key, b"-", b"+"],
                // Gone in the meantime.
                _ => continue,
            };
            dump.extend_from_slice(&key);
            dump.push(b'\n');
            dump.extend(connection.send(command).unwrap().bytes());
            dump.push(b'\n');
        }
        dump
    }

    /// The keys that never expire.
    ///
    /// # Panics
    /// When Redis does not answer.
    pub fn keys_without_ttl(&self) -> Vec<String> {
        let mut connection = self.connect().unwrap();
        let mut keys = self.keys();
        keys.retain(|key| connection.send(&[b"TTL", key]).unwrap() == Reply::Number(-1));
        keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// How often a command was called, by any client (`get`, `evalsha`, `set`…).
    ///
    /// # Panics
    /// When Redis does not answer.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.cli(&["INFO", "commandstats"]);
        let prefix = format!("cmdstat_{}:calls=", command.to_lowercase());
        let calls = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    /// What it wrote.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

fn spawn(dir: &TempDir, sentinel: bool) -> Process {
    let mut command = Command::new("redis-server");
    command.arg(dir.path().join("redis.conf")).args(sentinel.then_some("--sentinel"));
    Process::spawn("redis-server", &mut command)
}

/// RESP2, as much as is needed here.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn send(&mut self, words: &[&[u8]]) -> std::io::Result<Reply> {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&out)?;
        self.reply()
    }

    fn reply(&mut self) -> std::io::Result<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let broken = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no RESP");
        let rest = line.get(1..).ok_or_else(broken)?.trim_end();
        let number = || rest.parse::<i64>().map_err(|_| broken());
        Ok(match line.as_bytes()[0] {
            b'+' => Reply::Text(rest.into()),
            b'-' => Reply::Error(rest.to_owned()),
            b':' => Reply::Number(number()?),
            b'$' if rest == "-1" => Reply::Null,
            b'*' if rest == "-1" => Reply::Null,
            b'$' => {
                let mut bytes = vec![0; usize::try_from(number()?).map_err(|_| broken())? + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Reply::Text(bytes)
            }
            b'*' => Reply::List((0..number()?).map(|_| self.reply()).collect::<Result<_, _>>()?),
            _ => return Err(broken()),
        })
    }
}

//! The real binary, started as operators start it.
//!
//! Must never reach into the process: what can be known is on its sockets and in its output.

mod config;
mod metrics;
mod replicas;
mod secrets;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tempfile::TempDir;

pub use config::{ConfigBuilder, Prepared};
pub use metrics::Metrics;
pub use replicas::Replicas;
pub use secrets::{assert_holds_none, leaks};

use super::client::{Ask, Browser, Page};
use super::process::{Process, Signal};
use super::wait::free_port;

const START: Duration = Duration::from_secs(60);

/// Something with a public URL: a gateway, or several behind one address.
pub trait Site {
    /// The absolute URL of a path.
    fn url(&self, path: &str) -> String;
}

/// A running gateway.
pub struct Gateway {
    process: Process,
    prepared: Arc<Prepared>,
    dir: Arc<TempDir>,
    file: PathBuf,
    public_url: String,
    listeners: Vec<String>,
    admin_url: String,
}

impl Gateway {
    /// Writes the configuration, starts `vestibule serve` and waits until it is ready. A free port is picked and put in
    /// the place of `@PORT@`, the folder of the files in the place of `@DIR@`.
    ///
    /// # Panics
    /// When it does not get ready; the message holds its output.
    pub async fn start(config: impl Into<Prepared>) -> Self {
        Self::try_start(config).await.unwrap_or_else(|why| panic!("the gateway does not start: {why}"))
    }

    /// The same for configurations that may be refused.
    ///
    /// # Errors
    /// The process's output.
    pub async fn try_start(config: impl Into<Prepared>) -> Result<Self, String> {
        let prepared = Arc::new(config.into());
        let dir = Arc::new(TempDir::new().map_err(|error| error.to_string())?);
        let mut why = String::new();
        for _ in 0..5 {
            match Self::start_at(Arc::clone(&prepared), Arc::clone(&dir), free_port(), None).await {
                // Somebody else took the port in the meantime.
                Err(error)
                    if error.to_lowercase().contains("address already in use")
                        || error.contains("os error 98")
                        || error.contains("it is in use; stop what listens there") =>
                {
                    why = error;
                }
                done => return done,
            }
        }
        Err(why)
    }

    /// Starts on that port; `public_port` is what browsers see when it is another one.
    async fn start_at(
        prepared: Arc<Prepared>,
        dir: Arc<TempDir>,
        port: u16,
        public_port: Option<u16>,
    ) -> Result<Self, String> {
        let file = prepared.write(dir.path(), port, public_port.unwrap_or(port));
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let public_url = text.parse::<toml::Table>().ok();
        let public_url = public_url.and_then(|table| Some(table.get("public_url")?.as_str()?.to_owned()));
        let mut command = Self::command();
        command.arg("serve").arg("--config").arg(&file).envs(prepared.environment.iter().cloned());
        let mut process = Process::spawn("gateway", &mut command);
        process.line(START, |line| (line.trim() == "ready").then_some(())).await?;
        let stdout = process.stdout();
        let listeners = stdout.lines().filter_map(|line| line.strip_prefix("listening on ")).map(str::to_owned);
        let admin_url = stdout.lines().find_map(|line| line.strip_prefix("admin on ")).unwrap_or_default().to_owned();
        Ok(Self {
            listeners: listeners.collect(),
            admin_url,
            process,
            prepared,
            dir,
            file,
            public_url: public_url.unwrap_or_default(),
        })
    }

    /// The binary, for its other commands.
    ///
    /// # Panics
    /// When no binary was built with the tests and `VESTIBULE_BIN` names none.
    pub fn command() -> Command {
        let path =
            std::env::var("VESTIBULE_BIN").ok().or_else(|| option_env!("CARGO_BIN_EXE_vestibule").map(str::to_owned));
        let mut command = Command::new(path.expect("a gateway binary: run under cargo, or set VESTIBULE_BIN"));
        // What the developer's shell has set must not change a test.
        for name in ["RUST_LOG", "VESTIBULE_CONFIG", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(name);
        }
        command
    }

    /// The origin that browsers see.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The first listener's address.
    ///
    /// # Panics
    /// When the first listener is no TCP socket.
    pub fn address(&self) -> SocketAddr {
        let url = &self.listeners[0];
        let (_, address) = url.split_once("://").unwrap_or_else(|| panic!("no TCP listener: {url}"));
        address.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// What it reported as its listeners, in order.
    pub fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// Where the admin listener is.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// A fresh browser that finds and trusts this gateway.
    pub fn browser(&self) -> Browser {
        self.through(&self.prepared.ca.as_ref().map_or_else(Browser::new, Browser::trusting))
    }

    /// That browser (same jar), with every connection to the public origins going to this process.
    pub fn through(&self, browser: &Browser) -> Browser {
        let mut browser = browser.clone();
        for host in self.prepared.hosts(&self.public_url) {
            browser = browser.resolve(&host, self.address());
        }
        browser
    }

    /// The configuration file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The folder of its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its standard error so far.
    pub fn logs(&self) -> String {
        self.process.stderr()
    }

    /// Everything it wrote so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The log's JSON lines.
    pub fn log_lines(&self) -> Vec<Value> {
        self.logs().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The audit events so far: what stands in `fields`, or the whole line when it is flat.
    pub fn audit_events(&self) -> Vec<Value> {
        let lines = self.log_lines().into_iter().filter(|line| line["target"] == "vestibule::audit");
        lines.map(|mut line| if line["fields"].is_object() { line["fields"].take() } else { line }).collect()
    }

    /// Waits for an audit event with that word.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn audit_event(&self, event: &str) -> Value {
        super::wait::eventually(&format!("audit event {event}"), Duration::from_secs(5), || {
            let found = self.audit_events().into_iter().find(|line| line["event"] == event);
            async move { found }
        })
        .await
    }

    /// `GET /metrics`, parsed.
    pub async fn metrics(&self) -> Metrics {
        let page = Browser::new().ask(Ask::plain(Method::GET, format!("{}/metrics", self.admin_url))).await;
        Metrics::parse(&page.expect_status(200).text())
    }

    /// A request to the admin listener with the admin token; `body` is JSON.
    pub async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Page {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let ask = Ask::plain(method, format!("{}{path}", self.admin_url))
            .header("authorization", &format!("Bearer {}", self.prepared.admin_token));
        Browser::new().ask(body.into_iter().fold(ask, Ask::json)).await
    }

    /// The secrets in its files: none of them may ever be seen.
    pub fn secrets(&self) -> Vec<String> {
        self.prepared.secrets()
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::Term);
        self.process.end(Duration::from_secs(45)).await
    }

    /// SIGKILL, at once.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::Kill);
        self.process.end(Duration::from_secs(5)).await;
    }

    /// Waits for its end.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        self.process.end(limit).await
    }

    /// The process: memory, output, signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it if it runs, and starts it again on the same port with the same files.
    ///
    /// # Panics
    /// When it does not get ready.
    pub async fn restart(&mut self) {
        if self.process.has_ended().is_none() {
            self.kill().await;
        }
        let public = url::Url::parse(&self.public_url).ok().and_then(|url| url.port());
        let (prepared, dir) = (Arc::clone(&self.prepared), Arc::clone(&self.dir));
        let again = Self::start_at(prepared, dir, self.address().port(), public).await;
        *self = again.unwrap_or_else(|why| panic!("the gateway does not start again: {why}"));
    }
}

impl Site for Gateway {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }
}

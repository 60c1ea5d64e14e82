//! A headless Chromium, driven through WebDriver.
//!
//! Must never use a profile twice, nor reach out of this machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Process;
use super::wait::{eventually, free_port};

/// How the browser is set up.
#[derive(Default)]
pub struct Setup {
    arguments: Vec<String>,
    preferences: serde_json::Map<String, Value>,
}

impl Setup {
    /// Every host name leads to loopback, so that tests can have several sites.
    #[must_use]
    pub fn all_hosts_here(self) -> Self {
        self.argument("--host-resolver-rules=MAP * 127.0.0.1")
    }

    /// Certificates of test authorities are fine.
    #[must_use]
    pub fn any_certificate(self) -> Self {
        self.argument("--ignore-certificate-errors")
    }

    /// As people who block third-party cookies have it.
    #[must_use]
    pub fn without_third_party_cookies(self) -> Self {
        self.argument("--test-third-party-cookie-phaseout")
    }

    /// As people who block every cookie have it.
    #[must_use]
    pub fn without_cookies(self) -> Self {
        self.preference("profile.default_content_setting_values.cookies", 2)
    }

    /// As browsers were for long, and people still can have them.
    #[must_use]
    pub fn with_third_party_cookies(self) -> Self {
        self.preference("profile.cookie_controls_mode", 0)
    }

    /// A setting of the profile.
    #[must_use]
    pub fn preference(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.preferences.insert(name.to_owned(), value.into());
        self
    }

    /// A further command-line switch.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts chromedriver and the browser.
    ///
    /// # Panics
    /// When they are not installed, or do not start.
    pub async fn start(self) -> Chromium {
        let profile = TempDir::new().unwrap();
        let port = free_port();
        let mut command = Command::new(std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned()));
        let mut driver = Process::spawn("chromedriver", command.arg(format!("--port={port}")));
        let started = driver.line(Duration::from_secs(20), |line| line.contains("started successfully").then_some(()));
        started.await.unwrap_or_else(|why| panic!("{why}"));
        let mut arguments: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-default-browser-check",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-default-apps",
            "--disable-extensions",
            "--disable-search-engine-choice-screen",
            "--password-store=basic",
            "--lang=en",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.extend(self.arguments);
        let capabilities = json!({
            "pageLoadStrategy": "normal",
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": self.preferences,
                // Without this no record of what was asked of the network.
                "perfLoggingPrefs": {"enableNetwork": true},
            },
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object was written") };
        let url = format!("http://127.0.0.1:{port}");
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&url).await;
        let client = client.unwrap_or_else(|error| panic!("Chromium does not start: {error}\n{}", driver.output()));
        let chromium = Chromium { client, _driver: driver, _profile: profile };
        chromium.size(1280, 800).await;
        chromium
    }
}

/// The browser; ends with the value.
pub struct Chromium {
    /// WebDriver, for everything that has no method here.
    pub client: Client,
    // The order matters: the driver ends the browser before its profile goes.
    _driver: Process,
    _profile: TempDir,
}

/// A cookie as the browser keeps it, `HttpOnly` ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Its domain; begins with a dot when it is not host-only.
    pub domain: String,
    /// Its path.
    pub path: String,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`; nothing when it was not said.
    pub same_site: Option<String>,
    /// Whether it goes with the browser.
    pub session: bool,
}

impl Chromium {
    /// With a fresh profile.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start() -> Self {
        Self::setup().start().await
    }

    /// To be set up further.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Goes to a URL and waits for the page.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// Waits until the address satisfies `is`.
    ///
    /// # Panics
    /// When it does not within 15 seconds.
    pub async fn wait_for_url(&self, is: impl Fn(&str) -> bool) -> String {
        let what = "another address in Chromium";
        eventually(what, Duration::from_secs(15), || async { Some(self.url().await).filter(|url| is(url)) }).await
    }

    /// The visible text of the page.
    pub async fn text(&self) -> String {
        self.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Clicks what the CSS selector finds first, waiting for it to appear.
    ///
    /// # Panics
    /// When nothing is found.
    pub async fn click(&self, css: &str) {
        let found = self.client.wait().at_most(Duration::from_secs(10)).for_element(Locator::Css(css)).await;
        let element = found.unwrap_or_else(|error| panic!("{css}: {error}"));
        // Not under a bar that stays at an edge.
        let script = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})";
        self.client.execute(script, vec![serde_json::to_value(&element).unwrap()]).await.unwrap();
        element.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Types into what the CSS selector finds first, waiting for it to appear.
    ///
    /// # Panics
    /// When nothing is found.
    pub async fn type_into(&self, css: &str, text: &str) {
        let found = self.client.wait().at_most(Duration::from_secs(10)).for_element(Locator::Css(css)).await;
        let element = found.unwrap_or_else(|error| panic!("{css}: {error}"));
        element.send_keys(text).await.unwrap();
    }

    /// Runs a script in the page and gives back what it returns; a promise is waited for.
    ///
    /// # Panics
    /// When it throws.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1]; const args = [...arguments].slice(0, -1);\
             (async (...arguments) => {{ {script} }})(...args).then(\
             (value) => done({{value}}), (error) => done({{error: String(error)}}));"
        );
        let mut answer = self.client.execute_async(&wrapped, arguments).await.unwrap();
        assert!(answer["error"].is_null(), "{script}: {}", answer["error"]);
        answer["value"].take()
    }

    /// A command of the DevTools protocol.
    ///
    /// # Panics
    /// When it fails.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let issued = self.client.issue_cmd(DevTools { command: command.to_owned(), parameters }).await;
        issued.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// What pages are told of the person's preference: dark or light.
    pub async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// The size of what is shown, in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// All cookies of the browser, whatever page is shown.
    pub async fn cookies(&self) -> Vec<StoredCookie> {
        let answer = self.devtools("Storage.getCookies", json!({})).await;
        let text = |cookie: &Value, name: &str| cookie[name].as_str().unwrap_or_default().to_owned();
        let cookies = answer["cookies"].as_array().cloned().unwrap_or_default();
        let cookies = cookies.iter().map(|cookie| StoredCookie {
            name: text(cookie, "name"),
            value: text(cookie, "value"),
            domain: text(cookie, "domain"),
            path: text(cookie, "path"),
            secure: cookie["secure"] == true,
            http_only: cookie["httpOnly"] == true,
            same_site: cookie["sameSite"].as_str().map(str::to_owned),
            session: cookie["session"] == true,
        });
        cookies.collect()
    }

    /// Forgets all cookies, as a person can.
    pub async fn clear_cookies(&self) {
        self.devtools("Storage.clearCookies", json!({})).await;
    }

    /// What the console has said since it was last asked: errors of scripts, of policies, of the network.
    pub async fn console(&self) -> Vec<String> {
        let said = self.log("browser").await;
        // At the level of information it also tells what went well.
        said.iter()
            .filter(|line| line["level"] != "INFO")
            .map(|line| format!("{}: {}", line["level"], line["message"]))
            .collect()
    }

    /// URL and status of every answer that came since this was last asked, redirects included, in order.
    pub async fn answers(&self) -> Vec<(String, u64)> {
        let events = self.log("performance").await;
        let events = events.iter().filter_map(|line| serde_json::from_str::<Value>(line["message"].as_str()?).ok());
        let answers = events.filter_map(|event| match event["message"]["method"].as_str()? {
            "Network.responseReceived" => Some(event["message"]["params"]["response"].clone()),
            "Network.requestWillBeSent" => Some(event["message"]["params"]["redirectResponse"].clone()),
            _ => None,
        });
        answers.filter_map(|answer| Some((answer["url"].as_str()?.to_owned(), answer["status"].as_u64()?))).collect()
    }

    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let lines = self.client.issue_cmd(Log(kind)).await.unwrap_or_else(|error| panic!("log {kind}: {error}"));
        lines.as_array().cloned().unwrap_or_default()
    }

    /// A picture of what is shown, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// Writes a picture into the folder that `VESTIBULE_SCREENSHOTS` names, if it names one; where it is.
    pub async fn screenshot(&self, name: &str) -> Option<PathBuf> {
        let folder = PathBuf::from(std::env::var_os("VESTIBULE_SCREENSHOTS")?);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, self.picture().await).unwrap();
        Some(file)
    }
}

#[derive(Debug)]
struct DevTools {
    command: String,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({"cmd": self.command, "params": self.parameters});
        (http::Method::POST, Some(body.to_string()))
    }
}

/// One of chromedriver's logs; asking empties it.
#[derive(Debug)]
struct Log(&'static str);

impl WebDriverCompatibleCommand for Log {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"type": self.0}).to_string()))
    }
}

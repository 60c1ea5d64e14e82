//! The certified npm `oidc-provider` as a process.
//!
//! Must never be made easier for us than it is for others: what its protocol refuses stays refused. The one guard that is off
//! keeps it from calling loopback addresses, where everything here lives.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::client::{Ask, Browser, Page};
use super::codec::random_name;
use super::gateway::Site;
use super::process::Process;

/// The provider; ends with the value.
pub struct NodeOp {
    process: Process,
    issuer: String,
    control: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
}

impl NodeOp {
    /// With its defaults.
    ///
    /// # Panics
    /// When its modules are not installed, or it does not get ready.
    pub async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    /// With further options: `alg`, `conform` (`false`: claims in the ID token), `access_token_ttl`, `client`.
    ///
    /// # Panics
    /// When its modules are not installed, or it does not get ready.
    pub async fn start_with(mut options: Value) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        let folder = std::env::var_os("VESTIBULE_TEST_PROVIDER").map_or(folder, Into::into);
        assert!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "the npm modules of {} are not installed: run ./tests/run (or `npm ci` there)",
            folder.display()
        );
        let client_id = "vestibule".to_owned();
        let client_secret = random_name("canary-node-client-secret-");
        options["client_id"] = client_id.as_str().into();
        options["client_secret"] = client_secret.as_str().into();
        let mut why = String::new();
        // Once in a few hundred times node gets no further than its imports.
        for _ in 0..3 {
            let mut command = Command::new("node");
            command.current_dir(&folder).arg("op.mjs").arg(options.to_string()).env_remove("NODE_OPTIONS");
            let mut process = Process::spawn("oidc-provider", &mut command);
            match process.line(Duration::from_secs(40), |line| (line == "ready").then_some(())).await {
                Ok(()) => return Self::ready(process, client_id, client_secret),
                Err(silent) => why = silent,
            }
        }
        panic!("{why}");
    }

    fn ready(process: Process, client_id: String, client_secret: String) -> Self {
        let output = process.stdout();
        let said = |what: &str| output.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default().to_owned();
        Self { issuer: said("issuer "), control: said("control "), process, client_id, client_secret }
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Registers the redirect, post-logout and back-channel logout URIs of a gateway.
    pub async fn register(&self, gateway: &impl Site) {
        self.change_client(&json!({
            "redirect_uris": [gateway.url("/oauth2/callback")],
            "post_logout_redirect_uris": [gateway.url("/oauth2/signed_out")],
            "backchannel_logout_uri": gateway.url("/oauth2/logout/backchannel"),
            "backchannel_logout_session_required": true,
        }))
        .await;
    }

    /// Replaces members of the client's registration.
    ///
    /// # Panics
    /// When the provider refuses them.
    pub async fn change_client(&self, members: &Value) {
        self.control("/client", members).await;
    }

    /// New signing keys; `keep` leaves the old ones published.
    ///
    /// # Panics
    /// When the provider refuses.
    pub async fn rotate_keys(&self, keep: bool) {
        self.control("/rotate", &json!({"keep": keep})).await;
    }

    /// What it wrote: its own errors, too.
    pub fn output(&self) -> String {
        self.process.output()
    }

    async fn control(&self, path: &str, body: &Value) {
        let ask = Ask::plain(Method::POST, format!("{}{path}", self.control)).json(body);
        Browser::new().ask(ask).await.expect_status(204);
    }

    /// Goes to `url`, fills in the login form as `user` if it comes up, and ends where that leads.
    ///
    /// # Panics
    /// When the provider shows something else.
    pub async fn sign_in(&self, browser: &Browser, url: &str, user: &str) -> Page {
        let page = browser.navigate(url).await;
        if !page.url.as_str().starts_with(&self.issuer) {
            return page;
        }
        let form = page.clone().expect_status(200).forms().into_iter().next();
        let form = form.unwrap_or_else(|| panic!("no login form at {}: {}", page.url, page.text()));
        let form = form.with("login", user).with("password", "any");
        browser.submit(form.action.as_str(), &form.fields).await
    }

    /// Says yes on the provider's sign-out page.
    ///
    /// # Panics
    /// When that is not where we are.
    pub async fn confirm_sign_out(&self, browser: &Browser, page: &Page) -> Page {
        assert!(page.url.as_str().starts_with(&self.issuer), "not at the provider: {}", page.url);
        let form = page.forms().into_iter().next();
        let form = form.unwrap_or_else(|| panic!("no form at {}: {}", page.url, page.text())).with("logout", "yes");
        browser.submit(form.action.as_str(), &form.fields).await
    }
}

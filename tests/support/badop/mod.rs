//! A scriptable OpenID provider: correct until it is told to do something else.
//!
//! Must never be lenient by itself: client authentication, PKCE, redirect URIs and rotation are checked strictly.
//!
//! ```ignore
//! let op = BadOp::start().await;
//! op.script(|s| { s.id_token_claims(|claims| claims["nonce"] = "wrong".into()); });
//! // … a login …
//! assert_eq!(op.count(Endpoint::Token), 1);
//! ```

mod answer;
mod authorize;
mod documents;
mod end_session;
mod issue;
mod keys;
mod script;
mod serve;
mod state;
mod token;
mod weak_rsa;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use keys::Key;
pub use script::{Gate, Script};
pub use state::{Client, Recorded};

use super::client::{Ask, Browser, Page};
use super::tls::{TestCa, install_crypto};
use state::State;

/// The provider's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`
    Discovery,
    /// `/jwks`
    Jwks,
    /// `/authorize`
    Authorize,
    /// `/token`
    Token,
    /// `/userinfo`
    Userinfo,
    /// `/revoke`
    Revocation,
    /// `/introspect`
    Introspection,
    /// `/end_session`
    EndSession,
    /// Anything else: nothing of ours should ever be seen there.
    Other,
}

/// How the provider is set up.
#[derive(Default)]
pub struct Setup {
    path: String,
    tls: Option<TestCa>,
}

impl Setup {
    /// A path in the issuer, such as `/realms/staff` or `/realms/staff/`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// https under a certificate for `127.0.0.1`.
    #[must_use]
    pub fn tls(mut self, ca: &TestCa) -> Self {
        self.tls = Some(ca.clone());
        self
    }

    /// Starts it.
    pub async fn start(self) -> BadOp {
        install_crypto();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let issuer = format!("{scheme}://{address}{}", self.path);
        let acceptor = self.tls.as_ref().map(|ca| TlsAcceptor::from(ca.server_config(&["127.0.0.1"], &["http/1.1"])));
        let op = BadOp {
            issuer: issuer.clone(),
            address,
            acceptor,
            tls: self.tls,
            state: Arc::new(Mutex::new(State::new(issuer))),
            server: Mutex::default(),
        };
        op.serve(listener);
        op
    }
}

/// The provider; ends with the value.
pub struct BadOp {
    issuer: String,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    tls: Option<TestCa>,
    state: Arc<Mutex<State>>,
    server: Mutex<JoinSet<()>>,
}

impl BadOp {
    /// On a loopback port of its own, http.
    pub async fn start() -> Self {
        Self::setup().start().await
    }

    /// To be set up further.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Its issuer, exactly.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The client that is registered from the start.
    pub fn client(&self) -> Client {
        self.state.lock().unwrap().clients[0].clone()
    }

    /// Registers or replaces a client.
    pub fn register(&self, client: Client) {
        let mut state = self.state.lock().unwrap();
        state.clients.retain(|known| known.id != client.id);
        state.clients.insert(0, client);
    }

    /// Changes the client that is registered from the start.
    pub fn change_client(&self, change: impl FnOnce(&mut Client)) {
        change(&mut self.state.lock().unwrap().clients[0]);
    }

    /// Adds to what it does differently. Holds for every request from now on.
    pub fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.state.lock().unwrap().script)
    }

    /// Is good again.
    pub fn behave(&self) {
        self.state.lock().unwrap().script = Script::default();
    }

    /// Keeps answers of an endpoint back until the gate is opened; what was asked has been done by then.
    pub fn hold(&self, endpoint: Endpoint) -> Gate {
        self.script(|script| script.hold(endpoint))
    }

    /// Sets a claim of a user, from now on.
    pub fn set_claim(&self, sub: &str, name: &str, value: impl Into<Value>) {
        self.state.lock().unwrap().user(sub)[name] = value.into();
    }

    /// How often an endpoint was asked.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.requests(endpoint).len()
    }

    /// The requests to an endpoint, in order.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Recorded> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|request| request.endpoint == endpoint).cloned().collect()
    }

    /// All requests, in order.
    pub fn all_requests(&self) -> Vec<Recorded> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The newest request to an endpoint.
    ///
    /// # Panics
    /// When there was none.
    pub fn last(&self, endpoint: Endpoint) -> Recorded {
        self.requests(endpoint).pop().unwrap_or_else(|| panic!("no request to {endpoint:?}"))
    }

    /// How often a grant was asked for at the token endpoint (`authorization_code`, `refresh_token`…).
    pub fn grants(&self, grant: &str) -> usize {
        self.requests(Endpoint::Token).iter().filter(|request| request.param("grant_type") == Some(grant)).count()
    }

    /// Forgets the requests.
    pub fn forget(&self) {
        self.state.lock().unwrap().requests.clear();
    }

    /// Every token and code that it has issued, and the secrets and verifiers that clients have shown it: none of them may be
    /// found outside.
    pub fn issued_secrets(&self) -> Vec<String> {
        self.state.lock().unwrap().secrets()
    }

    /// The tokens among them, in order: access, refresh and ID tokens.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.state.lock().unwrap().issued.clone()
    }

    /// The newest ID token.
    ///
    /// # Panics
    /// When there is none.
    pub fn last_id_token(&self) -> String {
        self.state.lock().unwrap().id_tokens.last().cloned().expect("an ID token")
    }

    /// The `sid` of the newest login.
    ///
    /// # Panics
    /// When there was none.
    pub fn last_sid(&self) -> String {
        self.state.lock().unwrap().last_sid.clone().expect("a login at the provider")
    }

    /// Tokens that clients have revoked here.
    pub fn revoked(&self) -> Vec<String> {
        self.state.lock().unwrap().revoked.clone()
    }

    /// Whether an access or refresh token that it issued is still good.
    pub fn is_alive(&self, token: &str) -> bool {
        self.state.lock().unwrap().is_alive(token)
    }

    /// How often a rotated refresh token was used again: a sign of a broken refresh.
    pub fn reuses(&self) -> usize {
        self.state.lock().unwrap().reuses
    }

    /// Ends every grant, as an administrator does: refreshes get `invalid_grant`.
    pub fn end_grants(&self) {
        self.state.lock().unwrap().end_grants();
    }

    /// New keys; the old ones are published no longer.
    pub fn rotate_keys(&self) {
        self.state.lock().unwrap().rotate_keys(false);
    }

    /// New keys; the old ones stay published.
    pub fn add_keys(&self) {
        self.state.lock().unwrap().rotate_keys(true);
    }

    /// The published RSA key as PEM.
    pub fn rsa_pem(&self) -> String {
        self.state.lock().unwrap().keys.rsa_pem()
    }

    /// Any JWT under any key; `alg` and `kid` of the key unless `header` has them.
    pub fn sign(&self, key: &Key, header: Value, claims: &Value) -> String {
        self.state.lock().unwrap().sign(key, header, &claims.to_string())
    }

    /// A JWT access token (RFC 9068) for `audience`, changed by `change`.
    pub fn access_token(&self, audience: &str, change: impl FnOnce(&mut Value)) -> String {
        self.state.lock().unwrap().jwt_access_token(audience, change)
    }

    /// A logout token for the first client, by the script.
    pub fn logout_token(&self, sub: Option<&str>, sid: Option<&str>) -> String {
        self.state.lock().unwrap().logout_token(sub, sid)
    }

    /// Posts a logout token as the provider does; `browser` only carries it (no cookies are sent).
    pub async fn send_logout(&self, browser: &Browser, url: &str, token: &str) -> Page {
        let ask = Ask::plain(http::Method::POST, url)
            .without_cookies()
            .header("content-type", "application/x-www-form-urlencoded")
            .body(super::codec::form(&[("logout_token", token)]));
        browser.ask(ask).await
    }

    /// Stops listening and closes every connection; what it knows stays.
    pub async fn stop(&self) {
        let mut server = std::mem::take(&mut *self.server.lock().unwrap());
        server.shutdown().await;
    }

    /// Listens again on the same port.
    pub async fn start_again(&self) {
        let listener = super::wait::eventually("the provider's port", Duration::from_secs(5), || async {
            TcpListener::bind(self.address).await.ok()
        });
        self.serve(listener.await);
    }

    fn serve(&self, listener: TcpListener) {
        let serving = serve::run(listener, self.acceptor.clone(), Arc::clone(&self.state), self.tls.clone());
        self.server.lock().unwrap().spawn(serving);
    }
}

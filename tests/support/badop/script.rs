//! What the provider does differently from a good one.
//!
//! Must never hold state of a login: it is a list of changes, applied in the order in which they were given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use super::Endpoint;
use super::keys::Key;
use super::state::Recorded;

/// How long an answer waits, by the request and whom it is for.
type Pace = Arc<dyn Fn(&Recorded, &str) -> Duration + Send + Sync>;
type Change<T> = Arc<dyn Fn(&mut T) + Send + Sync>;
type Params = Vec<(String, String)>;

/// What goes wrong at an endpoint.
#[derive(Clone)]
pub(super) enum Fault {
    /// Answer with this status without doing anything.
    Fail(u16),
    /// Close the connection without doing anything.
    Drop,
    /// Do it, then close the connection without an answer.
    Lose,
    /// Do it, then answer with exactly this.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// A 200 whose body never ends.
    Endless,
    /// Do it, then wait at the gate.
    Hold(Gate),
}

/// The changes.
#[derive(Clone, Default)]
pub struct Script {
    pub(super) user: Option<String>,
    pub(super) sign_with: Option<Key>,
    pub(super) claims: Vec<Change<Value>>,
    pub(super) header: Vec<Change<Value>>,
    pub(super) payload: Vec<Change<String>>,
    pub(super) logout_claims: Vec<Change<Value>>,
    pub(super) logout_header: Vec<Change<Value>>,
    pub(super) token: Vec<Change<Value>>,
    pub(super) refresh: Vec<Change<Value>>,
    pub(super) userinfo: Vec<Change<Value>>,
    pub(super) introspection: Vec<Change<Value>>,
    pub(super) discovery: Vec<Change<Value>>,
    pub(super) jwks: Vec<Change<Value>>,
    pub(super) authorize: Vec<Change<Params>>,
    pub(super) delays: BTreeMap<Endpoint, Duration>,
    pub(super) pace: Option<Pace>,
    pub(super) faults: BTreeMap<Endpoint, (Fault, Option<usize>)>,
    pub(super) headers: BTreeMap<Endpoint, Vec<(String, String)>>,
    pub(super) error: Option<(String, String)>,
    pub(super) signed_out: bool,
    pub(super) expires_in: Option<i64>,
    pub(super) without_refresh_token: bool,
    pub(super) without_rotation: bool,
    pub(super) without_id_token_on_refresh: bool,
    pub(super) new_sid_each_time: bool,
    pub(super) calls_back_at_end_session: bool,
}

impl Script {
    /// Who signs in from now on (`alice` unless told).
    pub fn user(&mut self, sub: &str) -> &mut Self {
        self.user = Some(sub.to_owned());
        self
    }

    /// How ID tokens and logout tokens are signed (`Key::Es256` unless told).
    pub fn sign_with(&mut self, key: Key) -> &mut Self {
        self.sign_with = Some(key);
        self
    }

    /// Changes the claims of ID tokens.
    pub fn id_token_claims(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.claims.push(Arc::new(change));
        self
    }

    /// Changes the header of ID tokens.
    pub fn id_token_header(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.header.push(Arc::new(change));
        self
    }

    /// Changes the payload of ID tokens as text, before it is signed: for duplicate members and broken JSON.
    pub fn id_token_payload(&mut self, change: impl Fn(&mut String) + Send + Sync + 'static) -> &mut Self {
        self.payload.push(Arc::new(change));
        self
    }

    /// Changes the claims of logout tokens.
    pub fn logout_token_claims(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.logout_claims.push(Arc::new(change));
        self
    }

    /// Changes the header of logout tokens.
    pub fn logout_token_header(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.logout_header.push(Arc::new(change));
        self
    }

    /// Changes every successful answer of the token endpoint.
    pub fn token_answer(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.token.push(Arc::new(change));
        self
    }

    /// Changes successful answers to refreshes only.
    pub fn refresh_answer(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.refresh.push(Arc::new(change));
        self
    }

    /// Changes the answer of the userinfo endpoint.
    pub fn userinfo_answer(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.userinfo.push(Arc::new(change));
        self
    }

    /// Changes the answer of the introspection endpoint.
    pub fn introspection_answer(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.introspection.push(Arc::new(change));
        self
    }

    /// Changes the metadata.
    pub fn discovery(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.discovery.push(Arc::new(change));
        self
    }

    /// Changes the key set document.
    pub fn jwks(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> &mut Self {
        self.jwks.push(Arc::new(change));
        self
    }

    /// Changes the parameters of the authorization response (`code`, `state`, `iss`, or `error`…).
    pub fn authorize_answer(
        &mut self,
        change: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static,
    ) -> &mut Self {
        self.authorize.push(Arc::new(change));
        self
    }

    /// Waits so long before each answer.
    pub fn delay(&mut self, endpoint: Endpoint, time: Duration) -> &mut Self {
        self.delays.insert(endpoint, time);
        self
    }

    /// Asks `pace` how long each answer of the token endpoint waits, once it has been made; it is told the request and the user
    /// whose code or refresh token came.
    pub fn pace(&mut self, pace: impl Fn(&Recorded, &str) -> Duration + Send + Sync + 'static) -> &mut Self {
        self.pace = Some(Arc::new(pace));
        self
    }

    /// Answers with that status and does nothing.
    pub fn fail(&mut self, endpoint: Endpoint, status: u16) -> &mut Self {
        self.fault(endpoint, Fault::Fail(status))
    }

    /// Closes the connection and does nothing.
    pub fn drop_connection(&mut self, endpoint: Endpoint) -> &mut Self {
        self.fault(endpoint, Fault::Drop)
    }

    /// Does what was asked, then closes the connection without telling.
    pub fn lose_answer(&mut self, endpoint: Endpoint) -> &mut Self {
        self.fault(endpoint, Fault::Lose)
    }

    /// Does what was asked, then answers with exactly this.
    pub fn answer(
        &mut self,
        endpoint: Endpoint,
        status: u16,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> &mut Self {
        self.answer_with(endpoint, status, &[("content-type", content_type)], body)
    }

    /// The same with any headers.
    pub fn answer_with(
        &mut self,
        endpoint: Endpoint,
        status: u16,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> &mut Self {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.fault(endpoint, Fault::Answer { status, headers, body: body.into() })
    }

    /// Answers 200 with a body that never ends.
    pub fn endless(&mut self, endpoint: Endpoint) -> &mut Self {
        self.fault(endpoint, Fault::Endless)
    }

    /// Does what was asked, then keeps each answer back until the gate opens.
    pub fn hold(&mut self, endpoint: Endpoint) -> Gate {
        let gate = Gate::new();
        self.fault(endpoint, Fault::Hold(gate.clone()));
        gate
    }

    /// Makes the fault of an endpoint happen so many times only.
    ///
    /// # Panics
    /// When the endpoint has none.
    pub fn times(&mut self, endpoint: Endpoint, n: usize) -> &mut Self {
        self.faults.get_mut(&endpoint).expect("a fault to limit").1 = Some(n);
        self
    }

    /// Takes fault and delay of an endpoint away.
    pub fn heal(&mut self, endpoint: Endpoint) -> &mut Self {
        self.faults.remove(&endpoint);
        self.delays.remove(&endpoint);
        self
    }

    /// Adds a header to the answers of an endpoint (`cache-control`…).
    pub fn header(&mut self, endpoint: Endpoint, name: &str, value: &str) -> &mut Self {
        self.headers.entry(endpoint).or_default().push((name.to_owned(), value.to_owned()));
        self
    }

    /// Refuses authorization requests with this error.
    pub fn deny(&mut self, error: &str, description: &str) -> &mut Self {
        self.error = Some((error.to_owned(), description.to_owned()));
        self
    }

    /// Nobody is signed in at the provider: `prompt=none` gets `login_required`.
    pub fn signed_out(&mut self) -> &mut Self {
        self.signed_out = true;
        self
    }

    /// `expires_in` of access tokens (300 unless told).
    pub fn expires_in(&mut self, seconds: i64) -> &mut Self {
        self.expires_in = Some(seconds);
        self
    }

    /// Grants no refresh token.
    pub fn without_refresh_token(&mut self) -> &mut Self {
        self.without_refresh_token = true;
        self
    }

    /// Keeps refresh tokens valid and leaves them out of refresh answers.
    pub fn without_rotation(&mut self) -> &mut Self {
        self.without_rotation = true;
        self
    }

    /// Leaves the ID token out of refresh answers.
    pub fn without_id_token_on_refresh(&mut self) -> &mut Self {
        self.without_id_token_on_refresh = true;
        self
    }

    /// Gives each login its own `sid`, also in one browser.
    pub fn new_sid_each_time(&mut self) -> &mut Self {
        self.new_sid_each_time = true;
        self
    }

    /// Sends the logout token to the client before the end-session request is answered.
    pub fn calls_back_at_end_session(&mut self) -> &mut Self {
        self.calls_back_at_end_session = true;
        self
    }

    fn fault(&mut self, endpoint: Endpoint, fault: Fault) -> &mut Self {
        self.faults.insert(endpoint, (fault, None));
        self
    }

    /// Takes the fault for one request.
    pub(super) fn next_fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let (fault, left) = self.faults.get_mut(&endpoint)?;
        match left {
            Some(0) => return None,
            Some(n) => *n -= 1,
            None => {}
        }
        Some(fault.clone())
    }
}

/// Holds answers back until it is opened.
#[derive(Clone)]
pub struct Gate {
    arrived: Arc<(std::sync::atomic::AtomicUsize, Notify)>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { arrived: Arc::default(), open: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until a request waits here.
    pub async fn arrived(&self) {
        self.arrived_times(1).await;
    }

    /// Waits until so many requests have come here.
    ///
    /// # Panics
    /// When they have not within 15 seconds.
    pub async fn arrived_times(&self, n: usize) {
        let come = async {
            loop {
                let next = self.arrived.1.notified();
                if self.arrived.0.load(std::sync::atomic::Ordering::SeqCst) >= n {
                    return;
                }
                next.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), come).await.expect("a request at the gate");
    }

    /// Lets everybody pass, those still to come too.
    pub fn open(&self) {
        self.open.close();
    }

    pub(super) async fn wait(&self) {
        self.arrived.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.arrived.1.notify_waiters();
        // A closed semaphore is an open gate.
        let _ = self.open.acquire().await;
    }
}

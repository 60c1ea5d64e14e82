//! Our own pages and JSON, below the endpoints' prefix (`/oauth2/`).
//!
//! Nothing below the prefix ever reaches an upstream, whether we know the path or not (OPS-10). Every answer here is
//! `no-store`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::{Caller, Credential, Refresher, identify};
use crate::base::{Clock, Random, Timestamp};
use crate::identity::Identity;
use crate::oidc::Provider;
use crate::route::Table;
use crate::session::{LiveSession, Session, Sessions, StoreError};
use crate::telemetry::Metrics;
use crate::telemetry::audit::Record;
use crate::telemetry::metrics::Word;
use crate::web::{
    Body, ClientRequest, CookieSettings, Format, Network, Problem, RequestId, ReturnTo, Verdict, set_cookie,
};

mod attempt;
mod callback;
mod events;
mod form;
mod form_post;
mod jwks;
mod login;
mod logout;
mod loop_breaker;
mod own_sessions;
mod provider_logout;
mod rate;
mod session;
mod userinfo;

pub use login::Start;
pub use rate::{Counted, Rate};

/// What the endpoints work with.
#[derive(Debug)]
pub struct Endpoints {
    /// The session service.
    pub sessions: Arc<Sessions>,
    /// The providers, by their configured names.
    pub providers: Arc<BTreeMap<Arc<str>, Provider>>,
    /// Keeps tokens fresh.
    pub refresher: Arc<Refresher>,
    /// The signing keys.
    pub identity: Arc<Identity>,
    /// The routes: a login for a path goes to the provider of its route.
    pub routes: Arc<Table>,
    /// Public origins, prefix.
    pub network: Arc<Network>,
    /// How our cookies are marked.
    pub cookie: CookieSettings,
    /// How many logins one address may start, and how often it may fail.
    pub rate: Rate,
    /// Set when the process is going away.
    pub closing: CancellationToken,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Unguessable bytes.
    pub random: Arc<dyn Random>,
}

/// One of our paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Login,
    Callback,
    Logout,
    SignedOut,
    Userinfo,
    Session,
    SessionRefresh,
    SessionEvents,
    Sessions,
    SessionsRevoke,
    BackchannelLogout,
    FrontchannelLogout,
    Jwks,
    /// Below the prefix, and not one that we know.
    Unknown,
}

impl Endpoints {
    /// Which of our paths this is; `None` for the applications' own.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Endpoint> {
        if path == "/.well-known/jwks.json" {
            return Some(Endpoint::Jwks);
        }
        let below = path.strip_prefix(self.network.endpoints())?;
        if below.is_empty() {
            return Some(Endpoint::Unknown);
        }
        Some(match below.strip_prefix('/')? {
            "login" | "start" | "sign_in" => Endpoint::Login,
            "callback" => Endpoint::Callback,
            "logout" | "sign_out" => Endpoint::Logout,
            "signed_out" => Endpoint::SignedOut,
            "userinfo" => Endpoint::Userinfo,
            "session" => Endpoint::Session,
            "session/refresh" => Endpoint::SessionRefresh,
            "session/events" => Endpoint::SessionEvents,
            "sessions" => Endpoint::Sessions,
            "sessions/revoke" => Endpoint::SessionsRevoke,
            "logout/backchannel" => Endpoint::BackchannelLogout,
            "logout/frontchannel" => Endpoint::FrontchannelLogout,
            "jwks" => Endpoint::Jwks,
            _ => Endpoint::Unknown,
        })
    }

    /// Answers a request for one of our paths.
    pub async fn serve(
        &self,
        endpoint: Endpoint,
        client: &ClientRequest,
        body: Body,
        now: Timestamp,
    ) -> Response<Body> {
        if !endpoint.methods().contains(&client.method) {
            return not_allowed(endpoint, client);
        }
        match endpoint {
            Endpoint::Login if client.method == Method::POST => self.initiated_login(client, body).await,
            Endpoint::Login => self.login(client, now).await,
            Endpoint::Callback => self.callback(client, body, now).await,
            Endpoint::Logout => self.logout(client, body, now).await,
            Endpoint::SignedOut => self.signed_out(client, now),
            Endpoint::Userinfo => self.userinfo(client, now).await,
            Endpoint::Session => self.session(client, now).await,
            Endpoint::SessionRefresh => self.session_refresh(client, now).await,
            Endpoint::SessionEvents => self.session_events(client, now).await,
            Endpoint::Sessions => self.own_sessions(client, now).await,
            Endpoint::SessionsRevoke => self.revoke_own(client, body, now).await,
            Endpoint::BackchannelLogout => self.backchannel_logout(client, body, now).await,
            Endpoint::FrontchannelLogout => self.frontchannel_logout(client).await,
            Endpoint::Jwks => self.jwks(client),
            Endpoint::Unknown => Problem::new(StatusCode::NOT_FOUND, "There is nothing here")
                .detail("The gateway keeps this path for its own endpoints, and this is none of them.")
                .answer(client.format(), &client.request_id),
        }
    }

    /// A target that somebody named, if it is safe.
    fn return_to(&self, raw: &str, client: &ClientRequest) -> Option<ReturnTo> {
        ReturnTo::parse(raw, &client.origin, &self.network)
    }

    /// The address of one of our own paths, on the origin that the browser sees.
    pub fn own_path(&self, name: &str) -> String {
        format!("{}/{name}", self.network.endpoints())
    }

    /// The session that the cookie opens, if any.
    async fn caller(&self, client: &ClientRequest, now: Timestamp) -> Result<Caller, Denied> {
        let credential = Credential::from_cookie(&client.cookies.session);
        if matches!(credential, Credential::Several) {
            return Err(Denied::SeveralCookies);
        }
        Ok(identify(credential, &self.sessions, client, now, Instant::now()).await?)
    }

    /// The session that the cookie opens, or the answer that says what is missing.
    async fn signed_in(&self, client: &ClientRequest, now: Timestamp) -> Result<Arc<LiveSession>, Box<Response<Body>>> {
        match self.caller(client, now).await {
            Ok(Caller::Person(live)) => Ok(live),
            Ok(Caller::Anonymous { dead_cookie }) => Err(Box::new(self.challenge(client, dead_cookie))),
            Err(denied) => Err(Box::new(denied.answer(client))),
        }
    }

    /// 429 for an address that has used up its allowance of `what`; `None` counts nothing.
    fn held_back(
        &self,
        what: Counted,
        title: &'static str,
        client: &ClientRequest,
        now: Timestamp,
    ) -> Option<Response<Body>> {
        let wait = self.rate.may(what, client.address, now).err()?;
        self.metrics.limited.get_or_create(&Word { kind: what.as_str() }).inc();
        Some(too_many(title, wait, client))
    }

    /// 401: a bearer token that this route does not take; 429 for an address that comes with such all the time.
    #[must_use]
    pub fn refuse_bearer(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        if let Err(wait) = self.rate.count(Counted::FailedBearer, client.address, now) {
            self.metrics.limited.get_or_create(&Word { kind: Counted::FailedBearer.as_str() }).inc();
            return too_many("Too many bearer tokens that are not taken", wait, client);
        }
        let mut answer = self.challenge(client, false);
        let wanted = http::HeaderValue::from_static("Bearer error=\"invalid_token\"");
        answer.headers_mut().insert(http::header::WWW_AUTHENTICATE, wanted);
        answer
    }

    /// 401: sign in first. Sets no cookie; deletes one that opens nothing any more.
    #[must_use]
    pub fn challenge(&self, client: &ClientRequest, dead_cookie: bool) -> Response<Body> {
        self.sign_in_first(self.login_url(client), client.format(), &client.request_id, dead_cookie)
    }

    /// The same where the request is gone. `login` is what [`Endpoints::login_url`] said of it.
    #[must_use]
    pub fn sign_in_first(
        &self,
        login: String,
        format: Format,
        request_id: &RequestId,
        dead_cookie: bool,
    ) -> Response<Body> {
        let mut answer = Problem::new(StatusCode::UNAUTHORIZED, "Sign in first")
            .detail("This needs a session, and the request carried none that is alive.")
            .login(login)
            .answer(format, request_id);
        if dead_cookie {
            answer.headers_mut().append(http::header::SET_COOKIE, set_cookie::delete(&self.cookie, &self.cookie.name));
        }
        answer
    }

    /// Where a person signs in and comes back to what they asked for, as an absolute URL.
    #[must_use]
    pub fn login_url(&self, client: &ClientRequest) -> String {
        let mut url = format!("{}{}", client.origin, self.own_path("login"));
        // A script's own URL is no place for a person to land on; the page that holds it is, and we don't know that one.
        if client.fetch.is_navigation() && matches!(client.method, Method::GET | Method::HEAD) {
            let target = ReturnTo::of(client, &self.network);
            let query =
                url::form_urlencoded::Serializer::new(String::new()).append_pair("rd", target.as_str()).finish();
            url.push('?');
            url.push_str(&query);
        }
        url
    }
}

impl Endpoint {
    fn methods(self) -> &'static [Method] {
        match self {
            Self::FrontchannelLogout | Self::SessionEvents => &[Method::GET],
            Self::Login => &[Method::GET, Method::HEAD, Method::POST],
            Self::SignedOut | Self::Userinfo | Self::Session | Self::Sessions | Self::Jwks => {
                &[Method::GET, Method::HEAD]
            }
            Self::Callback | Self::Logout => &[Method::GET, Method::POST],
            Self::SessionRefresh | Self::SessionsRevoke | Self::BackchannelLogout => &[Method::POST],
            Self::Unknown => {
                &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
            }
        }
    }
}

/// Why an endpoint does not know who is calling.
enum Denied {
    SeveralCookies,
    Store(StoreError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Denied {
    fn answer(&self, client: &ClientRequest) -> Response<Body> {
        match self {
            Self::SeveralCookies => several_cookies(client.format(), client),
            Self::Store(error) => store_away(error, client),
        }
    }
}

/// What an audit event says of a person's own session.
fn about<'a>(client: &'a ClientRequest, session: &'a Session) -> Record<'a> {
    Record {
        request_id: Some(&client.request_id),
        provider: Some(&session.provider),
        issuer: Some(&session.issuer),
        subject: Some(&session.subject),
        sid: Some(session.sid.as_str()),
        address: Some(&client.address),
        ..Record::default()
    }
}

/// 403: only our own pages may ask for this with a person's cookie.
fn from_elsewhere(client: &ClientRequest) -> Option<Response<Body>> {
    match client.fetch.judge(&client.method, false, &[], &client.origin) {
        Verdict::Allow => None,
        Verdict::Refuse(reason) => Some(
            Problem::new(StatusCode::FORBIDDEN, "Another site may not do this here")
                .detail(reason.to_string())
                .answer(client.format(), &client.request_id),
        ),
    }
}

/// 400: whose request is it? (SESS-09)
#[must_use]
pub fn several_cookies(format: Format, client: &ClientRequest) -> Response<Body> {
    Problem::new(StatusCode::BAD_REQUEST, "Several session cookies")
        .detail(
            "The browser sent more than one session cookie, so it is not certain whose request this is. \
             Delete this site's cookies and sign in again.",
        )
        .answer(format, &client.request_id)
}

/// 503: the store cannot say. Nothing is cleared, nobody is sent to sign in (SESS-13).
#[must_use]
pub fn store_away(error: &StoreError, client: &ClientRequest) -> Response<Body> {
    tracing::warn!(request_id = %client.request_id, %error, "the store cannot answer");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Sessions cannot be checked right now")
        .detail("You are still signed in. Please try again in a moment.")
        .retry_after(std::time::Duration::from_secs(1))
        .answer(client.format(), &client.request_id)
}

/// 503: the session's tokens are over, and the provider does not answer. The session is kept (REF-04).
#[must_use]
pub fn provider_away(client: &ClientRequest) -> Response<Body> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Your session cannot be renewed right now")
        .detail("The sign-in service does not answer. You are still signed in. Please try again in a moment.")
        .retry_after(std::time::Duration::from_secs(2))
        .answer(client.format(), &client.request_id)
}

/// 429: this address failed too often, or began too many logins.
fn too_many(title: &'static str, wait: Duration, client: &ClientRequest) -> Response<Body> {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, title)
        .detail("Try again in a moment.")
        .retry_after(wait)
        .answer(client.format(), &client.request_id)
}

/// 401 with what is missing (RFC 9470 section 3): the session is alive, but too weak or too old for this.
#[must_use]
pub fn step_up(client: &ClientRequest, login: String, acr: &[String], max_age: Option<Duration>) -> Response<Body> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut wanted = String::from("Bearer error=\"insufficient_user_authentication\"");
    if !acr.is_empty() {
        let acr = acr.join(" ");
        query.append_pair("acr_values", &acr);
        wanted.push_str(&format!(", acr_values=\"{}\"", acr.replace(['"', '\\'], "")));
    }
    if let Some(max_age) = max_age {
        query.append_pair("max_age", &max_age.as_secs().to_string());
        wanted.push_str(&format!(", max_age=\"{}\"", max_age.as_secs()));
    }
    let mut answer = Problem::new(StatusCode::UNAUTHORIZED, "Sign in again")
        .detail("This part needs a stronger or a fresher sign-in than the one that you have.")
        .login(format!("{login}?{}", query.finish()))
        .answer(client.format(), &client.request_id);
    if let Ok(wanted) = http::HeaderValue::from_str(&wanted) {
        answer.headers_mut().insert(http::header::WWW_AUTHENTICATE, wanted);
    }
    answer
}

fn not_allowed(endpoint: Endpoint, client: &ClientRequest) -> Response<Body> {
    let allow = endpoint.methods().iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut answer = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This method is not for this endpoint")
        .detail(format!("It takes {allow}."))
        .answer(client.format(), &client.request_id);
    if let Ok(allow) = http::HeaderValue::from_str(&allow) {
        answer.headers_mut().insert(http::header::ALLOW, allow);
    }
    answer
}

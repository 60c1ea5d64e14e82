//! `GET|POST callback`: from a code to a session.
//!
//! In this order, and each step only with what the one before proved: the attempt of this very browser, `iss`, errors, the
//! state burnt, the code redeemed, the ID token, userinfo, the session.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{Method, Response, StatusCode};

use super::form_post::Carried;
use super::{Counted, Denied, Endpoints, Start, attempt, login, loop_breaker, store_away};
use crate::access::Caller;
use crate::base::{Blame, Blamed, Secret, Timestamp};
use crate::oidc::{Asked, AuthorizationResponse, LoginAttempt, Outcome, Provider, ProviderError};
use crate::session::{Created, Ended, LiveSession, NewSession, OperatorMeta, StoreError, Tokens};
use crate::telemetry::audit::{self, Event, Record};
use crate::telemetry::metrics::Word;
use crate::web::fetch::Site;
use crate::web::{Body, ClientRequest, Page, Problem, ReturnTo, SameSite, set_cookie};

/// Why a callback made no session.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// This browser did not begin this login, or began it too long ago.
    #[error("this browser began no login with this state, or too long ago")]
    NoAttempt {
        /// The login was started a second time already.
        again: bool,
    },
    /// Somebody redeemed it already.
    #[error("this login came back before")]
    Burnt(ReturnTo),
    /// The provider said no.
    #[error("the provider answered with the error {code}")]
    Provider {
        /// A registered error code.
        code: &'static str,
        /// The `error_description` parameter, bounded; shown escaped.
        description: Option<String>,
    },
    /// Something in the provider's answers does not hold, or it is away.
    #[error(transparent)]
    Answer(#[from] ProviderError),
    /// The user's sessions were revoked while the login was under way.
    #[error("the user's sessions were revoked while the login was under way")]
    Revoked,
    /// The store cannot say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure {
    /// Whether it may be somebody who tries things out: trouble of the provider or the store is nobody's attempt, and who comes with
    /// a login that was redeemed already pressed a button twice.
    fn counts(&self) -> bool {
        match self {
            Self::NoAttempt { .. } | Self::Provider { .. } => true,
            Self::Answer(error) => !error.is_temporary(),
            Self::Burnt(_) | Self::Revoked | Self::Store(_) => false,
        }
    }
}

impl Endpoints {
    pub(super) async fn callback(&self, client: &ClientRequest, body: Body, now: Timestamp) -> Response<Body> {
        if let Some(refused) = self.held_back(Counted::FailedCallback, "Too many logins that failed", client, now) {
            return refused;
        }
        if client.method == Method::POST {
            return self.posted_callback(client, body, now).await;
        }
        if self.cookie.same_site == SameSite::Strict && led_here_from_elsewhere(client) {
            return self.ask_again_from_here(client);
        }
        if let Some(Carried { state, response, forget }) = self.carried(client, now) {
            let mut answer = match response {
                Some(response) => self.answered(client, response, now).await,
                None => self.failed(client, no_attempt(&state), &state, now).await,
            };
            answer.headers_mut().extend(forget.map(|line| (SET_COOKIE, line)));
            return answer;
        }
        let query = url::form_urlencoded::parse(client.query().unwrap_or_default().as_bytes()).into_owned();
        match self.authorization_response(client, query) {
            Some(response) => self.answered(client, response, now).await,
            None => self.malformed(client, now),
        }
    }

    /// The parameters as a response, if they are one.
    pub(super) fn authorization_response(
        &self,
        client: &ClientRequest,
        parameters: impl IntoIterator<Item = (String, String)>,
    ) -> Option<AuthorizationResponse> {
        AuthorizationResponse::parse(parameters)
            .inspect_err(
                |error| tracing::info!(request_id = %client.request_id, %error, "not an authorization response"),
            )
            .ok()
    }

    /// From an authorization response to the answer.
    pub(super) async fn answered(
        &self,
        client: &ClientRequest,
        response: AuthorizationResponse,
        now: Timestamp,
    ) -> Response<Body> {
        let state = response.state.clone();
        match self.redeem(client, response, now).await {
            Ok((live, target)) => self.welcome(client, &live, &target, state.expose()),
            Err(failure) => self.failed(client, failure, state.expose(), now).await,
        }
    }

    /// `SameSite=Strict` cookies only come with what our own pages begin: a page of ours asks for the same address again.
    fn ask_again_from_here(&self, client: &ClientRequest) -> Response<Body> {
        let again = format!("{}?{}&{ASKED_AGAIN}", self.own_path("callback"), client.query().unwrap_or_default());
        let body = maud::html! { p class="actions" { a class="button" href=(again) { "Go on" } } };
        Page::new(StatusCode::OK, "One moment", body).goes_on_to(&again).answer()
    }

    /// The steps from an authorization response to a session.
    async fn redeem(
        &self,
        client: &ClientRequest,
        response: AuthorizationResponse,
        now: Timestamp,
    ) -> Result<(Arc<LiveSession>, ReturnTo), Failure> {
        let state = response.state.expose();
        let unknown = || no_attempt(state);
        let attempt = attempt::recall(state, client, &self.cookie, self.sessions.ring(), now).ok_or_else(unknown)?;
        let provider = self.providers.get(&attempt.provider).ok_or_else(unknown)?;
        // Proven when the attempt was sealed; read again all the same, since a reload may have changed our origins.
        let target = self.return_to(&attempt.return_to, client).unwrap_or_else(ReturnTo::root);
        provider.check_response(&response).await?;
        let code = match response.outcome {
            Outcome::Code(code) => code,
            Outcome::Refused { code, description } => return Err(Failure::Provider { code, description }),
        };
        let born = self.sessions.burn_attempt(state, now).await?.ok_or_else(|| Failure::Burnt(target.clone()))?;
        let new = self.sign_in(provider, &attempt, code, client).await?;
        let earlier = match self.caller(client, now).await {
            Ok(Caller::Person(live)) => Some(live),
            Ok(Caller::Anonymous { .. }) | Err(Denied::SeveralCookies) => None,
            Err(Denied::Store(error)) => return Err(error.into()),
        };
        let meta = OperatorMeta {
            address: client.address.to_string(),
            agent: client
                .headers
                .get(http::header::USER_AGENT)
                .map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned())
                .unwrap_or_default(),
        };
        let live = match self.sessions.create(new, born, meta, self.clock.now()).await? {
            Created::Created(live) => live,
            Created::Revoked => return Err(Failure::Revoked),
        };
        // The new session stands; only now may the old one go (SESS-02, LOGIN-20).
        if let Some(earlier) = earlier {
            self.sessions.end(&earlier, Ended::Logout).await?;
            let about = super::about(client, earlier.session());
            audit::write(Event::SessionEnded, Record { reason: Some("replaced by a new login"), ..about });
        }
        Ok((live, target))
    }

    /// Redeems the code and proves who that is.
    async fn sign_in(
        &self,
        provider: &Provider,
        attempt: &LoginAttempt,
        code: Secret<String>,
        client: &ClientRequest,
    ) -> Result<NewSession, ProviderError> {
        let answer = provider.exchange(&code, attempt).await?;
        let now = self.clock.now();
        let id_token = provider.verify_id_token(&answer, attempt, now).await?;
        let claims = provider.claims(&id_token, &answer.access_token).await?;
        Ok(NewSession {
            provider: Arc::clone(provider.name()),
            issuer: provider.settings().issuer.clone(),
            subject: id_token.sub,
            provider_sid: id_token.sid,
            origin: client.origin.to_string(),
            auth_time: id_token.auth_time,
            acr: id_token.acr,
            amr: id_token.amr,
            claims,
            // Silence means that what was asked for was granted (RFC 6749 section 5.1).
            scope: Some(answer.scope.unwrap_or_else(|| provider.settings().scopes.join(" "))),
            tokens: Tokens {
                access_token_obtained: now,
                access_token_expires: now + answer.expires_in,
                access_token: answer.access_token,
                refresh_token: answer.refresh_token,
                id_token: answer.id_token.unwrap_or_default(),
                nonce: Some(attempt.nonce.clone()),
            },
        })
    }

    /// The session's cookie, and on to where the person wanted to go.
    fn welcome(&self, client: &ClientRequest, live: &LiveSession, target: &ReturnTo, state: &str) -> Response<Body> {
        let session = live.session();
        audit::write(Event::LoginSucceeded, super::about(client, session));
        self.metrics.logins.get_or_create(&Word { kind: "succeeded" }).inc();
        let mut answer = login::land(target);
        let headers = answer.headers_mut();
        headers.append(
            SET_COOKIE,
            set_cookie::set(&self.cookie, &self.cookie.name, live.token().expose(), None, self.cookie.same_site),
        );
        headers.append(SET_COOKIE, attempt::forget(state, &self.cookie));
        headers.append(SET_COOKIE, loop_breaker::counted(client, &self.cookie));
        answer
    }

    async fn failed(&self, client: &ClientRequest, failure: Failure, state: &str, now: Timestamp) -> Response<Body> {
        if failure.counts() {
            self.failed_callback(client, now);
        }
        let mut answer = match &failure {
            Failure::NoAttempt { again } => return self.stale(client, *again, now).await,
            Failure::Burnt(target) => login::land(target),
            Failure::Store(error) => return store_away(error, client),
            Failure::Answer(error) if error.is_temporary() => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Signing in is not possible right now")
                    .detail("The sign-in service does not answer. Try again in a moment.")
                    .retry_after(std::time::Duration::from_secs(5))
                    .login(self.own_path("login"))
                    .answer(client.format(), &client.request_id)
            }
            Failure::Provider { code, description } => self.provider_error(client, code, description.as_deref()),
            Failure::Answer(error) => {
                let status = match error.blame() {
                    Blame::Provider => StatusCode::BAD_GATEWAY,
                    Blame::Bug => StatusCode::INTERNAL_SERVER_ERROR,
                    _ => StatusCode::BAD_REQUEST,
                };
                Problem::new(status, "You are not signed in")
                    .detail("The answer of the sign-in service did not hold. Try again; if it stays so, give the reference below to whoever runs this site.")
                    .login(self.own_path("login"))
                    .answer(client.format(), &client.request_id)
            }
            Failure::Revoked => Problem::new(StatusCode::FORBIDDEN, "You are not signed in")
                .detail("Your sessions were ended while you signed in. Sign in again.")
                .login(self.own_path("login"))
                .answer(client.format(), &client.request_id),
        };
        let reason = failure.to_string();
        let attempt = attempt::recall(state, client, &self.cookie, self.sessions.ring(), now);
        audit::write(
            Event::LoginFailed,
            Record {
                request_id: Some(&client.request_id),
                provider: attempt.as_ref().map(|attempt| &*attempt.provider),
                issuer: attempt.as_ref().map(|attempt| attempt.issuer.as_str()),
                address: Some(&client.address),
                reason: Some(&reason),
                ..Record::default()
            },
        );
        self.metrics.logins.get_or_create(&Word { kind: "failed" }).inc();
        answer.headers_mut().append(SET_COOKIE, attempt::forget(state, &self.cookie));
        answer
    }

    /// A callback that this browser did not begin, or not lately: bookmarked, replayed, or cookies are blocked.
    ///
    /// It redeems nothing. With a live session the person simply lands on `/`; without one the login starts over, once.
    async fn stale(&self, client: &ClientRequest, again: bool, now: Timestamp) -> Response<Body> {
        match self.caller(client, now).await {
            Ok(Caller::Person(_)) => return login::land(&ReturnTo::root()),
            Ok(Caller::Anonymous { .. }) => {}
            Err(denied) => return denied.answer(client),
        }
        if again || !client.fetch.may_start_login(&Method::GET) {
            self.metrics.logins.get_or_create(&Word { kind: "stale" }).inc();
            return loop_breaker::page(client, self.own_path("login"));
        }
        let start =
            Start { return_to: ReturnTo::root(), provider: None, asked: Asked::default(), again: true, settled: false };
        let mut answer = self.start(client, start, now).await;
        answer.headers_mut().append(SET_COOKIE, loop_breaker::counted(client, &self.cookie));
        answer
    }

    /// The provider said no (LOGIN-15): say so, escaped, and try nothing by ourselves.
    fn provider_error(&self, client: &ClientRequest, code: &str, description: Option<&str>) -> Response<Body> {
        let (status, title) = match code {
            "access_denied" => (StatusCode::FORBIDDEN, "You were not let in"),
            "server_error" | "temporarily_unavailable" => {
                (StatusCode::SERVICE_UNAVAILABLE, "The sign-in service has trouble")
            }
            _ => (StatusCode::BAD_REQUEST, "Signing in did not work"),
        };
        let mut detail = format!("The sign-in service answered: {code}");
        if let Some(description) = description {
            detail.push_str(" (");
            detail.push_str(description);
            detail.push(')');
        }
        Problem::new(status, title)
            .detail(detail)
            .login(self.own_path("login"))
            .answer(client.format(), &client.request_id)
    }

    /// Counts one against the client's address; the next one may be held back.
    fn failed_callback(&self, client: &ClientRequest, now: Timestamp) {
        // Nothing left already: requests at the same moment, which were let in before.
        let _ = self.rate.count(Counted::FailedCallback, client.address, now);
    }

    pub(super) fn malformed(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        self.failed_callback(client, now);
        self.metrics.logins.get_or_create(&Word { kind: "malformed" }).inc();
        Problem::new(StatusCode::BAD_REQUEST, "This is not an answer to a login")
            .detail("The address holds no answer of a sign-in service, or one that this site does not accept.")
            .login(self.own_path("login"))
            .answer(client.format(), &client.request_id)
    }
}

fn no_attempt(state: &str) -> Failure {
    Failure::NoAttempt { again: loop_breaker::is_marked(state) }
}

/// Whether another site began what led here, and we have not asked again yet. Browsers without Fetch metadata do not say.
fn led_here_from_elsewhere(client: &ClientRequest) -> bool {
    let elsewhere = !matches!(client.fetch.site(), None | Some(Site::SameOrigin | Site::None));
    let again = client.query().unwrap_or_default().split('&').any(|pair| pair == ASKED_AGAIN);
    elsewhere && client.fetch.is_navigation() && !again
}

/// Marks the address that our own page asked for.
const ASKED_AGAIN: &str = "again=1";

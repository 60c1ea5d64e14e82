//! `POST callback`: an authorization response that comes as a form (OAuth 2.0 Form Post Response Mode).
//!
//! Such a POST begins at the provider's page, so the browser keeps the session's cookie at home, and what becomes of an earlier
//! session could not be told. Nothing is redeemed here: the response is sealed into a cookie of its own for a moment, and the
//! browser asks again by GET, with all its cookies. The code never stands in an address.

use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderValue, Response};
use zeroize::Zeroizing;

use super::{Endpoints, attempt, form};
use crate::base::Timestamp;
use crate::oidc::{AuthorizationResponse, Outcome};
use crate::session::Purpose;
use crate::web::{Body, ClientRequest, CookieSettings, SameSite, redirect_303, set_cookie};

/// Names the response that is on its way, in the address of the GET: by its `state`.
const PARAMETER: &str = "answered";

/// From the POST to the GET: one redirect.
const LIFETIME: Duration = Duration::from_secs(60);

/// Name and value of the cookie. A longer response does not fit beside the attempt's cookie into the head of a request.
const MOST_BYTES: usize = 3 * 1024;

/// What the cookie holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sealed<T> {
    /// When it came.
    #[serde(rename = "t")]
    came: Timestamp,
    /// The public origin that it came to.
    #[serde(rename = "o")]
    origin: String,
    /// Names and values.
    #[serde(rename = "r")]
    parameters: Vec<(T, T)>,
}

/// What a GET brings of a response that came as a form.
pub(super) struct Carried {
    /// Which login it answers.
    pub(super) state: String,
    /// The response itself; `None` when its cookie is missing, too old, or of another login.
    pub(super) response: Option<AuthorizationResponse>,
    /// The line that forgets its cookie.
    pub(super) forget: Option<HeaderValue>,
}

impl Endpoints {
    pub(super) async fn posted_callback(&self, client: &ClientRequest, body: Body, now: Timestamp) -> Response<Body> {
        let Some(parameters) = form::read(client, body).await else { return self.malformed(client, now) };
        let Some(response) = self.authorization_response(client, parameters) else {
            return self.malformed(client, now);
        };
        let state = response.state.expose();
        // A login that this browser did not begin leaves nothing behind in it, or any site could fill its jar. Over plain http,
        // on loopback, no cookie comes with such a POST; the GET looks again.
        let begun = attempt::recall(state, client, &self.cookie, self.sessions.ring(), now).is_some();
        let line = if begun || !self.cookie.secure { self.carry(client, &response, now) } else { None };
        if begun && line.is_none() {
            // Too long to be carried: redeemed at once. An earlier session, which we do not see, then goes on to its own end.
            return self.answered(client, response, now).await;
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(PARAMETER, state).finish();
        let mut answer = redirect_303(&format!("{}?{query}", self.own_path("callback")));
        answer.headers_mut().extend(line.map(|line| (SET_COOKIE, line)));
        answer
    }

    /// The line that carries the response over to the GET; `None` when it is too long for that.
    fn carry(&self, client: &ClientRequest, response: &AuthorizationResponse, now: Timestamp) -> Option<HeaderValue> {
        let name = name(&self.cookie, response.state.expose());
        let sealed = Sealed { came: now, origin: client.origin.to_string(), parameters: parameters(response) };
        let plain = Zeroizing::new(serde_json::to_vec(&sealed).ok()?);
        let ring = self.sessions.ring();
        let value = ring.seal_text(Purpose::AuthorizationResponse, name.as_bytes(), &plain, &*self.random);
        (name.len() + value.len() <= MOST_BYTES)
            .then(|| set_cookie::set(&self.cookie, &name, &value, Some(LIFETIME), SameSite::Lax))
    }

    /// What a GET brings of a response that came as a form; `None` for every other callback.
    pub(super) fn carried(&self, client: &ClientRequest, now: Timestamp) -> Option<Carried> {
        let query = client.query().unwrap_or_default().as_bytes();
        let (_, state) = url::form_urlencoded::parse(query).find(|(key, _)| key == PARAMETER)?;
        let name = name(&self.cookie, &state);
        let cookie = client.cookies.ours(&name);
        let response = cookie.and_then(|value| self.uncover(client, &name, value, now));
        Some(Carried {
            response: response.filter(|response| *response.state.expose() == state),
            forget: cookie.map(|_| set_cookie::delete(&self.cookie, &name)),
            state: state.into_owned(),
        })
    }

    fn uncover(
        &self,
        client: &ClientRequest,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Option<AuthorizationResponse> {
        let opened = self.sessions.ring().open_text(Purpose::AuthorizationResponse, name.as_bytes(), value)?;
        let Sealed { came, origin, parameters } = serde_json::from_slice::<Sealed<String>>(&opened.plain).ok()?;
        let fits = now.since(came) <= LIFETIME && client.origin.is_origin(&origin);
        fits.then(|| AuthorizationResponse::parse(parameters).ok()).flatten()
    }
}

fn name(settings: &CookieSettings, state: &str) -> String {
    format!("{}-answer-{}", settings.name, attempt::short(state))
}

/// The response as parameters again: those that count, each bounded.
fn parameters(response: &AuthorizationResponse) -> Vec<(&str, &str)> {
    let mut parameters = vec![("state", response.state.expose().as_str())];
    parameters.extend(response.iss.as_deref().map(|iss| ("iss", iss)));
    match &response.outcome {
        Outcome::Code(code) => parameters.push(("code", code.expose())),
        Outcome::Refused { code, description } => {
            parameters.push(("error", code));
            parameters.extend(description.as_deref().map(|text| ("error_description", text)));
        }
    }
    parameters
}

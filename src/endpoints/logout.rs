//! `POST logout` and `GET signed_out`: the session ends here first, then at the provider.

use http::header::SET_COOKIE;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::Url;

use super::{Endpoints, form, login, loop_breaker};
use crate::access::{Caller, take_back, tokens};
use crate::base::Timestamp;
use crate::oidc::{EndSession, Provider};
use crate::session::{Ended, LiveSession, Purpose, StoreError};
use crate::telemetry::audit::{self, Event};
use crate::telemetry::metrics::Word;
use crate::web::fetch::Site;
use crate::web::{
    Body, ClientRequest, Page, ReturnTo, SameSite, answer::response, json as json_answer, redirect_303, set_cookie,
};

const CLEAR_SITE_DATA: http::HeaderName = http::HeaderName::from_static("clear-site-data");
const CLEAR_CACHE: http::HeaderValue = http::HeaderValue::from_static("\"cache\"");

/// How long the provider may take until it sends the browser back.
const RETURN_LIFETIME: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// How long a logout waits to learn whether the provider can be reached. A slow one is not away.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Where a browser goes when its session has ended here.
enum Onwards {
    /// It stays: nobody else has to be told.
    Here,
    /// To the provider.
    There(EndSession),
    /// It stays, and the provider's own session may still be open: nothing answers there.
    Unreachable,
}

impl Endpoints {
    /// Ends the session of the cookie. Cross-site requests cannot (LOGOUT-02); anything but a click of one's own gets a page
    /// that asks.
    pub(super) async fn logout(&self, client: &ClientRequest, body: Body, now: Timestamp) -> Response<Body> {
        let mut fields: Vec<(String, String)> =
            url::form_urlencoded::parse(client.query().unwrap_or_default().as_bytes()).into_owned().collect();
        if client.method == Method::POST {
            if let Some(refused) = super::from_elsewhere(client) {
                return refused;
            }
            fields.extend(form::read(client, body).await.unwrap_or_default());
        } else if !client.fetch.is_own_navigation() {
            return self.confirm_logout(client, &fields);
        }
        let target = fields
            .iter()
            .find(|(name, _)| name == "rd" || name == "return_to")
            .and_then(|(_, raw)| self.return_to(raw, client));
        let live = match self.caller(client, now).await {
            Ok(Caller::Person(live)) => Some(live),
            Ok(Caller::Anonymous { .. }) => None,
            Err(denied) => return denied.answer(client),
        };
        let onwards = match &live {
            Some(live) => match self.end(client, live).await {
                Ok(onwards) => onwards,
                Err(error) => return super::store_away(&error, client),
            },
            None => Onwards::Here,
        };
        self.leave(client, live.as_deref(), target, &onwards)
    }

    /// Ends it in the store, which is what counts; then asks the provider where to go (LOGOUT-01).
    async fn end(&self, client: &ClientRequest, live: &LiveSession) -> Result<Onwards, StoreError> {
        self.sessions.end(live, Ended::Logout).await?;
        let session = live.session();
        audit::write(Event::Logout, super::about(client, session));
        self.metrics.sessions_ended.get_or_create(&Word { kind: "logout" }).inc();
        let Some(provider) = self.providers.get(&session.provider) else { return Ok(Onwards::Here) };
        let reachable = self.revoke_behind(provider, live);
        // The one landing page that has to be registered there.
        let Some(signed_out) = self
            .network
            .first()
            .and_then(|origin| Url::parse(&format!("{origin}{}", self.own_path("signed_out"))).ok())
        else {
            return Ok(Onwards::Here);
        };
        let state = self.random.token::<16>();
        let hint = Some(&session.tokens.id_token).filter(|hint| !hint.expose().is_empty());
        // Where nothing is known of the provider yet, it is asked now; a silent one would keep the person for its whole deadline.
        let Ok(asked) = timeout(PATIENCE, provider.end_session(hint, &signed_out, &state)).await else {
            tracing::warn!(request_id = %client.request_id, provider = &**provider.name(), "ended here; the provider is silent");
            return Ok(Onwards::Unreachable);
        };
        match asked {
            Ok(None) => Ok(Onwards::Here),
            // What is known of the provider may be hours old. A browser that is sent to a dead address sees no word of ours.
            Ok(Some(end_session)) => {
                let refused = matches!(timeout(PATIENCE, reachable).await, Ok(Ok(false)));
                Ok(if refused { Onwards::Unreachable } else { Onwards::There(end_session) })
            }
            Err(error) => {
                tracing::warn!(request_id = %client.request_id, provider = &**provider.name(), %error, "ended here, not at the provider");
                Ok(Onwards::Unreachable)
            }
        }
    }

    /// Takes the session's tokens back at the provider (RFC 7009). Nothing depends on it: the session has ended already. Tells whether
    /// the provider could be connected to, as soon as that is known.
    fn revoke_behind(&self, provider: &Provider, live: &LiveSession) -> oneshot::Receiver<bool> {
        let (provider, owned) = (provider.clone(), live.session().tokens.clone());
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let mut tell = Some(tell);
            for (token, kind) in tokens(&owned) {
                let done = take_back(&provider, token, kind).await;
                if let (Some(tell), false) = (tell.take(), matches!(done, Ok(false))) {
                    // Nobody may be waiting any more.
                    let _ = tell.send(!matches!(&done, Err(error) if error.is_unreachable()));
                }
            }
        });
        told
    }

    /// Forgets the cookies and says where to go: 303 to a browser, JSON to a script.
    fn leave(
        &self,
        client: &ClientRequest,
        live: Option<&LiveSession>,
        target: Option<ReturnTo>,
        onwards: &Onwards,
    ) -> Response<Body> {
        let configured = live
            .and_then(|live| self.providers.get(&live.session().provider))
            .and_then(|provider| provider.settings().logout.return_to.as_deref())
            .and_then(|raw| self.return_to(raw, client));
        // Who stays signed in at the provider without knowing is told so by our page, wherever they wanted to go.
        let target = target.or(configured).filter(|_| !matches!(onwards, Onwards::Unreachable));
        let signed_out = self.own_path("signed_out");
        let here = target.as_ref().map_or(signed_out.as_str(), ReturnTo::as_str);
        let location = match onwards {
            Onwards::There(EndSession::Redirect(url)) => url.as_str(),
            Onwards::There(EndSession::Post { .. }) | Onwards::Here | Onwards::Unreachable => here,
        };
        let mut answer = match onwards {
            // Too long for a URL: the browser carries it in a form, and a person has to press its button, since our pages
            // have no script.
            Onwards::There(EndSession::Post { action, fields }) if client.fetch.is_navigation() => {
                by_form(action, fields)
            }
            _ if client.fetch.is_navigation() => redirect_303(location),
            _ => json_answer(StatusCode::OK, &json!({ "location": location })),
        };
        let headers = answer.headers_mut();
        headers.append(SET_COOKIE, set_cookie::delete(&self.cookie, &self.cookie.name));
        if let Some(line) = loop_breaker::forget(client, &self.cookie) {
            headers.append(SET_COOKIE, line);
        }
        if let (Onwards::There(_), Some(target)) = (onwards, &target) {
            // From the provider one comes back to the first origin.
            let target =
                if self.network.is_first(&client.origin) { target.clone() } else { target.written_out(&client.origin) };
            let name = self.return_cookie();
            let value = self.sessions.ring().seal_text(
                Purpose::LogoutReturn,
                name.as_bytes(),
                target.as_str().as_bytes(),
                &*self.random,
            );
            headers
                .append(SET_COOKIE, set_cookie::set(&self.cookie, &name, &value, Some(RETURN_LIFETIME), SameSite::Lax));
        }
        // What the browser cached of protected pages goes too (LOGOUT-16).
        headers.insert(CLEAR_SITE_DATA, CLEAR_CACHE);
        answer
    }

    /// `GET signed_out`: public, starts nothing by itself, and never goes where a parameter says (LOGOUT-04).
    pub(super) fn signed_out(&self, client: &ClientRequest, _now: Timestamp) -> Response<Body> {
        let name = self.return_cookie();
        let waiting = client.cookies.ours(&name).and_then(|value| {
            let opened = self.sessions.ring().open_text(Purpose::LogoutReturn, name.as_bytes(), value)?;
            self.return_to(std::str::from_utf8(&opened.plain).ok()?, client)
        });
        if let Some(target) = waiting {
            let mut answer = login::land(&target);
            answer.headers_mut().append(SET_COOKIE, set_cookie::delete(&self.cookie, &name));
            answer.headers_mut().insert(CLEAR_SITE_DATA, CLEAR_CACHE);
            return answer;
        }
        // The page's own request. What a browser keeps in memory gets there only once another page is shown (LOGOUT-16).
        if client.fetch.site() == Some(Site::SameOrigin) && !client.fetch.is_navigation() {
            let mut answer = response(StatusCode::NO_CONTENT, Body::empty(), None);
            answer.headers_mut().insert(CLEAR_SITE_DATA, CLEAR_CACHE);
            return answer;
        }
        let page = Page::new(
            StatusCode::OK,
            "You are signed out",
            maud::html! {
                p { "Your session here has ended." }
                p class="quiet" { "If you signed in through an account that other sites use too, you may still be signed in there." }
                p class="actions" { a class="button" href=(self.own_path("login")) { "Sign in again" } }
            },
        );
        let mut answer = page.asks_for(format!("{}{}", client.origin, self.own_path("signed_out"))).answer();
        // Other sites shall not empty a cache by showing a picture.
        if client.fetch.is_navigation() {
            answer.headers_mut().insert(CLEAR_SITE_DATA, CLEAR_CACHE);
        }
        answer
    }

    fn confirm_logout(&self, client: &ClientRequest, fields: &[(String, String)]) -> Response<Body> {
        let target = fields.iter().find(|(name, _)| name == "rd" || name == "return_to").map(|(_, value)| value);
        // Sending the form ends at the provider by way of redirects, to which browsers apply `form-action` as well.
        let providers = self.providers.values().filter_map(|one| Url::parse(&one.settings().issuer).ok());
        let page = Page::new(
            StatusCode::OK,
            "Sign out?",
            maud::html! {
                p { "This ends your session on this site." }
                form method="post" action=(self.own_path("logout")) {
                    @if let Some(target) = target { input type="hidden" name="rd" value=(target); }
                    button { "Sign out" }
                }
            },
        );
        let page = page.form_goes_to(&client.origin.to_string());
        providers.fold(page, |page, issuer| page.form_goes_to(&issuer.origin().ascii_serialization())).answer()
    }

    fn return_cookie(&self) -> String {
        set_cookie::name(&self.cookie, "return")
    }
}

/// The provider's end-session endpoint, by a form that a person sends.
fn by_form(action: &Url, fields: &[(&'static str, String)]) -> Response<Body> {
    Page::new(
        StatusCode::OK,
        "You are signed out here",
        maud::html! {
            p { "Your session on this site has ended. You may still be signed in at the sign-in service." }
            form method="post" action=(action) {
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                button { "Sign out there too" }
            }
        },
    )
    .form_goes_to(&action.origin().ascii_serialization())
    .answer()
}

//! `POST logout` and `GET signed_out`: the session ends here first, then at the provider.

use http::header::SET_COOKIE;
use http::{Method, Response, StatusCode};
use serde_json::json;

use super::{Endpoints, form, login, loop_breaker};
use crate::access::Caller;
use crate::base::Timestamp;
use crate::oidc::EndSession;
use crate::session::{LiveSession, Purpose};
use crate::telemetry::audit::{self, Event, Record};
use crate::telemetry::metrics::Word;
use crate::web::{
    Body, ClientRequest, ReturnTo, SameSite, json as json_answer, page, redirect_303, set_cookie,
};

/// How long the provider may take until it sends the browser back.
const RETURN_LIFETIME: std::time::Duration = std::time::Duration::from_secs(5 * 60);

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
            return self.confirm_logout(&fields);
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
        let elsewhere = match &live {
            Some(live) => match self.end(client, live, now).await {
                Ok(elsewhere) => elsewhere,
                Err(error) => return super::store_away(&error, client),
            },
            None => None,
        };
        self.leave(client, live.as_deref(), target, elsewhere)
    }

    /// Ends it in the store, which is what counts; then asks the provider where to go (LOGOUT-01).
    async fn end(
        &self,
        client: &ClientRequest,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<Option<String>, crate::session::StoreError> {
        self.sessions.end(live, now).await?;
        let session = live.session();
        audit::write(Event::Logout, Record {
            request_id: Some(&client.request_id),
            provider: Some(&session.provider),
            issuer: Some(&session.issuer),
            subject: Some(&session.subject),
            sid: Some(session.sid.as_str()),
            address: Some(&client.address),
            ..Record::default()
        });
        self.metrics.sessions_ended.get_or_create(&Word { kind: "logout" }).inc();
        let Some(provider) = self.providers.get(&session.provider) else { return Ok(None) };
        if !provider.settings().logout.rp_initiated {
            return Ok(None);
        }
        let signed_out = format!("{}{}", client.origin, self.own_path("signed_out"));
        let state = self.random.token::<16>();
        match provider.end_session(&session.tokens.id_token, &signed_out, &state).await {
            Ok(Some(EndSession::Redirect(url))) => Ok(Some(url.into())),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(request_id = %client.request_id, provider = &**provider.name(), %error, "ended here, not at the provider");
                Ok(None)
            }
        }
    }

    /// Forgets the cookies and says where to go: 303 to a browser, JSON to a script.
    fn leave(
        &self,
        client: &ClientRequest,
        live: Option<&LiveSession>,
        target: Option<ReturnTo>,
        elsewhere: Option<String>,
    ) -> Response<Body> {
        let configured = live
            .and_then(|live| self.providers.get(&live.session().provider))
            .and_then(|provider| provider.settings().logout.return_to.as_deref())
            .and_then(|raw| self.return_to(raw, client));
        let target = target.or(configured);
        let signed_out = self.own_path("signed_out");
        let here = target.as_ref().map_or(signed_out.as_str(), ReturnTo::as_str);
        let location = elsewhere.as_deref().unwrap_or(here);
        let mut answer = if client.fetch.is_navigation() {
            redirect_303(location)
        } else {
            json_answer(StatusCode::OK, &json!({ "location": location }))
        };
        let headers = answer.headers_mut();
        headers.append(SET_COOKIE, set_cookie::delete(&self.cookie, &self.cookie.name));
        if let Some(line) = loop_breaker::forget(client, &self.cookie) {
            headers.append(SET_COOKIE, line);
        }
        if let (Some(_), Some(target)) = (&elsewhere, &target) {
            let name = self.return_cookie();
            let value = self.sessions.ring().seal_text(
                Purpose::LogoutReturn,
                name.as_bytes(),
                target.as_str().as_bytes(),
                &*self.random,
            );
            headers.append(SET_COOKIE, set_cookie::set(&self.cookie, &name, &value, Some(RETURN_LIFETIME), SameSite::Lax));
        }
        // What the browser cached of protected pages goes too (LOGOUT-16).
        headers.insert("clear-site-data", http::HeaderValue::from_static("\"cache\""));
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
            return answer;
        }
        page(
            StatusCode::OK,
            "You are signed out",
            maud::html! {
                p { "Your session here has ended." }
                p class="quiet" { "If you signed in through an account that other sites use too, you may still be signed in there." }
                p { a class="button" href=(self.own_path("login")) { "Sign in again" } }
            },
        )
    }

    fn confirm_logout(&self, fields: &[(String, String)]) -> Response<Body> {
        let target = fields.iter().find(|(name, _)| name == "rd" || name == "return_to").map(|(_, value)| value);
        page(
            StatusCode::OK,
            "Sign out?",
            maud::html! {
                p { "This ends your session on this site." }
                form method="post" action=(self.own_path("logout")) {
                    @if let Some(target) = target { input type="hidden" name="rd" value=(target); }
                    button { "Sign out" }
                }
            },
        )
    }

    fn return_cookie(&self) -> String {
        set_cookie::name(&self.cookie, "return")
    }
}

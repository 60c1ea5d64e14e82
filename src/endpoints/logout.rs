//! `POST logout` and `GET signed_out`: the session ends here first, then at the provider.

use http::header::SET_COOKIE;
use http::{Method, Response, StatusCode};
use serde_json::json;
use url::Url;

use super::{Endpoints, form, login, loop_breaker};
use crate::access::Caller;
use crate::base::Timestamp;
use crate::oidc::{EndSession, Provider, TokenKind};
use crate::session::{Ended, LiveSession, Purpose, StoreError};
use crate::telemetry::audit::{self, Event};
use crate::telemetry::metrics::Word;
use crate::web::{Body, ClientRequest, Page, ReturnTo, SameSite, json as json_answer, page, redirect_303, set_cookie};

const CLEAR_SITE_DATA: http::HeaderName = http::HeaderName::from_static("clear-site-data");
const CLEAR_CACHE: http::HeaderValue = http::HeaderValue::from_static("\"cache\"");

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
        let elsewhere = match &live {
            Some(live) => match self.end(client, live).await {
                Ok(elsewhere) => elsewhere,
                Err(error) => return super::store_away(&error, client),
            },
            None => None,
        };
        self.leave(client, live.as_deref(), target, elsewhere)
    }

    /// Ends it in the store, which is what counts; then asks the provider where to go (LOGOUT-01).
    async fn end(&self, client: &ClientRequest, live: &LiveSession) -> Result<Option<EndSession>, StoreError> {
        self.sessions.end(live, Ended::Logout).await?;
        let session = live.session();
        audit::write(Event::Logout, super::about(client, session));
        self.metrics.sessions_ended.get_or_create(&Word { kind: "logout" }).inc();
        let Some(provider) = self.providers.get(&session.provider) else { return Ok(None) };
        self.revoke_behind(provider, live);
        let Ok(signed_out) = Url::parse(&format!("{}{}", client.origin, self.own_path("signed_out"))) else {
            return Ok(None);
        };
        let state = self.random.token::<16>();
        let hint = Some(&session.tokens.id_token).filter(|hint| !hint.expose().is_empty());
        Ok(provider.end_session(hint, &signed_out, &state).await.unwrap_or_else(|error| {
            tracing::warn!(request_id = %client.request_id, provider = &**provider.name(), %error, "ended here, not at the provider");
            None
        }))
    }

    /// Takes the session's tokens back at the provider (RFC 7009). Nobody waits for it: the session has ended already.
    fn revoke_behind(&self, provider: &Provider, live: &LiveSession) {
        let (provider, tokens) = (provider.clone(), live.session().tokens.clone());
        tokio::spawn(async move {
            let refresh = tokens.refresh_token.as_ref().map(|token| (token, TokenKind::Refresh));
            for (token, kind) in refresh.into_iter().chain([(&tokens.access_token, TokenKind::Access)]) {
                if let Err(error) = provider.revoke(token, kind).await {
                    tracing::warn!(provider = &**provider.name(), %error, "a token was not revoked at the provider");
                }
            }
        });
    }

    /// Forgets the cookies and says where to go: 303 to a browser, JSON to a script.
    fn leave(
        &self,
        client: &ClientRequest,
        live: Option<&LiveSession>,
        target: Option<ReturnTo>,
        elsewhere: Option<EndSession>,
    ) -> Response<Body> {
        let configured = live
            .and_then(|live| self.providers.get(&live.session().provider))
            .and_then(|provider| provider.settings().logout.return_to.as_deref())
            .and_then(|raw| self.return_to(raw, client));
        let target = target.or(configured);
        let signed_out = self.own_path("signed_out");
        let here = target.as_ref().map_or(signed_out.as_str(), ReturnTo::as_str);
        let location = match &elsewhere {
            Some(EndSession::Redirect(url)) => url.as_str(),
            Some(EndSession::Post { .. }) | None => here,
        };
        let mut answer = match &elsewhere {
            // Too long for a URL: the browser carries it in a form, and a person has to press its button, since our pages
            // have no script.
            Some(EndSession::Post { action, fields }) if client.fetch.is_navigation() => onwards(action, fields),
            _ if client.fetch.is_navigation() => redirect_303(location),
            _ => json_answer(StatusCode::OK, &json!({ "location": location })),
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
        let mut answer = page(
            StatusCode::OK,
            "You are signed out",
            maud::html! {
                p { "Your session here has ended." }
                p class="quiet" { "If you signed in through an account that other sites use too, you may still be signed in there." }
                p class="actions" { a class="button" href=(self.own_path("login")) { "Sign in again" } }
            },
        );
        // Once more, because pages that the browser keeps in memory get there only now that another is shown (LOGOUT-16).
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
fn onwards(action: &Url, fields: &[(&'static str, String)]) -> Response<Body> {
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

//! Signing out at the provider: asked for by the client (OpenID Connect RP-Initiated Logout), or by the person here.
//!
//! Never signs anybody out without an ID token of theirs or their own click, and never redirects to an unregistered address.

use http::{HeaderMap, Method, Request, StatusCode};
use serde::Deserialize;
use url::Url;

use super::memory::{Purpose, SignedIn};
use super::{Provider, SESSION_COOKIE, pages};
use crate::demo::answer::{self, Answer};
use crate::demo::form::{FormBody, Parameters};
use crate::jose::{Algorithm, Expect, Typ, verify};

impl Provider {
    pub(super) async fn end_session<B: FormBody>(&self, request: Request<B>) -> Answer {
        let headers = request.headers().clone();
        let parameters = if request.method() == Method::POST {
            Parameters::read(request).await
        } else {
            Parameters::parse(request.uri().query().unwrap_or_default().as_bytes())
        };
        let parameters = parameters.unwrap_or_default();
        let Some(session) = self.signed_in(&headers) else { return self.gone(self.return_url(&parameters).as_deref()) };
        let back = self.return_url(&parameters);
        if self.is_hint_for(&session, parameters.get("id_token_hint")) {
            return self.ended(&session, back.as_deref());
        }
        // No proof that it is the client who asks: it might be any page with a link. The person decides.
        self.ask(&headers, &session, back)
    }

    /// The person has confirmed.
    pub(super) async fn sign_out<B: FormBody>(&self, request: Request<B>) -> Answer {
        let headers = request.headers().clone();
        let Some((_, pending)) = self.returned_form(&headers, request).await else { return self.stale_form() };
        let Purpose::SignOut(back) = pending.purpose else { return self.stale_form() };
        match self.signed_in(&headers) {
            Some(session) => self.ended(&session, back.as_deref()),
            None => self.gone(back.as_deref()),
        }
    }

    /// Who is signed in here, and a button.
    pub(super) fn home(&self, headers: &HeaderMap) -> Answer {
        match self.signed_in(headers) {
            Some(session) => self.ask(headers, &session, None),
            None => self.page(pages::message(
                StatusCode::OK,
                "Nobody is signed in",
                "This is the small OpenID provider of the Vestibule demo. Open the application, and it will send you here.",
            )),
        }
    }

    fn ask(&self, headers: &HeaderMap, session: &SignedIn, back: Option<String>) -> Answer {
        let (form, cookie) = self.new_form(headers, Purpose::SignOut(back));
        let mut answer = self.page(pages::sign_out(session.person, &form));
        answer::add_cookie(&mut answer, &cookie);
        answer
    }

    fn ended(&self, session: &SignedIn, back: Option<&str>) -> Answer {
        self.memory().end(&session.sid);
        self.gone(back)
    }

    fn gone(&self, back: Option<&str>) -> Answer {
        let mut answer = match back {
            Some(back) => answer::see_other(back),
            None => self.page(pages::message(
                StatusCode::OK,
                "You are signed out here",
                "The provider has forgotten you, and every token it gave out for this session is worth nothing from now on.",
            )),
        };
        answer::add_cookie(&mut answer, &format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
        answer
    }

    /// The registered address to go back to, with `state`.
    fn return_url(&self, parameters: &Parameters) -> Option<String> {
        let asked = parameters.get("post_logout_redirect_uri")?;
        if asked != self.client.post_logout_redirect_uri {
            return None;
        }
        let mut url = Url::parse(asked).ok()?;
        if let Some(state) = parameters.get("state") {
            url.query_pairs_mut().append_pair("state", state);
        }
        Some(url.into())
    }

    /// Whether the hint is an ID token of ours for this very session. It may have expired (section 2: expired hints are accepted).
    fn is_hint_for(&self, session: &SignedIn, hint: Option<&str>) -> bool {
        let expect = Expect { algorithms: &[Algorithm::Es256], typ: Typ::Exactly("JWT"), max_bytes: 8 * 1024 };
        hint.and_then(|hint| verify::<Hint>(hint, &self.keys, &expect).ok()).is_some_and(|hint| {
            let hint = hint.claims();
            hint.iss == self.issuer && hint.aud == self.client.id && hint.sid == session.sid
        })
    }
}

/// What matters of an ID token that comes back.
#[derive(Deserialize)]
struct Hint {
    iss: String,
    aud: String,
    sid: String,
}

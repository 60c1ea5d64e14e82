//! The authorization endpoint: check, look who is signed in, answer or show the form.
//!
//! Never makes a code without a person who is signed in in that very browser.

use http::{Method, Request, StatusCode};

use super::memory::{Code, Grant, PendingForm, Purpose, SignedIn};
use super::pages::{self, SignInForm};
use super::request::{AuthorizationRequest, Prompt, Refusal, answer_url, check};
use super::{FORM_COOKIE, Provider, cookie_digest};
use crate::base::Timestamp;
use crate::demo::answer::{self, Answer};
use crate::demo::form::{FormBody, Parameters};
use crate::demo::shelf::Digest;

impl Provider {
    pub(super) async fn authorize<B: FormBody>(&self, request: Request<B>) -> Answer {
        let headers = request.headers().clone();
        let parameters = if request.method() == Method::POST {
            Parameters::read(request).await
        } else {
            Parameters::parse(request.uri().query().unwrap_or_default().as_bytes())
        };
        let Ok(parameters) = parameters else {
            return self.page(pages::message(
                StatusCode::BAD_REQUEST,
                "That request makes no sense",
                "The application sent a malformed or ambiguous authorization request.",
            ));
        };
        let asked = match check(&parameters, &self.client) {
            Ok(asked) => asked,
            Err(Refusal::Page(reason)) => {
                return self.page(pages::message(StatusCode::BAD_REQUEST, "We stop here", reason));
            }
            Err(Refusal::Client(refused)) => {
                let error = [("error", refused.error), ("error_description", refused.description)];
                let url = answer_url(&refused.redirect_uri, &self.issuer, refused.state.as_deref(), &error);
                return answer::see_other(&url);
            }
        };
        let now = self.clock.now();
        let session = self.signed_in(&headers).filter(|session| still_good(session, &asked, now));
        match (session, asked.prompt) {
            (Some(session), _) => self.grant(&asked, session),
            (None, Prompt::Never) => {
                let error = [("error", "login_required")];
                answer::see_other(&answer_url(&asked.redirect_uri, &self.issuer, asked.state.as_deref(), &error))
            }
            (None, _) => {
                let email = asked.login_hint.clone().unwrap_or_default();
                self.show_sign_in(&headers, asked, StatusCode::OK, &email, None)
            }
        }
    }

    /// Sends the browser back with a code.
    pub(super) fn grant(&self, asked: &AuthorizationRequest, session: SignedIn) -> Answer {
        let code = Code {
            grant: Grant { session, scope: asked.scope.clone() },
            redirect_uri: asked.redirect_uri.clone(),
            challenge: asked.challenge.clone(),
            nonce: asked.nonce.clone(),
            redeemed: None,
        };
        let code = self.memory().codes.put(code, self.random.as_ref(), self.clock.now());
        let url = answer_url(&asked.redirect_uri, &self.issuer, asked.state.as_deref(), &[("code", &code)]);
        answer::see_other(&url)
    }

    /// Shows the form, with a fresh one-time name that only this browser can use.
    pub(super) fn show_sign_in(
        &self,
        headers: &http::HeaderMap,
        asked: AuthorizationRequest,
        status: StatusCode,
        email: &str,
        trouble: Option<String>,
    ) -> Answer {
        let client = self.client.origin();
        let (form, cookie) = self.new_form(headers, Purpose::SignIn(asked));
        let page = pages::sign_in(status, &SignInForm { form: &form, client: &client, email, trouble });
        let mut answer = self.page(page);
        answer::add_cookie(&mut answer, &cookie);
        answer
    }

    /// A new form for this browser: its one-time name and the cookie that goes with it.
    pub(super) fn new_form(&self, headers: &http::HeaderMap, purpose: Purpose) -> (String, String) {
        // A browser keeps its mark, so that the forms in its other tabs go on working.
        let known = mark(headers).filter(|_| cookie_digest(headers, FORM_COOKIE).is_some());
        let browser = known.unwrap_or_else(|| self.random.token::<32>());
        let pending = PendingForm { browser: Digest::of(&browser), purpose };
        let form = self.memory().forms.put(pending, self.random.as_ref(), self.clock.now());
        (form, format!("{FORM_COOKIE}={browser}; Path=/; HttpOnly; SameSite=Lax"))
    }
}

/// Whether somebody who is signed in need not sign in again.
fn still_good(session: &SignedIn, asked: &AuthorizationRequest, now: Timestamp) -> bool {
    asked.prompt != Prompt::Always && asked.max_age.is_none_or(|max_age| now.since(session.auth_time) <= max_age)
}

/// The browser's mark, if it is one that we made: 43 characters of base64url.
fn mark(headers: &http::HeaderMap) -> Option<String> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == FORM_COOKIE)
        .map(|(_, value)| value.to_owned())
        .filter(|value| value.len() == 43 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
}

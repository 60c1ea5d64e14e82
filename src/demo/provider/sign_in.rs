//! The sign-in form comes back: one use, one browser, one origin; then the password.
//!
//! Never keeps an old session: who signs in gets a new cookie.

use http::{HeaderMap, Request, StatusCode};

use super::memory::{PendingForm, Purpose, SignedIn};
use super::pages;
use super::people::{Knock, Person};
use super::{FORM_COOKIE, Provider, SESSION_COOKIE, cookie_digest, sent_by_us};
use crate::demo::answer::{self, Answer};
use crate::demo::form::{FormBody, Parameters};
use crate::demo::shelf::Digest;

impl Provider {
    pub(super) async fn sign_in<B: FormBody>(&self, request: Request<B>) -> Answer {
        let headers = request.headers().clone();
        let Some((parameters, pending)) = self.returned_form(&headers, request).await else { return self.stale_form() };
        let Purpose::SignIn(asked) = pending.purpose else { return self.stale_form() };
        let email = parameters.get("email").unwrap_or_default();
        let password = parameters.get("password").unwrap_or_default();
        match self.door.knock(email, password, self.clock.now()).await {
            Knock::Right(person) => {
                let (session, cookie) = self.open_session(person, &headers);
                let mut answer = self.grant(&asked, session);
                answer::add_cookie(&mut answer, &cookie);
                answer
            }
            Knock::Wrong => {
                tracing::info!(event = "demo_sign_in_refused", "wrong e-mail address or password");
                let trouble = "That e-mail address and password do not belong together.".to_owned();
                self.show_sign_in(&headers, asked, StatusCode::FORBIDDEN, email, Some(trouble))
            }
            Knock::Later(wait) => {
                let seconds = wait.as_secs().max(1);
                let trouble = format!("Too many attempts. Try again in {seconds} seconds.");
                let mut answer =
                    self.show_sign_in(&headers, asked, StatusCode::TOO_MANY_REQUESTS, email, Some(trouble));
                answer::set(&mut answer, http::header::RETRY_AFTER, &seconds.to_string());
                answer
            }
        }
    }

    /// A form that was sent by our page, in the browser that it was shown in, for the first time.
    pub(super) async fn returned_form<B: FormBody>(
        &self,
        headers: &HeaderMap,
        request: Request<B>,
    ) -> Option<(Parameters, PendingForm)> {
        if !sent_by_us(headers, &self.issuer) {
            return None;
        }
        let browser = cookie_digest(headers, FORM_COOKIE)?;
        let parameters = Parameters::read(request).await.ok()?;
        let form = Digest::of(parameters.get("form")?);
        let now = self.clock.now();
        let mut memory = self.memory();
        // Taken only by its own browser: a stranger who guessed the name could not even spoil it.
        memory.forms.find(form, now).filter(|pending| pending.browser == browser)?;
        memory.forms.take(form, now).map(|pending| (parameters, pending))
    }

    pub(super) fn stale_form(&self) -> Answer {
        self.page(pages::message(
            StatusCode::BAD_REQUEST,
            "This form is used up",
            "Each form works once, for ten minutes, in the browser it was shown in. Go back to the application and start again.",
        ))
    }

    fn open_session(&self, person: &'static Person, headers: &HeaderMap) -> (SignedIn, String) {
        let now = self.clock.now();
        let mut memory = self.memory();
        let before = cookie_digest(headers, SESSION_COOKIE).and_then(|name| memory.sessions.take(name, now));
        if let Some(other) = before.filter(|before| before.person.sub != person.sub) {
            memory.end(&other.sid);
        }
        let session = SignedIn { person, auth_time: now, sid: self.random.token::<16>() };
        let cookie = memory.sessions.put(session.clone(), self.random.as_ref(), now);
        (session, format!("{SESSION_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax"))
    }
}

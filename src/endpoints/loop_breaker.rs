//! Breaks redirect loops (LOGIN-16): when a login succeeds and the session cookie does not come back, or the session is never strong
//! or fresh enough, trying again for ever helps nobody.
//!
//! A small cookie of 30 seconds counts logins that came back without a session. It only ever speaks about the browser that
//! sends it, so it needs no seal. A browser that keeps no cookies at all is caught by the mark in the state of a login that
//! was started a second time.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};

use crate::web::{Body, ClientRequest, CookieSettings, Problem, SameSite, set_cookie};

const WINDOW: Duration = Duration::from_secs(30);

/// So many logins in the window without a session that stays, and we stop.
const MOST: u32 = 3;

/// What a login that was started a second time, because its callback came without its cookie, begins its state with.
const AGAIN: &str = "again.";

fn name(settings: &CookieSettings) -> String {
    set_cookie::name(settings, "loop")
}

fn count(client: &ClientRequest, settings: &CookieSettings) -> u32 {
    client.cookies.ours(&name(settings)).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Whether this browser has come back without a session too often.
pub(super) fn is_looping(client: &ClientRequest, settings: &CookieSettings) -> bool {
    count(client, settings) >= MOST
}

/// The line that counts one more login. A session that came back does not take the count back: a step-up that never suffices goes round
/// with one.
pub(super) fn counted(client: &ClientRequest, settings: &CookieSettings) -> HeaderValue {
    let next = count(client, settings).saturating_add(1).min(MOST);
    set_cookie::set(settings, &name(settings), &next.to_string(), Some(WINDOW), SameSite::Lax)
}

/// The line that forgets the count, if there is one.
pub(super) fn forget(client: &ClientRequest, settings: &CookieSettings) -> Option<HeaderValue> {
    client.cookies.ours(&name(settings)).map(|_| set_cookie::delete(settings, &name(settings)))
}

/// The state of a login that is started for the second time.
pub(super) fn mark(state: &str) -> String {
    format!("{AGAIN}{state}")
}

/// Whether this state says that the login was started a second time already.
pub(super) fn is_marked(state: &str) -> bool {
    state.starts_with(AGAIN)
}

/// Ends the loop with the likely cause and a way on.
pub(super) fn page(client: &ClientRequest, login: String) -> Response<Body> {
    Problem::new(StatusCode::BAD_REQUEST, "Signing in goes round in circles")
        .detail(
            "You came back from the sign-in service, and still this site asks you to sign in. Most often the browser does not send our cookie \
             back: cookies are blocked for this site, the site is opened over http instead of https, or a proxy in between drops the \
             Set-Cookie header. Or the page asks for a stronger or more recent sign-in than the sign-in service gives. Allow cookies for \
             this site and try again; if it stays so, tell whoever runs this site.",
        )
        .login(login)
        .answer(client.format(), &client.request_id)
}

//! The end-session endpoint (RP-Initiated Logout 1.0).
//!
//! Must never redirect to a URI that the client did not name.

use std::sync::{Arc, Mutex};

use super::answer::{Answer, html, redirect};
use super::state::{Recorded, State};
use crate::support::client::{Ask, Browser};
use crate::support::codec;
use crate::support::tls::TestCa;

pub(super) async fn answer(state: &Arc<Mutex<State>>, ca: Option<&TestCa>, request: &Recorded) -> Answer {
    let call = {
        let mut state = state.lock().unwrap();
        let claims = request.param("id_token_hint").and_then(codec::unverified_claims).unwrap_or_default();
        let (sub, sid) = (claims["sub"].as_str().map(str::to_owned), claims["sid"].as_str().map(str::to_owned));
        let to = state.clients[0].backchannel_logout_uri.clone().filter(|_| state.script.calls_back_at_end_session);
        to.map(|to| (to, state.logout_token(sub.as_deref(), sid.as_deref())))
    };
    if let Some((to, token)) = call {
        let browser = ca.map_or_else(Browser::new, Browser::trusting);
        let ask = Ask::plain(http::Method::POST, to)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(codec::form(&[("logout_token", token)]));
        // Before the browser is answered, whatever comes of it.
        let _ = browser.attempt(ask).await;
    }
    let state = state.lock().unwrap();
    let target = request.param("post_logout_redirect_uri").filter(|uri| {
        let allowed = &state.clients[0].post_logout_redirect_uris;
        url::Url::parse(uri).is_ok() && (allowed.is_empty() || allowed.iter().any(|known| known == uri))
    });
    let mut answer = match target {
        Some(target) => {
            let mut url = url::Url::parse(target).unwrap();
            if let Some(value) = request.param("state") {
                url.query_pairs_mut().append_pair("state", value);
            }
            redirect(url.as_str())
        }
        None => html(200, "<h1>Signed out at the provider</h1>"),
    };
    answer.headers_mut().append("set-cookie", "badop_sid=; Path=/; Max-Age=0".parse().unwrap());
    answer
}

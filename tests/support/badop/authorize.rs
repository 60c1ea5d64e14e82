//! The authorization endpoint: says yes at once, in the name of the script's user.
//!
//! Must never redirect to a URI that a registered client did not name.

use super::answer::{Answer, escape, html, redirect};
use super::state::{Code, Grant, Recorded, State, now};
use crate::support::codec::{form, random_name};

pub(super) fn answer(state: &mut State, request: &Recorded) -> Answer {
    let param = |name: &str| request.param(name).unwrap_or_default();
    let Some(client) = state.client(param("client_id")).cloned() else {
        return html(400, "<p>unknown client</p>");
    };
    let redirect_uri = param("redirect_uri").to_owned();
    let known = client.redirect_uris.is_empty() || client.redirect_uris.contains(&redirect_uri);
    if !known || url::Url::parse(&redirect_uri).is_err() {
        return html(400, "<p>unknown redirect_uri</p>");
    }
    let sid_cookie = request.header("cookie").and_then(|cookies| {
        cookies.split("; ").find_map(|cookie| cookie.strip_prefix("badop_sid=")).map(str::to_owned)
    });
    let mut params = match problem(state, request) {
        Some((error, description)) => {
            vec![("error".to_owned(), error), ("error_description".to_owned(), description)]
        }
        None => {
            let sid = sid_cookie.filter(|_| !state.script.new_sid_each_time);
            let sid = sid.unwrap_or_else(|| random_name("provider-sid-"));
            let code = random_name("canary-code-");
            state.families += 1;
            let text = |name: &str| request.param(name).map(str::to_owned);
            let grant = Grant {
                client: client.id,
                sub: state.script.user.clone().unwrap_or_else(|| "alice".to_owned()),
                sid: sid.clone(),
                scope: param("scope").to_owned(),
                nonce: text("nonce"),
                auth_time: now(),
                acr: text("acr_values").and_then(|values| values.split(' ').next().map(str::to_owned)),
                family: state.families,
            };
            let challenge = param("code_challenge").to_owned();
            let made = std::time::Instant::now();
            state
                .codes
                .insert(code.clone(), Code { grant, redirect_uri: redirect_uri.clone(), challenge, made, used: false });
            state.last_sid = Some(sid);
            vec![("code".to_owned(), code)]
        }
    };
    if let Some(value) = request.param("state") {
        params.push(("state".to_owned(), value.to_owned()));
    }
    params.push(("iss".to_owned(), state.issuer.clone()));
    state.script.authorize.clone().iter().for_each(|change| change(&mut params));

    let mut answer = if param("response_mode") == "form_post" {
        let inputs: String = params
            .iter()
            .map(|(name, value)| format!(r#"<input type="hidden" name="{}" value="{}">"#, escape(name), escape(value)))
            .collect();
        let form = format!(r#"<form method="post" action="{}">{inputs}</form>"#, escape(&redirect_uri));
        html(200, &format!("{form}<script>document.forms[0].submit()</script>"))
    } else {
        let joint = if redirect_uri.contains('?') { '&' } else { '?' };
        redirect(&format!("{redirect_uri}{joint}{}", form(&params)))
    };
    if let Some(sid) = &state.last_sid {
        let cookie = format!("badop_sid={sid}; Path=/; HttpOnly; SameSite=Lax");
        answer.headers_mut().append("set-cookie", cookie.parse().unwrap());
    }
    answer
}

/// What is wrong with a request of a known client, as RFC 6749, section 4.1.2.1 and Core 3.1.2.6 name it.
fn problem(state: &State, request: &Recorded) -> Option<(String, String)> {
    let invalid = |what: &str| Some(("invalid_request".to_owned(), what.to_owned()));
    if let Some(error) = state.script.error.clone() {
        return Some(error);
    }
    let mut names: Vec<&str> = request.params.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1] && pair[0] != "resource") {
        return invalid("a parameter is there twice");
    }
    if request.param("response_type") != Some("code") {
        return Some(("unsupported_response_type".to_owned(), "only code".to_owned()));
    }
    if !request.param("scope").unwrap_or_default().split(' ').any(|scope| scope == "openid") {
        return Some(("invalid_scope".to_owned(), "no openid".to_owned()));
    }
    let challenge = request.param("code_challenge").unwrap_or_default();
    if request.param("code_challenge_method") != Some("S256") || challenge.len() != 43 {
        return invalid("PKCE with S256 is required");
    }
    if request.param("prompt") == Some("none") && state.script.signed_out {
        return Some(("login_required".to_owned(), "nobody is signed in".to_owned()));
    }
    None
}

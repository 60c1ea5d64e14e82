//! The token, revocation and introspection endpoints.
//!
//! Must never accept a client that authenticates in two ways, or a refresh token twice.

use std::time::Instant;

use serde_json::json;

use super::answer::{Answer, json_answer, oauth_error};
use super::state::{Client, Recorded, State};
use crate::support::codec::{b64url, from_b64, sha256};

pub(super) fn token(state: &mut State, request: &Recorded) -> Answer {
    if request.method != "POST" || request.target.contains('?') {
        return oauth_error(400, "invalid_request", "a POST without a query");
    }
    let client = match authenticate(state, request) {
        Ok(client) => client,
        Err(answer) => return *answer,
    };
    match request.param("grant_type") {
        Some("authorization_code") => redeem(state, request, &client),
        Some("refresh_token") => refresh(state, request, &client),
        _ => oauth_error(400, "unsupported_grant_type", "only code and refresh"),
    }
}

fn redeem(state: &mut State, request: &Recorded, client: &Client) -> Answer {
    let invalid = |what: &str| oauth_error(400, "invalid_grant", what);
    let Some(code) = state.codes.get_mut(request.param("code").unwrap_or_default()) else {
        return invalid("no such code");
    };
    if code.used {
        // RFC 6749, section 4.1.2: a second use ends what the first one got.
        let family = code.grant.family;
        state.dead_families.push(family);
        return invalid("the code was used before");
    }
    if code.grant.client != client.id || !State::code_lives(code) {
        return invalid("not this client's, or too old");
    }
    if request.param("redirect_uri") != Some(&code.redirect_uri) {
        return invalid("another redirect_uri");
    }
    let verifier = request.param("code_verifier").unwrap_or_default();
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if !well_formed || b64url(&sha256(verifier.as_bytes())) != code.challenge {
        return invalid("the verifier does not match");
    }
    code.used = true;
    let grant = code.grant.clone();
    let answer = state.tokens(&grant, false);
    json_answer(200, &answer)
}

fn refresh(state: &mut State, request: &Recorded, client: &Client) -> Answer {
    let invalid = |what: &str| oauth_error(400, "invalid_grant", what);
    let shown = request.param("refresh_token").unwrap_or_default().to_owned();
    let rotates = !state.script.without_rotation;
    let Some(token) = state.refresh.get_mut(&shown) else {
        return invalid("no such refresh token");
    };
    let grant = token.grant.clone();
    if token.used {
        state.reuses += 1;
        state.dead_families.push(grant.family);
        return invalid("the refresh token was used before");
    }
    let dead = state.dead_families.contains(&grant.family) || state.revoked.contains(&shown);
    if dead || grant.client != client.id {
        return invalid("the grant has ended");
    }
    token.used = rotates;
    let answer = state.tokens(&grant, true);
    json_answer(200, &answer)
}

pub(super) fn revoke(state: &mut State, request: &Recorded) -> Answer {
    if let Err(answer) = authenticate(state, request) {
        return *answer;
    }
    let token = request.param("token").unwrap_or_default().to_owned();
    if let Some(refresh) = state.refresh.get(&token) {
        let family = refresh.grant.family;
        state.dead_families.push(family);
    }
    state.revoked.push(token);
    // RFC 7009, section 2.2: also for tokens that it does not know.
    json_answer(200, &json!({}))
}

pub(super) fn introspect(state: &mut State, request: &Recorded) -> Answer {
    if let Err(answer) = authenticate(state, request) {
        return *answer;
    }
    let token = request.param("token").unwrap_or_default();
    let mut answer = json!({"active": false});
    if let (true, Some(access)) = (state.is_alive(token), state.access.get(token)) {
        let left = access.until.saturating_duration_since(Instant::now()).as_secs();
        answer = json!({
            "active": true, "iss": state.issuer, "sub": access.grant.sub, "client_id": access.grant.client,
            "scope": access.grant.scope, "token_type": "Bearer",
            "exp": super::state::now() + i64::try_from(left).unwrap_or(0),
        });
    }
    state.script.introspection.clone().iter().for_each(|change| change(&mut answer));
    json_answer(200, &answer)
}

/// RFC 6749, section 2.3.1: exactly one method, the right one, form-decoded.
fn authenticate(state: &State, request: &Recorded) -> Result<Client, Box<Answer>> {
    let refuse = |what: &str| Box::new(oauth_error(401, "invalid_client", what));
    let basic = request.header("authorization");
    let post = request.param("client_secret");
    let (method, id, secret) = match (basic, post) {
        (Some(_), Some(_)) => return Err(Box::new(oauth_error(400, "invalid_request", "two ways of authentication"))),
        (Some(basic), None) => {
            let text = basic.strip_prefix("Basic ").and_then(from_b64).and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| refuse("no Basic credentials"))?;
            let (id, secret) = text.split_once(':').ok_or_else(|| refuse("no colon"))?;
            let (id, secret) = (form_decoded(id), form_decoded(secret));
            if request.param("client_id").is_some_and(|other| Some(other) != id.as_deref()) {
                return Err(refuse("another client_id in the form"));
            }
            ("client_secret_basic", id, secret)
        }
        (None, Some(secret)) => {
            ("client_secret_post", request.param("client_id").map(str::to_owned), Some(secret.to_owned()))
        }
        (None, None) => return Err(refuse("no authentication")),
    };
    let client = id.and_then(|id| state.client(&id)).ok_or_else(|| refuse("unknown client"))?;
    if secret.as_deref() != Some(&client.secret) {
        return Err(refuse("another secret"));
    }
    if !client.auth_method.is_empty() && client.auth_method != method {
        return Err(refuse("another method is registered"));
    }
    Ok(client.clone())
}

/// Strictly `application/x-www-form-urlencoded`: what should have been encoded and was not is an error.
fn form_decoded(text: &str) -> Option<String> {
    let encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._+%".contains(&byte) || byte == b'~';
    if !text.bytes().all(encoded) {
        return None;
    }
    url::form_urlencoded::parse(format!("x={text}").as_bytes()).next().map(|(_, value)| value.into_owned())
}

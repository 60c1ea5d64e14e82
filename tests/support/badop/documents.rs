//! Metadata, keys, and what is known of a user.
//!
//! Must never depend on the `Host` of the request: the issuer is fixed.

use serde_json::{Value, json};

use super::answer::{Answer, json_answer, oauth_error};
use super::state::{Recorded, State};

pub(super) fn discovery(state: &State, request: &Recorded) -> Answer {
    let base = state.issuer.trim_end_matches('/');
    let path = url::Url::parse(base).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    // A client that glues a second slash in asks for something else.
    if request.target != format!("{path}/.well-known/openid-configuration") {
        return oauth_error(404, "not_found", "no such document");
    }
    let mut document = json!({
        "issuer": state.issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "jwks_uri": format!("{base}/jwks"),
        "revocation_endpoint": format!("{base}/revoke"),
        "introspection_endpoint": format!("{base}/introspect"),
        "end_session_endpoint": format!("{base}/end_session"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
    });
    state.script.discovery.iter().for_each(|change| change(&mut document));
    cacheable(json_answer(200, &document))
}

pub(super) fn jwks(state: &State) -> Answer {
    let mut keys = state.keys.jwks();
    keys.extend(state.old_keys.iter().flat_map(super::keys::KeySet::jwks));
    let mut document = json!({"keys": keys});
    state.script.jwks.iter().for_each(|change| change(&mut document));
    cacheable(json_answer(200, &document))
}

pub(super) fn userinfo(state: &mut State, request: &Recorded) -> Answer {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token.filter(|token| state.is_alive(token)).map(str::to_owned) else {
        return oauth_error(401, "invalid_token", "no such access token");
    };
    let Some(sub) = state.access.get(&token).map(|access| access.grant.sub.clone()) else {
        return oauth_error(401, "invalid_token", "that is no access token");
    };
    let mut answer = state.user(&sub).clone();
    answer["sub"] = Value::from(sub);
    state.script.userinfo.iter().for_each(|change| change(&mut answer));
    json_answer(200, &answer)
}

fn cacheable(mut answer: Answer) -> Answer {
    answer.headers_mut().insert("cache-control", http::HeaderValue::from_static("max-age=300"));
    answer
}

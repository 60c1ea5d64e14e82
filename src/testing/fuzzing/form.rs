//! Forms and queries: what a browser brings back from the provider, and what it may ask of a login.

use crate::oidc::{Asked, AuthorizationResponse, Outcome, ResponseError};
use crate::session::{SessionKey, SessionToken, Sid};

/// The input is a query or a form. An answer of the provider's says one thing once, and brings no token; a login is asked only for what is
/// on the list; names of sessions have one spelling.
pub fn form(data: &[u8]) {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(data).into_owned().collect();
    let count = |name: &str| fields.iter().filter(|(found, _)| found == name).count();
    let value = |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    match AuthorizationResponse::parse(fields.iter().map(|(name, value)| (name, value))) {
        Ok(response) => {
            for name in ["access_token", "id_token", "refresh_token", "response"] {
                assert_eq!(count(name), 0, "{name} came through the browser");
            }
            assert_eq!((count("state"), value("state")), (1, Some(response.state.expose().as_str())));
            assert!(count("iss") <= 1 && value("iss") == response.iss.as_deref());
            match &response.outcome {
                Outcome::Code(code) => {
                    assert_eq!((count("code"), value("code"), count("error")), (1, Some(code.expose().as_str()), 0));
                }
                Outcome::Refused { code, description } => {
                    assert_eq!(count("error"), 1);
                    assert!(*code == "unregistered" || value("error") == Some(code));
                    let text = description.as_deref().unwrap_or_default();
                    assert!(text.chars().count() <= 500 && !text.contains(char::is_control), "{text:?}");
                }
            }
            let issuer = "https://id.example.com";
            assert_eq!(response.check_iss(issuer, true).is_ok(), value("iss") == Some(issuer));
        }
        Err(ResponseError::Twice(name)) => assert!(count(name) > 1),
        Err(_) => {}
    }

    let asked = Asked::from_parameters(fields.iter().map(|(name, value)| (name, value)));
    for (name, found) in
        [("prompt", &asked.prompt), ("login_hint", &asked.login_hint), ("ui_locales", &asked.ui_locales)]
    {
        let Some(found) = found else { continue };
        assert!(fields.iter().any(|(one, value)| one == name && value == found));
        assert!((1..=256).contains(&found.len()) && !found.contains(char::is_control), "{found:?}");
    }

    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(sid) = Sid::parse(text) {
        assert_eq!((sid.as_str(), text.len()), (text, 22));
    }
    if let Some(token) = SessionToken::parse(text) {
        assert_eq!((token.expose(), text.len()), (text, 43));
    }
    if let Some(key) = SessionKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}

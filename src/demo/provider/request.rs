//! The authorization request (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1), checked.
//!
//! Never lets a browser be sent to an address that is not registered, letter for letter.

use std::time::Duration;

use url::Url;

use crate::base::Secret;
use crate::demo::form::Parameters;

/// The one client that the provider knows.
#[derive(Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: Secret<String>,
    /// Exact.
    pub redirect_uri: String,
    /// Exact.
    pub post_logout_redirect_uri: String,
}

impl Client {
    /// The origin that the client's browsers are sent back to.
    #[must_use]
    pub fn origin(&self) -> String {
        Url::parse(&self.redirect_uri).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }
}

/// A request that may go on to the sign-in page.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Registered.
    pub redirect_uri: String,
    /// Given back as it came.
    pub state: Option<String>,
    /// Goes into the ID token.
    pub nonce: Option<String>,
    /// `openid` among them; only scopes that are known here.
    pub scope: Vec<String>,
    /// PKCE, S256.
    pub challenge: String,
    /// May anything be shown?
    pub prompt: Prompt,
    /// Sign in again when the last time is longer ago.
    pub max_age: Option<Duration>,
    /// Who is expected.
    pub login_hint: Option<String>,
}

/// What may or must be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// The form when it is needed.
    WhenNeeded,
    /// Nothing: an error instead.
    Never,
    /// The form in any case.
    Always,
}

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client or its address is unknown: say so here, send nobody anywhere.
    Page(&'static str),
    /// Tell the client.
    Client(ErrorResponse),
}

/// An error for the client (RFC 6749 section 4.1.2.1).
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// Registered.
    pub redirect_uri: String,
    /// Given back as it came.
    pub state: Option<String>,
    /// A registered error code.
    pub error: &'static str,
    /// For the developer.
    pub description: &'static str,
}

/// Checks a request.
///
/// # Errors
/// [`Refusal::Page`] until the client and its redirect URI are known to be right, [`Refusal::Client`] after that.
pub fn check(parameters: &Parameters, client: &Client) -> Result<AuthorizationRequest, Refusal> {
    if parameters.get("client_id") != Some(client.id.as_str()) {
        return Err(Refusal::Page("No application of this name is registered here."));
    }
    let redirect_uri = match parameters.get("redirect_uri") {
        Some(uri) if uri == client.redirect_uri => uri.to_owned(),
        Some(_) => {
            return Err(Refusal::Page(
                "The application asked to be answered at an address that is not registered for it.",
            ));
        }
        None => return Err(Refusal::Page("The application did not say where to send the answer (redirect_uri).")),
    };
    let state = parameters.get("state").map(ToOwned::to_owned);
    let refuse = |error, description| {
        Err(Refusal::Client(ErrorResponse {
            redirect_uri: redirect_uri.clone(),
            state: state.clone(),
            error,
            description,
        }))
    };
    for (unsupported, error) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
        if parameters.get(unsupported).is_some() {
            return refuse(error, "request objects are not supported");
        }
    }
    if parameters.get("response_type") != Some("code") {
        return refuse("unsupported_response_type", "only response_type=code is supported");
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return refuse("invalid_request", "only response_mode=query is supported");
    }
    let challenge = match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) if is_digest(challenge) => challenge.to_owned(),
        (None, _) => return refuse("invalid_request", "PKCE is required: code_challenge is missing"),
        _ => return refuse("invalid_request", "PKCE is required with code_challenge_method=S256"),
    };
    let asked: Vec<&str> = parameters.get("scope").unwrap_or_default().split(' ').collect();
    if !asked.contains(&"openid") {
        return refuse("invalid_scope", "the scope must contain openid");
    }
    let prompts: Vec<&str> = parameters.get("prompt").unwrap_or_default().split(' ').collect();
    let prompt = match prompts.as_slice() {
        ["none"] => Prompt::Never,
        several if several.contains(&"none") => return refuse("invalid_request", "prompt=none stands alone"),
        several if several.contains(&"login") || several.contains(&"select_account") => Prompt::Always,
        _ => Prompt::WhenNeeded,
    };
    let max_age = match parameters.get("max_age").map(str::parse::<u32>) {
        None => None,
        Some(Ok(seconds)) => Some(Duration::from_secs(seconds.into())),
        Some(Err(_)) => return refuse("invalid_request", "max_age is a number of seconds"),
    };
    Ok(AuthorizationRequest {
        nonce: parameters.get("nonce").map(ToOwned::to_owned),
        scope: SCOPES.into_iter().filter(|scope| asked.contains(scope)).map(ToOwned::to_owned).collect(),
        challenge,
        prompt,
        max_age,
        login_hint: parameters.get("login_hint").map(ToOwned::to_owned),
        redirect_uri,
        state,
    })
}

/// The address that the answer goes to. `iss` is always among the parameters (RFC 9207).
#[must_use]
pub fn answer_url(redirect_uri: &str, issuer: &str, state: Option<&str>, parameters: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse(redirect_uri) else { return redirect_uri.to_owned() };
    {
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs(parameters);
        if let Some(state) = state {
            pairs.append_pair("state", state);
        }
        pairs.append_pair("iss", issuer);
    }
    url.into()
}

/// Whether that is what SHA-256 looks like in base64url.
fn is_digest(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What can be asked for.
pub const SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            id: "demo".to_owned(),
            secret: Secret::new("secret".to_owned()),
            redirect_uri: "http://localhost:8080/oauth2/callback".to_owned(),
            post_logout_redirect_uri: "http://localhost:8080/oauth2/signed_out".to_owned(),
        }
    }

    const GOOD: [(&str, &str); 8] = [
        ("client_id", "demo"),
        ("redirect_uri", "http://localhost:8080/oauth2/callback"),
        ("response_type", "code"),
        ("scope", "openid email unheard-of"),
        ("state", "a b&c"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("max_age", "60"),
    ];

    fn check_with(name: &str, value: Option<&str>) -> Result<AuthorizationRequest, Refusal> {
        let mut pairs: Vec<(&str, &str)> = GOOD.into_iter().filter(|(other, _)| *other != name).collect();
        pairs.extend(value.map(|value| (name, value)));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        check(&Parameters::parse(query.as_bytes()).unwrap(), &client())
    }

    #[test]
    fn a_good_request_keeps_what_matters() {
        let request = check_with("prompt", Some("login")).unwrap();
        assert_eq!(request.scope, ["openid", "email"]);
        assert_eq!(request.max_age, Some(Duration::from_secs(60)));
        assert_eq!(request.prompt, Prompt::Always);
        assert_eq!(
            answer_url(&request.redirect_uri, "http://127.0.0.1:1", request.state.as_deref(), &[("code", "x")]),
            "http://localhost:8080/oauth2/callback?code=x&state=a+b%26c&iss=http%3A%2F%2F127.0.0.1%3A1"
        );
    }

    /// Nobody is sent to an address that is not registered, however close it looks.
    #[test]
    fn an_unregistered_address_is_a_page_never_a_redirect() {
        let uris = [
            None,
            Some("http://localhost:8080/oauth2/callback/"),
            Some("http://localhost:8080/oauth2/callback?x=1"),
            Some("http://localhost:8080/oauth2/Callback"),
            Some("http://localhost:8080.evil.example/oauth2/callback"),
            Some("https://evil.example/"),
        ];
        for uri in uris {
            assert!(matches!(check_with("redirect_uri", uri), Err(Refusal::Page(_))), "{uri:?}");
        }
        assert!(matches!(check_with("client_id", Some("other")), Err(Refusal::Page(_))));
    }

    #[test]
    fn what_is_wrong_with_the_rest_is_told_to_the_client() {
        let table = [
            ("response_type", Some("token"), "unsupported_response_type"),
            ("response_type", None, "unsupported_response_type"),
            ("response_mode", Some("fragment"), "invalid_request"),
            ("code_challenge", None, "invalid_request"),
            ("code_challenge", Some("short"), "invalid_request"),
            ("code_challenge_method", None, "invalid_request"),
            ("code_challenge_method", Some("plain"), "invalid_request"),
            ("scope", Some("email"), "invalid_scope"),
            ("prompt", Some("none login"), "invalid_request"),
            ("max_age", Some("-1"), "invalid_request"),
            ("request", Some("eyJ"), "request_not_supported"),
            ("request_uri", Some("https://x.example"), "request_uri_not_supported"),
        ];
        for (name, value, expected) in table {
            match check_with(name, value) {
                Err(Refusal::Client(refused)) => {
                    assert_eq!(
                        (refused.error, refused.state.as_deref()),
                        (expected, Some("a b&c")),
                        "{name}={value:?}"
                    );
                }
                other => panic!("{name}={value:?}: {other:?}"),
            }
        }
    }
}

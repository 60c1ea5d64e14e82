//! What the browser brings back from the provider: the authorization response (RFC 6749 section 4.1.2, RFC 9207).
//!
//! Never believes any of it: it only says what was said, once each.

use std::fmt;

use super::error::registered_code;
use crate::base::{Blame, Blamed, Secret};

/// An authorization response in its right shape. Whose it is, the `state` decides.
#[derive(Clone)]
pub struct AuthorizationResponse {
    /// Names the login attempt.
    pub state: Secret<String>,
    /// Who says to have sent it (RFC 9207).
    pub iss: Option<String>,
    /// Code or error.
    pub outcome: Outcome,
}

/// How the provider decided.
#[derive(Clone)]
pub enum Outcome {
    /// Signed in: redeem this.
    Code(Secret<String>),
    /// Not signed in.
    Refused {
        /// A registered error code, or `"unregistered"`.
        code: &'static str,
        /// The provider's words to the person, at most 500 characters without control characters. To be escaped like any stranger's text.
        description: Option<String>,
    },
}

impl AuthorizationResponse {
    /// Reads the decoded parameters of the query, or of the form where `response_mode=form_post` is configured.
    ///
    /// # Errors
    /// When a parameter comes twice, a token came through the browser, or `state` or the outcome is missing or both ways at once.
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        parameters: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ResponseError> {
        let mut found: [Option<String>; 6] = Default::default();
        for (name, value) in parameters {
            let (name, value) = (name.as_ref(), value.as_ref());
            if let Some(name) = TOKENS.iter().find(|token| **token == name) {
                return Err(ResponseError::Token(name));
            }
            let Some((place, (name, longest))) =
                found.iter_mut().zip(PARAMETERS).find(|(_, (known, _))| *known == name)
            else {
                continue;
            };
            if place.is_some() {
                return Err(ResponseError::Twice(name));
            }
            if value.len() > longest {
                return Err(ResponseError::TooLong(name));
            }
            *place = Some(value.to_owned());
        }
        let [state, code, iss, error, description, _] = found;
        let state = state.filter(|state| !state.is_empty()).ok_or(ResponseError::NoState)?;
        let outcome = match (code.filter(|code| !code.is_empty()), error) {
            (Some(code), None) => Outcome::Code(Secret::new(code)),
            (None, Some(error)) => {
                Outcome::Refused { code: registered_code(&error), description: description.map(presentable) }
            }
            (None, None) => return Err(ResponseError::NoOutcome),
            (Some(_), Some(_)) => return Err(ResponseError::TwoOutcomes),
        };
        Ok(Self { state: Secret::new(state), iss, outcome })
    }

    /// RFC 9207 section 2.4: `iss` is the issuer, and has to be there when the provider announces it; on errors too.
    ///
    /// # Errors
    /// When it is another issuer's, or missing though announced.
    pub fn check_iss(&self, issuer: &str, announced: bool) -> Result<(), ResponseError> {
        match &self.iss {
            Some(iss) if iss == issuer => Ok(()),
            Some(_) => Err(ResponseError::OtherIssuer),
            None if announced => Err(ResponseError::NoIssuer),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for AuthorizationResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationResponse").finish_non_exhaustive()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(_) => f.write_str("Code"),
            Self::Refused { code, .. } => f.debug_tuple("Refused").field(code).finish(),
        }
    }
}

/// What is wrong with an authorization response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// RFC 6749 section 3.1.
    #[error("parameter `{0}` comes twice")]
    Twice(&'static str),
    /// Longer than any provider's.
    #[error("parameter `{0}` is too long")]
    TooLong(&'static str),
    /// Something that only other flows bring, and that this one must not accept.
    #[error("`{0}` came through the browser: only the code flow is spoken here")]
    Token(&'static str),
    /// Nothing says which login attempt it answers.
    #[error("`state` is missing")]
    NoState,
    /// Neither code nor error.
    #[error("neither `code` nor `error`")]
    NoOutcome,
    /// Both code and error.
    #[error("both `code` and `error`")]
    TwoOutcomes,
    /// RFC 9207.
    #[error("`iss` is another issuer's")]
    OtherIssuer,
    /// RFC 9207.
    #[error("`iss` is missing, and the provider announces that it sends it")]
    NoIssuer,
}

impl Blamed for ResponseError {
    fn blame(&self) -> Blame {
        Blame::Client
    }
}

/// Shortened, and without what could break a line in a log or a page.
fn presentable(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(DESCRIPTION_CHARS).collect()
}

/// The parameters that are read, in the order that `parse` takes them apart, and their longest values in bytes.
const PARAMETERS: [(&str, usize); 6] = [
    ("state", 512),
    ("code", 16 * 1024),
    ("iss", 2048),
    ("error", 256),
    ("error_description", 16 * 1024),
    ("error_uri", 16 * 1024),
];
/// Tokens in the front channel (RFC 9700 section 2.1.2), and `response`, whose content (JARM) nobody here can judge.
const TOKENS: [&str; 4] = ["access_token", "id_token", "refresh_token", "response"];
const DESCRIPTION_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<AuthorizationResponse, ResponseError> {
        AuthorizationResponse::parse(url::form_urlencoded::parse(query.as_bytes()))
    }

    #[test]
    fn a_code_or_an_error() {
        let response = parse("state=s&code=c&session_state=x&foo=1&foo=2").unwrap();
        assert_eq!(response.state.expose(), "s");
        assert!(matches!(&response.outcome, Outcome::Code(code) if code.expose() == "c"));
        let refused = parse("state=s&error=access_denied&error_description=%3Cscript%3E%0a&error_uri=x").unwrap();
        let Outcome::Refused { code, description } = refused.outcome else { panic!("no refusal") };
        assert_eq!((code, description.as_deref()), ("access_denied", Some("<script>")));
        assert!(matches!(
            parse("state=s&error=s3cr3t").unwrap().outcome,
            Outcome::Refused { code: "unregistered", .. }
        ));
    }

    /// LOGIN-01: tokens in the front channel are refused, whatever else is there.
    #[test]
    fn tokens_in_the_front_channel_are_refused() {
        for name in TOKENS {
            assert_eq!(parse(&format!("state=s&code=c&{name}=x")).unwrap_err(), ResponseError::Token(name));
        }
    }

    #[test]
    fn every_other_shape_is_refused() {
        for (query, expected) in [
            ("state=s&state=s&code=c", ResponseError::Twice("state")),
            ("state=s&code=c&code=d", ResponseError::Twice("code")),
            ("state=s&code=c&iss=a&iss=a", ResponseError::Twice("iss")),
            ("code=c", ResponseError::NoState),
            ("state=&code=c", ResponseError::NoState),
            ("state=s", ResponseError::NoOutcome),
            ("state=s&code=", ResponseError::NoOutcome),
            ("state=s&code=c&error=access_denied", ResponseError::TwoOutcomes),
            ("", ResponseError::NoState),
        ] {
            assert_eq!(parse(query).unwrap_err(), expected, "{query}");
        }
        assert_eq!(parse(&format!("state={}&code=c", "x".repeat(513))).unwrap_err(), ResponseError::TooLong("state"));
    }

    /// LOGIN-11: `iss` is compared when it is there and demanded when it is announced, also on errors.
    #[test]
    fn the_issuer_of_the_response() {
        let issuer = "https://id.example.com";
        for rest in ["code=c", "error=access_denied"] {
            for (iss, announced, expected) in [
                ("&iss=https://id.example.com", true, Ok(())),
                ("&iss=https://id.example.com", false, Ok(())),
                ("", false, Ok(())),
                ("", true, Err(ResponseError::NoIssuer)),
                ("&iss=https://id.example.com/", false, Err(ResponseError::OtherIssuer)),
                ("&iss=https://evil.example", true, Err(ResponseError::OtherIssuer)),
                ("&iss=", false, Err(ResponseError::OtherIssuer)),
            ] {
                assert_eq!(
                    parse(&format!("state=s&{rest}{iss}")).unwrap().check_iss(issuer, announced),
                    expected,
                    "{rest}{iss}"
                );
            }
        }
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let printed =
            format!("{:?} {:?}", parse("state=s3&code=c4").unwrap(), parse("state=s3&code=c4").unwrap().outcome);
        assert_eq!(printed, "AuthorizationResponse { .. } Code");
    }
}

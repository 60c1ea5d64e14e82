//! What can go wrong with a provider, and whose fault it is.
//!
//! Never carries a byte that could be a secret: no body, no code, no token, no text that a provider chose.

use std::fmt;
use std::sync::Arc;

use super::id_token::IdTokenError;
use super::logout_token::LogoutTokenError;
use super::response::ResponseError;
use crate::base::{Blame, Blamed};
use crate::jose::VerifyError;

/// Which of the provider's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `jwks_uri`.
    Keys,
    /// `authorization_endpoint`: browsers go there, the gateway never does.
    Authorization,
    /// `token_endpoint`.
    Token,
    /// `userinfo_endpoint`.
    Userinfo,
    /// `revocation_endpoint`.
    Revocation,
    /// `end_session_endpoint`: browsers go there, the gateway never does.
    EndSession,
}

impl Endpoint {
    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::Authorization => "authorization",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
            Self::Revocation => "revocation",
            Self::EndSession => "end_session",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there was no answer. All of these pass by themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// No connection: name resolution, TCP or TLS. Nothing was sent, so the reason holds no secret.
    #[error("no connection ({0})")]
    Connect(Arc<str>),
    /// The answer took too long.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before the answer was complete.
    #[error("the connection broke")]
    Interrupted,
    /// 5xx or 429.
    #[error("status {0}")]
    Status(u16),
}

/// What is wrong with an answer that did come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// A status that the protocol has no meaning for.
    #[error("unexpected status {0}")]
    Status(u16),
    /// A redirect: never followed, least of all with credentials.
    #[error("a redirect (status {0}), which is not followed")]
    Redirect(u16),
    /// HTML, or nothing at all.
    #[error("another content type than JSON")]
    ContentType,
    /// gzip and the like, which was never asked for.
    #[error("a content encoding that was not asked for")]
    ContentEncoding,
    /// Larger than the limit.
    #[error("too large")]
    TooLarge,
    /// Not JSON, or not of the shape that the named thing has.
    #[error("{0}")]
    Shape(&'static str),
}

/// What went wrong with a provider.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached, is too slow, or says that it cannot serve now.
    #[error("the provider's {endpoint} endpoint is unavailable: {outage}")]
    Unavailable {
        /// Where.
        endpoint: Endpoint,
        /// How.
        outage: Outage,
    },
    /// It answered what no provider should.
    #[error("the provider's {endpoint} endpoint gave an unusable answer: {nonsense}")]
    Answer {
        /// Where.
        endpoint: Endpoint,
        /// What is wrong with the answer.
        nonsense: Nonsense,
    },
    /// It answered with an OAuth error (RFC 6749 section 5.2).
    #[error("the provider's {endpoint} endpoint refused: {code}")]
    Refused {
        /// Where.
        endpoint: Endpoint,
        /// A registered error code, or `"unregistered"`: never the provider's own text.
        code: &'static str,
    },
    /// Its metadata names another issuer than the configured one.
    #[error("the provider's metadata is that of another issuer than the configured one")]
    Issuer,
    /// One of its endpoints is not https, is no URL, or has user information or a fragment.
    #[error("the provider's metadata has an unacceptable URL as `{0}`")]
    EndpointUrl(&'static str),
    /// It does not offer what is needed.
    #[error("the provider does not offer {0}")]
    Unsupported(&'static str),
    /// The login attempt began at another provider, or at another issuer under this name (mix-up, RFC 9700 section 4.4).
    #[error("the login attempt belongs to another provider")]
    OtherProvider,
    /// The authorization response does not hold.
    #[error("the authorization response is unacceptable: {0}")]
    Response(#[from] ResponseError),
    /// The ID token does not hold.
    #[error("the provider's ID token is unacceptable: {0}")]
    IdToken(#[from] IdTokenError),
    /// The logout token does not hold.
    #[error("the logout token is unacceptable: {0}")]
    LogoutToken(#[from] LogoutTokenError),
    /// A signed userinfo answer does not hold.
    #[error("the provider's signed userinfo answer is unacceptable: {0}")]
    SignedUserinfo(VerifyError),
    /// The claims at the userinfo endpoint belong to another subject.
    #[error("the userinfo endpoint answered for another subject")]
    OtherSubject,
    /// More claims than a session may hold.
    #[error("the provider's claims are larger than a session may hold")]
    ClaimsTooLarge,
    /// The settings cannot work.
    #[error("{0}")]
    Settings(Arc<str>),
    /// Ours.
    #[error("internal fault: {0}")]
    Bug(&'static str),
}

impl ProviderError {
    /// Whether it may pass by itself: sessions are kept, and the same call may work later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether nothing listens there at all.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unavailable { outage: Outage::Connect(_), .. })
    }

    /// Whether tokens or claims were had and do not hold, so that nobody may go on with them. Everything else, an answer that
    /// makes no sense too, is trouble of the provider's, and says nothing about a person.
    #[must_use]
    pub const fn is_verdict(&self) -> bool {
        matches!(self, Self::IdToken(_) | Self::SignedUserinfo(_) | Self::OtherSubject | Self::ClaimsTooLarge)
    }

    /// Whether the provider says that the code or refresh token is no longer good (`invalid_grant`).
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == "invalid_grant")
    }
}

impl Blamed for ProviderError {
    fn blame(&self) -> Blame {
        match self {
            Self::Refused { .. } if self.is_invalid_grant() => Blame::Client,
            Self::OtherProvider | Self::LogoutToken(_) => Blame::Client,
            Self::Response(error) => error.blame(),
            Self::Unavailable { .. }
            | Self::Answer { .. }
            | Self::Refused { .. }
            | Self::Issuer
            | Self::EndpointUrl(_)
            | Self::Unsupported(_)
            | Self::IdToken(_)
            | Self::SignedUserinfo(_)
            | Self::OtherSubject
            | Self::ClaimsTooLarge => Blame::Provider,
            Self::Settings(_) | Self::Bug(_) => Blame::Bug,
        }
    }
}

/// The registered error code that `text` is. A code that nobody registered could be anything, a secret too, and is not repeated.
pub(super) fn registered_code(text: &str) -> &'static str {
    REGISTERED.iter().find(|code| **code == text).copied().unwrap_or("unregistered")
}

/// The IANA registry of OAuth extension errors and RFC 6749, as far as the endpoints we use can answer them.
const REGISTERED: &[&str] = &[
    "access_denied",
    "account_selection_required",
    "consent_required",
    "insufficient_scope",
    "insufficient_user_authentication",
    "interaction_required",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unmet_authentication_requirements",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "use_dpop_nonce",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_nobody_registered_is_not_repeated() {
        assert_eq!(registered_code("invalid_grant"), "invalid_grant");
        assert_eq!(registered_code("eyJhbGciOi.secret"), "unregistered");
    }

    #[test]
    fn only_an_outage_is_temporary() {
        let away = ProviderError::Unavailable { endpoint: Endpoint::Token, outage: Outage::Timeout };
        assert!(away.is_temporary());
        assert_eq!(away.blame(), Blame::Provider);
        let spent = ProviderError::Refused { endpoint: Endpoint::Token, code: "invalid_grant" };
        assert!(!spent.is_temporary() && spent.is_invalid_grant());
        assert_eq!(spent.blame(), Blame::Client);
        let ours = ProviderError::Refused { endpoint: Endpoint::Token, code: "invalid_client" };
        assert_eq!(ours.blame(), Blame::Provider);
    }
}

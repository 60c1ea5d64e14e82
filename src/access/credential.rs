//! What a request carried.

use crate::route::AccessMode;
use crate::session::SessionToken;
use crate::web::{AuthorizationHeader, ClientRequest, SessionCookie};

/// What a request carried, before anybody was asked about it.
#[derive(Debug)]
pub enum Credential {
    /// Nothing that names a person.
    Nothing,
    /// A well-formed session cookie.
    Session(SessionToken),
    /// A session cookie that we cannot have made.
    Foreign,
    /// Several session cookies: whose request is it? (SESS-09)
    Several,
    /// A bearer token, which this route does not take.
    ///
    /// One fixed rule where both are there: the bearer token counts and the cookie is not looked at, so that a session
    /// never lends its authority to somebody's bad token (API-05).
    Bearer,
}

impl Credential {
    /// Reads it. A bearer token is none on an `optional` route: the application judges it, without an identity of ours.
    #[must_use]
    pub fn read(client: &ClientRequest, access: AccessMode) -> Self {
        if is_bearer(&client.authorization) {
            return if access == AccessMode::Optional { Self::Nothing } else { Self::Bearer };
        }
        Self::from_cookie(&client.cookies.session)
    }

    /// Reads the cookie alone, as our own endpoints do.
    #[must_use]
    pub fn from_cookie(cookie: &SessionCookie) -> Self {
        match cookie {
            SessionCookie::None => Self::Nothing,
            SessionCookie::Several => Self::Several,
            SessionCookie::One(value) => SessionToken::parse(value).map_or(Self::Foreign, Self::Session),
        }
    }
}

/// Whether the header names the Bearer scheme; several headers count as one, since somebody may read the other.
fn is_bearer(authorization: &AuthorizationHeader) -> bool {
    match authorization {
        AuthorizationHeader::None => false,
        AuthorizationHeader::Several => true,
        AuthorizationHeader::One(value) => {
            let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
            scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"dpop")
        }
    }
}

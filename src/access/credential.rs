//! What a request carried.

use std::sync::{Mutex, PoisonError};

use crate::route::AccessMode;
use crate::session::SessionToken;
use crate::web::{AuthorizationHeader, ClientRequest, Connection, SessionCookie};

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
    pub fn read(client: &ClientRequest, access: AccessMode, connection: &Connection) -> Self {
        if is_bearer(&client.authorization) {
            return if access == AccessMode::Optional { Self::Nothing } else { Self::Bearer };
        }
        Self::of(&client.cookies.session, |value| connection.attached(Last::default).read(value))
    }

    /// Reads the cookie alone, as our own endpoints do.
    #[must_use]
    pub fn from_cookie(cookie: &SessionCookie) -> Self {
        Self::of(cookie, SessionToken::parse)
    }

    fn of(cookie: &SessionCookie, parse: impl FnOnce(&str) -> Option<SessionToken>) -> Self {
        match cookie {
            SessionCookie::None => Self::Nothing,
            SessionCookie::Several => Self::Several,
            SessionCookie::One(value) => parse(value).map_or(Self::Foreign, Self::Session),
        }
    }
}

/// The session cookie that came by a connection last. Most that follow are the same, and need not be read and hashed again; what it
/// opens is asked anew each time.
#[derive(Default)]
struct Last(Mutex<Option<SessionToken>>);

impl Last {
    fn read(&self, value: &str) -> Option<SessionToken> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = last.as_ref().filter(|token| token.is_spelled(value)) {
            return Some(token.clone());
        }
        let token = SessionToken::parse(value)?;
        *last = Some(token.clone());
        Some(token)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// SESS-10: what came by a connection before lends nothing to what comes now.
    #[test]
    fn a_cookie_is_read_for_itself_whatever_came_before() {
        let last = Last::default();
        let (one, other) = ("A".repeat(43), format!("{}E", "A".repeat(42)));
        for value in [&one, &one, &other, &one] {
            assert_eq!(last.read(value).unwrap().expose(), value);
            assert_eq!(last.read(value).unwrap().key(), SessionToken::parse(value).unwrap().key());
            for foreign in ["", value.get(1..).unwrap(), &format!("{value}A"), &value.to_lowercase()] {
                let read = last.read(foreign);
                assert_eq!(
                    read.as_ref().map(SessionToken::expose),
                    SessionToken::parse(foreign).as_ref().map(SessionToken::expose)
                );
                assert_ne!(read.map(|token| *token.key()), SessionToken::parse(value).map(|token| *token.key()));
            }
        }
    }

    /// SESS-10: nor does an empty cookie, or one that is no text of ours, when nothing came before.
    #[test]
    fn nothing_is_remembered_of_what_is_no_token() {
        let last = Last::default();
        assert!(last.read("").is_none());
        assert!(last.read(&"!".repeat(43)).is_none());
        assert!(last.0.lock().unwrap().is_none());
    }
}

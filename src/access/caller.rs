//! Who the request's credential turned out to be.

use std::sync::Arc;

use tokio::time::Instant;

use super::Credential;
use crate::base::Timestamp;
use crate::session::{LiveSession, Lookup, Sessions, StoreError};
use crate::web::ClientRequest;

/// Who a request is from.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody that we know.
    Anonymous {
        /// It showed a session cookie that opens nothing any more: that cookie may be deleted.
        dead_cookie: bool,
    },
    /// The person of a live session.
    Person(Arc<LiveSession>),
}

impl Caller {
    /// The session, if somebody is signed in.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        match self {
            Self::Person(live) => Some(live),
            Self::Anonymous { .. } => None,
        }
    }
}

/// Asks the session service. Three outcomes: a person, nobody, or *the store cannot say*, which is never "nobody". `began` is when
/// the request did.
///
/// # Errors
///
/// When the store cannot answer within its deadline.
pub async fn identify(
    credential: Credential,
    sessions: &Sessions,
    client: &ClientRequest,
    now: Timestamp,
    began: Instant,
) -> Result<Caller, StoreError> {
    let token = match credential {
        Credential::Session(token) => token,
        Credential::Foreign => return Ok(Caller::Anonymous { dead_cookie: true }),
        Credential::Nothing | Credential::Several | Credential::Bearer => {
            return Ok(Caller::Anonymous { dead_cookie: false });
        }
    };
    match sessions.find_since(&token, now, began).await? {
        // A cookie copied from one host to another opens nothing there (SESS-15); the session itself is fine. Ports of one host have
        // no cookies of their own, and so no sessions of their own.
        Lookup::Found(live) if !client.origin.shares_cookies_with(&live.session().origin) => {
            Ok(Caller::Anonymous { dead_cookie: false })
        }
        Lookup::Found(live) => Ok(Caller::Person(live)),
        Lookup::Absent(_) => Ok(Caller::Anonymous { dead_cookie: true }),
    }
}

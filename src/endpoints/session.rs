//! `GET session`: how long the session still lives, and why it will end.
//!
//! Asking does not keep it alive (SESS-19).

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::Endpoints;
use crate::base::Timestamp;
use crate::session::LiveSession;
use crate::web::answer;
use crate::web::body::Body;
use crate::web::client::ClientRequest;

impl Endpoints {
    pub(super) async fn session(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        match self.signed_in(client, now).await {
            Ok(live) => answer::json(StatusCode::OK, &session(&live, now)),
            Err(answer) => *answer,
        }
    }
}

/// Times are RFC 3339, `*_in` whole seconds. `expires` is the end in any case; `idle_expires_in` the end without activity.
pub(super) fn session(live: &LiveSession, now: Timestamp) -> Value {
    let session = live.session();
    json!({
        "sid": session.sid.as_str(),
        "provider": &*session.provider,
        "sub": session.subject,
        "created": session.created.rfc3339(),
        "expires": session.expires.rfc3339(),
        "expires_in": session.expires.since(now).as_secs(),
        "idle_expires_in": live.idle_expires().since(now).as_secs(),
        "access_token_expires_in": session.tokens.access_token_expires.since(now).as_secs(),
        "refreshable": session.tokens.refresh_token.is_some(),
        "auth_time": session.auth_time.map(Timestamp::rfc3339),
        "acr": session.acr,
    })
}

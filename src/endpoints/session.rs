//! `GET session`: how long the session still lives, and when it ends without activity. `POST session/refresh`: renew its tokens.
//!
//! Asking does not keep it alive (SESS-19).

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::Endpoints;
use crate::access::Refreshed;
use crate::base::Timestamp;
use crate::session::LiveSession;
use crate::web::{self, Body, ClientRequest, Problem};

impl Endpoints {
    pub(super) async fn session(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        match self.signed_in(client, now).await {
            Ok(live) => web::json(StatusCode::OK, &session(&live, now)),
            Err(answer) => *answer,
        }
    }

    /// `POST session/refresh`: renews the tokens now. Claims and scope are taken anew with them.
    pub(super) async fn session_refresh(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        if let Some(refused) = super::from_elsewhere(client) {
            return refused;
        }
        let live = match self.signed_in(client, now).await {
            Ok(live) => live,
            Err(answer) => return *answer,
        };
        if live.session().tokens.refresh_token.is_none() {
            return Problem::new(StatusCode::CONFLICT, "This session cannot be refreshed")
                .detail("The provider gave no refresh token for it. Ask for the scope offline_access, if the provider knows it.")
                .answer(client.format(), &client.request_id);
        }
        match self.refresher.refresh(&live, client).await {
            Refreshed::Fresh(live) => web::json(StatusCode::OK, &session(&live, self.clock.now())),
            Refreshed::Ended => self.challenge(client, true),
            Refreshed::ProviderAway => super::provider_away(client),
            Refreshed::StoreAway(error) => super::store_away(&error, client),
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

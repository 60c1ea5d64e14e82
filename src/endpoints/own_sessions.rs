//! `GET sessions` and `POST sessions/revoke`: a person's own sessions, here and in other browsers.

use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Endpoints;
use crate::base::Timestamp;
use crate::session::{LiveSession, Sid, StoreError};
use crate::telemetry::audit::{self, Event, Record};
use crate::telemetry::metrics::Word;
use crate::web::{self, Body, ClientRequest, Problem};

const MOST_BYTES: usize = 4 * 1024;

/// What `POST sessions/revoke` takes: one of two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    sid: Option<String>,
    others: Option<bool>,
}

impl Endpoints {
    pub(super) async fn own_sessions(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        let live = match self.signed_in(client, now).await {
            Ok(live) => live,
            Err(answer) => return *answer,
        };
        let session = live.session();
        match self.sessions.list_user(&session.issuer, &session.subject).await {
            Err(error) => super::store_away(&error, client),
            Ok(all) => {
                let all: Vec<Value> = all
                    .iter()
                    .map(|one| {
                        json!({
                            "sid": one.sid.as_str(),
                            "provider": &*one.provider,
                            "created": one.created.rfc3339(),
                            "last_seen": one.last_seen.rfc3339(),
                            "expires": one.expires.rfc3339(),
                            "address": one.address,
                            "agent": one.agent,
                            "current": one.sid == session.sid,
                        })
                    })
                    .collect();
                web::json(StatusCode::OK, &json!({ "sessions": all }))
            }
        }
    }

    /// Ends one of the person's own sessions, or all but the one that asks. Another person's `sid` is one that there is not.
    pub(super) async fn revoke_own(&self, client: &ClientRequest, body: Body, now: Timestamp) -> Response<Body> {
        if let Some(refused) = super::from_elsewhere(client) {
            return refused;
        }
        let live = match self.signed_in(client, now).await {
            Ok(live) => live,
            Err(answer) => return *answer,
        };
        let ended = match read(body).await {
            Some(Revocation { sid: Some(sid), others: None }) => self.end_own(&live, &sid).await,
            Some(Revocation { sid: None, others: Some(true) }) => self.end_others(&live).await.map(Some),
            _ => {
                return Problem::new(StatusCode::BAD_REQUEST, "This request makes no sense")
                    .detail(r#"The body is {"sid": "…"} or {"others": true}."#)
                    .answer(client.format(), &client.request_id);
            }
        };
        match ended {
            Err(error) => super::store_away(&error, client),
            Ok(None) => Problem::new(StatusCode::NOT_FOUND, "There is no such session")
                .detail("It may have ended already.")
                .answer(client.format(), &client.request_id),
            Ok(Some(count)) => {
                self.record_revocation(client, &live, count);
                web::json(StatusCode::OK, &json!({ "revoked": count }))
            }
        }
    }

    async fn end_own(&self, live: &LiveSession, sid: &str) -> Result<Option<usize>, StoreError> {
        let Some(sid) = Sid::parse(sid) else { return Ok(None) };
        let session = live.session();
        let mine = self.sessions.list_user(&session.issuer, &session.subject).await?;
        if !mine.iter().any(|one| one.sid == sid) {
            return Ok(None);
        }
        Ok(self.sessions.end_sid(&sid).await?.then_some(1))
    }

    async fn end_others(&self, live: &LiveSession) -> Result<usize, StoreError> {
        let session = live.session();
        let mut ended = 0;
        for one in self.sessions.list_user(&session.issuer, &session.subject).await? {
            if one.sid != session.sid && self.sessions.end_sid(&one.sid).await? {
                ended += 1;
            }
        }
        Ok(ended)
    }

    fn record_revocation(&self, client: &ClientRequest, live: &LiveSession, count: usize) {
        let session = live.session();
        audit::write(
            Event::Revoked,
            Record {
                reason: Some("the person ended sessions of their own"),
                count: Some(count),
                ..super::about(client, session)
            },
        );
        let ended = self.metrics.sessions_ended.get_or_create(&Word { kind: "revoked" });
        ended.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

#[allow(clippy::disallowed_methods, reason = "limited right here")]
async fn read(body: Body) -> Option<Revocation> {
    let whole = Limited::new(body, MOST_BYTES).collect();
    let whole = tokio::time::timeout(std::time::Duration::from_secs(10), whole).await.ok()?.ok()?;
    serde_json::from_slice(&whole.to_bytes()).ok()
}

//! `/api/`: list sessions, end them, look at the configuration and the keys. Every change is an audit event.

use std::net::IpAddr;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use crate::session::{Filter, Sid, StoreError};
use crate::telemetry::audit::{self, Event, Record};
use crate::telemetry::metrics::Word;
use crate::web::{Body, json as json_answer};

const MOST_BYTES: usize = 16 * 1024;

/// What `POST /api/revocations` takes: one of three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    provider: Option<String>,
    sub: Option<String>,
    provider_sid: Option<String>,
    all: Option<bool>,
}

impl Admin {
    /// `address` is who asks.
    pub(super) async fn api(&self, request: Request<Incoming>, address: Option<IpAddr>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        match (method, path.as_str()) {
            (Method::GET, "/api/sessions") => self.list(&query).await,
            (Method::POST, "/api/revocations") => self.revoke(request.into_body(), address).await,
            (Method::GET, "/api/config") => {
                json_answer(StatusCode::OK, &json!({ "configuration": self.configuration }))
            }
            (Method::GET, "/api/keys") => self.keys(),
            (Method::DELETE, path) if path.starts_with("/api/sessions/") => {
                self.end(path.strip_prefix("/api/sessions/").unwrap_or_default(), address).await
            }
            _ => problem(StatusCode::NOT_FOUND, "the API has no such path and method"),
        }
    }

    async fn list(&self, query: &str) -> Response<Body> {
        let (mut provider, mut subject, mut cursor) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "provider" => provider = Some(value.into_owned()),
                "sub" => subject = Some(value.into_owned()),
                "cursor" => cursor = Some(value.into_owned()),
                _ => return problem(StatusCode::BAD_REQUEST, "known parameters: provider, sub, cursor"),
            }
        }
        let gateway = self.front.current();
        let filter = match (provider, subject) {
            (None, None) => Filter::All,
            (Some(name), None) => Filter::Provider(name),
            (Some(name), Some(subject)) => match gateway.endpoints.providers.get(name.as_str()) {
                Some(provider) => Filter::User { issuer: provider.settings().issuer.clone(), subject },
                None => return problem(StatusCode::NOT_FOUND, "there is no provider of that name"),
            },
            (None, Some(_)) => return problem(StatusCode::BAD_REQUEST, "a sub means nothing without its provider"),
        };
        match gateway.sessions.list(&filter, cursor.as_deref()).await {
            Ok(page) => {
                let sessions: Vec<Value> = page
                    .sessions
                    .iter()
                    .map(|one| {
                        json!({
                            "sid": one.sid.as_str(),
                            "provider": &*one.provider,
                            "sub": one.subject,
                            "created": one.created.rfc3339(),
                            "last_seen": one.last_seen.rfc3339(),
                            "expires": one.expires.rfc3339(),
                            "address": one.address,
                            "agent": one.agent,
                        })
                    })
                    .collect();
                json_answer(StatusCode::OK, &json!({ "sessions": sessions, "next": page.next }))
            }
            Err(error) => store_away(&error),
        }
    }

    async fn end(&self, sid: &str, address: Option<IpAddr>) -> Response<Body> {
        let Some(sid) = Sid::parse(sid) else { return problem(StatusCode::NOT_FOUND, "there is no such session") };
        let gateway = self.front.current();
        match gateway.sessions.end_sid(&sid).await {
            Ok(true) => {
                let about = Record { sid: Some(sid.as_str()), count: Some(1), ..Record::default() };
                self.record("sessions: end one", address, about);
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                answer
            }
            Ok(false) => problem(StatusCode::NOT_FOUND, "there is no such session"),
            Err(error) => store_away(&error),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "limited right here")]
    async fn revoke(&self, body: Incoming, address: Option<IpAddr>) -> Response<Body> {
        let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long or did not come whole");
        };
        let Ok(asked) = serde_json::from_slice::<Revocation>(&body.to_bytes()) else {
            return problem(StatusCode::BAD_REQUEST, FORMS);
        };
        let gateway = self.front.current();
        let issuer = match &asked.provider {
            None => None,
            Some(name) => match gateway.endpoints.providers.get(name.as_str()) {
                Some(provider) => Some(provider.settings().issuer.clone()),
                None => return problem(StatusCode::NOT_FOUND, "there is no provider of that name"),
            },
        };
        let (what, done) = match (&issuer, &asked.sub, &asked.provider_sid, asked.all) {
            (Some(issuer), Some(sub), None, None) => {
                ("sessions: revoke a user", gateway.sessions.revoke_user(issuer, sub).await)
            }
            (Some(issuer), None, Some(sid), None) => {
                ("sessions: revoke a provider's sid", gateway.sessions.revoke_provider_sid(issuer, sid).await)
            }
            (None, None, None, Some(true)) => ("sessions: revoke everybody", gateway.sessions.revoke_all().await),
            _ => return problem(StatusCode::BAD_REQUEST, FORMS),
        };
        match done {
            Ok(count) => {
                let about = Record {
                    provider: asked.provider.as_deref(),
                    issuer: issuer.as_deref(),
                    subject: asked.sub.as_deref(),
                    count: Some(count),
                    ..Record::default()
                };
                self.record(what, address, about);
                json_answer(StatusCode::OK, &json!({ "revoked": count }))
            }
            Err(error) => store_away(&error),
        }
    }

    fn keys(&self) -> Response<Body> {
        let jwks = self.front.current().identity.jwks();
        match serde_json::from_slice::<Value>(&jwks.body) {
            Ok(keys) => json_answer(StatusCode::OK, &keys),
            Err(_) => json_answer(StatusCode::OK, &json!({ "keys": [] })),
        }
    }

    fn record(&self, what: &str, address: Option<IpAddr>, about: Record<'_>) {
        let address = address.as_ref().map(|address| address as &dyn std::fmt::Display);
        audit::write(Event::AdminAction, Record { reason: Some(what), address, ..about });
        let ended = &self.front.current().metrics.sessions_ended;
        let count = u64::try_from(about.count.unwrap_or_default()).unwrap_or(u64::MAX);
        ended.get_or_create(&Word { kind: "revoked" }).inc_by(count);
    }
}

const FORMS: &str = r#"the body is one of {"provider","sub"}, {"provider","provider_sid"} and {"all":true}"#;

fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    let mut answer = json_answer(status, &body);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/problem+json"));
    answer
}

fn store_away(error: &StoreError) -> Response<Body> {
    tracing::warn!(%error, "the store cannot answer the admin API");
    let mut answer =
        problem(StatusCode::SERVICE_UNAVAILABLE, "the store cannot answer; nothing was acknowledged, ask again");
    answer.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    answer
}

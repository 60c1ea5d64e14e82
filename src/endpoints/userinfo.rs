//! `GET userinfo`: who is signed in, for scripts.

use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::Endpoints;
use crate::base::Timestamp;
use crate::session::Session;
use crate::web::{self, Body, ClientRequest};

impl Endpoints {
    pub(super) async fn userinfo(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        match self.signed_in(client, now).await {
            Ok(live) => web::json(StatusCode::OK, &userinfo(live.session())),
            Err(answer) => *answer,
        }
    }
}

/// The configured claims, and the names that scripts rely on.
fn userinfo(session: &Session) -> Map<String, Value> {
    let mut out = session.claims.clone();
    // Members that are always there, so that a script may read them without asking.
    for name in ["email", "name", "preferred_username"] {
        out.entry(name).or_insert(Value::Null);
    }
    out.entry("groups").or_insert_with(|| Value::Array(Vec::new()));
    out.insert("sub".into(), session.subject.as_str().into());
    out.insert("provider".into(), (&*session.provider).into());
    // oauth2-proxy's names for the same.
    out.insert("user".into(), session.subject.as_str().into());
    let username = out.get("preferred_username").cloned().unwrap_or_default();
    out.insert("preferredUsername".into(), username);
    out
}

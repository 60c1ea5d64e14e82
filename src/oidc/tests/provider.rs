//! A provider on loopback that answers whatever a test tells it to, and remembers what it was asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::base::{SystemRandom, Timestamp};
use crate::jose::{Algorithm, SigningKey, at_hash, sign};

/// What one path answers.
#[derive(Clone)]
pub(super) enum Reply {
    /// A status, header fields and a body.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// 200 and JSON that never ends.
    Flood,
    /// Nothing, ever.
    Hang,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, vec![("content-type", "application/json".to_owned())], body.to_string().into())
    }

    pub(super) fn typed(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Answer(200, vec![("content-type", content_type.to_owned())], body.into())
    }
}

/// One request that came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    /// The values of a form field.
    pub(super) fn field(&self, name: &str) -> Vec<String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.into_owned())
            .collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct State {
    replies: Mutex<HashMap<String, Reply>>,
    seen: Mutex<Vec<Seen>>,
}

pub(super) struct TestProvider {
    address: SocketAddr,
    state: Arc<State>,
    task: Mutex<Option<JoinHandle<()>>>,
    key: Mutex<SigningKey>,
}

impl TestProvider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
        let op = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            task: Mutex::default(),
            key: Mutex::new(key),
        };
        op.announce(json!({}));
        op.publish(&[op.key().public_jwk().unwrap()]);
        op.reply("/revoke", Reply::Answer(200, vec![], Bytes::new()));
        op.serve(listener);
        op
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn key(&self) -> SigningKey {
        self.key.lock().unwrap().clone()
    }

    /// Signs with a new key from now on, and publishes it alone.
    pub(super) fn rotate(&self, algorithm: Algorithm) {
        let key = SigningKey::generate(algorithm, &SystemRandom).unwrap();
        self.publish(&[key.public_jwk().unwrap()]);
        *self.key.lock().unwrap() = key;
    }

    pub(super) fn publish(&self, keys: &[Value]) {
        self.reply("/jwks", Reply::json(200, &json!({ "keys": keys })));
    }

    /// The metadata, with members changed (`null` removes).
    pub(super) fn announce(&self, changes: Value) {
        let at = |path: &str| format!("{}{path}", self.issuer());
        let mut document = json!({
            "issuer": self.issuer(), "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"), "userinfo_endpoint": at("/userinfo"), "end_session_endpoint": at("/logout"),
            "revocation_endpoint": at("/revoke"), "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "PS256", "EdDSA", "none", "HS256"],
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(document.as_object_mut().unwrap().remove(name)),
                value => document[name] = value.clone(),
            }
        }
        self.reply(DISCOVERY, Reply::json(200, &document));
    }

    pub(super) fn reply(&self, path: &str, reply: Reply) {
        self.state.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// The claims of a good ID token.
    pub(super) fn id_claims(&self, nonce: &str, now: Timestamp) -> Value {
        let now = now.unix_seconds();
        json!({
            "iss": self.issuer(), "sub": "ann", "aud": "portal", "exp": now + 300, "iat": now, "nonce": nonce,
            "auth_time": now - 10, "email": "ann@example.com", "at_hash": at_hash(self.key().algorithm(), ACCESS_TOKEN),
        })
    }

    pub(super) fn signed(&self, typ: &str, claims: &Value) -> String {
        sign(&self.key(), typ, claims).unwrap()
    }

    /// The token endpoint answers with an ID token of these claims.
    pub(super) fn answer_tokens(&self, claims: &Value) {
        self.answer_id_token(&self.signed("JWT", claims));
    }

    pub(super) fn answer_id_token(&self, id_token: &str) {
        let body = json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300, "refresh_token": REFRESH_TOKEN,
            "id_token": id_token, "scope": "openid",
        });
        self.reply("/token", Reply::json(200, &body));
    }

    /// What came to `path`.
    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        self.state.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// How many requests came to `path`.
    pub(super) fn count(&self, path: &str) -> usize {
        self.seen(path).len()
    }

    /// Closes the port and every connection.
    pub(super) async fn stop(&self) {
        let task = self.task.lock().unwrap().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Opens the port again.
    pub(super) async fn resume(&self) {
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    fn serve(&self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        let task = tokio::spawn(async move {
            // Goes with this task, and every connection with it.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&state), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        *self.task.lock().unwrap() = Some(task);
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(frame)) = incoming.frame().await {
        body.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    let path = head.uri.path().to_owned();
    let seen = Seen { path: path.clone(), headers: head.headers, body: String::from_utf8(body).unwrap() };
    state.seen.lock().unwrap().push(seen);
    let reply = state.replies.lock().unwrap().get(&path).cloned();
    let full = |bytes: Bytes| Full::new(bytes).boxed();
    Ok(match reply {
        Some(Reply::Answer(status, fields, bytes)) => {
            let response = fields.iter().fold(Response::builder().status(status), |r, (n, v)| r.header(*n, v));
            response.body(full(bytes)).unwrap()
        }
        Some(Reply::Flood) => {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let endless = futures_util::stream::repeat_with(move || Ok(Frame::data(chunk.clone())));
            Response::builder()
                .header("content-type", "application/json")
                .body(StreamBody::new(endless).boxed())
                .unwrap()
        }
        Some(Reply::Hang) => std::future::pending().await,
        None => Response::builder().status(404).body(full(Bytes::new())).unwrap(),
    })
}

pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(super) const ACCESS_TOKEN: &str = "canary-access-token";
pub(super) const REFRESH_TOKEN: &str = "canary-refresh-token";

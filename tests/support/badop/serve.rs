//! The provider's sockets: records each request, lets faults at it, and finds the endpoint.
//!
//! Must never hold the state's lock while it waits.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Endpoint;
use super::answer::Answer;
use super::script::Fault;
use super::state::{Recorded, State};
use super::{authorize, documents, end_session, token};
use crate::support::client::Io;
use crate::support::codec;
use crate::support::tls::TestCa;

type Shared = Arc<Mutex<State>>;

/// Why a connection ends without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

pub(super) async fn run(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Shared, ca: Option<TestCa>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let (state, acceptor, ca) = (Arc::clone(&state), acceptor.clone(), ca.clone());
        connections.spawn(async move {
            let io: Box<dyn Io> = match acceptor {
                None => Box::new(socket),
                Some(acceptor) => match acceptor.accept(socket).await {
                    Ok(tls) => Box::new(tls),
                    Err(_) => return,
                },
            };
            let service = service_fn(|request| answer(Arc::clone(&state), ca.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
        });
    }
}

async fn answer(
    state: Shared,
    ca: Option<TestCa>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Dropped>>, Dropped> {
    let recorded = record(request).await?;
    let endpoint = recorded.endpoint;
    let (delay, fault) = {
        let mut state = state.lock().unwrap();
        state.requests.push(recorded.clone());
        (state.script.delays.get(&endpoint).copied(), state.script.next_fault(endpoint))
    };
    match &fault {
        Some(Fault::Fail(status)) => {
            let body = Full::new(Bytes::from_static(b"out of order"));
            pause(delay).await;
            return Ok(Response::builder().status(*status).body(body.map_err(|never| match never {}).boxed()).unwrap());
        }
        Some(Fault::Drop) => {
            pause(delay).await;
            return Err(Dropped);
        }
        Some(Fault::Endless) => {
            let answer = Response::builder().header("content-type", "application/json");
            return Ok(answer.body(Endless.boxed()).unwrap());
        }
        _ => {}
    }
    let mut answer = dispatch(&state, ca.as_ref(), &recorded).await;
    pause(delay).await;
    let pace = {
        let state = state.lock().unwrap();
        state.script.pace.clone().filter(|_| endpoint == Endpoint::Token).zip(state.subject(&recorded))
    };
    pause(pace.map(|(pace, subject)| pace(&recorded, &subject))).await;
    match fault {
        Some(Fault::Lose) => return Err(Dropped),
        Some(Fault::Hold(gate)) => gate.wait().await,
        Some(Fault::Answer { status, headers, body }) => {
            answer = Response::builder().status(status).body(body).unwrap();
            for (name, value) in headers {
                add(&mut answer, &name, &value);
            }
        }
        _ => {}
    }
    let more = state.lock().unwrap().script.headers.get(&endpoint).cloned().unwrap_or_default();
    for (name, value) in more {
        answer.headers_mut().remove(&name);
        add(&mut answer, &name, &value);
    }
    Ok(answer.map(|body| Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed()))
}

async fn record(request: Request<Incoming>) -> Result<Recorded, Dropped> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, 1 << 20).collect().await.map_err(|_| Dropped)?.to_bytes().to_vec();
    let path = head.uri.path();
    let endpoint = match path.rsplit('/').next().unwrap_or_default() {
        "openid-configuration" if path.ends_with("/.well-known/openid-configuration") => Endpoint::Discovery,
        "jwks" => Endpoint::Jwks,
        "authorize" => Endpoint::Authorize,
        "token" => Endpoint::Token,
        "userinfo" => Endpoint::Userinfo,
        "revoke" => Endpoint::Revocation,
        "introspect" => Endpoint::Introspection,
        "end_session" => Endpoint::EndSession,
        _ => Endpoint::Other,
    };
    let mut params = codec::pairs(head.uri.query().unwrap_or_default().as_bytes());
    let kind = head.headers.get("content-type").map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"application/x-www-form-urlencoded") {
        params.extend(codec::pairs(&body));
    }
    Ok(Recorded {
        endpoint,
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        params,
        body,
        at: Instant::now(),
    })
}

async fn dispatch(state: &Shared, ca: Option<&TestCa>, request: &Recorded) -> Answer {
    if request.endpoint == Endpoint::EndSession {
        return end_session::answer(state, ca, request).await;
    }
    let mut state = state.lock().unwrap();
    match request.endpoint {
        Endpoint::Discovery => documents::discovery(&state, request),
        Endpoint::Jwks => documents::jwks(&state),
        Endpoint::Userinfo => documents::userinfo(&mut state, request),
        Endpoint::Authorize => authorize::answer(&mut state, request),
        Endpoint::Token => token::token(&mut state, request),
        Endpoint::Revocation => token::revoke(&mut state, request),
        Endpoint::Introspection => token::introspect(&mut state, request),
        Endpoint::EndSession | Endpoint::Other => Response::builder().status(404).body(Vec::new()).unwrap(),
    }
}

async fn pause(delay: Option<std::time::Duration>) {
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
}

fn add(answer: &mut Answer, name: &str, value: &str) {
    let name = HeaderName::try_from(name).unwrap();
    answer.headers_mut().append(name, HeaderValue::try_from(value).unwrap());
}

/// A body without an end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        static PART: [u8; 16 * 1024] = [b' '; 16 * 1024];
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PART)))))
    }
}

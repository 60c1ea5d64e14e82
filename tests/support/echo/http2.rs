//! The upstream over HTTP/2: streams request bodies back as they come, with trailers as gRPC servers send them.
//!
//! Must never wait for the end of a request before it answers: gRPC calls run both ways at once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;

use super::{Seen, State};
use crate::support::client::Io;
use crate::support::codec;

pub(super) async fn serve(state: Arc<State>, io: Box<dyn Io>, number: usize) {
    let websockets = state.websockets.load(std::sync::atomic::Ordering::SeqCst);
    let nth = std::sync::atomic::AtomicUsize::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        let nth = nth.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        answer(Arc::clone(&state), request, number, nth)
    });
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    if websockets {
        server.enable_connect_protocol();
    }
    let _ = server.serve_connection(TokioIo::new(io), service).await;
}

async fn answer(
    state: Arc<State>,
    mut request: Request<Incoming>,
    connection: usize,
    nth: usize,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let tunnel = request.extensions().get::<hyper::ext::Protocol>().is_some_and(|it| it.as_str() == "websocket");
    let upgraded = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let fields = |headers: &HeaderMap| -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| (name.to_string(), codec::latin1(value.as_bytes()))).collect()
    };
    let mut headers = fields(&head.headers);
    if let Some(authority) = head.uri.authority() {
        headers.insert(0, (":authority".to_owned(), authority.to_string()));
    }
    let mut seen = Seen {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        version: format!("{:?}", head.version),
        headers,
        connection,
        nth,
        ..Seen::default()
    };
    let index = {
        let mut all = state.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    if tunnel {
        tokio::spawn(async move {
            let Ok(io) = upgraded.await else { return };
            let mut io = TokioIo::new(io);
            while let Some(frame) = super::Frame::read(&mut io).await {
                let over = frame.opcode == 8 || io.write_all(&frame.encode(false)).await.is_err();
                state.frames.lock().unwrap().push(frame);
                if over {
                    return;
                }
            }
        });
        return Ok(Response::new(Full::default().map_err(|never| match never {}).boxed()));
    }
    let grpc = head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        let echoed = Echoed { body, state, index, ended: false };
        let answer = Response::builder().header("content-type", "application/grpc").body(echoed.boxed());
        return Ok(answer.unwrap());
    }
    let collected = body.collect().await;
    if let Ok(collected) = collected {
        if let Some(trailers) = collected.trailers() {
            seen.trailers = fields(trailers);
        }
        let bytes = collected.to_bytes();
        seen.body = codec::latin1(&bytes[..bytes.len().min(64 * 1024)]);
        seen.body_bytes = bytes.len() as u64;
        seen.body_sha256 = codec::hex(&codec::sha256(&bytes));
        seen.complete = true;
    }
    if let Some(kept) = state.seen.lock().unwrap().get_mut(index) {
        kept.clone_from(&seen);
    }
    let body = Full::new(Bytes::from(seen.to_json().to_string())).map_err(|never| match never {}).boxed();
    Ok(Response::builder().header("content-type", "application/json").body(body).unwrap())
}

/// Gives every piece of the request back, then `grpc-status: 0` and the request's trailers renamed `echo-…`.
struct Echoed {
    body: Incoming,
    state: Arc<State>,
    index: usize,
    ended: bool,
}

impl Drop for Echoed {
    fn drop(&mut self) {
        if !self.ended {
            self.state.aborted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
}

impl Body for Echoed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let mut trailers = HeaderMap::new();
        match next {
            Some(Err(error)) => {
                self.ended = true;
                self.state.aborted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                return Poll::Ready(Some(Err(error)));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    if let Some(seen) = self.state.seen.lock().unwrap().get_mut(self.index) {
                        seen.body_bytes += data.len() as u64;
                        seen.body.push_str(&codec::latin1(&data));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Err(frame) => {
                    for (name, value) in frame.into_trailers().unwrap_or_default() {
                        let Some(name) = name else { continue };
                        if let Some(seen) = self.state.seen.lock().unwrap().get_mut(self.index) {
                            seen.trailers.push((name.to_string(), codec::latin1(value.as_bytes())));
                        }
                        trailers.insert(http::HeaderName::try_from(format!("echo-{name}")).unwrap(), value);
                    }
                }
            },
            None => {}
        }
        if let Some(seen) = self.state.seen.lock().unwrap().get_mut(self.index) {
            seen.complete = true;
        }
        self.ended = true;
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

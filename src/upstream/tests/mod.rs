//! Upstreams that misbehave byte by byte.
#![allow(clippy::disallowed_methods, reason = "every `collect` here is of a `Limited`")]

mod faults;
mod flow;
mod pooling;
mod tls;
mod websocket;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::testing::SeededRandom;
use crate::web::body::Body;
use crate::web::client::{ClientRequest, Connection};
use crate::web::network::Network;
use crate::web::owned::Owned;
use crate::web::request_id::RequestId;
use crate::web::settings::{CookieSettings, NetworkSettings, PublicOrigin, SameSite};

/// A TCP server that a closure speaks for, one call a connection, with the connection's number.
struct Script {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Heads of the requests, as they came.
    heads: Arc<Mutex<Vec<String>>>,
}

struct Peer {
    stream: TcpStream,
    number: usize,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn new<F, Fut>(speak: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let script = Self { address, connections: Arc::clone(&connections), heads: Arc::clone(&heads) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(speak(Peer { stream, number, heads: Arc::clone(&heads) }));
            }
        });
        script
    }

    /// Answers every request with the same bytes, as long as the connection lives.
    async fn always(answer: &'static str) -> Self {
        Self::new(move |mut peer| async move {
            while peer.head().await.is_some() {
                peer.say(answer).await;
            }
        })
        .await
    }

    fn upstream(&self) -> Upstream {
        self.upstream_with(|_| {})
    }

    fn upstream_with(&self, change: impl FnOnce(&mut UpstreamSettings)) -> Upstream {
        let mut settings = settings(Target::Http { host: "127.0.0.1".to_owned(), port: self.address.port() });
        change(&mut settings);
        Upstream::new(&settings, owned()).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Peer {
    /// The head of the next request; `None` when the connection has ended.
    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        self.heads.lock().unwrap().push(head.clone());
        Some(head)
    }

    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads until the connection ends.
    async fn rest(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut buffer).await {}
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn settings(target: Target) -> UpstreamSettings {
    UpstreamSettings {
        name: "app".into(),
        target,
        host_header: HostHeader::Preserve,
        ca: None,
        client_certificate: None,
        connect: Duration::from_secs(2),
        response: Duration::from_secs(5),
        idle: None,
        connections: 100,
    }
}

fn owned() -> Arc<Owned> {
    Arc::new(Owned::new(["X-Vestibule-Identity"]))
}

fn network() -> Network {
    let public = PublicOrigin { https: true, host: "app.example.com".to_owned(), port: 443 };
    let network = NetworkSettings {
        public: vec![Arc::new(public)],
        trusted_proxies: Vec::new(),
        endpoints: "/oauth2".to_owned(),
        identity_headers: vec!["X-Vestibule-Identity".to_owned()],
        hsts: None,
    };
    let cookies = CookieSettings {
        name: "__Host-vestibule".to_owned(),
        same_site: SameSite::Lax,
        partitioned: false,
        secure: true,
    };
    Network::new(network, cookies)
}

/// A request as the gateway makes it: read from a client's, then given an identity.
fn request(method: &str, path: &str, fields: &[(&str, &str)], body: Body) -> UpstreamRequest {
    let mut builder = Request::builder().method(method).uri(path).header("host", "app.example.com");
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    let (parts, ()) = builder.body(()).unwrap().into_parts();
    let connection = Connection::new(Some("192.0.2.7:1234".parse().unwrap()), true);
    let client = ClientRequest::read(parts, &connection, &network(), RequestId::new(&SeededRandom::new(1))).unwrap();
    let authorization = match &client.authorization {
        crate::web::client::AuthorizationHeader::One(value) => Some(value.clone()),
        _ => None,
    };
    let identity = [(HeaderName::from_static("x-vestibule-identity"), HeaderValue::from_static("token"))];
    UpstreamRequest::new(Box::new(client), body, Some(Arc::new(identity)), authorization)
}

fn get(path: &str) -> UpstreamRequest {
    request("GET", path, &[], Body::empty())
}

async fn response(upstream: &Upstream, request: UpstreamRequest) -> Result<Response<Body>, UpstreamError> {
    match timeout(Duration::from_secs(10), upstream.send(request)).await.unwrap()? {
        Answer::Response(response) => Ok(response),
        Answer::Switched { .. } => panic!("a tunnel"),
    }
}

/// The text of a body; an error when it breaks off.
async fn text(response: Response<Body>) -> Result<String, String> {
    let body = Limited::new(response.into_body(), 1 << 20).collect();
    let body = timeout(Duration::from_secs(10), body).await.unwrap().map_err(|error| error.to_string())?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

async fn ask(upstream: &Upstream, request: UpstreamRequest) -> Result<String, UpstreamError> {
    Ok(text(response(upstream, request).await?).await.unwrap())
}

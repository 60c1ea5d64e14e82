//! An upstream that shows the exact bytes it received, and misbehaves on request.
//!
//! Must never use an HTTP library for HTTP/1.1: libraries tidy up, and here everything has to be visible.
//!
//! What a path does is told by its last segment, so that any prefix can be routed: see `answers.rs`.

mod answers;
mod http2;
mod request;
mod seen;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use seen::Seen;

use super::client::Io;
use super::tls::{Flavour, TestCa};
use super::websocket::Frame;

/// When a kept-alive connection is closed without a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// Never: the client decides.
    #[default]
    Never,
    /// Right after each answer, without `Connection: close`.
    AfterAnswer,
    /// When the second request of a connection has arrived, unanswered: the race that retries are for.
    OnSecondRequest,
}

/// The upstream; ends with the value.
pub struct Echo {
    /// Where it listens (meaningless for a Unix socket).
    pub address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    server: Mutex<JoinSet<()>>,
    acceptor: Option<TlsAcceptor>,
    http2: bool,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    frames: Mutex<Vec<Frame>>,
    canned: Mutex<BTreeMap<String, Vec<u8>>>,
    closing: Mutex<Closing>,
    connections: AtomicUsize,
    open: AtomicUsize,
    aborted: AtomicUsize,
    websockets: AtomicBool,
}

impl Echo {
    /// HTTP/1.1 on a port of its own.
    pub async fn start() -> Self {
        Self::listen("http", None, false).await
    }

    /// HTTP/1.1 over TLS for these names.
    pub async fn start_tls(ca: &TestCa, names: &[&str]) -> Self {
        Self::start_tls_flavour(ca, names, Flavour::Server).await
    }

    /// The same for those clients alone that have a certificate of `clients`.
    pub async fn start_mtls(ca: &TestCa, names: &[&str], clients: &TestCa, alpn: &str) -> Self {
        let acceptor = TlsAcceptor::from(ca.server_config_for_clients(names, &[alpn], clients));
        Self::listen("https", Some(acceptor), alpn == "h2").await
    }

    /// The same with a certificate that is wrong in some way.
    pub async fn start_tls_flavour(ca: &TestCa, names: &[&str], flavour: Flavour) -> Self {
        let acceptor = TlsAcceptor::from(ca.server_config_flavour(names, &["http/1.1"], flavour));
        Self::listen("https", Some(acceptor), false).await
    }

    /// HTTP/2 by prior knowledge, for gRPC: streams what it gets back, with trailers.
    pub async fn start_h2c() -> Self {
        Self::listen("h2c", None, true).await
    }

    /// HTTP/2 over TLS.
    pub async fn start_h2(ca: &TestCa, names: &[&str]) -> Self {
        let acceptor = TlsAcceptor::from(ca.server_config(names, &["h2"]));
        Self::listen("https", Some(acceptor), true).await
    }

    /// HTTP/1.1 on a Unix socket.
    pub async fn start_unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let echo = Self::idle((Ipv4Addr::LOCALHOST, 0).into(), "unix", None, false);
        let state = Arc::clone(&echo.state);
        echo.server.lock().unwrap().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(connection(Arc::clone(&state), Box::new(socket), false));
            }
        });
        echo
    }

    async fn listen(scheme: &'static str, acceptor: Option<TlsAcceptor>, http2: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let echo = Self::idle(listener.local_addr().unwrap(), scheme, acceptor, http2);
        echo.serve(listener);
        echo
    }

    fn idle(address: SocketAddr, scheme: &'static str, acceptor: Option<TlsAcceptor>, http2: bool) -> Self {
        Self { address, scheme, state: Arc::default(), server: Mutex::default(), acceptor, http2 }
    }

    fn serve(&self, listener: TcpListener) {
        let (state, acceptor, http2) = (Arc::clone(&self.state), self.acceptor.clone(), self.http2);
        self.server.lock().unwrap().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let (state, acceptor) = (Arc::clone(&state), acceptor.clone());
                connections.spawn(async move {
                    let io: Box<dyn Io> = match acceptor {
                        None => Box::new(socket),
                        Some(acceptor) => match acceptor.accept(socket).await {
                            Ok(tls) => Box::new(tls),
                            Err(_) => return,
                        },
                    };
                    connection(state, io, http2).await;
                });
            }
        });
    }

    /// Its URL for the gateway's configuration, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Every request whose head has arrived, in order.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The newest request.
    ///
    /// # Panics
    /// When there was none.
    pub fn last(&self) -> Seen {
        self.state.seen.lock().unwrap().last().cloned().expect("a request at the upstream")
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    /// Forgets the requests and frames.
    pub fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
        self.state.frames.lock().unwrap().clear();
    }

    /// The WebSocket frames that clients sent.
    pub fn frames(&self) -> Vec<Frame> {
        self.state.frames.lock().unwrap().clone()
    }

    /// How many connections were ever accepted.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many are open now.
    pub fn open_connections(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// How many answers could not be sent to their end because the peer had gone.
    pub fn aborted(&self) -> usize {
        self.state.aborted.load(Ordering::SeqCst)
    }

    /// Answers every request for exactly that target with exactly these bytes; the connection stays open.
    pub fn answer_raw(&self, target: &str, bytes: impl Into<Vec<u8>>) {
        self.state.canned.lock().unwrap().insert(target.to_owned(), bytes.into());
    }

    /// Announces on HTTP/2 connections from now on that it takes WebSockets over them (RFC 8441).
    pub fn announce_websockets(&self) {
        self.state.websockets.store(true, Ordering::SeqCst);
    }

    /// When kept-alive connections are closed.
    pub fn closing(&self, closing: Closing) {
        *self.state.closing.lock().unwrap() = closing;
    }

    /// Stops listening and closes every connection.
    pub async fn stop(&self) {
        let mut server = std::mem::take(&mut *self.server.lock().unwrap());
        server.shutdown().await;
    }

    /// Listens again on the same port.
    pub async fn start_again(&self) {
        let listener = super::wait::eventually("the upstream's port", Duration::from_secs(5), || async {
            TcpListener::bind(self.address).await.ok()
        });
        self.serve(listener.await);
    }
}

/// Counts a connection as open for as long as it lives, however it ends.
struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn connection(state: Arc<State>, io: Box<dyn Io>, http2: bool) {
    let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
    state.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(Arc::clone(&state));
    if http2 {
        http2::serve(state, io, number).await;
        return;
    }
    let mut stream = request::Stream::new(io);
    let mut requests = 0;
    while let Some(head) = stream.head().await {
        requests += 1;
        let closing = *state.closing.lock().unwrap();
        let index = {
            let mut seen = state.seen.lock().unwrap();
            seen.push(Seen::of_head(&head, number, requests));
            seen.len() - 1
        };
        if closing == Closing::OnSecondRequest && requests > 1 {
            return;
        }
        let goes_on = answers::answer(&state, &mut stream, &head, index).await;
        if !goes_on || closing == Closing::AfterAnswer || head.wants_close() {
            return;
        }
    }
}

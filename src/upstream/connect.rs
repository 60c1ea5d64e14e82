//! New connections to an application: address, TLS, protocol.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use super::http1::Connection;
use super::outgoing::Outgoing;
use super::settings::{Target, UpstreamSettings};
use super::socket::{HeardOut, Socket};
use super::tls;

/// Makes connections to one target. Nothing but its settings says where they go.
pub(super) struct Connector {
    target: Target,
    /// `h2` and `http/1.1`, and `http/1.1` alone for tunnels.
    tls: Option<(TlsConnector, TlsConnector)>,
}

/// A connection on which nothing was sent yet.
pub(super) enum Connected {
    Http1(Box<Connection>),
    Http2(http2::SendRequest<Outgoing>),
}

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Requests,
    Tunnel,
}

impl Connector {
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, String> {
        let tls = match settings.target {
            Target::Https { .. } => {
                let config = tls::client_config(settings)?;
                let with = |protocols: &[&[u8]]| {
                    let mut config = config.clone();
                    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
                    TlsConnector::from(Arc::new(config))
                };
                Some((with(&[b"h2", b"http/1.1"]), with(&[b"http/1.1"])))
            }
            _ => None,
        };
        Ok(Self { target: settings.target.clone(), tls })
    }

    /// As the log names it.
    pub(super) fn address(&self) -> String {
        match &self.target {
            Target::Http { host, port } => format!("http://{host}:{port}"),
            Target::Https { host, port } => format!("https://{host}:{port}"),
            Target::H2c { host, port } => format!("h2c://{host}:{port}"),
            Target::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Connects before `deadline`, handshakes included.
    pub(super) async fn connect(&self, purpose: Purpose, deadline: Instant) -> io::Result<Connected> {
        let made = timeout_at(deadline, async {
            match &self.target {
                Target::Unix(path) => Ok(http1(Socket::Unix(UnixStream::connect(path).await?))),
                Target::Http { host, port } => Ok(http1(Socket::Tcp(tcp(host, *port, deadline).await?))),
                Target::H2c { host, port } => http2(Socket::Tcp(tcp(host, *port, deadline).await?), purpose).await,
                Target::Https { host, port } => {
                    let Some((any, tunnel)) = &self.tls else { return Err(io::ErrorKind::Unsupported.into()) };
                    let first = if purpose == Purpose::Tunnel { tunnel } else { any };
                    let name = ServerName::try_from(bare(host).to_owned()).map_err(io::Error::other)?;
                    let stream = match first.connect(name.clone(), tcp(host, *port, deadline).await?).await {
                        Err(error) if purpose == Purpose::Tunnel && tls::speaks_http2_only(&error) => {
                            any.connect(name, tcp(host, *port, deadline).await?).await?
                        }
                        made => made?,
                    };
                    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let socket = Socket::Tls(Box::new(stream));
                    if speaks_http2 { http2(socket, purpose).await } else { Ok(http1(socket)) }
                }
            }
        });
        made.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Tries the addresses of a name in turn; one that is silent leaves time for the next.
async fn tcp(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let addresses: Vec<_> = tokio::net::lookup_host((bare(host), port)).await?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX).max(1);
        let share = (left / others).max(SHORTEST_SHARE);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn http1(socket: Socket) -> Connected {
    Connected::Http1(Box::new(Connection::new(socket)))
}

async fn http2(socket: Socket, purpose: Purpose) -> io::Result<Connected> {
    let (sender, conn) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(HeardOut::new(socket)))
        .await
        .map_err(io::Error::other)?;
    if purpose == Purpose::Tunnel {
        // Its settings are the first that it sends (RFC 9113 section 3.4), and without this one it may not be asked (RFC 8441 section 3).
        // Nobody tells when they have come.
        let deadline = Instant::now() + SETTINGS;
        while !conn.is_extended_connect_protocol_enabled() {
            if deadline <= Instant::now() {
                return Err(io::Error::new(io::ErrorKind::Unsupported, NO_WEBSOCKETS));
            }
            sleep(GLANCE).await;
        }
    }
    tokio::spawn(async move {
        if let Err(error) = conn.await {
            tracing::debug!(%error, "a connection to an upstream ended with an error");
        }
    });
    Ok(Connected::Http2(sender))
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

const HEAD_BYTES: u32 = 128 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 64 * 1024;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const SETTINGS: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(1);
const NO_WEBSOCKETS: &str = "it speaks HTTP/2 only and does not announce WebSockets over it (SETTINGS_ENABLE_CONNECT_PROTOCOL, \
    RFC 8441); give the route an upstream with http:// or https:// where it speaks HTTP/1.1";
const SHORTEST_SHARE: Duration = Duration::from_millis(250);

//! What listeners need to be told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP socket; port 0 picks one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A certificate chain and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Where clients connect.
    pub address: ListenAddress,
    /// Chosen by SNI; empty: no TLS.
    pub certificates: Vec<CertificateFiles>,
    /// Only redirects GET and HEAD to the public URL, refuses the rest.
    pub redirect_to_https: bool,
}

/// The bounds on what a client may do to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Fields of a request's head.
    pub header_count: usize,
    /// From the first byte of a head to its end.
    pub header_time: Duration,
    /// TLS handshake.
    pub handshake_time: Duration,
    /// A kept-alive connection without a request.
    pub idle_time: Duration,
    /// A request's body that stalls.
    pub body_idle_time: Duration,
    /// After SIGTERM.
    pub drain_time: Duration,
    /// HTTP/2 streams of one connection.
    pub streams_per_connection: u32,
    /// Bytes of a request's body; `None` is unlimited.
    pub body_bytes: Option<u64>,
    /// Open connections; the excess gets 503 and is closed.
    pub connections: usize,
    /// Requests under way.
    pub requests_in_flight: usize,
    /// Logins started per minute and client address; `None` is unlimited.
    pub logins_per_minute: Option<u32>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            header_count: 100,
            header_time: Duration::from_secs(10),
            handshake_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            body_idle_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(30),
            streams_per_connection: 100,
            body_bytes: None,
            connections: 10_000,
            requests_in_flight: 4_096,
            logins_per_minute: Some(120),
        }
    }
}

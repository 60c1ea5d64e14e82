//! What is known about an application.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where and how an application is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `http://host:port`: HTTP/1.1.
    Http { host: String, port: u16 },
    /// `https://host:port`: HTTP/2 or HTTP/1.1 by ALPN.
    Https { host: String, port: u16 },
    /// `h2c://host:port`: HTTP/2 by prior knowledge.
    H2c { host: String, port: u16 },
    /// `unix:/path`: HTTP/1.1 over a Unix socket.
    Unix(PathBuf),
}

/// Which `Host` the upstream sees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HostHeader {
    /// The one that the browser sees.
    #[default]
    Preserve,
    /// That of its URL.
    Upstream,
    /// A fixed one.
    Named(String),
}

/// Shows an upstream who is connecting: PEM files, read once at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key, unencrypted.
    pub key: PathBuf,
}

/// One application.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The configured name.
    pub name: Arc<str>,
    /// Where it is.
    pub target: Target,
    /// Which `Host` it sees.
    pub host_header: HostHeader,
    /// Trust these roots (a PEM file) as well as the system's.
    pub ca: Option<PathBuf>,
    /// Shown to an https upstream that asks for it.
    pub client_certificate: Option<ClientCertificate>,
    /// Until connected, the TLS handshake included.
    pub connect: Duration,
    /// From the request's end (or its last byte of progress) until the response's head is complete.
    pub response: Duration,
    /// A response or tunnel on which nothing moves; `None` is unlimited.
    pub idle: Option<Duration>,
    /// Connections to it at most; more requests wait for `connect`, then 503.
    pub connections: usize,
}

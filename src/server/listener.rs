//! A socket on which clients are accepted, from its settings to its address.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::accept;
use super::exchange::Service;
use super::settings::{LimitSettings, ListenAddress, ListenerSettings};
use super::shutdown::Shutdown;
use super::tls::{Certificates, server_config};
use crate::base::{Blame, Blamed};

/// A bound listener. The kernel queues connections from here on; nobody is served before [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    /// `None` once it takes nobody any more.
    socket: Mutex<Option<Arc<Socket>>>,
    pub(super) tls: Option<Tls>,
    address: String,
    local: Option<std::net::SocketAddr>,
    redirect_to_https: bool,
}

pub(super) enum Socket {
    Tcp(TcpListener),
    /// Its file goes with it.
    Unix(UnixListener, PathBuf),
}

pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
}

/// Why a listener cannot be had, and what to do about it. All of it is the operator's to read.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process has the address.
    #[error("cannot listen on {address}: it is in use; stop what listens there or choose another address")]
    InUse {
        /// As configured.
        address: String,
    },
    /// The system does not allow it.
    #[error(
        "cannot listen on {address}: not permitted; choose a port above 1023, give the process CAP_NET_BIND_SERVICE, \
         or check the rights of the directory"
    )]
    Permission {
        /// As configured.
        address: String,
    },
    /// Anything else that the system says.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// As configured.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The path of a Unix socket is taken by something that is no socket.
    #[error("cannot listen on unix:{path}: a file that is no socket is in its place; move it away")]
    NotASocket {
        /// As configured.
        path: PathBuf,
    },
    /// A certificate or key file.
    #[error("cannot use {path}: {why}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS library.
    #[error("cannot set TLS up: {0}")]
    Tls(String),
}

impl Blamed for ListenError {
    fn blame(&self) -> Blame {
        Blame::Bug
    }
}

impl Listener {
    /// Binds the address and reads the certificates. Must run inside a Tokio runtime.
    ///
    /// A Unix socket's file is made with mode 0660: its owner and group may connect. A file left behind by a process
    /// that is gone is removed; one that somebody answers on is not.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn bind(settings: &ListenerSettings) -> Result<Self, ListenError> {
        let tls = match settings.certificates.as_slice() {
            [] => None,
            files => {
                let certificates = Arc::new(Certificates::load(files.to_vec())?);
                let config = server_config(Arc::clone(&certificates))?;
                Some(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), certificates })
            }
        };
        let (socket, address, local) = match &settings.address {
            ListenAddress::Tcp(wanted) => {
                let say = |error| listen_error(wanted.to_string(), error);
                let listener = tcp(*wanted).map_err(say)?;
                let scheme = if tls.is_some() { "https" } else { "http" };
                let local = listener.local_addr().map_err(say)?;
                (Socket::Tcp(listener), format!("{scheme}://{local}"), Some(local))
            }
            ListenAddress::Unix(path) => {
                let address = format!("unix:{}", path.display());
                (Socket::Unix(unix(path, &address)?, path.clone()), address, None)
            }
        };
        let socket = Mutex::new(Some(Arc::new(socket)));
        Ok(Self { socket, tls, address, local, redirect_to_https: settings.redirect_to_https })
    }

    /// Where it listens, as an operator reads it: `http://127.0.0.1:4321`, `https://…` or `unix:/path`, with the port
    /// that was really taken.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same for programs; `None` for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
        self.local
    }

    /// Whether it only redirects to the public URL.
    #[must_use]
    pub fn redirects_to_https(&self) -> bool {
        self.redirect_to_https
    }

    /// Reads the certificates again; when any is bad, all old ones stay.
    ///
    /// # Errors
    /// See [`ListenError::Certificate`].
    pub fn reload(&self) -> Result<(), ListenError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.certificates.reload())
    }

    /// Accepts and serves until `shutdown` says drain, then closes the socket, so that who comes later is refused and can
    /// go elsewhere, and finishes what is under way within `limits.drain_time`.
    ///
    /// `limits.connections` counts the sockets of this listener, tunnels included. Resolves when all of its connections
    /// but tunnels are closed.
    pub async fn serve<S: Service>(&self, service: Arc<S>, limits: LimitSettings, shutdown: Shutdown) {
        accept::run(self, service, limits, shutdown).await;
    }

    pub(super) fn socket(&self) -> Option<Arc<Socket>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the socket go; it is closed when nobody accepts on it any more.
    pub(super) fn close(&self) {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Unix(..) => "Unix",
        })
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

fn tcp(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn unix(path: &Path, address: &str) -> Result<UnixListener, ListenError> {
    let say = |error| listen_error(address.to_owned(), error);
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(ListenError::InUse { address: address.to_owned() });
        }
        std::fs::remove_file(path).map_err(say)?;
    }
    let listener = UnixListener::bind(path).map_err(say)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(say)?;
    Ok(listener)
}

fn listen_error(address: String, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        io::ErrorKind::PermissionDenied => ListenError::Permission { address },
        _ => ListenError::Address { address, source },
    }
}

const BACKLOG: u32 = 4096;

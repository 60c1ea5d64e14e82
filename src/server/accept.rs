//! The accept loop: admits up to the limit, turns the excess away politely, and outlives every error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::connection::{Protocol, Protocols, Visit};
use super::exchange::Service;
use super::listener::{Listener, Socket};
use super::pulse::{Order, Roster};
use super::settings::LimitSettings;
use super::shutdown::Shutdown;
use crate::web::client::Connection;

pub(super) async fn run<S: Service>(listener: &Listener, service: Arc<S>, limits: LimitSettings, shutdown: Shutdown) {
    let drain_time = limits.drain_time;
    let front = Front {
        protocols: Arc::new(Protocols::new(limits)),
        service,
        acceptor: listener.tls.as_ref().map(|tls| tls.acceptor.clone()),
        roster: Arc::default(),
        open: Arc::default(),
        turned_away: Arc::default(),
    };
    if let Some(socket) = listener.socket() {
        tokio::select! {
            () = accept(&socket, &front) => {}
            () = shutdown.drain.cancelled() => {}
            () = shutdown.stop.cancelled() => {}
        }
        // Whom the kernel has let in already nobody else can answer; who comes after that is refused, and goes elsewhere.
        tokio::select! {
            biased;
            () = accept(&socket, &front) => {}
            () = sleep(LAST_CALL) => {}
            () = shutdown.stop.cancelled() => {}
        }
    }
    listener.close();
    front.roster.give(Order::Drain);
    tokio::select! {
        () = front.roster.emptied() => {}
        () = shutdown.stop.cancelled() => {}
        () = sleep(drain_time) => warn!(connections = front.roster.len(), "not drained in time"),
    }
    front.roster.give(Order::Stop);
    // They only have to notice; a service that blocks its thread must not keep us.
    let _ = timeout(NOTICE, front.roster.emptied()).await;
}

struct Front<S> {
    protocols: Arc<Protocols>,
    service: Arc<S>,
    acceptor: Option<TlsAcceptor>,
    roster: Arc<Roster>,
    open: Arc<AtomicUsize>,
    turned_away: Arc<AtomicUsize>,
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

async fn accept<S: Service>(socket: &Socket, front: &Front<S>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let accepted = match socket {
            Socket::Tcp(socket) => socket.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Socket::Unix(socket, _) => socket.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        };
        match accepted {
            Ok(accepted) => {
                pause = SHORTEST_PAUSE;
                front.admit(accepted);
            }
            // The client was gone before we looked.
            Err(error) if is_the_clients(&error) => debug!(%error, "a client left before it was accepted"),
            // Out of descriptors or memory: waiting is all that helps, and others may give some back.
            Err(error) => {
                warn!(%error, "cannot accept");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl<S: Service> Front<S> {
    fn admit(&self, accepted: Accepted) {
        let limit = self.protocols.limits.connections;
        let Some(slot) = Slot::take(&self.open, limit) else {
            debug!(limit, "too many connections");
            return self.turn_away(accepted);
        };
        let (pulse, membership) = self.roster.enter();
        let visit = Visit { pulse, slot: Box::new(slot) };
        let (protocols, service) = (Arc::clone(&self.protocols), Arc::clone(&self.service));
        match (accepted, self.acceptor.clone()) {
            (Accepted::Tcp(stream, peer), acceptor) => {
                // A proxy writes whole messages; waiting to fill packets only costs time.
                let _ = stream.set_nodelay(true);
                let peer = Some(peer);
                tokio::spawn(async move {
                    let _membership = membership;
                    match acceptor {
                        Some(acceptor) => Box::pin(secure(&protocols, acceptor, stream, service, peer, visit)).await,
                        None => protocols.serve_plain(stream, service, Connection::new(peer, false), visit).await,
                    }
                });
            }
            (Accepted::Unix(stream), acceptor) => {
                tokio::spawn(async move {
                    let _membership = membership;
                    match acceptor {
                        Some(acceptor) => Box::pin(secure(&protocols, acceptor, stream, service, None, visit)).await,
                        None => {
                            protocols.serve_plain(stream, service, Connection::new(None, false), visit).await;
                        }
                    }
                });
            }
        }
    }

    /// 503 where that costs nothing but a packet; behind TLS, and beyond a few at once, only a closed door.
    fn turn_away(&self, accepted: Accepted) {
        if self.acceptor.is_some() {
            return;
        }
        let Some(slot) = Slot::take(&self.turned_away, POLITE_AT_ONCE) else { return };
        tokio::spawn(async move {
            let _slot = slot;
            let _ = match accepted {
                Accepted::Tcp(stream, _) => timeout(POLITE_FOR, refuse(stream)).await,
                Accepted::Unix(stream) => timeout(POLITE_FOR, refuse(stream)).await,
            };
        });
    }
}

async fn secure<S, Io>(
    protocols: &Protocols,
    acceptor: TlsAcceptor,
    stream: Io,
    service: Arc<S>,
    peer: Option<SocketAddr>,
    visit: Visit,
) where
    S: Service,
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = timeout(protocols.limits.handshake_time, acceptor.accept(stream));
    let stream = match visit.unless_ordered(handshake).await {
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => return debug!(%error, "a TLS handshake failed"),
        Some(Err(_)) => return debug!("a TLS handshake took too long"),
        None => return,
    };
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    protocols.serve(stream, Vec::new(), protocol, service, Connection::new(peer, true), visit).await;
}

/// Reads on for a moment after the answer: closing with unread bytes would reset the connection and lose it.
async fn refuse<Io: AsyncRead + AsyncWrite + Unpin>(mut stream: Io) -> io::Result<()> {
    stream.write_all(TOO_MANY).await?;
    stream.shutdown().await?;
    let mut trash = [0; 1024];
    let mut left = POLITE_BYTES;
    while left > 0 {
        match stream.read(&mut trash).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One of a bounded number.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(count: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| (taken < limit).then_some(taken + 1))
            .ok()
            .map(|_| Self(Arc::clone(count)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
    Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n";
const POLITE_AT_ONCE: usize = 64;
const POLITE_FOR: Duration = Duration::from_secs(1);
const POLITE_BYTES: usize = 64 * 1024;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// For the kernel's queue to run empty.
const LAST_CALL: Duration = Duration::from_millis(100);
const NOTICE: Duration = Duration::from_secs(1);

//! A WebSocket between a client and an application, for as long as its session lives.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::frames::Frames;
use super::lease::Lease;
use super::multiplex::Stream;
use super::pool::Slot;
use super::socket::Socket;

/// Why we end a WebSocket (RFC 6455 section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// 1001: we are shutting down.
    GoingAway,
    /// 1008: its session ended.
    PolicyViolation,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::PolicyViolation => 1008,
        }
    }

    /// An unmasked Close frame that says it.
    fn frame(self) -> [u8; 4] {
        let [high, low] = self.number().to_be_bytes();
        [0x88, 2, high, low]
    }
}

/// The upstream's side of a tunnel. It counts as one of the upstream's connections while it exists.
pub struct Wire(Io);

enum Io {
    /// With what came behind the 101.
    Http1 {
        socket: Socket,
        ahead: Bytes,
        _slot: Slot,
    },
    Http2 {
        io: TokioIo<Upgraded>,
        _stream: Stream,
    },
}

impl Wire {
    pub(super) fn http1(lease: Lease) -> Self {
        let (socket, ahead) = lease.connection.into_parts();
        Self(Io::Http1 { socket, ahead, _slot: lease.slot })
    }

    pub(super) fn http2(io: TokioIo<Upgraded>, stream: Stream) -> Self {
        Self(Io::Http2 { io, _stream: stream })
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Io::Http1 { ahead, .. } if !ahead.is_empty() => {
                let now = ahead.split_to(ahead.len().min(buf.remaining()));
                buf.put_slice(&now);
                Poll::Ready(Ok(()))
            }
            Io::Http1 { socket, .. } => Pin::new(socket).poll_read(cx, buf),
            Io::Http2 { io, .. } => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Io::Http1 { socket, .. } => Pin::new(socket).poll_write(cx, bytes),
            Io::Http2 { io, .. } => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Io::Http1 { socket, .. } => Pin::new(socket).poll_flush(cx),
            Io::Http2 { io, .. } => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Io::Http1 { socket, .. } => Pin::new(socket).poll_shutdown(cx),
            Io::Http2 { io, .. } => Pin::new(io).poll_shutdown(cx),
        }
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

/// What a tunnel carried, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Bytes from the upstream to the client.
    pub to_client: u64,
    /// Bytes from the client to the upstream.
    pub to_upstream: u64,
    /// Whether we ended it, and what we said.
    pub code: Option<CloseCode>,
}

/// Copies both ways until both sides have ended, either breaks, nothing moves for `idle`, or `end` resolves.
///
/// One side's end is passed on, and the other side may go on. `end` says why we end the tunnel, and is heard whatever else
/// goes on or stands still: nothing more goes to the upstream, a Close frame goes to the client after the frame that is
/// under way, and then both connections are closed. That takes two seconds at most, also when the client does not read.
pub async fn tunnel(
    client: OnUpgrade,
    upstream: Wire,
    idle: Option<Duration>,
    end: impl Future<Output = CloseCode> + Send,
) -> Closed {
    let mut closed = Closed { to_client: 0, to_upstream: 0, code: None };
    let mut end = pin!(end);
    let client = tokio::select! {
        client = client => match client {
            Ok(client) => TokioIo::new(client),
            Err(error) => {
                tracing::debug!(%error, "a client left before its tunnel was open");
                return closed;
            }
        },
        _ = &mut end => return closed,
    };
    let (client_read, client_write) = split(client);
    let (upstream_read, upstream_write) = split(upstream);
    let mut down = Down::new(upstream_read, client_write);
    let mut up = Up { from: client_read, to: upstream_write, bytes: 0 };
    let movement = Movement::new();
    closed.code = tokio::select! {
        biased;
        code = &mut end => Some(code),
        result = carry(&mut down, &mut up, &movement, idle) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a tunnel broke");
            }
            None
        }
    };
    if let Some(code) = closed.code {
        // A client that does not read gets no Close frame, and no more of our time.
        let _ = timeout(FINISH, down.close(code, &movement)).await;
        // What the client still sends would reset the connection and take the Close frame with it.
        let _ = timeout(LINGER, discard(&mut up.from)).await;
    }
    closed.to_client = down.bytes;
    closed.to_upstream = up.bytes;
    closed
}

/// Both directions, until both have ended, either breaks or nothing moves. May be dropped at any moment: `down` knows how far it is.
async fn carry<C: AsyncRead + AsyncWrite, U: AsyncRead + AsyncWrite>(
    down: &mut Down<U, C>,
    up: &mut Up<C, U>,
    movement: &Movement,
    idle: Option<Duration>,
) -> io::Result<()> {
    let (mut down, mut up) = (pin!(down.run(movement)), pin!(up.run(movement)));
    // Whichever side has ended, the other one may still speak.
    tokio::select! {
        result = &mut down => {
            result?;
            tokio::select! {
                result = up => result,
                () = movement.stopped(Some(HALF_CLOSED)) => Ok(()),
            }
        }
        result = &mut up => {
            result?;
            tokio::select! {
                result = down => result,
                () = movement.stopped(Some(HALF_CLOSED)) => Ok(()),
            }
        }
        () = movement.stopped(idle) => Ok(()),
    }
}

/// From the upstream to the client.
struct Down<R, W> {
    from: ReadHalf<R>,
    to: WriteHalf<W>,
    frames: Frames,
    buffer: Vec<u8>,
    /// What of the buffer was read and has still to go out.
    pending: Range<usize>,
    /// The upstream has ended its side: the client has had our last word.
    over: bool,
    bytes: u64,
}

impl<R: AsyncRead, W: AsyncWrite> Down<R, W> {
    fn new(from: ReadHalf<R>, to: WriteHalf<W>) -> Self {
        Self { from, to, frames: Frames::default(), buffer: vec![0; BUFFER], pending: 0..0, over: false, bytes: 0 }
    }

    async fn run(&mut self, movement: &Movement) -> io::Result<()> {
        loop {
            let read = self.from.read(&mut self.buffer).await?;
            movement.mark();
            let Some(bytes) = self.buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                self.over = true;
                return self.to.shutdown().await;
            };
            self.frames.follow(bytes);
            self.pending = 0..read;
            self.write(movement).await?;
        }
    }

    /// Writes what is pending.
    async fn write(&mut self, movement: &Movement) -> io::Result<()> {
        while let Some(rest) = self.buffer.get(self.pending.clone()).filter(|rest| !rest.is_empty()) {
            let count = self.to.write(rest).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.pending.start += count;
            self.bytes += count as u64;
            movement.mark();
        }
        self.to.flush().await
    }

    /// Finishes the frame under way, then says goodbye, wherever [`Self::run`] was.
    async fn close(&mut self, code: CloseCode, movement: &Movement) -> io::Result<()> {
        if self.over {
            return Ok(());
        }
        self.write(movement).await?;
        while !self.frames.at_boundary() {
            let read = self.from.read(&mut self.buffer).await?;
            let bytes =
                self.buffer.get(..read).filter(|bytes| !bytes.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
            let used = self.frames.finish(bytes);
            self.to.write_all(bytes.get(..used).unwrap_or_default()).await?;
            self.bytes += used as u64;
        }
        self.to.write_all(&code.frame()).await?;
        self.to.shutdown().await
    }
}

/// From the client to the upstream.
struct Up<R, W> {
    from: ReadHalf<R>,
    to: WriteHalf<W>,
    bytes: u64,
}

impl<R: AsyncRead, W: AsyncWrite> Up<R, W> {
    async fn run(&mut self, movement: &Movement) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = self.from.read(&mut buffer).await?;
            movement.mark();
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return self.to.shutdown().await;
            };
            self.to.write_all(bytes).await?;
            self.to.flush().await?;
            self.bytes += bytes.len() as u64;
            movement.mark();
        }
    }
}

/// When something last went through, either way.
struct Movement {
    begun: Instant,
    last: AtomicU64,
}

impl Movement {
    fn new() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0) }
    }

    fn mark(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Release);
    }

    /// Resolves when nothing went through for `idle`.
    async fn stopped(&self, idle: Option<Duration>) {
        let Some(idle) = idle else { return std::future::pending().await };
        loop {
            let deadline = self.begun + Duration::from_millis(self.last.load(Ordering::Acquire)) + idle;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

async fn discard(from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut trash = [0; 1024];
    while from.read(&mut trash).await? > 0 {}
    Ok(())
}

/// All tunnels of the process: they are no requests any more, so a drain has to wait for them by name.
#[derive(Clone, Debug, Default)]
pub struct Tunnels(TaskTracker);

impl Tunnels {
    /// Runs a tunnel as a task of its own.
    pub fn spawn(&self, tunnel: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(tunnel);
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.len()
    }

    /// Waits until none is open, or `limit` is over. They end by their own `end`; false when some did not.
    pub async fn drained(&self, limit: Duration) -> bool {
        self.0.close();
        timeout(limit, self.0.wait()).await.is_ok()
    }
}

const BUFFER: usize = 16 * 1024;
const FINISH: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(1);
const HALF_CLOSED: Duration = Duration::from_secs(30);

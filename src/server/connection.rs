//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::debug;

use super::exchange::{Exchange, Outgoing, Service};
use super::farewell::Farewell;
use super::guarded::Guarded;
use super::pulse::{Order, Pulse};
use super::settings::LimitSettings;
use crate::web::client::Connection;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    pub(super) limits: LimitSettings,
}

/// Which of the two the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Protocols {
    pub(super) fn new(limits: LimitSettings) -> Self {
        let mut http1 = http1::Builder::new();
        // `Guarded` keeps the time, with less work per request and a clock that starts at a head's first byte.
        http1.header_read_timeout(None);
        http1.max_header_size(limits.header_bytes);
        http1.max_buf_size(limits.header_bytes.max(BUFFER));
        if limits.header_count != HYPERS_HEADER_COUNT {
            http1.max_headers(limits.header_count);
        }
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(limits.streams_per_connection)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            // CVE-2023-44487, CVE-2025-8671: who resets streams, or makes us reset them, is told to go away.
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS * 4)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(BUFFER)
            .keep_alive_interval(PING_EVERY.min(limits.idle_time))
            .keep_alive_timeout(PING_TIMEOUT);
        Self { http1, http2, limits }
    }

    /// Serves a plain connection: HTTP/2 where the client begins with its preface (RFC 9113 section 3.3), else HTTP/1.
    pub(super) async fn serve_plain<S, Io>(&self, mut io: Io, service: Arc<S>, connection: Connection, visit: Visit)
    where
        S: Service,
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut ahead = Vec::with_capacity(PREFACE.len());
        let sniff = sniff(&mut io, &mut ahead, &self.limits);
        let Some(protocol) = visit.unless_ordered(sniff).await.flatten() else { return };
        self.serve(io, ahead, protocol, service, connection, visit).await;
    }

    /// Serves a connection whose protocol is known, until it ends or is ordered to.
    pub(super) async fn serve<S, Io>(
        &self,
        io: Io,
        ahead: Vec<u8>,
        protocol: Protocol,
        service: Arc<S>,
        connection: Connection,
        visit: Visit,
    ) where
        S: Service,
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Visit { pulse, slot } = visit;
        let limits = &self.limits;
        let framed = protocol == Protocol::Http1;
        let hsts = connection.tls.then(|| service.hsts()).flatten();
        let farewell = Farewell::new(hsts.clone());
        let io = TokioIo::new(Guarded::new(io, ahead, framed, Arc::clone(&pulse), limits, farewell, slot));
        let exchange = Arc::new(Exchange {
            service,
            connection: Arc::new(connection),
            pulse: Arc::clone(&pulse),
            hsts,
            target_bytes: (limits.header_bytes / 2).max(SHORTEST_TARGET_LIMIT),
            header_count: limits.header_count,
        });
        let service = service_fn(move |request| {
            let asked = exchange.look(&request);
            Arc::clone(&exchange).run(request, asked)
        });
        let result = match protocol {
            Protocol::Http1 => self.serve_http1(io, service, &pulse).await,
            Protocol::Http2 => {
                // Boxed, so that connections of the other kind keep no room for it.
                let mut conn = Box::pin(self.http2.serve_connection(io, service));
                drive(conn.as_mut(), &pulse, Some(limits.idle_time)).await.map(drop)
            }
        };
        if let Err(error) = result {
            debug!(%error, "a connection ended with an error");
        }
    }

    /// Hyper keeps tens of kilobytes for a connection. One that rests does without them: only its socket is kept, and hyper begins
    /// anew with its next byte.
    async fn serve_http1<Io, F, S>(
        &self,
        mut io: TokioIo<Guarded<Io>>,
        mut service: S,
        pulse: &Pulse,
    ) -> Result<(), hyper::Error>
    where
        S: hyper::service::Service<Request<Incoming>, Response = Response<Outgoing>, Error = Infallible, Future = F>,
        F: Future<Output = Result<Response<Outgoing>, Infallible>> + 'static,
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        loop {
            let mut conn = Box::pin(self.http1.serve_connection(io, service).with_upgrades());
            if drive(conn.as_mut(), pulse, None).await? == Driven::Over {
                return Ok(());
            }
            match Pin::into_inner(conn).into_parts() {
                // The buffer goes here, not when the connection does.
                Some(http1::Parts { io: socket, service: same, read_buf, .. }) if read_buf.is_empty() => {
                    (io, service) = (socket, same);
                }
                _ => return Ok(()),
            }
            let awake = poll_fn(|cx| {
                pulse.watch(cx.waker());
                match pulse.order() {
                    Order::Run => io.inner_mut().poll_awake(cx),
                    Order::Drain | Order::Stop => Poll::Ready(false),
                }
            });
            if !awake.await {
                let mut io = io.into_inner();
                let _ = poll_fn(|cx| match pulse.order() {
                    Order::Stop => Poll::Ready(Ok(())),
                    Order::Run | Order::Drain => Pin::new(&mut io).poll_shutdown(cx),
                })
                .await;
                return Ok(());
            }
        }
    }
}

/// A connection's place with the listener.
pub(super) struct Visit {
    pub(super) pulse: Arc<Pulse>,
    /// Counts the socket as open while it exists, as a tunnel too.
    pub(super) slot: Box<dyn Send + Sync>,
}

impl Visit {
    /// `work`, given up soon after the first order: before a request has begun there is little to finish.
    pub(super) async fn unless_ordered<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut patience = Patience::default();
        poll_fn(|cx| {
            self.pulse.watch(cx.waker());
            if let Poll::Ready(value) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            match self.pulse.order() {
                Order::Run => Poll::Pending,
                Order::Drain if !patience.is_over(cx) => Poll::Pending,
                Order::Drain | Order::Stop => Poll::Ready(None),
            }
        })
        .await
    }
}

/// Reads no more than tells the protocol. Zero bytes and half a preface both have an end.
async fn sniff<Io: AsyncRead + Unpin>(io: &mut Io, ahead: &mut Vec<u8>, limits: &LimitSettings) -> Option<Protocol> {
    let mut deadline = Instant::now() + limits.idle_time;
    let mut piece = [0; PREFACE.len()];
    loop {
        let free = piece.get_mut(ahead.len()..).unwrap_or_default();
        let read = timeout(deadline.saturating_duration_since(Instant::now()), io.read(free)).await.ok()?.ok()?;
        if read == 0 {
            return None;
        }
        if ahead.is_empty() {
            deadline = Instant::now() + limits.header_time;
        }
        ahead.extend_from_slice(free.get(..read).unwrap_or_default());
        if !PREFACE.starts_with(ahead) {
            return Some(Protocol::Http1);
        }
        if ahead.len() == PREFACE.len() {
            return Some(Protocol::Http2);
        }
    }
}

/// Both kinds of hyper's connections, as far as it matters here.
trait Drivable: Future<Output = Result<(), hyper::Error>> {
    fn graceful(self: Pin<&mut Self>);
}

impl<Io, F, S> Drivable for http1::UpgradeableConnection<Io, S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Outgoing>, Error = Infallible, Future = F>,
    F: Future<Output = Result<Response<Outgoing>, Infallible>> + 'static,
    Io: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn graceful(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<Io, F, S> Drivable for http2::Connection<Io, S, TokioExecutor>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Outgoing>, Error = Infallible, Future = F>,
    F: Future<Output = Result<Response<Outgoing>, Infallible>> + Send + 'static,
    Io: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn graceful(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// How the driving of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driven {
    Over,
    /// HTTP/1 only: nothing is under way, and hyper holds nothing of it.
    Rests,
}

/// Runs a connection and listens for orders; `idle` closes an HTTP/2 connection on which nothing is asked any more.
async fn drive<C: Drivable>(
    mut conn: Pin<&mut C>,
    pulse: &Pulse,
    idle: Option<Duration>,
) -> Result<Driven, hyper::Error> {
    let mut alarm = pin!(idle.map(|idle| sleep_until(Instant::now() + idle)));
    let mut watching: Option<Waker> = None;
    let mut draining = false;
    let mut patience = Patience::default();
    poll_fn(|cx| {
        // Before the connection is polled, so that no order or decision made meanwhile is missed. Once is enough: it is one task.
        if !watching.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            pulse.watch(cx.waker());
            watching = Some(cx.waker().clone());
        }
        loop {
            if let Poll::Ready(result) = conn.as_mut().poll(cx) {
                return Poll::Ready(result.map(|()| Driven::Over));
            }
            if pulse.order() == Order::Stop {
                return Poll::Ready(Ok(Driven::Over));
            }
            if pulse.order() == Order::Run && pulse.rests() && !pulse.is_busy() {
                return Poll::Ready(Ok(Driven::Rests));
            }
            // HTTP/2 tells a client which of its requests were taken; over HTTP/1 the first may be under way.
            let awaited = idle.is_none() && pulse.is_fresh();
            let drained = pulse.order() == Order::Drain && (!awaited || patience.is_over(cx));
            let leave = drained || is_idle(&mut alarm, idle, pulse, cx);
            if draining || !leave {
                return Poll::Pending;
            }
            draining = true;
            conn.as_mut().graceful();
        }
    })
    .await
}

/// For the first request of a connection that was accepted just before draining began: nobody else can answer it.
#[derive(Default)]
struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let alarm = self.0.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + FIRST_REQUEST)));
        alarm.as_mut().poll(cx).is_ready()
    }
}

fn is_idle(alarm: &mut Pin<&mut Option<Sleep>>, idle: Option<Duration>, pulse: &Pulse, cx: &mut Context<'_>) -> bool {
    let (Some(mut alarm), Some(idle)) = (alarm.as_mut().as_pin_mut(), idle) else { return false };
    while alarm.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        let since = if pulse.is_busy() { now } else { pulse.idle_since() };
        if since + idle <= now {
            return true;
        }
        alarm.as_mut().reset(since + idle);
    }
    false
}

const FIRST_REQUEST: Duration = Duration::from_millis(500);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Hyper keeps so many fields on the stack; asked for any other number, it allocates for each message.
const HYPERS_HEADER_COUNT: usize = 100;
const BUFFER: usize = 64 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const RESETS: usize = 20;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// RFC 9112 section 3 asks for 8000 bytes of target at least.
const SHORTEST_TARGET_LIMIT: usize = 8000;

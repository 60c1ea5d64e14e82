//! The socket as hyper sees it: strictly read, and with an end to every wait.

use std::future::Future as _;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

use super::farewell::Farewell;
use super::framing::{Framing, Stop};
use super::pulse::{Pulse, Upgrade};
use super::settings::LimitSettings;

/// A client's byte stream, plain or TLS. HTTP/1 goes through [`Framing`]; HTTP/2 has framing of its own.
pub(super) struct Guarded<S> {
    io: S,
    framing: Option<Framing>,
    /// Bytes that were read and may not be seen yet.
    ahead: Vec<u8>,
    stopped: Option<Stop>,
    /// What is left to show of [`POISON`].
    poison: &'static [u8],
    pulse: Arc<Pulse>,
    header_time: Duration,
    idle_time: Duration,
    head_since: Option<Instant>,
    write_since: Option<Instant>,
    /// Armed lazily: on a busy connection it is hardly ever touched.
    alarm: Pin<Box<Sleep>>,
    /// Whom the alarm wakes; nobody before it is armed. A tunnel lives in another task than its handshake did.
    woken: Option<Waker>,
    linger: Linger,
    farewell: Farewell,
    /// Whatever must live as long as the socket, tunnels included.
    _slot: Box<dyn Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linger {
    Before,
    Draining(usize),
}

impl<S> Guarded<S> {
    /// Takes over a socket from which `ahead` was already read.
    pub(super) fn new(
        io: S,
        ahead: Vec<u8>,
        framed: bool,
        pulse: Arc<Pulse>,
        limits: &LimitSettings,
        farewell: Farewell,
        slot: Box<dyn Send + Sync>,
    ) -> Self {
        let now = Instant::now();
        Self {
            io,
            framing: framed.then(|| Framing::new(limits.header_bytes, limits.header_count)),
            ahead,
            stopped: None,
            poison: POISON,
            pulse,
            header_time: limits.header_time,
            idle_time: limits.idle_time,
            head_since: None,
            write_since: None,
            alarm: Box::pin(sleep_until(now + limits.idle_time)),
            woken: None,
            linger: Linger::Before,
            farewell,
            _slot: slot,
        }
    }

    /// Whether `deadline` has passed; if not, this task is woken no later than then.
    fn passed(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        let is_set = self.is_armed() && self.alarm.deadline() <= deadline;
        if is_set && self.woken.as_ref().is_some_and(|woken| woken.will_wake(cx.waker())) {
            // This task will look again before then: most requests pass without anybody asking the clock.
            return false;
        }
        if deadline <= Instant::now() {
            return true;
        }
        if !is_set {
            self.alarm.as_mut().reset(deadline);
        }
        self.woken = Some(cx.waker().clone());
        // Whatever this task has done in its turn: an alarm that was not asked now would wake nobody, and is not asked again.
        while pin!(unconstrained(self.alarm.as_mut())).poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return true;
            }
            self.alarm.as_mut().reset(deadline);
        }
        false
    }

    /// Whether the alarm is still to ring.
    fn is_armed(&self) -> bool {
        self.woken.is_some() && !self.alarm.is_elapsed()
    }

    /// Whether the client has kept us waiting too long for its next byte.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(framing) = &self.framing else { return false };
        if let Some(since) = self.head_since {
            return self.passed(cx, since + self.header_time);
        }
        if !framing.at_rest() {
            return false;
        }
        if self.pulse.is_busy() {
            // What is armed already wakes this task in time to look again.
            return !self.is_armed() && self.passed(cx, Instant::now() + self.idle_time);
        }
        let since = self.pulse.idle_since();
        if !self.passed(cx, since + REST.min(self.idle_time)) {
            return false;
        }
        self.pulse.rest(self.may_rest());
        self.passed(cx, since + self.idle_time)
    }

    /// Whether whoever reads and writes here holds nothing that is still to come or to go.
    fn may_rest(&self) -> bool {
        self.framing.as_ref().is_some_and(|framing| framing.at_rest() && !framing.in_head())
            && !self.pulse.is_fresh()
            && self.ahead.is_empty()
            && self.stopped.is_none()
            && self.write_since.is_none()
    }

    /// Whether hyper, when it has answered what came before, refuses a head by itself.
    fn is_refused(&self) -> bool {
        matches!(self.stopped, Some(Stop::Head(_))) || self.framing.as_ref().is_some_and(Framing::is_too_large)
    }

    /// Shows hyper only what may pass of the bytes from `before` on. False when that is nothing at all.
    fn sift(&mut self, buf: &mut ReadBuf<'_>, before: usize, from_ahead: bool) -> bool {
        self.pulse.rest(false);
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let total = fresh.len();
        let mut accepted = total;
        if let Some(framing) = &mut self.framing {
            let progress = framing.check(fresh);
            accepted = progress.accepted;
            match progress.stop {
                Some(Stop::Held) if !from_ahead => {
                    self.ahead.extend_from_slice(fresh.get(accepted..).unwrap_or_default());
                }
                None | Some(Stop::Held) => {}
                Some(stop) => {
                    debug!(peer_error = %refusal(stop), "refused what a client sent");
                    self.stopped = Some(stop);
                    self.ahead = Vec::new();
                }
            }
            if !framing.in_head() {
                self.head_since = None;
            } else if self.head_since.is_none() {
                self.head_since = Some(Instant::now());
            }
        }
        if from_ahead && self.stopped.is_none() {
            self.ahead.drain(..accepted.min(self.ahead.len()));
        }
        buf.set_filled(before + accepted);
        accepted > 0
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Waits, with nobody reading, until there is a reason to read again: bytes, which are kept for whoever reads then, or the end.
    /// Answers whether it was bytes.
    pub(super) fn poll_awake(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.pulse.rest(false);
        let mut piece = [0; 256];
        let mut buf = ReadBuf::new(&mut piece);
        match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                self.ahead.extend_from_slice(buf.filled());
                Poll::Ready(!self.ahead.is_empty())
            }
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Pending if self.passed(cx, self.pulse.idle_since() + self.idle_time) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match this.stopped {
                None | Some(Stop::Held) => {}
                Some(Stop::Head(_)) => {
                    let (now, later) = this.poison.split_at(this.poison.len().min(buf.remaining()));
                    buf.put_slice(now);
                    this.poison = later;
                    return Poll::Ready(Ok(()));
                }
                Some(Stop::Body(refusal)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)));
                }
            }
            if let Some(framing) = this.framing.as_mut().filter(|framing| framing.is_held()) {
                // The task that serves this connection also makes the decision, and registered its waker before it did.
                match this.pulse.decision() {
                    Upgrade::Undecided => return Poll::Pending,
                    decision => framing.resume(decision == Upgrade::Switched),
                }
            }
            let before = buf.filled().len();
            if !this.ahead.is_empty() {
                let now = this.ahead.len().min(buf.remaining());
                buf.put_slice(this.ahead.get(..now).unwrap_or_default());
                if this.framing.is_none() {
                    this.ahead.drain(..now);
                    return Poll::Ready(Ok(()));
                }
                if this.sift(buf, before, true) {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match Pin::new(&mut this.io).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() == before => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    if this.sift(buf, before, false) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if this.is_late(cx) => {
                    debug!(in_head = this.head_since.is_some(), "a client kept us waiting too long");
                    // The end of the stream: hyper closes what is idle and gives up on half a head.
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    fn stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let since = *self.write_since.get_or_insert_with(Instant::now);
        if self.passed(cx, since + self.idle_time) {
            debug!("a client does not read what it asked for");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.stalled(cx),
            ready => {
                self.write_since = None;
                ready
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Sends what hyper's own answer has become.
    fn say_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.farewell.rest().is_empty() {
            let result = Pin::new(&mut self.io).poll_write(cx, self.farewell.rest());
            match ready!(self.wrote(cx, result))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.farewell.wrote(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_refused() {
            match Farewell::begins(buf) {
                Some(0) => {
                    this.farewell.take(buf);
                    return Poll::Ready(Ok(buf.len()));
                }
                Some(begins) => buf = buf.get(..begins).unwrap_or_default(),
                None => {}
            }
        }
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_refused()
            && let Some(first) = bufs.iter().find(|buf| !buf.is_empty())
        {
            return self.poll_write(cx, first);
        }
        let this = self.get_mut();
        let result = if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= SHORT_ANSWER {
            // A head and a short body: to copy them costs less than to hand the kernel a list.
            let mut room = [const { MaybeUninit::uninit() }; SHORT_ANSWER];
            let mut whole = ReadBuf::uninit(&mut room);
            bufs.iter().for_each(|buf| whole.put_slice(buf));
            Pin::new(&mut this.io).poll_write(cx, whole.filled())
        } else {
            Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
        };
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.say_farewell(cx))?;
        match Pin::new(&mut this.io).poll_flush(cx) {
            Poll::Pending => this.stalled(cx).map_ok(drop),
            ready => {
                this.write_since = None;
                ready
            }
        }
    }

    /// RFC 9112 section 9.6: what the client is still sending would reset the connection and take our last answer
    /// with it, so it is read and thrown away for a moment.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger == Linger::Before {
            ready!(this.say_farewell(cx))?;
            match Pin::new(&mut this.io).poll_shutdown(cx) {
                Poll::Ready(result) => result?,
                // TLS has a last word, and a client that does not read it.
                Poll::Pending => return this.stalled(cx).map_ok(drop),
            }
            let at_rest =
                this.ahead.is_empty() && this.framing.as_ref().is_none_or(|it| it.at_rest() || it.is_tunnel());
            if at_rest && this.stopped.is_none() {
                return Poll::Ready(Ok(()));
            }
            this.linger = Linger::Draining(LINGER_BYTES);
            this.alarm.as_mut().reset(Instant::now() + LINGER_TIME);
        }
        let Linger::Draining(mut left) = this.linger else { return Poll::Ready(Ok(())) };
        let mut trash = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut trash);
            match Pin::new(&mut this.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && left > buf.filled().len() => {
                    left -= buf.filled().len();
                    this.linger = Linger::Draining(left);
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return this.alarm.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

fn refusal(stop: Stop) -> String {
    match stop {
        Stop::Held => String::new(),
        Stop::Head(refusal) | Stop::Body(refusal) => refusal.to_string(),
    }
}

/// What hyper sees in the place of a head that we refuse: it is invalid wherever in a head it stands, and complete, so
/// that hyper answers 400 in its turn, after the answers to earlier requests, and closes.
const POISON: &[u8] = b"\0\r\n\0\r\n\r\n";
/// So long after its last answer a connection is taken for one that waits for a person.
const REST: Duration = Duration::from_millis(500);
/// So many bytes go out as one piece.
const SHORT_ANSWER: usize = 4096;
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::coop;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A client that takes one byte and no more.
    async fn full() -> (Guarded<DuplexStream>, DuplexStream) {
        let (io, client) = duplex(1);
        let limits = LimitSettings { idle_time: PATIENCE, ..LimitSettings::default() };
        let farewell = Farewell::new(None);
        let mut guarded = Guarded::new(io, Vec::new(), true, Pulse::new(), &limits, farewell, Box::new(()));
        guarded.write_all(b"x").await.unwrap();
        (guarded, client)
    }

    fn spend_the_budget(cx: &mut Context<'_>) {
        while coop::has_budget_remaining() {
            let _ = pin!(coop::consume_budget()).poll(cx);
        }
    }

    /// DOS-02: who reads nothing is cut off, also if the wait for it began at the end of a task's turn.
    #[tokio::test(start_paused = true)]
    async fn a_wait_that_begins_with_a_spent_budget_has_an_end() {
        let (mut guarded, _client) = full().await;
        let (begun, mut first) = (Instant::now(), true);
        let write = poll_fn(|cx| {
            if std::mem::take(&mut first) {
                spend_the_budget(cx);
            }
            Pin::new(&mut guarded).poll_write(cx, b"y")
        });
        let cut_off = timeout(PATIENCE * 2, write).await.unwrap();
        assert_eq!(cut_off.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < PATIENCE + Duration::from_secs(1), "nobody was woken: {:?}", begun.elapsed());
    }
}

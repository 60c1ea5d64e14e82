//! A byte stream to an application, whatever it runs over.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};
use tokio_rustls::client::TlsStream;

/// The three kinds there are. Known by name rather than boxed: each request asks it four times.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Whether neither a byte nor its end has come while nobody was to send one.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
            Self::Tls(stream) => {
                let mut buf = ReadBuf::new(&mut byte);
                // Nobody has to be woken: it is asked again before it is used.
                return Pin::new(&mut **stream)
                    .poll_read(&mut Context::from_waker(Waker::noop()), &mut buf)
                    .is_pending();
            }
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $then:expr) => {
        match $self.get_mut() {
            Socket::Tcp($stream) => $then,
            Socket::Unix($stream) => $then,
            Socket::Tls($stream) => $then,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// A socket of HTTP/2 that is heard out before it has ended. The library forgets an answer's head where it learns of the end in the same
/// turn, before the task that waits for the answer has had its own; and it reads nothing more once it could not write, which is so as soon
/// as the application has closed on bytes that it had not read. So the end is told a moment after the last byte, and by reading alone.
pub(super) struct HeardOut {
    socket: Socket,
    end: Option<End>,
}

struct End {
    told: Pin<Box<Sleep>>,
    error: Option<io::Error>,
}

impl HeardOut {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, end: None }
    }

    fn ended(&mut self, error: Option<io::Error>) -> &mut End {
        self.end.get_or_insert_with(|| End { told: Box::pin(sleep(LAST_WORD)), error })
    }

    /// What could not be written is not wanted any more. It is as lost as what a socket takes on its way to nobody.
    fn unwritten(&mut self, error: io::Error, cx: &mut Context<'_>) {
        if self.ended(Some(error)).told.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl AsyncRead for HeardOut {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let end = match Pin::new(&mut self.socket).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before => return Poll::Ready(Ok(())),
            Poll::Ready(read) => self.ended(read.err()),
            Poll::Pending => match &mut self.end {
                Some(end) => end,
                None => return Poll::Pending,
            },
        };
        ready!(end.told.as_mut().poll(cx));
        Poll::Ready(end.error.take().map_or(Ok(()), Err))
    }
}

impl AsyncWrite for HeardOut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(ready!(Pin::new(&mut self.socket).poll_write(cx, bytes)).unwrap_or_else(|error| {
            self.unwritten(error, cx);
            bytes.len()
        })))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)).unwrap_or_else(|error| {
            self.unwritten(error, cx);
            pieces.iter().map(|piece| piece.len()).sum()
        })))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = ready!(Pin::new(&mut self.socket).poll_flush(cx)) {
            self.unwritten(error, cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Between an application's last byte and that it has ended.
const LAST_WORD: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn pair() -> (HeardOut, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (HeardOut::new(Socket::Unix(ours)), theirs)
    }

    #[tokio::test]
    async fn the_end_is_told_in_a_turn_of_its_own() {
        let (mut ours, mut theirs) = pair().await;
        theirs.write_all(b"an answer").await.unwrap();
        drop(theirs);
        let mut buffer = [0; 64];
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 9);
        let mut end = Box::pin(ours.read(&mut buffer));
        assert!(
            std::future::poll_fn(|cx| Poll::Ready(end.as_mut().poll(cx).is_pending())).await,
            "the end in the same turn"
        );
        assert_eq!(end.await.unwrap(), 0);
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 0, "asked again");
    }

    #[tokio::test]
    async fn what_was_answered_is_read_although_nothing_can_be_written() {
        let (mut ours, mut theirs) = pair().await;
        theirs.write_all(b"an answer").await.unwrap();
        drop(theirs);
        for _ in 0..3 {
            assert_eq!(ours.write(b"thanks").await.unwrap(), 6);
            assert_eq!(ours.write_vectored(&[IoSlice::new(b"tha"), IoSlice::new(b"nks")]).await.unwrap(), 6);
        }
        ours.flush().await.unwrap();
        // Later than the end was due: the answer still comes first.
        sleep(LAST_WORD * 4).await;
        let mut buffer = [0; 64];
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 9);
        assert_eq!(ours.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    /// Nothing says that an application that takes no more bytes also ends its own.
    #[tokio::test]
    async fn a_socket_that_takes_nothing_has_ended_soon() {
        let (mut ours, theirs) = pair().await;
        let theirs = theirs.into_std().unwrap();
        theirs.shutdown(std::net::Shutdown::Read).unwrap();
        assert_eq!(ours.write(b"a request").await.unwrap(), 9);
        let mut buffer = [0; 64];
        assert_eq!(ours.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

//! An HTTP/1.1 connection to an application (RFC 9112), our side: one request and its answer at a time.
//!
//! Ours rather than the HTTP library's, which moves each request through a channel to a second half of the connection and keeps
//! nothing of it: here it is written where it is made, sent again from the bytes that were sent, and an answer that has come
//! whole is passed on whole. Nothing here has a task, a timer or a limit of time of its own: whoever holds the connection polls it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio_util::io::poll_read_buf;

use super::socket::Socket;

mod decoder;
mod head;
#[cfg(any(test, feature = "testing"))]
mod reading;
mod sending;

use decoder::Decoder;
pub(super) use head::{Head, content_length, is_of_the_connection};
pub(super) use sending::Sending;
use sending::Stopped;

#[cfg(any(test, feature = "testing"))]
pub use reading::{ReadAnswer, read_answer};

/// A connection, and how far the exchange on it has come.
pub(super) struct Connection {
    socket: Socket,
    sending: Sending,
    /// Why sending has ended too soon. There may be an answer all the same: that says why.
    stopped: Option<io::Error>,
    /// Bytes that were received and belong to nothing yet.
    received: BytesMut,
    /// How many are asked for at a time.
    room: usize,
    heads: head::Reader,
    body: Decoder,
}

/// Why there is no head of an answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// What came is no answer.
    Malformed(String),
    /// The connection ended, or the request's body broke off.
    Ended(io::Error),
}

impl Connection {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            sending: Sending::default(),
            stopped: None,
            received: BytesMut::new(),
            room: SMALL_ROOM,
            heads: head::Reader::default(),
            body: Decoder::default(),
        }
    }

    /// The next request. The connection has to be at rest.
    pub(super) fn begin(&mut self, sending: Sending) {
        debug_assert!(self.received.is_empty(), "bytes of the last answer are left");
        self.sending = sending;
        self.stopped = None;
        self.room = SMALL_ROOM;
        self.heads.begin();
        self.body = Decoder::default();
    }

    /// The request that was begun, as it is: for another connection when this one has ended.
    pub(super) fn take_request(&mut self) -> Sending {
        std::mem::take(&mut self.sending)
    }

    /// Room for the next request's head, where the last one's was.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.sending.buffer()
    }

    /// Sends what can be sent, and receives the head of the answer. Interim answers end here, but for the 101 that `switches`.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, switches: bool) -> Poll<Result<Head, Failure>> {
        if let Poll::Ready(Err(error)) = self.poll_request(cx) {
            return Poll::Ready(Err(Failure::Ended(error)));
        }
        loop {
            match self.heads.read(&mut self.received, self.sending.is_head()) {
                Ok(None) => {}
                // What the last one on it left behind, or the reason why it was closed: this request is for another connection.
                Ok(Some(_)) if self.sending.is_unsent() => {
                    let early = || io::Error::other("an answer came before the request was sent");
                    return Poll::Ready(Err(Failure::Ended(self.stopped.take().unwrap_or_else(early))));
                }
                Ok(Some(Head { head, .. })) if head.status().is_informational() && head.status() != 101 => continue,
                Ok(Some(Head { head, .. })) if head.status() == 101 && (!switches || self.uploads()) => {
                    let why = "it switches protocols, and nobody asked for that yet".to_owned();
                    return Poll::Ready(Err(Failure::Malformed(why)));
                }
                Ok(Some(head)) => {
                    self.body = Decoder::new(head.length);
                    return Poll::Ready(Ok(head));
                }
                Err(why) => return Poll::Ready(Err(Failure::Malformed(why))),
            }
            let ended = match ready!(self.poll_receive(cx)) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => continue,
                Err(error) => error,
            };
            return Poll::Ready(Err(Failure::Ended(self.stopped.take().unwrap_or(ended))));
        }
    }

    /// Sends what can be sent of the request. An error is the client's: its body broke off. That the application takes no more of it
    /// is none: its answer may be there.
    pub(super) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.uploads() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.sending.poll(&mut self.socket, cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Stopped::Body(error)) => Poll::Ready(Err(io::Error::other(error))),
            Err(Stopped::Socket(error)) => {
                self.stopped = Some(error);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Whether some of the request is still to go out, and the application takes it.
    pub(super) fn uploads(&self) -> bool {
        self.stopped.is_none() && !self.sending.is_done()
    }

    /// What is left of the answer's body, if all of it has come already and its length is known.
    pub(super) fn whole_body(&mut self) -> Option<Bytes> {
        self.body.whole(&mut self.received)
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.body.read(&mut self.received) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.body.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.poll_receive(cx)) {
                Ok(0) => match self.body.ends() {
                    Ok(()) => return Poll::Ready(None),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Whether the answer's body was received to its end.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_over()
    }

    /// What is left of the answer's body, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.body.left()
    }

    /// Whether another request may follow: the last one and its answer are over, and nothing came that belongs to none.
    pub(super) fn is_at_rest(&self) -> bool {
        self.sending.is_done() && self.stopped.is_none() && self.body.is_over() && self.received.is_empty()
    }

    /// Lets go of the room that a long answer needed: many connections may rest for long.
    pub(super) fn rest(&mut self) {
        if self.room > SMALL_ROOM {
            self.received = BytesMut::new();
        }
    }

    /// Whether neither an end nor a byte has come that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.received.is_empty() && self.socket.is_quiet()
    }

    /// What it runs over, and what has come of what follows the head.
    pub(super) fn into_parts(self) -> (Socket, Bytes) {
        (self.socket, self.received.freeze())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.received.reserve(self.room);
        let count = ready!(poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.received))?;
        if count >= self.room {
            // It has more to say: fewer and larger bites from here on.
            self.room = (self.room * 2).min(LARGE_ROOM);
        }
        Poll::Ready(Ok(count))
    }
}

const SMALL_ROOM: usize = 4 * 1024;
const LARGE_ROOM: usize = 64 * 1024;

#[cfg(test)]
mod tests;

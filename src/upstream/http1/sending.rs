//! A request on its way: its head, and its body as that comes.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderName, Method};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::super::outgoing::Outgoing;
use super::super::socket::Socket;
use crate::web::body::BoxError;

/// A request, as far as it has gone out. It can go to another connection as long as nothing that is gone would be missing there.
#[derive(Default)]
pub(in crate::upstream) struct Sending {
    /// The head, then framing of the body, whatever goes before `data`. A head stays until the next framing, to be sent again.
    before: Vec<u8>,
    /// How much of `before` is gone.
    written: usize,
    data: Bytes,
    after: &'static [u8],
    body: Option<Upload>,
    /// Whether anything is gone.
    begun: bool,
    /// Whether anything is still to go, be it only out of the TLS library.
    under_way: bool,
    is_head: bool,
}

struct Upload {
    body: Outgoing,
    coding: Coding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
}

/// Why a request does not go on.
pub(super) enum Stopped {
    /// Its body broke off.
    Body(BoxError),
    /// The connection takes no more.
    Socket(io::Error),
}

impl Sending {
    /// Writes the head (RFC 9112 section 3) into `buffer`. `fields` are the client's, `ours` come after them. A request without
    /// `body` says nothing of one but what is in `ours`.
    pub(in crate::upstream) fn new<'a>(
        mut buffer: Vec<u8>,
        method: &Method,
        target: &PathAndQuery,
        host: &HeaderValue,
        fields: &HeaderMap,
        ours: impl IntoIterator<Item = &'a (HeaderName, HeaderValue)>,
        body: Option<Outgoing>,
    ) -> Self {
        let head = &mut buffer;
        head.clear();
        for piece in [method.as_str().as_bytes(), b" ", target.as_str().as_bytes(), b" HTTP/1.1\r\n"] {
            head.extend_from_slice(piece);
        }
        line(head, &HOST, host.as_bytes());
        for (name, value) in fields {
            // How the message is framed and where it goes is said here and nowhere else, whatever got into the fields.
            if *name != HOST && *name != TRANSFER_ENCODING && *name != CONNECTION && *name != CONTENT_LENGTH {
                line(head, name, value.as_bytes());
            }
        }
        for (name, value) in ours {
            line(head, name, value.as_bytes());
        }
        let body = body.map(|body| match body.size_hint().exact() {
            Some(length) => {
                // Writing to memory does not fail.
                let _ = write!(head, "content-length: {length}\r\n");
                Upload { body, coding: Coding::Length(length) }
            }
            None => {
                head.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Upload { body, coding: Coding::Chunked }
            }
        });
        head.extend_from_slice(b"\r\n");
        Self { before: buffer, body, under_way: true, is_head: *method == Method::HEAD, ..Self::default() }
    }

    /// The room of its head, for the next one.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.before);
        if buffer.capacity() > MOST_KEPT {
            buffer = Vec::new();
        }
        buffer
    }

    /// Whether it asks for a head alone: then its answer has no body, whatever that says.
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    pub(super) fn is_done(&self) -> bool {
        !self.under_way
    }

    /// Whether not a byte of it is gone.
    pub(in crate::upstream) fn is_unsent(&self) -> bool {
        !self.begun
    }

    /// From its first byte again. Only for one that is unsent, or that has no body.
    pub(in crate::upstream) fn rewind(&mut self) {
        self.written = 0;
        self.begun = false;
        self.under_way = true;
    }

    /// Sends what can be sent now.
    pub(super) fn poll(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        loop {
            // What is ready of the body goes out with what is before it.
            let waits = match self.poll_body(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(error)) => {
                    // Nowhere else would it be whole either.
                    self.begun = true;
                    return Poll::Ready(Err(Stopped::Body(error)));
                }
                Poll::Pending => true,
            };
            if self.is_written() {
                ready!(Pin::new(&mut *socket).poll_flush(cx)).map_err(Stopped::Socket)?;
                if self.body.is_none() {
                    self.under_way = false;
                    return Poll::Ready(Ok(()));
                }
                if waits {
                    return Poll::Pending;
                }
                continue;
            }
            if let Err(error) = ready!(self.poll_write(socket, cx)) {
                // The TLS library may have sent some of it before it failed.
                self.begun |= matches!(socket, Socket::Tls(_));
                return Poll::Ready(Err(Stopped::Socket(error)));
            }
        }
    }

    fn is_written(&self) -> bool {
        self.written == self.before.len() && self.data.is_empty() && self.after.is_empty()
    }

    fn poll_write(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let head = self.before.get(self.written..).unwrap_or_default();
        let mut count = if self.data.is_empty() && self.after.is_empty() {
            ready!(Pin::new(socket).poll_write(cx, head))?
        } else {
            let pieces = [IoSlice::new(head), IoSlice::new(&self.data), IoSlice::new(self.after)];
            ready!(Pin::new(socket).poll_write_vectored(cx, &pieces))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.begun = true;
        let gone = count.min(head.len());
        self.written += gone;
        count -= gone;
        let gone = count.min(self.data.len());
        self.data.advance(gone);
        if self.data.is_empty() {
            // A connection at rest does not keep the last upload's bytes.
            self.data = Bytes::new();
        }
        self.after = self.after.get(count - gone..).unwrap_or_default();
        Poll::Ready(Ok(()))
    }

    /// Frames the next piece of the body, once the last one is gone.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let Some(upload) = &mut self.body else { return Poll::Ready(Ok(())) };
        if !self.data.is_empty() || !self.after.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let frame = match ready!(Pin::new(&mut upload.body).poll_frame(cx)) {
            Some(frame) => frame?,
            None => {
                let coding = upload.coding;
                self.body = None;
                return Poll::Ready(match coding {
                    Coding::Length(0) => Ok(()),
                    Coding::Length(_) => Err("the request's body is shorter than it says".into()),
                    Coding::Chunked => {
                        self.after = b"0\r\n\r\n";
                        Ok(())
                    }
                });
            }
        };
        let coding = upload.coding;
        match (frame.into_data(), coding) {
            (Ok(data), Coding::Length(left)) => {
                let left = left.checked_sub(data.len() as u64).ok_or("the request's body is longer than it says")?;
                upload.coding = Coding::Length(left);
                self.data = data;
                if left == 0 && upload.body.is_end_stream() {
                    self.body = None;
                }
            }
            // An empty chunk would be the last one.
            (Ok(data), Coding::Chunked) if data.is_empty() => {}
            (Ok(data), Coding::Chunked) => {
                let size = self.framing();
                let _ = write!(size, "{:x}\r\n", data.len());
                self.data = data;
                self.after = b"\r\n";
            }
            (Err(frame), Coding::Chunked) => {
                self.body = None;
                let trailers = frame.into_trailers().unwrap_or_default();
                let last = self.framing();
                last.extend_from_slice(b"0\r\n");
                for (name, value) in &trailers {
                    line(last, name, value.as_bytes());
                }
                last.extend_from_slice(b"\r\n");
            }
            // There is no place for trailers behind a length.
            (Err(_), Coding::Length(_)) => {}
        }
        Poll::Ready(Ok(()))
    }

    /// Where the next framing is written: after what is still to go out.
    fn framing(&mut self) -> &mut Vec<u8> {
        if self.written == self.before.len() {
            self.before.clear();
            self.written = 0;
        }
        &mut self.before
    }
}

fn line(head: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for piece in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(piece);
    }
}

/// A longer head than this was an exception, and its room is given back.
const MOST_KEPT: usize = 16 * 1024;

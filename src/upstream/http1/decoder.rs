//! The body of an answer: its bytes without their framing (RFC 9112 sections 6 and 7.1).

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Frame;
use memchr::memchr;

use super::head::{self, Length};

/// How far a body has come.
#[derive(Debug)]
pub(super) struct Decoder(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Over,
    Exactly(u64),
    UntilClose,
    /// The line with a chunk's size comes next.
    Size,
    /// So much of a chunk.
    Chunk(u64),
    /// The end of the line after a chunk.
    ChunkEnd,
    Trailers,
}

impl Default for Decoder {
    /// Nothing: there is no body before there is an answer.
    fn default() -> Self {
        Self(State::Over)
    }
}

impl Decoder {
    pub(super) fn new(length: Length) -> Self {
        Self(match length {
            Length::Exactly(0) => State::Over,
            Length::Exactly(left) => State::Exactly(left),
            Length::Chunked => State::Size,
            Length::UntilClose => State::UntilClose,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.0 == State::Over
    }

    /// How many bytes are left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self.0 {
            State::Over => Some(0),
            State::Exactly(left) => Some(left),
            _ => None,
        }
    }

    /// All that is left, if that is known and all of it has come.
    pub(super) fn whole(&mut self, received: &mut BytesMut) -> Option<Bytes> {
        let left = usize::try_from(self.left()?).ok().filter(|left| *left <= received.len())?;
        self.0 = State::Over;
        Some(received.split_to(left).freeze())
    }

    /// The next piece of what was received; `None` when that says nothing more.
    pub(super) fn read(&mut self, received: &mut BytesMut) -> io::Result<Option<Frame<Bytes>>> {
        loop {
            if received.is_empty() {
                return Ok(None);
            }
            match self.0 {
                State::Over => return Ok(None),
                State::UntilClose => return Ok(Some(Frame::data(piece(received, u64::MAX).0))),
                State::Exactly(left) => {
                    let (piece, left) = piece(received, left);
                    self.0 = if left == 0 { State::Over } else { State::Exactly(left) };
                    return Ok(Some(Frame::data(piece)));
                }
                State::Chunk(left) => {
                    let (piece, left) = piece(received, left);
                    self.0 = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Ok(Some(Frame::data(piece)));
                }
                State::Size => {
                    let Some((size, length)) = chunk_size(received)? else { return Ok(None) };
                    received.advance(length);
                    self.0 = if size == 0 { State::Trailers } else { State::Chunk(size) };
                }
                State::ChunkEnd => {
                    match received.get(..2) {
                        Some(b"\r\n") => received.advance(2),
                        Some(_) => return Err(malformed("a chunk is longer than it says")),
                        None => return Ok(None),
                    }
                    self.0 = State::Size;
                }
                State::Trailers => {
                    let Some((fields, length)) = head::trailers(received).map_err(malformed)? else { return Ok(None) };
                    received.advance(length);
                    self.0 = State::Over;
                    return Ok((!fields.is_empty()).then(|| Frame::trailers(fields)));
                }
            }
        }
    }

    /// The connection has ended, and with it the body, if that is how it ends.
    pub(super) fn ends(&mut self) -> io::Result<()> {
        match self.0 {
            State::Over => Ok(()),
            State::UntilClose => {
                self.0 = State::Over;
                Ok(())
            }
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before the answer did")),
        }
    }
}

/// At most `left` bytes of what was received, and how many are left then.
fn piece(received: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let now = usize::try_from(left).unwrap_or(usize::MAX).min(received.len());
    let piece = match received.get(..now) {
        // Many of them may wait for a slow reader, and none of those shall hold the room that it was received in.
        Some(small) if now <= SMALL => {
            let small = Bytes::copy_from_slice(small);
            received.advance(now);
            small
        }
        _ => received.split_to(now).freeze(),
    };
    (piece, left - now as u64)
}

/// A chunk's size, and how long its line is (RFC 9112 section 7.1). Extensions mean nothing to us.
fn chunk_size(received: &[u8]) -> io::Result<Option<(u64, usize)>> {
    let window = received.get(..MOST_LINE).unwrap_or(received);
    let Some(at) = memchr(b'\n', window) else {
        return if window.len() < MOST_LINE { Ok(None) } else { Err(malformed("a chunk's size has no end")) };
    };
    let line = window.get(..at).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or_else(|| malformed("a line of a chunk ends without CR"))?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at_checked(digits).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let extension = rest.get(blanks..).unwrap_or_default();
    // Sixteen digits are all that a size may have: more would wrap around.
    let known = matches!(digits, 1..=16) && (extension.is_empty() || extension.starts_with(b";"));
    let size = std::str::from_utf8(size).ok().filter(|_| known && !extension.contains(&b'\r'));
    let size =
        size.and_then(|size| u64::from_str_radix(size, 16).ok()).ok_or_else(|| malformed("a chunk has no size"))?;
    Ok(Some((size, at + 1)))
}

fn malformed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A piece of a body that is copied rather than kept where it was received.
const SMALL: usize = 1024;
/// A chunk's line with its extensions.
const MOST_LINE: usize = 4096;

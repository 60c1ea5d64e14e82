//! What hyper lets through and we refuse: one strict reading (RFC 9112) of the bytes of an HTTP/1 connection, before hyper reads them.
//!
//! It never changes a byte, never buffers more than one line, and never lets a byte after a refused one pass.

mod field;
mod request_line;

use field::Field;
use memchr::memchr;

/// Reads the bytes of one connection as they come, in pieces of any size, with the same verdict however they are cut.
#[derive(Debug)]
pub struct Framing {
    stage: Stage,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    head: Head,
    header_bytes: usize,
    header_count: usize,
}

/// What may be done with the bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// So many of them may be read by hyper now.
    pub accepted: usize,
    /// Why it is not all of them.
    pub stop: Option<Stop>,
}

/// Why bytes may not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A request asked for an upgrade: what follows is a tunnel's or the next request's, and only its answer says which.
    Held,
    /// A request's head cannot be read in one way only: 400 and close.
    Head(Refusal),
    /// A request's body cannot: its reader gets an error, and the connection is closed.
    Body(Refusal),
}

/// What was wrong. The name is what the log shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A line ended with LF alone.
    #[error("a line ends without CR")]
    BareLineFeed,
    /// The request line is not `method SP target SP HTTP/1.x`.
    #[error("a malformed request line")]
    RequestLine,
    /// The target has raw bytes that no target has, or not the form that its method needs.
    #[error("a malformed request target")]
    Target,
    /// Not HTTP/1.0 or HTTP/1.1.
    #[error("an unknown version")]
    Version,
    /// A continued line (obs-fold).
    #[error("a folded field line")]
    Folded,
    /// A name that is no token, or no colon right after it.
    #[error("a malformed field name")]
    FieldName,
    /// A control byte in a value; CR and NUL are such.
    #[error("a control byte in a field value")]
    FieldValue,
    /// No `Host`, a second or an invalid one.
    #[error("no valid Host field")]
    Host,
    /// `Content-Length` is not one decimal number.
    #[error("an invalid Content-Length")]
    ContentLength,
    /// `Transfer-Encoding` is not exactly `chunked`, or came with HTTP/1.0.
    #[error("an invalid Transfer-Encoding")]
    TransferEncoding,
    /// Both of them.
    #[error("both Content-Length and Transfer-Encoding")]
    BothLengths,
    /// The name of a framing field written with an underscore, which CGI-like upstreams take for a hyphen.
    #[error("a framing field with an underscore")]
    Underscore,
    /// A chunk's size is no short hexadecimal number, or its extension has control bytes.
    #[error("a malformed chunk size line")]
    ChunkSize,
    /// A chunk's data does not end with CRLF.
    #[error("a chunk without its end")]
    ChunkEnd,
    /// A trailer section beyond the limits of a head.
    #[error("too many or too long trailers")]
    Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Between requests; `blank` when the one empty line that may stand before a request has been seen.
    Start {
        blank: bool,
    },
    RequestLine,
    Fields,
    Fixed(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// The head is over a limit: hyper sees the same number and answers 431.
    TooLarge,
    Held,
    Raw,
    Refused(Stop),
}

/// What the head under way has said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: usize,
    fields: usize,
    http_10: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    tunnel: bool,
}

impl Framing {
    /// A reader for a new connection; heads beyond the limits are left to hyper, which has the same ones.
    #[must_use]
    pub fn new(header_bytes: usize, header_count: usize) -> Self {
        Self {
            stage: Stage::Start { blank: false },
            line: Vec::new(),
            head: Head::default(),
            header_bytes,
            header_count,
        }
    }

    /// Looks at the next bytes of the connection.
    pub fn check(&mut self, bytes: &[u8]) -> Progress {
        let mut at = 0;
        // Where the message under way begins in `bytes`: a refused head is not shown from there on.
        let mut begin = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let step = match self.stage {
                Stage::Start { blank } => {
                    begin = at;
                    self.start(rest, blank)
                }
                Stage::RequestLine | Stage::Fields | Stage::Trailers | Stage::ChunkSize | Stage::ChunkEnd => {
                    self.line(rest)
                }
                Stage::Fixed(left) => {
                    let (taken, left) = skip(rest, left);
                    if left == 0 {
                        self.end_message();
                    } else {
                        self.stage = Stage::Fixed(left);
                    }
                    Ok(taken)
                }
                Stage::ChunkData(left) => {
                    let (taken, left) = skip(rest, left);
                    self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::ChunkData(left) };
                    Ok(taken)
                }
                Stage::TooLarge | Stage::Raw => return Progress { accepted: bytes.len(), stop: None },
                Stage::Held => return Progress { accepted: at, stop: Some(Stop::Held) },
                Stage::Refused(stop) => return Progress { accepted: 0, stop: Some(stop) },
            };
            match step {
                Ok(taken) => at += taken,
                Err(refusal) => {
                    let in_head = matches!(self.stage, Stage::Start { .. } | Stage::RequestLine | Stage::Fields);
                    let stop = if in_head { Stop::Head(refusal) } else { Stop::Body(refusal) };
                    self.stage = Stage::Refused(stop);
                    self.line = Vec::new();
                    return Progress { accepted: if in_head { begin } else { at }, stop: Some(stop) };
                }
            }
        }
        Progress { accepted: bytes.len(), stop: None }
    }

    /// Whether a head has begun and not ended.
    #[must_use]
    pub fn in_head(&self) -> bool {
        matches!(self.stage, Stage::RequestLine | Stage::Fields | Stage::TooLarge | Stage::Start { blank: true })
    }

    /// Whether the last message is over and no other has begun.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        matches!(self.stage, Stage::Start { .. })
    }

    /// Whether the head under way is over a limit.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.stage == Stage::TooLarge
    }

    /// Whether reading waits for the answer to a request for an upgrade.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.stage == Stage::Held
    }

    /// Whether an upgrade was answered with a switch: nothing is read strictly any more.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.stage == Stage::Raw
    }

    /// The answer to a request for an upgrade: the connection is a tunnel now, or the next request follows.
    pub fn resume(&mut self, switched: bool) {
        if self.stage == Stage::Held {
            self.stage = if switched { Stage::Raw } else { Stage::Start { blank: false } };
        }
    }

    /// RFC 9112 section 2.2: one empty line before a request line is tolerated, no more.
    fn start(&mut self, rest: &[u8], blank: bool) -> Result<usize, Refusal> {
        match rest.first() {
            Some(b'\r') if !blank => {
                self.stage = Stage::Start { blank: true };
                Ok(1)
            }
            Some(b'\n') if blank && self.line.is_empty() => {
                self.line.push(b'\n');
                Ok(1)
            }
            Some(b'\r' | b'\n') => Err(Refusal::BareLineFeed),
            _ if blank && self.line.is_empty() => Err(Refusal::RequestLine),
            _ => {
                self.line.clear();
                self.head = Head::default();
                self.stage = Stage::RequestLine;
                Ok(0)
            }
        }
    }

    /// Takes bytes until the end of a line, and judges the line when it is complete.
    fn line(&mut self, rest: &[u8]) -> Result<usize, Refusal> {
        let Some(end) = memchr(b'\n', rest) else {
            self.count(rest.len())?;
            if self.stage != Stage::TooLarge {
                self.line.extend_from_slice(rest);
            }
            return Ok(rest.len());
        };
        let taken = end + 1;
        self.count(taken)?;
        if self.stage == Stage::TooLarge {
            return Ok(taken);
        }
        let piece = rest.get(..end).unwrap_or_default();
        if self.line.is_empty() {
            self.judge(piece)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            let verdict = self.judge(&line);
            line.clear();
            self.line = line;
            verdict?;
        }
        Ok(taken)
    }

    /// Keeps every line bounded: a head by the limits that hyper has too, the rest by our own.
    fn count(&mut self, more: usize) -> Result<(), Refusal> {
        match self.stage {
            Stage::RequestLine | Stage::Fields => {
                self.head.bytes = self.head.bytes.saturating_add(more);
                if self.head.bytes > self.header_bytes {
                    self.too_large();
                }
                Ok(())
            }
            Stage::Trailers => {
                self.head.bytes = self.head.bytes.saturating_add(more);
                if self.head.bytes > self.header_bytes { Err(Refusal::Trailers) } else { Ok(()) }
            }
            Stage::ChunkSize if self.line.len() + more > CHUNK_LINE => Err(Refusal::ChunkSize),
            Stage::ChunkEnd if self.line.len() + more > 2 => Err(Refusal::ChunkEnd),
            _ => Ok(()),
        }
    }

    fn judge(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let Some((b'\r', line)) = line.split_last() else {
            return Err(match self.stage {
                Stage::ChunkEnd => Refusal::ChunkEnd,
                Stage::ChunkSize => Refusal::ChunkSize,
                _ => Refusal::BareLineFeed,
            });
        };
        match self.stage {
            Stage::RequestLine => {
                let read = request_line::read(line)?;
                self.head.http_10 = read.http_10;
                self.head.tunnel = read.connect;
                self.stage = Stage::Fields;
            }
            Stage::Fields if line.is_empty() => self.end_head()?,
            Stage::Fields => {
                self.head.fields += 1;
                self.field(line)?;
                if self.head.fields > self.header_count {
                    self.too_large();
                }
            }
            Stage::ChunkSize => {
                self.stage = match chunk_size(line)? {
                    0 => {
                        self.head = Head { tunnel: self.head.tunnel, ..Head::default() };
                        Stage::Trailers
                    }
                    size => Stage::ChunkData(size),
                }
            }
            Stage::ChunkEnd if line.is_empty() => self.stage = Stage::ChunkSize,
            Stage::ChunkEnd => return Err(Refusal::ChunkEnd),
            Stage::Trailers if line.is_empty() => self.end_message(),
            Stage::Trailers => {
                self.head.fields += 1;
                if self.head.fields > self.header_count {
                    return Err(Refusal::Trailers);
                }
                field::read(line)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        match field::read(line)? {
            Field::Other => {}
            Field::Host(_) if self.head.host => return Err(Refusal::Host),
            Field::Host(value) => {
                field::host(value)?;
                self.head.host = true;
            }
            Field::ContentLength(_) if self.head.length.is_some() => return Err(Refusal::ContentLength),
            Field::ContentLength(value) => self.head.length = Some(field::content_length(value)?),
            Field::TransferEncoding(value) => {
                // RFC 9112 section 6.1: one coding, the one that we can take off; `chunked` twice is two lines of it too.
                if self.head.chunked || self.head.http_10 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::TransferEncoding);
                }
                self.head.chunked = true;
            }
            Field::Upgrade => self.head.tunnel |= !self.head.http_10,
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Refusal> {
        if !self.head.host {
            return Err(Refusal::Host);
        }
        match (self.head.chunked, self.head.length) {
            (true, Some(_)) => return Err(Refusal::BothLengths),
            (true, None) => self.stage = Stage::ChunkSize,
            (false, Some(length)) if length > 0 => self.stage = Stage::Fixed(length),
            (false, _) => self.end_message(),
        }
        Ok(())
    }

    fn end_message(&mut self) {
        self.stage = if self.head.tunnel { Stage::Held } else { Stage::Start { blank: false } };
    }

    fn too_large(&mut self) {
        self.stage = Stage::TooLarge;
        self.line = Vec::new();
    }
}

/// A chunk's size line, its extension included.
const CHUNK_LINE: usize = 1024;

fn skip(rest: &[u8], left: u64) -> (usize, u64) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
    (taken, left - taken as u64)
}

/// RFC 9112 section 7.1. An extension is let through when it is printable; spaces after the size only before one.
fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (size, extension) = line.split_at(digits);
    let blank = extension.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(extension.len());
    let printable = extension.iter().all(|&byte| field::is_value_byte(byte));
    let begins = extension.is_empty() || extension.get(blank) == Some(&b';');
    if !(1..=15).contains(&size.len()) || !printable || !begins {
        return Err(Refusal::ChunkSize);
    }
    Ok(size.iter().fold(0, |sum, &byte| sum << 4 | u64::from((byte as char).to_digit(16).unwrap_or_default())))
}

#[cfg(test)]
mod tests;

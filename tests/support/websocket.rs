//! WebSocket frames (RFC 6455), for both sides.
//!
//! Must never buffer more than one frame, nor hide one.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::client::Io;
use crate::support::codec;
use crate::support::raw::{Answer, Raw};

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it ends its message.
    pub last: bool,
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// Unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A text message.
    pub fn text(text: &str) -> Self {
        Self { last: true, opcode: 1, payload: text.into() }
    }

    /// A close frame.
    pub fn close(code: u16, reason: &str) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self { last: true, opcode: 8, payload }
    }

    /// The code of a close frame; 1005 when it has none (section 7.1.5).
    pub fn close_code(&self) -> Option<u16> {
        (self.opcode == 8).then(|| self.payload.first_chunk::<2>().map_or(1005, |bytes| u16::from_be_bytes(*bytes)))
    }

    /// As bytes; clients mask.
    pub fn encode(&self, masked: bool) -> Vec<u8> {
        let mut out = vec![u8::from(self.last) << 7 | self.opcode];
        let mask_bit = u8::from(masked) << 7;
        match self.payload.len() {
            n @ 0..126 => out.push(mask_bit | n as u8),
            n @ 126..65_536 => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&(n as u16).to_be_bytes());
            }
            n => {
                out.push(mask_bit | 127);
                out.extend_from_slice(&(n as u64).to_be_bytes());
            }
        }
        if masked {
            let mask = codec::random_bytes(4);
            out.extend_from_slice(&mask);
            out.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            out.extend_from_slice(&self.payload);
        }
        out
    }

    /// The next frame; `None` at the end of the stream.
    pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut head = [0; 2];
        io.read_exact(&mut head).await.ok()?;
        let length = match head[1] & 0x7f {
            126 => u64::from(io.read_u16().await.ok()?),
            127 => io.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let mut mask = [0; 4];
        if head[1] & 0x80 != 0 {
            io.read_exact(&mut mask).await.ok()?;
        }
        let mut payload = vec![0; usize::try_from(length).ok().filter(|&n| n <= 64 << 20)?];
        io.read_exact(&mut payload).await.ok()?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        Some(Self { last: head[0] & 0x80 != 0, opcode: head[0] & 0x0f, payload })
    }
}

/// The client's side of an open WebSocket.
pub struct WebSocket {
    io: tokio::io::Join<Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>>,
    /// The answer that opened it.
    pub answer: Answer,
}

impl WebSocket {
    /// Opens one over `raw`; `headers` are whole lines without CRLF (`Host`, `Cookie`, `Origin`…).
    ///
    /// # Errors
    /// The answer, when it is no 101 with the right `Sec-WebSocket-Accept`.
    pub async fn open(mut raw: Raw, target: &str, headers: &[String]) -> Result<Self, Answer> {
        let key = codec::b64(&codec::random_bytes(16));
        let mut head = format!("GET {target} HTTP/1.1\r\n");
        for line in headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
        head.push_str(&format!("Sec-WebSocket-Key: {key}\r\n\r\n"));
        raw.send(head).await;
        let answer = raw.head().await.unwrap_or_default();
        if answer.status != 101 || answer.header("sec-websocket-accept") != Some(&accept(&key)) {
            return Err(answer);
        }
        let (io, pending) = raw.into_parts();
        Ok(Self { io: with_pending(io, pending), answer })
    }

    /// Sends one frame, masked.
    pub async fn send(&mut self, frame: &Frame) {
        let _ = self.io.write_all(&frame.encode(true)).await;
        let _ = self.io.flush().await;
    }

    /// The next frame; `None` when the connection ended.
    ///
    /// # Panics
    /// When nothing comes within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Option<Frame> {
        tokio::time::timeout(limit, Frame::read(&mut self.io)).await.expect("a frame in time")
    }

    /// Sends text and expects the same back.
    pub async fn echoes(&mut self, text: &str) {
        self.send(&Frame::text(text)).await;
        assert_eq!(self.next(Duration::from_secs(5)).await, Some(Frame::text(text)));
    }
}

/// `Sec-WebSocket-Accept` for a key (section 4.2.2).
pub fn accept(key: &str) -> String {
    let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    codec::b64(aws_lc_rs::digest::digest(algorithm, text.as_bytes()).as_ref())
}

fn with_pending(
    io: Box<dyn Io>,
    pending: Vec<u8>,
) -> tokio::io::Join<Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>> {
    let (read, write) = tokio::io::split(io);
    let read = std::io::Cursor::new(pending).chain(read);
    tokio::io::join(Box::new(read), Box::new(write))
}

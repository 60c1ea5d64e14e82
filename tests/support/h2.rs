//! HTTP/2 clients: one that keeps the rules, one that writes frames by hand.
//!
//! Must never share a connection between tests.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::Io;
use super::raw::Raw;
use super::tls::TestCa;

/// Any request body.
pub type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A well-behaved connection; clones share it.
#[derive(Clone)]
pub struct H2 {
    sender: SendRequest<Body>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct H2Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
    /// Whether it ended in order, not by a reset.
    pub complete: bool,
}

impl H2 {
    /// By prior knowledge over TCP.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(Box::new(TcpStream::connect(address).await.unwrap())).await
    }

    /// Over TLS with ALPN.
    pub async fn connect_tls(address: SocketAddr, name: &str, ca: &TestCa) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let server = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let tls = TlsConnector::from(ca.client_config(&["h2"])).connect(server, tcp).await.unwrap();
        Self::over(Box::new(tls)).await
    }

    async fn over(io: Box<dyn Io>) -> Self {
        let (sender, connection) =
            hyper::client::conn::http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends a request with its whole body and reads the answer. The URI is absolute: it becomes the pseudo-fields.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn send(&self, request: Request<impl Into<Bytes>>) -> Result<H2Answer, String> {
        let request = request.map(|body| Full::new(body.into()).boxed());
        let answer = self.start(request).await?;
        let (head, mut body) = answer.into_parts();
        let (mut bytes, mut trailers, mut complete) = (BytesMut::new(), HeaderMap::new(), true);
        while let Some(frame) = body.frame().await {
            match frame {
                Err(_) => {
                    complete = false;
                    break;
                }
                Ok(frame) => match frame.into_data() {
                    Ok(data) => bytes.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
                },
            }
        }
        Ok(H2Answer { status: head.status.as_u16(), headers: head.headers, body: bytes.freeze(), trailers, complete })
    }

    /// Sends a request and gives back the answer with its body still running.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn start(&self, request: Request<Body>) -> Result<hyper::Response<hyper::body::Incoming>, String> {
        let mut sender = self.sender.clone();
        let answer = tokio::time::timeout(Duration::from_secs(30), async {
            sender.ready().await?;
            sender.send_request(request).await
        });
        answer.await.map_err(|_| "no answer in time".to_owned())?.map_err(|error| format!("{error:?}"))
    }
}

/// One frame as it is on the wire (RFC 9113, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct H2Frame {
    /// 0 DATA, 1 HEADERS, 3 RST_STREAM, 4 SETTINGS, 6 PING, 7 GOAWAY, 8 WINDOW_UPDATE, 9 CONTINUATION.
    pub kind: u8,
    /// END_STREAM is 1, END_HEADERS 4, ACK 1.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// A connection on which frames are written by hand.
pub struct H2Raw {
    raw: Raw,
}

impl H2Raw {
    /// Sends the preface and empty SETTINGS.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(Raw::connect(address).await).await
    }

    /// The same over a connection that exists, such as a TLS one.
    pub async fn over(mut raw: Raw) -> Self {
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut h2 = Self { raw };
        h2.frame(4, 0, 0, &[]).await;
        h2
    }

    /// Writes one frame.
    pub async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.raw.send(bytes).await;
    }

    /// Writes a HEADERS frame of these fields, byte for byte, without compression.
    pub async fn headers(&mut self, stream: u32, end_stream: bool, fields: &[(&[u8], &[u8])]) {
        self.frame(1, 4 | u8::from(end_stream), stream, &hpack(fields)).await;
    }

    /// The next frame that is no SETTINGS, PING or WINDOW_UPDATE; `None` when the connection ended or `limit` passed.
    pub async fn next(&mut self, limit: Duration) -> Option<H2Frame> {
        loop {
            let head = self.raw.take(9, limit).await;
            let &[a, b, c, kind, flags, s1, s2, s3, s4] = head.as_slice() else { return None };
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let payload = self.raw.take(length, limit).await;
            if kind == 4 && flags & 1 == 0 {
                self.frame(4, 1, 0, &[]).await;
            }
            if !matches!(kind, 4 | 6 | 8) {
                let stream = u32::from_be_bytes([s1, s2, s3, s4]) & 0x7fff_ffff;
                return Some(H2Frame { kind, flags, stream, payload });
            }
        }
    }

    /// How the peer dealt with a stream: its status, or how it refused.
    pub async fn outcome(&mut self, stream: u32, limit: Duration) -> H2Outcome {
        while let Some(frame) = self.next(limit).await {
            match frame.kind {
                1 if frame.stream == stream => return H2Outcome::Answered(frame.status()),
                3 if frame.stream == stream => return H2Outcome::Reset(code(&frame.payload, 0)),
                7 => return H2Outcome::GoAway(code(&frame.payload, 4)),
                _ => {}
            }
        }
        H2Outcome::Closed
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum H2Outcome {
    /// By an answer; its status where it could be read.
    Answered(Option<u16>),
    /// By RST_STREAM with this code.
    Reset(u32),
    /// By GOAWAY with this code.
    GoAway(u32),
    /// By the end of the connection, or in silence.
    Closed,
}

impl H2Frame {
    /// The status of a HEADERS frame: indexed, or a literal with the indexed name `:status` (RFC 7541, appendix A).
    pub fn status(&self) -> Option<u16> {
        // A dynamic table size update may come first.
        let block = &self.payload[self.payload.iter().take_while(|&&byte| byte & 0xe0 == 0x20).count()..];
        match *block {
            [0x88, ..] => Some(200),
            [0x89, ..] => Some(204),
            [0x8a, ..] => Some(206),
            [0x8b, ..] => Some(304),
            [0x8c, ..] => Some(400),
            [0x8d, ..] => Some(404),
            [0x8e, ..] => Some(500),
            [0x08 | 0x48, 3, a, b, c, ..] => std::str::from_utf8(&[a, b, c]).ok()?.parse().ok(),
            [0x08 | 0x48, huffman, ref rest @ ..] if huffman & 0x80 != 0 => {
                digits(rest.get(..usize::from(huffman & 0x7f))?)?.parse().ok()
            }
            _ => None,
        }
    }
}

/// Three digits in HPACK's Huffman code: `0`, `1`, `2` have five bits, the others six.
fn digits(bytes: &[u8]) -> Option<String> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u8, |number, bit| number << 1 | bit);
    let (mut text, mut at) = (String::new(), 0);
    while text.len() < 3 {
        let five = number(bits.get(at..at + 5)?);
        if five <= 2 {
            text.push(char::from(b'0' + five));
            at += 5;
        } else {
            let six = number(bits.get(at..at + 6)?);
            text.push(char::from(b'3' + six.checked_sub(0x19).filter(|digit| *digit <= 6)?));
            at += 6;
        }
    }
    Some(text)
}

fn hpack(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0); // literal, never in the table, name as text
        for text in [name, value] {
            let mut n = text.len();
            if n < 127 {
                out.push(n as u8);
            } else {
                out.push(127);
                n -= 127;
                while n >= 128 {
                    out.push(n as u8 & 0x7f | 0x80);
                    n >>= 7;
                }
                out.push(n as u8);
            }
            out.extend_from_slice(text);
        }
    }
    out
}

fn code(payload: &[u8], at: usize) -> u32 {
    payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(u32::MAX, u32::from_be_bytes)
}

//! Reading requests byte by byte, as leniently as the worst application server.
//!
//! Must never reject: what the gateway let through has to become visible.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Seen;
use crate::support::client::Io;
use crate::support::codec;

const SHOWN: usize = 64 * 1024;

/// The head of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) raw: Vec<u8>,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(super) fn query(&self) -> Vec<(String, String)> {
        codec::pairs(self.target.split_once('?').map_or("", |(_, query)| query).as_bytes())
    }

    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
            || self.version == "HTTP/1.0"
    }
}

/// A connection with what was read ahead.
pub(super) struct Stream {
    pub(super) io: Box<dyn Io>,
    pub(super) pending: Vec<u8>,
}

impl Stream {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self { io, pending: Vec::new() }
    }

    /// The next head; `None` at the end of the connection.
    pub(super) async fn head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&self.pending, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let raw: Vec<u8> = self.pending.drain(..end).collect();
        let text = codec::latin1(&raw);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let mut first = lines.next().unwrap_or_default().splitn(3, ' ').map(str::to_owned);
        let (method, target, version) = (first.next(), first.next(), first.next());
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
            })
            .collect();
        Some(Head {
            method: method.unwrap_or_default(),
            target: target.unwrap_or_default(),
            version: version.unwrap_or_default(),
            headers,
            raw,
        })
    }

    /// Reads the body into `seen`; `pause` after each read makes a slow reader. `None` when it broke off.
    pub(super) async fn body(&mut self, head: &Head, seen: &mut Seen, pause: Duration) -> Option<()> {
        let mut sink = Sink { hash: Context::new(&SHA256), shown: Vec::new(), bytes: 0, pause };
        let whole = self.read_body(head, &mut sink, seen).await;
        seen.body = codec::latin1(&sink.shown);
        seen.body_bytes = sink.bytes;
        seen.body_sha256 = codec::hex(sink.hash.finish().as_ref());
        seen.complete = whole.is_some();
        whole
    }

    async fn read_body(&mut self, head: &Head, sink: &mut Sink, seen: &mut Seen) -> Option<()> {
        if head.header("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked")) {
            loop {
                let line = self.line().await?;
                let size = u64::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
                if size == 0 {
                    break;
                }
                self.copy(size, sink).await?;
                self.line().await?;
            }
            loop {
                let line = self.line().await?;
                if line.is_empty() {
                    return Some(());
                }
                let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                seen.trailers.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        let length = head.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        self.copy(length, sink).await
    }

    async fn copy(&mut self, mut left: u64, sink: &mut Sink) -> Option<()> {
        while left > 0 {
            if self.pending.is_empty() && !self.more().await {
                return None;
            }
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(self.pending.len());
            sink.take(&self.pending[..n]);
            self.pending.drain(..n);
            left -= n as u64;
            if !sink.pause.is_zero() {
                tokio::time::sleep(sink.pause).await;
            }
        }
        Some(())
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.pending) {
                let line: Vec<u8> = self.pending.drain(..=at).collect();
                return Some(codec::latin1(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        self.pending.reserve(16 * 1024);
        matches!(self.io.read_buf(&mut self.pending).await, Ok(1..))
    }

    /// Writes bytes; `false` when the peer has gone.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> bool {
        self.io.write_all(bytes).await.is_ok() && self.io.flush().await.is_ok()
    }

    /// Waits until the peer has gone; what it still sends is skipped.
    pub(super) async fn gone(&mut self) {
        while self.more().await {
            self.pending.clear();
        }
    }
}

struct Sink {
    hash: Context,
    shown: Vec<u8>,
    bytes: u64,
    pause: Duration,
}

impl Sink {
    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        let room = SHOWN - self.shown.len();
        self.shown.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}

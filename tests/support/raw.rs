//! Bytes on a socket: what a client sends that no client library would.
//!
//! Must never correct anything, neither on the way out nor on the way in.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::support::client::Io;
use crate::support::codec;
use crate::support::tls::TestCa;

/// How long an answer may take before a test gives up.
const LIMIT: Duration = Duration::from_secs(15);

/// An open connection.
pub struct Raw {
    io: Box<dyn Io>,
    pending: Vec<u8>,
    /// What ALPN agreed on.
    pub alpn: Option<String>,
}

/// One response, read by its own framing.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its names and values as received, bytes shown as Latin-1.
    pub headers: Vec<(String, String)>,
    /// Its body without framing.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Vec<(String, String)>,
    /// Whether the body ended as the framing promised.
    pub complete: bool,
    /// Interim answers (1xx) that came before it.
    pub interim: Vec<(u16, Vec<(String, String)>)>,
}

impl Raw {
    /// Over TCP.
    pub async fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        tcp.set_nodelay(true).unwrap();
        Self::over(Box::new(tcp))
    }

    /// Over TLS; fails when the handshake does.
    ///
    /// # Errors
    /// The handshake's.
    pub async fn connect_tls(address: SocketAddr, name: &str, ca: &TestCa, alpn: &[&str]) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = rustls_pki_types::ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let tls = TlsConnector::from(ca.client_config(alpn)).connect(name, tcp).await?;
        let alpn = tls.get_ref().1.alpn_protocol().map(codec::latin1);
        Ok(Self { alpn, ..Self::over(Box::new(tls)) })
    }

    /// Over a Unix socket.
    pub async fn connect_unix(path: &Path) -> Self {
        Self::over(Box::new(UnixStream::connect(path).await.unwrap()))
    }

    /// Over anything.
    pub fn over(io: Box<dyn Io>) -> Self {
        Self { io, pending: Vec::new(), alpn: None }
    }

    /// Sends bytes. A peer that has closed already is no error: the answer tells.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.io.write_all(bytes.as_ref()).await;
        let _ = self.io.flush().await;
    }

    /// Says that nothing more will be sent.
    pub async fn half_close(&mut self) {
        let _ = self.io.shutdown().await;
    }

    /// The next answer to a request that was no HEAD; `None` when the connection ended without one.
    ///
    /// # Panics
    /// When it stalls.
    pub async fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET").await
    }

    /// The next final answer to a request with that method.
    ///
    /// # Panics
    /// When it stalls.
    pub async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        tokio::time::timeout(LIMIT, self.read_answer(method)).await.expect("an answer in time")
    }

    /// What an answer's head says, body unread: for streams and upgrades.
    pub async fn head(&mut self) -> Option<Answer> {
        tokio::time::timeout(LIMIT, self.read_head()).await.expect("a head in time")
    }

    /// Exactly that many bytes, or fewer when the connection ends or `limit` passes.
    pub async fn take(&mut self, n: usize, limit: Duration) -> Vec<u8> {
        let _ = tokio::time::timeout(limit, async { while self.pending.len() < n && self.more().await {} }).await;
        let n = n.min(self.pending.len());
        self.pending.drain(..n).collect()
    }

    /// Everything that comes until `needle` has been seen, it included; `None` when it never came.
    pub async fn take_until(&mut self, needle: &[u8], limit: Duration) -> Option<Vec<u8>> {
        let found = tokio::time::timeout(limit, async {
            loop {
                if let Some(at) = memchr::memmem::find(&self.pending, needle) {
                    return Some(at + needle.len());
                }
                if !self.more().await {
                    return None;
                }
            }
        });
        let n = found.await.ok().flatten()?;
        Some(self.pending.drain(..n).collect())
    }

    /// Everything until the peer closes or `limit` passes, and whether it closed.
    pub async fn rest(&mut self, limit: Duration) -> (Vec<u8>, bool) {
        let closed = tokio::time::timeout(limit, async { while self.more().await {} }).await.is_ok();
        (std::mem::take(&mut self.pending), closed)
    }

    /// Whether the peer closes within `limit`; what it still sends is skipped.
    pub async fn closes_within(&mut self, limit: Duration) -> bool {
        self.rest(limit).await.1
    }

    /// The stream and what was read of it but not used.
    pub fn into_parts(self) -> (Box<dyn Io>, Vec<u8>) {
        (self.io, self.pending)
    }

    async fn more(&mut self) -> bool {
        self.pending.reserve(16 * 1024);
        matches!(self.io.read_buf(&mut self.pending).await, Ok(1..))
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.pending) {
                let mut line: Vec<u8> = self.pending.drain(..=at).collect();
                line.truncate(line.strip_suffix(b"\r\n").map_or(at, <[u8]>::len));
                return Some(line);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn fields(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = codec::latin1(&self.line().await?);
            if line.is_empty() {
                return Some(fields);
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    async fn read_head(&mut self) -> Option<Answer> {
        let mut interim = Vec::new();
        loop {
            let line = codec::latin1(&self.line().await?);
            let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
            let headers = self.fields().await?;
            if status == 101 || status >= 200 {
                return Some(Answer { status, headers, interim, ..Answer::default() });
            }
            interim.push((status, headers));
        }
    }

    async fn read_answer(&mut self, method: &str) -> Option<Answer> {
        let mut answer = self.read_head().await?;
        if method == "HEAD" || matches!(answer.status, 101 | 204 | 304) {
            answer.complete = true;
        } else if answer.header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
            answer.complete = self.read_chunks(&mut answer).await.is_some();
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.pending.len() < length && self.more().await {}
            answer.body = self.pending.drain(..length.min(self.pending.len())).collect();
            answer.complete = answer.body.len() == length;
        } else {
            while self.more().await {}
            answer.body = std::mem::take(&mut self.pending);
            // Ended by the end of the connection: nothing promised, nothing broken.
            answer.complete = true;
        }
        Some(answer)
    }

    async fn read_chunks(&mut self, answer: &mut Answer) -> Option<()> {
        loop {
            let line = codec::latin1(&self.line().await?);
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                answer.trailers = self.fields().await?;
                return Some(());
            }
            while self.pending.len() < size + 2 {
                if !self.more().await {
                    answer.body.append(&mut self.pending);
                    return None;
                }
            }
            answer.body.extend(self.pending.drain(..size));
            self.pending.drain(..2);
        }
    }
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// All headers of that name.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The first trailer of that name.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        first(&self.trailers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// Sends `bytes` on a new connection and reads every answer until the peer closes or a second passes in silence.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> (Vec<u8>, bool) {
    let mut raw = Raw::connect(address).await;
    raw.send(bytes).await;
    raw.rest(Duration::from_secs(1)).await
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

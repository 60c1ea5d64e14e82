//! A way to one endpoint of a provider that can break between any two requests.
//!
//! Must never keep a connection: what is set holds for the next request, and no kept connection remembers another day.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// The provider answers.
    Open,
    /// Nobody listens any more: the connection is reset before a byte of the request is read.
    Reset,
    /// It is read, and the connection is closed without a word.
    Close,
    /// It is read, these bytes come back, and the connection ends.
    Says(Arc<[u8]>),
    /// It is read, and nothing ever comes back.
    Silence,
}

impl Way {
    /// A whole answer.
    pub(crate) fn answer(status: u16, lines: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        Self::broken_off(status, lines, body, body.len())
    }

    /// An answer that promises `length` bytes and ends after `body`.
    pub(crate) fn broken_off(status: u16, lines: &[&str], body: impl AsRef<[u8]>, length: usize) -> Self {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} Said\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        Self::Says([head.as_bytes(), body.as_ref()].concat().into())
    }
}

/// The way; ends with the value.
pub(crate) struct Detour {
    address: SocketAddr,
    way: watch::Sender<Way>,
    asked: watch::Receiver<usize>,
    _server: JoinSet<()>,
}

impl Detour {
    /// To a provider.
    pub(crate) async fn to(provider: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, watched) = watch::channel(Way::Open);
        let (count, asked) = watch::channel(0);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                count.send_modify(|asked| *asked += 1);
                let way = watched.borrow().clone();
                connections.spawn(carry(client, provider, way));
            }
        });
        Self { address, way, asked, _server: server }
    }

    /// Where a path of the provider is by this way.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What happens from now on.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// How many connections came.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.borrow()
    }
}

async fn carry(mut client: TcpStream, provider: SocketAddr, way: Way) -> Option<()> {
    if matches!(way, Way::Reset) {
        client.set_zero_linger().ok()?;
        return None;
    }
    let mut request = read_request(&mut client).await?;
    match way {
        Way::Open => {
            // One request a connection: see above.
            let line = request.iter().position(|&byte| byte == b'\n')? + 1;
            request.splice(line..line, *b"Connection: close\r\n");
            let mut server = TcpStream::connect(provider).await.ok()?;
            server.write_all(&request).await.ok()?;
            tokio::io::copy(&mut server, &mut client).await.ok()?;
        }
        Way::Says(bytes) => client.write_all(&bytes).await.ok()?,
        Way::Silence => drop(client.read(&mut [0; 64]).await),
        Way::Close | Way::Reset => {}
    }
    client.shutdown().await.ok()
}

/// A head and its body.
async fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0_usize) {
                return Some(request);
            }
        }
        let mut part = [0; 4096];
        let n = tokio::time::timeout(Duration::from_secs(15), client.read(&mut part)).await.ok()?.ok()?;
        if n == 0 {
            return None;
        }
        request.extend_from_slice(&part[..n]);
    }
}

/// Every way in which an answer of JSON can be no answer, with a word and the part of it that a careless client would
/// take for a good one.
pub(crate) fn broken(good: &str) -> Vec<(&'static str, Way)> {
    let json = "Content-Type: application/json";
    let half = &good[..good.len() / 2];
    let mut large = good.as_bytes().to_vec();
    large.resize(10 << 20, b' ');
    vec![
        ("reset", Way::Reset),
        ("closed", Way::Close),
        ("broken off", Way::broken_off(200, &[json], half, good.len())),
        ("broken off before the head ends", Way::Says(b"HTTP/1.1 200 OK\r\nContent-Ty"[..].into())),
        ("no HTTP", Way::Says(b"SSH-2.0-OpenSSH_9.9\r\n"[..].into())),
        ("500", Way::answer(500, &[json], good)),
        ("502 of a proxy", Way::answer(502, &["Content-Type: text/html"], "<html>bad gateway</html>")),
        ("503", Way::answer(503, &["Retry-After: 120"], "")),
        ("429", Way::answer(429, &[json, "Retry-After: 3600"], "{\"error\":\"slow_down\"}")),
        ("404", Way::answer(404, &["Content-Type: text/plain"], "no such page")),
        ("403 of a firewall", Way::answer(403, &["Content-Type: text/html"], "<html>blocked</html>")),
        ("HTML", Way::answer(200, &["Content-Type: text/html"], "<html>Please accept our terms</html>")),
        ("HTML as JSON", Way::answer(200, &[json], "<html>Please accept our terms</html>")),
        ("nothing", Way::answer(200, &[json], "")),
        ("204", Way::answer(204, &[], "")),
        ("null", Way::answer(200, &[json], "null")),
        ("a list", Way::answer(200, &[json], "[]")),
        ("half of it", Way::answer(200, &[json], half)),
        ("gzip that was not asked for", Way::answer(200, &[json, "Content-Encoding: gzip"], b"\x1f\x8b\x08\0\xff\xff")),
        ("good under a foreign coding", Way::answer(200, &[json, "Content-Encoding: br"], good)),
        ("ten megabytes", Way::answer(200, &[json], large)),
        ("a redirect", Way::answer(307, &["Location: http://127.0.0.1:1/elsewhere"], "")),
    ]
}

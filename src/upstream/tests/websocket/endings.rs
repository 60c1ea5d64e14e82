//! Tunnels that we end, whatever their client and the application do.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::crypto::aws_lc_rs::default_provider;
use tokio::io::ReadBuf;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// SESS-16: when we end a WebSocket its client gets a Close frame with the reason, never inside another frame.
#[tokio::test]
async fn the_end_is_said_between_two_frames() {
    for (before, after, expected) in [
        (&b"\x81\x05hello"[..], &b""[..], &b"\x81\x05hello\x88\x02\x03\xf0"[..]),
        (b"\x81\x05hel", b"lo\x81\x05never", b"\x81\x05hello\x88\x02\x03\xf0"),
        (b"\x82\x7e\x00", b"\x03abc", b"\x82\x7e\x00\x03abc\x88\x02\x03\xf0"),
        (b"", b"", b"\x88\x02\x03\xf0"),
        // The frame under way is never finished: nothing can be said, and the connection is closed all the same.
        (b"\x81\x05hel", b"", b"\x81\x05hel"),
    ] {
        let script = Script::new(move |mut peer| async move {
            peer.head().await;
            peer.say(ACCEPTED).await;
            peer.say(before).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
            peer.say(after).await;
            peer.rest().await;
        })
        .await;
        let front = Front::new(script.upstream(), None).await;
        let mut stream = open(&front).await;
        head(&mut stream).await;
        let mut seen = vec![0; before.len()];
        stream.read_exact(&mut seen).await.unwrap();
        front.end.cancel();
        let begun = tokio::time::Instant::now();
        seen.extend(rest(&mut stream).await);
        assert_eq!(seen, expected);
        assert!(begun.elapsed() < Duration::from_millis(2500));
        drop(stream);
        assert!(front.tunnels.drained(Duration::from_secs(3)).await);
    }
}

/// SESS-16: a client that does not read cannot keep its tunnel.
#[tokio::test]
async fn a_client_that_does_not_read_is_closed_too() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say(ACCEPTED).await;
        let mut frame = b"\x82\x7f\0\0\0\0\x40\0\0\0".to_vec();
        frame.resize(64 * 1024, 0);
        while peer.stream.write_all(&frame).await.is_ok() {}
    })
    .await;
    let front = Front::new(script.upstream(), None).await;
    let mut stream = open(&front).await;
    head(&mut stream).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    front.end.cancel();
    assert!(front.tunnels.drained(Duration::from_secs(4)).await);
}

/// SESS-16: nor can one that does not read TLS, which takes our bytes although the socket does not, and goes on sending.
#[tokio::test]
async fn a_client_that_does_not_read_tls_is_closed_too() {
    let script = Script::new(|peer| async move {
        let (mut read, mut write) = peer.accepted().await;
        let mut frame = b"\x82\x7f\0\0\0\0\x40\0\0\0".to_vec();
        frame.resize(64 * 1024, 0);
        tokio::join!(async { while write.write_all(&frame).await.is_ok() {} }, async {
            let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
        });
    })
    .await;
    let (front, mut stream) = over_tls(&script).await;
    head(&mut stream).await;
    let (_unread, stream) = tokio::io::split(stream);
    let sending = tokio::spawn(keep_sending(stream));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(front.tunnels.open(), 1);
    front.end.cancel();
    assert!(front.tunnels.drained(BOUND).await);
    timeout(BOUND, sending).await.expect("what it sends is still taken").unwrap();
}

/// SESS-16: one that begins to read again in time gets every byte of the frame under way once, and then the reason.
#[tokio::test]
async fn what_was_held_up_goes_out_before_the_end_is_said() {
    let mut frame = b"\x82\x7f\0\0\0\0\0\x10\0\0".to_vec();
    frame.extend((0..1024 * 1024_u32).map(|n| (n / 251 % 256) as u8));
    let whole = frame.clone();
    let script = Script::new(move |peer| {
        let frame = frame.clone();
        async move {
            let (_read, mut write) = peer.accepted().await;
            while write.write_all(&frame).await.is_ok() {}
        }
    })
    .await;
    let plain = Front::new(script.upstream(), None).await;
    let stream: Box<dyn Io> = Box::new(open(&plain).await);
    let (tls, over_tls) = over_tls(&script).await;
    for (front, mut stream) in [(plain, stream), (tls, Box::new(over_tls))] {
        head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        front.end.cancel();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut seen = Vec::new();
        let _ = timeout(BOUND, stream.read_to_end(&mut seen)).await.expect("an end");
        let (frames, reason) = seen.split_at(seen.len() - 4);
        assert_eq!(reason, b"\x88\x02\x03\xf0");
        assert!(frames.chunks(whole.len()).all(|frame| frame == whole), "other bytes than were sent");
    }
}

/// SESS-16: a tunnel ends with its session also after the application has ended its side, which may take as long as the client likes.
#[tokio::test]
async fn the_end_is_heard_after_the_applications() {
    for stubborn in [false, true] {
        let script = Script::new(|peer| async move {
            let (mut read, mut write) = peer.accepted().await;
            write.write_all(b"\x81\x05hello").await.unwrap();
            write.shutdown().await.unwrap();
            let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
        })
        .await;
        let front = Front::over(script.upstream(), None, move |stream| {
            Box::pin(async move {
                if stubborn { Box::new(Stubborn(stream)) as Box<dyn Io> } else { Box::new(stream) as Box<dyn Io> }
            })
        })
        .await;
        let mut stream = open(&front).await;
        head(&mut stream).await;
        let (mut read, write) = stream.into_split();
        let mut seen = [0; 7];
        read.read_exact(&mut seen).await.unwrap();
        let sending = tokio::spawn(keep_sending(write));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(front.tunnels.open(), 1);
        front.end.cancel();
        assert!(front.tunnels.drained(BOUND).await, "stubborn: {stubborn}");
        timeout(BOUND, sending).await.expect("what it sends is still taken").unwrap();
    }
}

impl Peer {
    /// Both sides of a tunnel that it has agreed to.
    async fn accepted(mut self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.head().await;
        self.say(ACCEPTED).await;
        self.stream.into_split()
    }
}

/// Sends a little every now and then, for as long as somebody takes it.
async fn keep_sending(mut stream: impl AsyncWrite + Unpin) {
    while stream.write_all(b"x").await.is_ok() && stream.flush().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A client that never takes the last word.
struct Stubborn(TcpStream);

impl AsyncRead for Stubborn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stubborn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// A server that speaks TLS, and a client that has asked it for a WebSocket.
async fn over_tls(script: &Script) -> (Front, tokio_rustls::client::TlsStream<TcpStream>) {
    let (acceptor, connector) = tls();
    let front = Front::over(script.upstream(), None, move |stream| {
        let accepted = acceptor.accept(stream);
        Box::pin(async { Box::new(accepted.await.unwrap()) as Box<dyn Io> })
    })
    .await;
    let stream = TcpStream::connect(front.address).await.unwrap();
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    ask_for_it(&mut stream).await;
    (front, stream)
}

/// Both ends of TLS for `localhost`.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

/// Until a tunnel is over that was told to end: two seconds, and a little.
const BOUND: Duration = Duration::from_millis(2500);

//! Tunnels between a real listener and a scripted application.

mod endings;

use std::convert::Infallible;

use futures_util::future::BoxFuture;
use http::StatusCode;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn fields() -> Vec<(&'static str, &'static str)> {
    vec![
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
    ]
}

/// A server that tunnels every request to an upstream; the sender of codes ends all tunnels.
struct Front {
    address: SocketAddr,
    tunnels: Tunnels,
    end: CancellationToken,
}

/// What a client's bytes come and go by.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Front {
    async fn new(upstream: Upstream, idle: Option<Duration>) -> Self {
        Self::over(upstream, idle, |stream| Box::pin(async { Box::new(stream) as Box<dyn Io> })).await
    }

    /// With `welcome` between the socket and HTTP.
    async fn over(
        upstream: Upstream,
        idle: Option<Duration>,
        welcome: impl Fn(TcpStream) -> BoxFuture<'static, Box<dyn Io>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            address: listener.local_addr().unwrap(),
            tunnels: Tunnels::default(),
            end: CancellationToken::new(),
        };
        let (tunnels, end, upstream) = (front.tunnels.clone(), front.end.clone(), Arc::new(upstream));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tunnels, end, upstream) = (tunnels.clone(), end.clone(), Arc::clone(&upstream));
                let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
                    let (tunnels, end, upstream) = (tunnels.clone(), end.clone(), Arc::clone(&upstream));
                    async move {
                        let client = request.extensions_mut().remove::<OnUpgrade>().unwrap();
                        Ok::<_, Infallible>(answer(request, client, &upstream, &tunnels, end, idle).await)
                    }
                });
                let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                builder.http2().enable_connect_protocol();
                let welcomed = welcome(stream);
                tokio::spawn(async move {
                    let _ = builder.serve_connection_with_upgrades(TokioIo::new(welcomed.await), service).await;
                });
            }
        });
        front
    }
}

async fn answer(
    request: Request<hyper::body::Incoming>,
    client: OnUpgrade,
    upstream: &Upstream,
    tunnels: &Tunnels,
    end: CancellationToken,
    idle: Option<Duration>,
) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    if parts.version == http::Version::HTTP_2 {
        parts.uri = "https://app.example.com/ws".parse().unwrap();
    }
    let connection = Connection::new(None, true);
    let client_request =
        ClientRequest::read(parts, &connection, &network(), RequestId::new(&SeededRandom::new(1))).unwrap();
    match upstream.send(UpstreamRequest::new(Box::new(client_request), Body::empty(), None, None)).await {
        Ok(Answer::Response(response)) => response,
        Ok(Answer::Switched { response, io }) => {
            tunnels.spawn(async move {
                let end = async move {
                    end.cancelled().await;
                    CloseCode::PolicyViolation
                };
                tunnel(client, io, idle, end).await;
            });
            response.map(|()| Body::empty())
        }
        Err(error) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = error.status();
            response
        }
    }
}

async fn open(front: &Front) -> TcpStream {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    ask_for_it(&mut stream).await;
    stream
}

async fn ask_for_it(stream: &mut (impl AsyncWrite + Unpin)) {
    let mut head = "GET /ws HTTP/1.1\r\nHost: app.example.com\r\n".to_owned();
    for (name, value) in fields() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(Duration::from_secs(5), stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    rest
}

/// HTTP-13: bytes go both ways after a valid 101, and one side's end is passed on while the other goes on.
#[tokio::test]
async fn a_tunnel_carries_both_ways_and_half_closes() {
    let script = Script::new(|mut peer| async move {
        let head = peer.head().await.unwrap();
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
        peer.say(ACCEPTED).await;
        let mut got = [0; 5];
        peer.stream.read_exact(&mut got).await.unwrap();
        peer.say(got).await;
        peer.rest().await;
        peer.say("after").await;
    })
    .await;
    let front = Front::new(script.upstream(), None).await;
    let mut stream = open(&front).await;
    let answer = head(&mut stream).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101") && answer.contains("connection: upgrade\r\n"), "{answer}");
    assert_eq!(front.tunnels.open(), 1);
    stream.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, b"after");
    assert!(front.tunnels.drained(Duration::from_secs(2)).await);
}

/// HTTP-13: no tunnel without a valid 101; other answers are relayed as they are.
#[tokio::test]
async fn no_tunnel_without_a_valid_handshake() {
    for (said, expected) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
        ("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n", 502),
        (
            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            502,
        ),
        ("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", 502),
    ] {
        let script = Script::always(said).await;
        let front = Front::new(script.upstream(), None).await;
        let mut stream = open(&front).await;
        let answer = head(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{said:?}: {answer}");
        assert_eq!(front.tunnels.open(), 0);
    }
}

/// DOS-02: a tunnel on which nothing moves ends after its idle time.
#[tokio::test]
async fn an_idle_tunnel_ends() {
    let script = Script::new(|mut peer| async move {
        peer.head().await;
        peer.say(ACCEPTED).await;
        peer.rest().await;
    })
    .await;
    let front = Front::new(script.upstream(), Some(Duration::from_millis(300))).await;
    let mut stream = open(&front).await;
    head(&mut stream).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        stream.write_all(b"x").await.unwrap();
    }
    assert_eq!(front.tunnels.open(), 1);
    assert!(front.tunnels.drained(Duration::from_secs(2)).await);
}

/// A WebSocket over HTTP/2 becomes an upgrade over HTTP/1.1 with a key of ours.
#[tokio::test]
async fn a_websocket_over_http2_becomes_an_upgrade() {
    let script = Script::new(|mut peer| async move {
        let head = peer.head().await.unwrap();
        assert!(head.starts_with("GET /ws HTTP/1.1\r\n"), "{head}");
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let mut text = key.as_bytes().to_vec();
        text.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
        let accept = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
        peer.say(format!(
            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ))
        .await;
        let mut got = [0; 5];
        peer.stream.read_exact(&mut got).await.unwrap();
        peer.say(got).await;
        peer.rest().await;
    })
    .await;
    let front = Front::new(script.upstream(), None).await;
    let io = TokioIo::new(TcpStream::connect(front.address).await.unwrap());
    let (mut sender, conn) =
        hyper::client::conn::http2::handshake::<_, _, Empty<bytes::Bytes>>(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(conn);
    while !sender.is_ready() {
        tokio::task::yield_now().await;
    }
    // The server's settings have to arrive before an extended CONNECT may be sent.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut request = Request::builder().method("CONNECT").uri("https://app.example.com/ws");
    request = request.header("sec-websocket-version", "13").extension(hyper::ext::Protocol::from_static("websocket"));
    let mut answer = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key("sec-websocket-accept") && !answer.headers().contains_key("upgrade"));
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    stream.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    timeout(Duration::from_secs(5), stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(&echo, b"hello");
}

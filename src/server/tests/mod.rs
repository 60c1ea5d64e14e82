//! Listeners on real sockets, spoken to byte by byte.
#![allow(clippy::disallowed_methods, reason = "every `collect` here is of a `Limited`")]

mod life;
mod limits;
mod strict;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::body::{BodyError, limited};
use super::settings::{CertificateFiles, ListenAddress};
use super::{LimitSettings, Listener, ListenerSettings, Service, Shutdown};
use crate::web::body::Body;
use crate::web::client::Connection;

/// Answers with the body it got; a few paths misbehave.
#[derive(Debug, Default)]
struct Echo {
    seen: Mutex<Vec<String>>,
    dropped: Arc<Notify>,
    arrived: Notify,
    go: Notify,
    body_bytes: Option<u64>,
    body_idle: Option<Duration>,
}

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Service for Echo {
    async fn call(&self, request: Request<Incoming>, _connection: &Arc<Connection>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        self.seen.lock().unwrap().push(path.clone());
        match path.as_str() {
            "/panic" => panic!("planted"),
            "/wait" => {
                let _gone = OnDrop(Arc::clone(&self.dropped));
                self.arrived.notify_one();
                self.go.notified().await;
                Response::new(Body::full("waited"))
            }
            "/early" => status(StatusCode::PAYLOAD_TOO_LARGE),
            "/big" => Response::new(Body::full(vec![b'x'; 64 * 1024 * 1024])),
            "/broken" => Response::new(Body::stream(StreamBody::new(
                futures_util::stream::unfold(0, async |sent| {
                    // The head and the first half are on their way before the break.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let frame = match sent {
                        0 => Ok(http_body::Frame::data(bytes::Bytes::from_static(b"half"))),
                        _ => Err(std::io::Error::other("planted")),
                    };
                    Some((frame, sent + 1))
                })
                .boxed(),
            ))),
            "/switch" => status(StatusCode::SWITCHING_PROTOCOLS),
            _ => {
                let idle = self.body_idle.unwrap_or(Duration::from_secs(5));
                let body = limited(request.into_body(), self.body_bytes, idle);
                match http_body_util::Limited::new(body, 1 << 20).collect().await {
                    Ok(body) => Response::new(Body::full(body.to_bytes())),
                    Err(error) => status(BodyError::find(&*error).map_or(StatusCode::IM_A_TEAPOT, BodyError::status)),
                }
            }
        }
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A listener under test; it is told to stop when this is dropped.
struct Served {
    address: SocketAddr,
    service: Arc<Echo>,
    shutdown: Shutdown,
    listener: Arc<Listener>,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.stop.cancel();
    }
}

impl Served {
    fn new(limits: LimitSettings) -> Self {
        Self::with(limits, Echo::default(), Vec::new())
    }

    fn with(limits: LimitSettings, service: Echo, certificates: Vec<CertificateFiles>) -> Self {
        let address = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let settings = ListenerSettings { address, certificates, redirect_to_https: false };
        let listener = Arc::new(Listener::bind(&settings).unwrap());
        let (service, shutdown) = (Arc::new(service), Shutdown::new());
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn({
            let (listener, service, shutdown) = (Arc::clone(&listener), Arc::clone(&service), shutdown.clone());
            async move { listener.serve(service, limits, shutdown).await }
        });
        Self { address, service, shutdown, listener, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` and reads until the connection ends.
    async fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes.as_ref()).await;
        read_all(&mut stream).await
    }

    fn seen(&self) -> Vec<String> {
        self.service.seen.lock().unwrap().clone()
    }
}

/// Everything until the end; it must come within a few seconds.
async fn read_all(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let reading = async {
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..read]);
        }
    };
    assert!(timeout(Duration::from_secs(10), reading).await.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until `end` has come.
async fn read_until(stream: &mut (impl tokio::io::AsyncRead + Unpin), end: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0; 1];
    let reading = async {
        while !all.ends_with(end.as_bytes()) && matches!(stream.read(&mut byte).await, Ok(1)) {
            all.push(byte[0]);
        }
    };
    assert!(timeout(Duration::from_secs(10), reading).await.is_ok(), "{:?}", String::from_utf8_lossy(&all));
    String::from_utf8_lossy(&all).into_owned()
}

fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.1 ").skip(1).map(|rest| rest.get(..3).unwrap().parse().unwrap()).collect()
}

//! Row "upstream down, slow, dies": what an application over HTTP/2 does to a request, and which requests may be sent a second time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::raw::Raw;
use crate::support::{ConfigBuilder, Gateway};
use crate::world::SOON;

/// What becomes of a request (RFC 9113, sections 5.4 and 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// 200.
    Answered,
    /// `RST_STREAM` with REFUSED_STREAM: nothing was processed.
    Refused,
    /// `GOAWAY` that names no stream: nothing was processed.
    GoneBefore,
    /// `RST_STREAM` with INTERNAL_ERROR: anything may have happened.
    Failed,
    /// `GOAWAY` that names the stream, and the end: anything may have happened.
    GoneAfter,
    /// The connection ends without a word.
    Closed,
    /// A head and half a body, then the end of the connection.
    HalfClosed,
    /// A head and half a body, then `RST_STREAM`.
    HalfFailed,
}

/// An application that speaks HTTP/2 frame by frame. The first request has the first fate, the second the second, and
/// so on; the last stays.
struct Frames {
    address: SocketAddr,
    requests: Arc<Mutex<usize>>,
    fates: Arc<Mutex<Vec<Fate>>>,
    _server: JoinSet<()>,
}

impl Frames {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, fates) = (Arc::<Mutex<usize>>::default(), Arc::new(Mutex::new(vec![Fate::Answered])));
        let (count, of) = (Arc::clone(&requests), Arc::clone(&fates));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                // Each frame leaves at once: closing on what was not read throws away what waits to be sent.
                socket.set_nodelay(true).unwrap();
                connections.spawn(serve(Raw::over(Box::new(socket)), Arc::clone(&count), Arc::clone(&of)));
            }
        });
        Self { address, requests, fates, _server: server }
    }

    /// From the next request on.
    fn plan(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.to_vec();
        *self.requests.lock().unwrap() = 0;
    }

    fn requests(&self) -> usize {
        *self.requests.lock().unwrap()
    }
}

async fn serve(mut raw: Raw, requests: Arc<Mutex<usize>>, fates: Arc<Mutex<Vec<Fate>>>) {
    let idle = Duration::from_secs(60);
    if raw.take(24, SOON).await.len() < 24 {
        return;
    }
    frame(&mut raw, 4, 0, 0, &[]).await;
    loop {
        let head = raw.take(9, idle).await;
        let &[a, b, c, kind, flags, s1, s2, s3, s4] = head.as_slice() else { return };
        raw.take(u32::from_be_bytes([0, a, b, c]) as usize, idle).await;
        let stream = u32::from_be_bytes([s1, s2, s3, s4]) & 0x7fff_ffff;
        match kind {
            4 if flags & 1 == 0 => frame(&mut raw, 4, 1, 0, &[]).await,
            6 if flags & 1 == 0 => frame(&mut raw, 6, 1, 0, &[0; 8]).await,
            // HEADERS: a request.
            1 => {
                let fate = {
                    let (mut requests, fates) = (requests.lock().unwrap(), fates.lock().unwrap());
                    let fate = fates[(*requests).min(fates.len() - 1)];
                    *requests += 1;
                    fate
                };
                let goaway = |last: u32, code: u32| [last.to_be_bytes(), code.to_be_bytes()].concat();
                match fate {
                    // `:status: 200` is number 8 of the static table (RFC 7541, appendix A).
                    Fate::Answered => frame(&mut raw, 1, 5, stream, &[0x88]).await,
                    Fate::Refused => frame(&mut raw, 3, 0, stream, &7_u32.to_be_bytes()).await,
                    Fate::Failed => frame(&mut raw, 3, 0, stream, &2_u32.to_be_bytes()).await,
                    Fate::GoneBefore => return frame(&mut raw, 7, 0, 0, &goaway(0, 0)).await,
                    Fate::GoneAfter => return frame(&mut raw, 7, 0, 0, &goaway(stream, 0)).await,
                    Fate::Closed => return,
                    Fate::HalfClosed | Fate::HalfFailed => {
                        frame(&mut raw, 1, 4, stream, &[0x88]).await;
                        frame(&mut raw, 0, 0, stream, b"hello").await;
                        if fate == Fate::HalfClosed {
                            return;
                        }
                        frame(&mut raw, 3, 0, stream, &2_u32.to_be_bytes()).await;
                    }
                }
            }
            _ => {}
        }
    }
}

async fn frame(raw: &mut Raw, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    raw.send(bytes).await;
}

/// Row "upstream down", HTTP-17: a POST that may have been processed is never sent a second time, and nothing is sent a
/// third time; an answer that breaks off has no clean end; and the next request is served.
#[tokio::test]
async fn what_may_have_been_processed_is_not_repeated() {
    let frames = Frames::start().await;
    let config = ConfigBuilder::new()
        .upstream("app", &format!("h2c://{}", frames.address))
        .route("upstream = \"app\"\naccess = \"public\"");
    let gateway = Gateway::start(config).await;
    let ask = async |method: &str| {
        let mut raw = Raw::connect(gateway.address()).await;
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        raw.send(format!("{method} / HTTP/1.1\r\nHost: {}\r\n{length}\r\n", gateway.address())).await;
        raw.answer().await
    };
    assert_eq!(ask("GET").await.unwrap().status, 200);
    for method in ["GET", "POST"] {
        // On a kept connection and on a fresh one.
        for kept in [true, false] {
            for (fate, processed) in [
                (Fate::Refused, false),
                (Fate::GoneBefore, false),
                (Fate::Failed, true),
                (Fate::GoneAfter, true),
                (Fate::Closed, true),
                (Fate::HalfClosed, true),
                (Fate::HalfFailed, true),
            ] {
                let what = format!("{method}, kept: {kept}, {fate:?}");
                frames.plan(&[if kept { Fate::Answered } else { Fate::GoneAfter }]);
                ask("GET").await;
                frames.plan(&[fate, Fate::Answered]);
                let answer = ask(method).await;
                let asked = frames.requests();
                match (fate, &answer) {
                    (Fate::HalfClosed | Fate::HalfFailed, Some(answer)) => {
                        assert_eq!((answer.status, answer.complete, asked), (200, false, 1), "{what}: {answer:?}");
                    }
                    // Broken off before its head was on its way.
                    (Fate::HalfClosed | Fate::HalfFailed, None) => assert_eq!(asked, 1, "{what}"),
                    (_, Some(answer)) if answer.status == 200 => {
                        assert_eq!(asked, 2, "{what}: {answer:?}");
                        // A GET may be done again: that is what idempotent means.
                        let may = !processed || method == "GET";
                        assert!(may, "{what}: sent again, and may have been processed");
                    }
                    (_, Some(answer)) => assert_eq!((answer.status, asked), (502, 1), "{what}: {answer:?}"),
                    (_, None) => panic!("{what}: no answer"),
                }
                frames.plan(&[Fate::Answered]);
                assert_eq!(ask(method).await.expect("the next").status, 200, "after {what}");
            }
        }
    }
}

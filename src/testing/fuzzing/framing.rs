//! Where HTTP/1 messages end: the strict reading against a second one, written from the RFC, and against hyper's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::second_reading::{Last, Reading, read};
use crate::server::framing::{Framing, Stop};

pub(super) const HEADER_BYTES: usize = 2048;
pub(super) const HEADER_COUNT: usize = 20;

/// The first two bytes say how the rest is cut. The verdict does not depend on the cuts, the messages end where the second reading has
/// their ends, and nothing of a refused head is shown.
pub fn framing(data: &[u8]) {
    let Some((cuts, stream)) = data.split_first_chunk::<2>() else { return };
    let whole = follow(stream, usize::MAX, 0);
    let each = follow(stream, 1, 0);
    let cut = follow(stream, usize::from(cuts[0]) + 1, usize::from(cuts[1]));
    for other in [&each, &cut] {
        assert_eq!(whole.stop, other.stop, "it depends on the cuts");
    }
    let reading = read(stream);
    match reading.last {
        Last::Head => assert!(matches!(whole.stop, Some(Stop::Head(_))), "{:?} for a bad head", whole.stop),
        Last::Body => assert!(matches!(whole.stop, Some(Stop::Body(_))), "{:?} for a bad body", whole.stop),
        Last::Clean | Last::Partial | Last::TooLarge => assert_eq!(whole.stop, None, "{reading:?}"),
    }
    if reading.last != Last::TooLarge {
        assert_eq!(each.ends, reading.messages.iter().map(|message| message.end).collect::<Vec<_>>());
    }
    if reading.last == Last::Head {
        // One empty line may have passed.
        let end = reading.messages.last().map_or(0, |message| message.end);
        assert!((end..=end + 2).contains(&whole.passed), "{} bytes passed, and {end} were good", whole.passed);
    }
}

struct Followed {
    passed: usize,
    stop: Option<Stop>,
    /// Where messages ended, as far as can be seen between two pieces.
    ends: Vec<usize>,
}

/// Gives the stream in pieces of `size`, the first of them shorter by `less`.
fn follow(stream: &[u8], size: usize, less: usize) -> Followed {
    let mut framing = Framing::new(HEADER_BYTES, HEADER_COUNT);
    let mut followed = Followed { passed: 0, stop: None, ends: Vec::new() };
    let mut end = size.saturating_sub(less % size.max(1)).max(1).min(stream.len());
    while followed.passed < stream.len() {
        let piece = &stream[followed.passed..end];
        let progress = framing.check(piece);
        assert!(progress.accepted <= piece.len());
        followed.passed += progress.accepted;
        match progress.stop {
            None => assert_eq!(progress.accepted, piece.len()),
            Some(Stop::Held) => {}
            Some(_) => {
                followed.stop = progress.stop;
                assert_eq!(
                    framing.check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").accepted,
                    0,
                    "it goes on after a refusal"
                );
                return followed;
            }
        }
        if framing.is_held() || framing.at_rest() && !framing.in_head() {
            followed.ends.push(followed.passed);
        }
        framing.resume(false);
        if followed.passed == end {
            end = end.saturating_add(size).min(stream.len());
        }
    }
    followed
}

/// What hyper makes of the messages that the strict reading lets through: as many, or fewer where it closes; never others.
pub fn exchange(data: &[u8]) {
    let Reading { messages, .. } = read(data);
    let strict = follow(data, usize::MAX, 0);
    let good = messages.iter().take_while(|message| !message.tunnel && message.end <= strict.passed).count();
    let Some(last) = messages.get(..good).and_then(<[_]>::last) else { return };
    let seen = as_hyper_reads(&data[..last.end]);
    assert!(seen.len() <= good, "hyper reads {} messages, the strict reading {good}", seen.len());
    for (seen, message) in seen.iter().zip(&messages) {
        assert_eq!(seen.method, message.method);
        assert_eq!(seen.body, message.body, "{:?} has another body", seen.target);
        let target = String::from_utf8_lossy(&message.target).into_owned();
        // hyper writes the authority of an absolute target in its own way.
        assert!(!target.starts_with('/') || seen.target == target, "{:?} is not {target:?}", seen.target);
    }
}

#[derive(Debug)]
struct Seen {
    method: String,
    target: String,
    body: Vec<u8>,
}

fn as_hyper_reads(stream: &[u8]) -> Vec<Seen> {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (method, target) = (request.method().to_string(), request.uri().to_string());
            #[allow(clippy::disallowed_methods, reason = "limited right here")]
            let body = Limited::new(request.into_body(), 1 << 20).collect().await;
            // A body that does not come whole is one that both readings wait for or refuse.
            if let Ok(body) = body {
                let body = body.to_bytes().to_vec();
                seen.lock().expect("one thread").push(Seen { method, target, body });
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }
    });
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let mut http1 = http1::Builder::new();
            http1.header_read_timeout(None).max_headers(HEADER_COUNT + 1);
            let connection = http1.serve_connection(TokioIo::new(server), service);
            let talk = async {
                let (mut from, mut to) = tokio::io::split(&mut client);
                let write = async {
                    // A server that closes early is not there to be written to.
                    let _ = to.write_all(stream).await;
                    let _ = to.shutdown().await;
                };
                let mut answers = Vec::new();
                let _ = tokio::join!(write, from.read_to_end(&mut answers));
            };
            let _ = tokio::join!(connection, talk);
        });
    });
    let mut seen = seen.lock().expect("one thread");
    std::mem::take(&mut *seen)
}

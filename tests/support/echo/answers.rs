//! What the upstream answers, by the last segment of the path:
//!
//! Must never answer what was not asked: every oddity has its name in the path.
//!
//! | segment | what |
//! |---|---|
//! | (any other) | 200 with what was seen, as JSON |
//! | `status?code=&body=` | that status |
//! | `header?NAME=VALUE…` | 200 with these headers, in order, bytes from Latin-1 |
//! | `set-cookie?line=…` | 200 with a `Set-Cookie` for each `line` |
//! | `cache?control=&etag=` | 200 with them |
//! | `trailers?NAME=VALUE…` | a chunked answer with these trailers |
//! | `sse?every=MS&count=N` | an event stream; without `count` endless |
//! | `slow?ms=` | waits before the head |
//! | `early?code=` | answers before the body is read, then closes |
//! | `hang` | never answers |
//! | `hang-mid` | a head and half a body, then silence |
//! | `drop` | closes without an answer |
//! | `drop-mid?mode=length\|chunked` | closes in the middle of the body |
//! | `big?bytes=&mode=length\|chunked` | that many bytes of `x` |
//! | `upload?pause=MS` | reads slowly, then tells count and hash like everything else |
//! | `interim?code=103&count=2` | interim answers first |
//! | `ws`, `ws-refuse?code=` | WebSocket echo; a plain answer to the handshake |
//! | `close` | says `Connection: close` and closes |
//! | `malformed?kind=` | see [`malformed`] |
//! | `raw?hex=` | exactly these bytes |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::request::{Head, Stream};
use super::{Seen, State};
use crate::support::codec;
use crate::support::websocket::{Frame, accept};

/// Answers one request; `false` when the connection ends here.
pub(super) async fn answer(state: &Arc<State>, stream: &mut Stream, head: &Head, index: usize) -> bool {
    let canned = state.canned.lock().unwrap().get(&head.target).cloned();
    if let Some(bytes) = canned {
        read_body(state, stream, head, index, Duration::ZERO).await;
        return stream.write(&bytes).await;
    }
    let query = head.query();
    let text = |name: &str| codec::value(&query, name).unwrap_or_default().to_owned();
    let number = |name: &str, otherwise: u64| text(name).parse::<u64>().unwrap_or(otherwise);
    let action = head.path().rsplit('/').next().unwrap_or_default();

    // What happens before the body is read.
    match action {
        "early" => {
            let status = number("code", 200);
            let bytes = format!("HTTP/1.1 {status} Early\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly");
            stream.write(bytes.as_bytes()).await;
            return false;
        }
        "hang" => {
            stream.gone().await;
            return false;
        }
        "drop" => return false,
        "ws" => return websocket(state, stream, head).await,
        "ws-refuse" => {
            let status = number("code", 403);
            return stream.write(&plain(&format!("{status} Refused"), &[], b"no")).await;
        }
        _ => {}
    }
    let expects = head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    if expects && !stream.write(b"HTTP/1.1 100 Continue\r\n\r\n").await {
        return false;
    }
    let pause = Duration::from_millis(if action == "upload" { number("pause", 0) } else { 0 });
    let Some(seen) = read_body(state, stream, head, index, pause).await else {
        state.aborted.fetch_add(1, Ordering::SeqCst);
        return false;
    };

    let sent = match action {
        "status" => {
            let status = format!("{} Status", number("code", 200));
            if matches!(number("code", 200), 204 | 304) {
                stream.write(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await
            } else {
                stream.write(&for_method(head, plain(&status, &[], text("body").as_bytes()))).await
            }
        }
        "header" => stream.write(&for_method(head, plain("200 OK", &query, b"header"))).await,
        "set-cookie" => {
            let lines: Vec<_> = query.iter().map(|(_, line)| ("Set-Cookie".to_owned(), line.clone())).collect();
            stream.write(&plain("200 OK", &lines, b"set-cookie")).await
        }
        "cache" => {
            let mut fields = Vec::new();
            for (name, field) in [("control", "Cache-Control"), ("etag", "ETag"), ("vary", "Vary")] {
                if codec::value(&query, name).is_some() {
                    fields.push((field.to_owned(), text(name)));
                }
            }
            stream.write(&plain("200 OK", &fields, &json(&seen))).await
        }
        "trailers" => {
            let names: Vec<_> = query.iter().map(|(name, _)| name.as_str()).collect();
            let head =
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: {}\r\n\r\n", names.join(", "));
            let fields: String = query.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            stream.write(&bytes(&format!("{head}5\r\nhello\r\n0\r\n{fields}\r\n"))).await
        }
        "sse" => events(stream, number("every", 20), number("count", u64::MAX)).await,
        "slow" => {
            tokio::time::sleep(Duration::from_millis(number("ms", 100))).await;
            stream.write(&plain("200 OK", &[], &json(&seen))).await
        }
        "hang-mid" => {
            stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
            stream.gone().await;
            false
        }
        "drop-mid" => {
            let half: &[u8] = if text("mode") == "chunked" {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
            };
            stream.write(half).await;
            return false;
        }
        "big" => big(stream, number("bytes", 1 << 20), text("mode") == "chunked").await,
        "interim" => {
            let interim =
                format!("HTTP/1.1 {} Interim\r\nLink: </style.css>; rel=preload\r\n\r\n", number("code", 103));
            let mut sent = true;
            for _ in 0..number("count", 2) {
                sent &= stream.write(interim.as_bytes()).await;
            }
            sent && stream.write(&plain("200 OK", &[], &json(&seen))).await
        }
        "close" => {
            let fields = [("Connection".to_owned(), "close".to_owned())];
            stream.write(&plain("200 OK", &fields, &json(&seen))).await;
            return false;
        }
        "malformed" => stream.write(malformed(&text("kind"))).await,
        "raw" => stream.write(&unhex(&text("hex"))).await,
        _ => {
            let fields = [("Content-Type".to_owned(), "application/json".to_owned())];
            stream.write(&for_method(head, plain("200 OK", &fields, &json(&seen)))).await
        }
    };
    if !sent {
        state.aborted.fetch_add(1, Ordering::SeqCst);
    }
    sent
}

/// Answers that no gateway may pass on: `kind` names what is wrong.
fn malformed(kind: &str) -> &'static [u8] {
    match kind {
        "length-and-chunked" => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        }
        "two-lengths" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "header-bytes" => b"HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 2\r\n\r\nok",
        "header-name" => b"HTTP/1.1 200 OK\r\nX Bad: a\r\nContent-Length: 2\r\n\r\nok",
        "folded" => b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        "unasked-101" => b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "unknown-coding" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: snappy\r\n\r\nwhatever",
        "bad-chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "status-line" => b"HTTQ/1.1 two hundred\r\nContent-Length: 2\r\n\r\nok",
        "unasked-answer" => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npoisons"
        }
        other => panic!("no such malformed answer: {other}"),
    }
}

async fn read_body(
    state: &Arc<State>,
    stream: &mut Stream,
    head: &Head,
    index: usize,
    pause: Duration,
) -> Option<Seen> {
    let mut seen = state.seen.lock().unwrap().get(index).cloned().unwrap_or_default();
    let whole = stream.body(head, &mut seen, pause).await;
    if let Some(kept) = state.seen.lock().unwrap().get_mut(index) {
        kept.clone_from(&seen);
    }
    whole.map(|()| seen)
}

fn json(seen: &Seen) -> Vec<u8> {
    Value::to_string(&seen.to_json()).into_bytes()
}

/// Latin-1 back to bytes, so that tests can send any byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

fn plain(status: &str, fields: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut answer = bytes(&format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len()));
    answer.extend_from_slice(body);
    answer
}

/// The same without a body for HEAD.
fn for_method(head: &Head, mut answer: Vec<u8>) -> Vec<u8> {
    if head.method == "HEAD" {
        let end = memchr::memmem::find(&answer, b"\r\n\r\n").map_or(0, |at| at + 4);
        answer.truncate(end);
    }
    answer
}

async fn events(stream: &mut Stream, every: u64, count: u64) -> bool {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut sent = stream.write(head.as_bytes()).await;
    let mut n = 0;
    while sent && n < count {
        let event = format!("data: {n}\n\n");
        sent = stream.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await;
        n += 1;
        // A peer that has gone is noticed at once, not at the next event.
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(every)) => {}
            () = stream.gone() => sent = false,
        }
    }
    sent && stream.write(b"0\r\n\r\n").await
}

async fn big(stream: &mut Stream, mut left: u64, chunked: bool) -> bool {
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {left}") };
    let part = [b'x'; 64 * 1024];
    let mut sent = stream.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes()).await;
    while sent && left > 0 {
        let n = usize::try_from(left).unwrap_or(part.len()).min(part.len());
        if chunked {
            sent = stream.write(format!("{n:x}\r\n").as_bytes()).await;
        }
        sent = sent && stream.write(&part[..n]).await && (!chunked || stream.write(b"\r\n").await);
        left -= n as u64;
    }
    sent && (!chunked || stream.write(b"0\r\n\r\n").await)
}

async fn websocket(state: &Arc<State>, stream: &mut Stream, head: &Head) -> bool {
    let Some(key) = head.header("sec-websocket-key") else {
        return stream.write(&plain("426 Upgrade Required", &[], b"")).await;
    };
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n",
        accept(key)
    );
    if let Some(protocols) = head.header("sec-websocket-protocol") {
        let first = protocols.split(',').next().unwrap_or_default().trim();
        answer.push_str(&format!("Sec-WebSocket-Protocol: {first}\r\n"));
    }
    answer.push_str("\r\n");
    if !stream.write(answer.as_bytes()).await {
        return false;
    }
    // Nothing was read past the head unless the client sent frames early.
    let early = std::io::Cursor::new(std::mem::take(&mut stream.pending));
    let (read, mut write) = tokio::io::split(&mut stream.io);
    let mut read = tokio::io::AsyncReadExt::chain(early, read);
    while let Some(frame) = Frame::read(&mut read).await {
        state.frames.lock().unwrap().push(frame.clone());
        let closes = frame.opcode == 8;
        let echoed = match frame.opcode {
            9 => Frame { opcode: 10, ..frame },
            10 => continue,
            _ => frame,
        };
        use tokio::io::AsyncWriteExt;
        if write.write_all(&echoed.encode(false)).await.is_err() || write.flush().await.is_err() || closes {
            break;
        }
    }
    false
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

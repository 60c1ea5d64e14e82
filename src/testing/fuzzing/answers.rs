//! Where an application's answers end: the strict reading in pieces and as a whole, and against hyper's.

use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::upstream::read_answer;

/// The first byte says how the rest is cut, and whether it answers a HEAD. The answer does not depend on the cuts, and what is read
/// whole is what hyper reads: the same status and the same body.
pub fn answers(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else { return };
    let (size, bodiless) = (usize::from(first >> 1) + 1, first & 1 == 1);
    let pieces: Vec<&[u8]> = stream.chunks(size).collect();
    let (whole, cut) = (read_answer(&[stream], bodiless), read_answer(&pieces, bodiless));
    let Ok(whole) = whole else {
        assert!(cut.is_err(), "in pieces it is an answer");
        return;
    };
    let cut = cut.expect("an answer, in pieces too");
    assert_eq!((whole.head.status(), whole.head.headers()), (cut.head.status(), cut.head.headers()));
    assert_eq!(whole.body, cut.body);
    assert_eq!(whole.reusable, cut.reusable);
    let Ok((body, _)) = whole.body else { return };
    assert_eq!(whole.rest, cut.rest);
    // What hyper refuses, or gives up as an upgrade, is no other reading.
    if let Some((status, seen)) = as_hyper_reads(stream, bodiless)
        && whole.head.status() != 101
    {
        assert_eq!(status, whole.head.status().as_u16());
        if let Some(seen) = seen {
            assert_eq!(seen, body, "hyper reads another body");
        }
    }
}

/// The status and the body, where it makes something of them.
fn as_hyper_reads(stream: &[u8], bodiless: bool) -> Option<(u16, Option<Vec<u8>>)> {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (client, mut application) = tokio::io::duplex(1 << 16);
            let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.ok()?;
            let method = if bodiless { Method::HEAD } else { Method::GET };
            let request =
                Request::builder().method(method).uri("/").header("host", "a").body(Empty::<&[u8]>::new()).ok()?;
            let ask = async move {
                let answer = sender.send_request(request).await.ok()?;
                let status = answer.status().as_u16();
                #[allow(clippy::disallowed_methods, reason = "limited right here")]
                let body = Limited::new(answer.into_body(), 1 << 20).collect().await;
                Some((status, body.ok().map(|body| body.to_bytes().to_vec())))
            };
            let talk = async {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(application.read_u8().await.unwrap_or_default());
                }
                let _ = application.write_all(stream).await;
                let _ = application.shutdown().await;
                // Until it is read, or nobody reads any more.
                let _ = application.read_to_end(&mut Vec::new()).await;
            };
            let (seen, _, ()) = tokio::join!(ask, connection, talk);
            seen
        })
    })
}

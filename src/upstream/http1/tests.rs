//! Heads and bodies as they come: whole, in pieces, and wrong. What a reader may take for two things is refused.

use std::convert::Infallible;
use std::future::poll_fn;

use http::{HeaderMap, HeaderValue, Method, Response};
use http_body_util::StreamBody;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::outgoing::Outgoing;
use super::reading::{ReadBody, read_answer};
use super::*;
use crate::web::body::Body;
use crate::web::owned::Owned;

fn read(pieces: &[&[u8]], bodiless: bool) -> Result<(Response<()>, ReadBody, Vec<u8>), String> {
    read_answer(pieces, bodiless).map(|answer| (answer.head, answer.body, answer.rest))
}

fn body(answer: &str) -> ReadBody {
    read(&[answer.as_bytes()], false).and_then(|(_, body, _)| body)
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// HTTP-20: a head that two readers could read in two ways is none.
#[test]
fn doubtful_heads_are_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
    ] {
        assert!(read(&[head.as_bytes()], false).is_err(), "{head:?}");
    }
}

/// RFC 9112 section 6.3: where a body ends.
#[test]
fn bodies_end_where_their_heads_say() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\n\r\nabc", "abc"),
        ("HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            "a",
        ),
    ] {
        assert_eq!(body(answer), Ok((expected.into(), None)), "{answer:?}");
    }
    for status in ["204 No Content", "304 Not Modified", "101 Switching Protocols"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nabc");
        let (_, body, rest) = read(&[answer.as_bytes()], false).unwrap();
        assert_eq!((body, &*rest), (Ok((Vec::new(), None)), &b"abc"[..]), "{answer:?}");
    }
    let (head, nothing, rest) = read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"], true).unwrap();
    assert_eq!(
        (nothing, &*rest, &head.headers()["content-length"]),
        (Ok((Vec::new(), None)), &b""[..], &HeaderValue::from(3))
    );
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        &format!("{CHUNKED}3\r\nabc\r\n"),
        &format!("{CHUNKED}0\r\n"),
    ] {
        assert!(body(cut).is_err(), "{cut:?}");
    }
}

/// RFC 9112 section 7.1.
#[test]
fn chunks() {
    for (chunks, expected) in [
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("1\r\na\r\n2;x=\"y\"\r\nbc\r\n0\r\n\r\n", "abc"),
        ("003 \r\nabc\r\n00\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0\r\n\r\n", ""),
    ] {
        assert_eq!(body(&format!("{CHUNKED}{chunks}")), Ok((expected.into(), None)), "{chunks:?}");
    }
    let (bytes, trailers) = body(&format!("{CHUNKED}1\r\na\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n")).unwrap();
    let trailers = trailers.unwrap();
    assert_eq!(
        (&*bytes, &trailers["x-sum"], &trailers["grpc-status"]),
        (&b"a"[..], &HeaderValue::from(1), &HeaderValue::from(0))
    );
    for chunks in [
        "\r\n",
        "x\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1 1\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "2\r\na\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1;\r\r\na\r\n0\r\n\r\n",
        "1\r\r\na\r\n0\r\n\r\n",
        "1\r;x\r\na\r\n0\r\n\r\n",
        "1\x0c\r\na\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\nT: 1\n\r\n",
        "10000000000000000\r\na\r\n0\r\n\r\n",
        "0\r\nno trailer\r\n\r\n",
    ] {
        assert!(body(&format!("{CHUNKED}{chunks}")).is_err(), "{chunks:?}");
    }
    assert!(body(&format!("{CHUNKED}1;{}", "x".repeat(5000))).is_err());
}

/// A head has limits: of bytes, of fields, of interim answers before it.
#[test]
fn heads_have_limits() {
    let fields = |count: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert!(body(&fields(100)).is_ok());
    assert!(body(&fields(101)).is_err());
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(128 * 1024));
    assert!(read(&[long.as_bytes(), b"\r\n\r\n"], false).unwrap_err().contains("131072"));
    // Also where it comes in one piece.
    assert!(read(&[format!("{long}\r\n\r\n").as_bytes()], false).unwrap_err().contains("131072"));
    let trailers = |length: usize| format!("{CHUNKED}0\r\nA: {}\r\n\r\n", "x".repeat(length));
    assert!(body(&trailers(16_000)).is_ok());
    assert!(body(&trailers(17_000)).unwrap_err().contains("16384"));
    let interim = |count: usize| {
        format!("{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n".repeat(count))
    };
    assert!(body(&interim(32)).is_ok());
    assert!(body(&interim(33)).is_err());
}

#[test]
fn reasons_and_values_are_kept() {
    let (head, ..) =
        read(&[b"HTTP/1.1 299 Odd\r\nA:  b \r\nA: \xe4\r\nB:\r\nContent-Length: 0\r\n\r\n"], false).unwrap();
    assert_eq!(head.extensions().get::<hyper::ext::ReasonPhrase>().unwrap().as_bytes(), b"Odd");
    assert_eq!(head.headers().get_all("a").iter().collect::<Vec<_>>(), [&b"b"[..], b"\xe4"]);
    assert_eq!(head.headers()["b"], "");
    let (head, ..) = read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], false).unwrap();
    assert!(head.extensions().get::<hyper::ext::ReasonPhrase>().is_none());
}

proptest! {
    /// However an answer is cut into pieces, it is the same answer; and what comes behind it stays where it is.
    #[test]
    fn pieces_make_no_difference(cuts in prop::collection::vec(1usize..40, 0..30), which in 0usize..4) {
        let answers = [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX: y\r\n\r\nhello worldHTTP/1.1"[..],
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nT: 1\r\n\r\nHTTP/1.1",
            b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        ];
        let answer = answers[which];
        let (mut pieces, mut rest) = (Vec::new(), answer);
        for cut in cuts {
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = left;
        }
        pieces.push(rest);
        let (whole, cut) = (read(&[answer], false).unwrap(), read(&pieces, false).unwrap());
        prop_assert_eq!(whole.0.headers(), cut.0.headers());
        prop_assert_eq!(&whole.1, &cut.1);
        if whole.1.is_ok() {
            prop_assert_eq!(whole.2, cut.2);
        }
    }

    /// Any bytes are survived, and a body of a known length is never longer than that.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), chunked in any::<bool>()) {
        let head: &[u8] = if chunked { CHUNKED.as_bytes() } else { b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" };
        let (_, body, _) = read(&[head, &bytes], false).unwrap();
        if let Ok((body, _)) = body {
            let most = if chunked { 200 } else { 50 };
            prop_assert!(body.len() <= most);
        }
        let _ = read(&[&bytes], false);
    }
}

/// A connection, and the application at its other end.
async fn pair() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Connection::new(Socket::Tcp(ours)), listener.accept().await.unwrap().0)
}

fn sending(
    method: &Method,
    fields: &HeaderMap,
    frames: Option<Vec<Frame<Bytes>>>,
    exact: Option<&'static str>,
) -> Sending {
    let owned = std::sync::Arc::new(Owned::new([]));
    let stream = frames.map(|frames| {
        Body::stream(StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok::<_, Infallible>))))
    });
    let body = stream.or_else(|| exact.map(Body::full)).map(|body| Outgoing::new(body, &owned).0);
    Sending::new(Vec::new(), method, &"/a?b".parse().unwrap(), &HeaderValue::from_static("h"), fields, &[], body)
}

async fn sent(
    frames: Option<Vec<Frame<Bytes>>>,
    exact: Option<&'static str>,
    fields: &HeaderMap,
) -> Result<String, io::Error> {
    let (mut connection, mut application) = pair().await;
    connection.begin(sending(&Method::POST, fields, frames, exact));
    let result = poll_fn(|cx| connection.poll_request(cx)).await;
    assert_eq!(connection.uploads(), result.is_err());
    drop(connection);
    let mut text = String::new();
    application.read_to_string(&mut text).await.unwrap();
    result.map(|()| text)
}

/// HTTP-24: a request's body is framed once, by us, whatever its fields say.
#[tokio::test]
async fn requests_are_framed_once() {
    let data = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from(1));
    let mut fields = HeaderMap::new();
    for (name, value) in [("host", "other"), ("transfer-encoding", "gzip"), ("connection", "close"), ("a", "b")] {
        fields.insert(http::HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    const HEAD: &str = "POST /a?b HTTP/1.1\r\nhost: h\r\na: b\r\n";
    for (frames, exact, expected) in [
        (None, None, "\r\n"),
        (None, Some("abc"), "content-length: 3\r\n\r\nabc"),
        (
            Some(vec![data("ab"), data(""), data("0123456789abcdef"), Frame::trailers(trailers)]),
            None,
            "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\nx-sum: 1\r\n\r\n",
        ),
        (Some(vec![]), None, "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ] {
        assert_eq!(sent(frames, exact, &fields).await.unwrap(), format!("{HEAD}{expected}"));
    }
}

/// HTTP-20: what comes when nobody asked belongs to nobody, and its connection is used no more.
#[tokio::test]
async fn unasked_answers_are_seen() {
    let (mut connection, mut application) = pair().await;
    connection.begin(sending(&Method::GET, &HeaderMap::new(), None, None));
    application.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await.unwrap();
    assert!(poll_fn(|cx| connection.poll_head(cx, false)).await.unwrap().reusable);
    assert!(!connection.is_at_rest());
    assert_eq!(connection.whole_body().unwrap(), "x");
    assert!(connection.is_at_rest() && connection.is_quiet());
    application.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny").await.unwrap();
    while connection.is_quiet() {
        tokio::task::yield_now().await;
    }

    let (mut connection, application) = pair().await;
    assert!(connection.is_quiet());
    drop(application);
    while connection.is_quiet() {
        tokio::task::yield_now().await;
    }
}

/// An answer that comes before its request has gone out is an answer: it says why the rest is not wanted.
#[tokio::test]
async fn an_early_answer_is_heard() {
    let (mut connection, mut application) = pair().await;
    let endless =
        futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 65536]))));
    let owned = std::sync::Arc::new(Owned::new([]));
    let body = Outgoing::new(Body::stream(StreamBody::new(endless)), &owned).0;
    let fields = HeaderMap::new();
    let host = HeaderValue::from_static("h");
    connection.begin(Sending::new(Vec::new(), &Method::POST, &"/".parse().unwrap(), &host, &fields, &[], Some(body)));
    let (head, _) = tokio::join!(poll_fn(|cx| connection.poll_head(cx, false)), async {
        application.read_exact(&mut [0; 1000]).await.unwrap();
        application
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
    });
    let answer = head.unwrap();
    assert!(answer.head.status() == 413 && !answer.reusable);
    assert!(connection.uploads() && !connection.is_at_rest());
}

/// A head that comes byte by byte is the same head.
#[test]
fn a_dripping_head_is_read() {
    let answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let pieces: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(read(&pieces, false).unwrap().1, Ok((b"ok".to_vec(), None)));
}

/// What is no head is refused at its first byte: empty lines without end would be read again and again.
#[test]
fn what_does_not_begin_like_a_head_is_none() {
    for begin in [&b"\r"[..], b"\n", b" ", b"h", b"\0"] {
        assert!(read(&[begin], false).unwrap_err().contains("does not begin"), "{begin:?}");
    }
}

/// RFC 9110 section 7.6.1: `Connection` is for us. What says only that the connection stays does not even become a field.
#[test]
fn a_connection_that_stays_needs_no_field() {
    for (said, reusable, kept) in
        [("keep-alive", true, false), ("keep-alive, X-Hop", true, true), ("close", false, true)]
    {
        let head = format!("HTTP/1.1 200 OK\r\nConnection: {said}\r\nContent-Length: 0\r\n\r\n");
        let answer = read_answer(&[head.as_bytes()], false).unwrap();
        assert_eq!((answer.reusable, answer.head.headers().contains_key("connection")), (reusable, kept), "{said}");
    }
}

/// A small piece that somebody keeps does not keep the room that it was received in.
#[test]
fn small_pieces_are_taken_out() {
    for (length, shares) in [(1024_usize, false), (1025, true)] {
        let mut received = BytesMut::with_capacity(8192);
        received.resize(length, b'x');
        let mut decoder = Decoder::new(head::Length::UntilClose);
        let kept = decoder.read(&mut received).unwrap().unwrap().into_data().unwrap();
        assert_eq!(kept.len(), length);
        assert_eq!(!received.try_reclaim(8192), shares, "{length}");
    }
}

/// RFC 9110 section 8.6: who announces a body that there cannot be may also send it, later.
#[test]
fn a_stray_body_is_nobodys_answer() {
    for (head, reusable) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n", false),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 60\r\n\r\n", true),
    ] {
        assert_eq!(read_answer(&[head.as_bytes()], false).unwrap().reusable, reusable, "{head:?}");
    }
}

/// What comes before a byte of the request has gone out is no answer to it, and the request can go elsewhere.
#[tokio::test]
async fn an_answer_to_nothing_is_none() {
    let (ours, mut application) = tokio::net::UnixStream::pair().unwrap();
    let mut connection = Connection::new(Socket::Unix(ours));
    application.write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    drop(application);
    connection.begin(sending(&Method::POST, &HeaderMap::new(), None, None));
    let failure = poll_fn(|cx| connection.poll_head(cx, false)).await.err().unwrap();
    assert!(matches!(failure, Failure::Ended(_)), "{failure:?}");
    assert!(connection.take_request().is_unsent());
}

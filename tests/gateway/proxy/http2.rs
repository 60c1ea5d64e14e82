//! HTTP/2 in front of HTTP/1.1, and gRPC through to HTTP/2.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::support::h2::H2;
use crate::support::h2::{H2Outcome, H2Raw};
use crate::support::wait::until;
use crate::support::{ConfigBuilder, Echo, Gateway, Site};
use crate::world::{SOON, World};

/// HTTP-26: crumbs of a cookie are one field again.
#[tokio::test]
async fn cookie_crumbs_are_joined() {
    let world = World::start().await;
    let mut h2 = H2Raw::connect(world.gateway.address()).await;
    let host = world.host().as_bytes().to_vec();
    let fields: [(&[u8], &[u8]); 7] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/public"),
        (b":authority", &host),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"cookie", b"c=3"),
    ];
    h2.headers(1, true, &fields).await;
    assert_eq!(h2.outcome(1, SOON).await, H2Outcome::Answered(Some(200)));
    assert_eq!(world.echo.last().header_all("cookie"), ["a=1; b=2; c=3"]);
}

/// HTTP-04: fields that would mean something else in HTTP/1.1 end their stream, and nothing arrives.
#[tokio::test]
async fn fields_that_change_their_meaning_are_refused() {
    let world = World::start().await;
    let host = world.host().as_bytes().to_vec();
    let base: [(&[u8], &[u8]); 4] =
        [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/public"), (b":authority", &host)];
    let bad: &[&[(&[u8], &[u8])]] = &[
        &[(b"connection", b"x-foo")],
        &[(b"transfer-encoding", b"chunked")],
        &[(b"upgrade", b"websocket")],
        &[(b"keep-alive", b"timeout=5")],
        &[(b"proxy-connection", b"keep-alive")],
        // CGI-like applications read these as the fields themselves.
        &[(b"transfer_encoding", b"chunked")],
        &[(b"content_length", b"5")],
        &[(b"te", b"gzip")],
        &[(b"x-a", b"b\r\nx-vestibule-identity: root")],
        &[(b"x-a", b"b\nc")],
        &[(b"x-a", b"b\0c")],
        &[(b"x-a\r\nx-b", b"c")],
        &[(b"x a", b"c")],
        &[(b"x:a", b"c")],
        &[(b"X-Upper", b"c")],
        &[(b"", b"c")],
        &[(b":path", b"/public/other")],
        &[(b":unknown", b"x")],
        &[(b"content-length", b"5")],
        &[(b"content-length", b"1"), (b"content-length", b"2")],
    ];
    for more in bad {
        let mut h2 = H2Raw::connect(world.gateway.address()).await;
        h2.headers(1, true, &[&base[..], more].concat()).await;
        let outcome = h2.outcome(1, SOON).await;
        let refused = matches!(outcome, H2Outcome::Reset(_) | H2Outcome::GoAway(_) | H2Outcome::Answered(Some(400)));
        assert!(refused && world.echo.count() == 0, "{more:?}: {outcome:?}");
    }
    for target in [&b"/public x"[..], b"/public\r\nX: y", b"public", b"", b"/public/\xff"] {
        let mut h2 = H2Raw::connect(world.gateway.address()).await;
        let mut fields = base;
        fields[2].1 = target;
        h2.headers(1, true, &fields).await;
        let outcome = h2.outcome(1, SOON).await;
        let refused = matches!(outcome, H2Outcome::Reset(_) | H2Outcome::GoAway(_) | H2Outcome::Answered(Some(400)));
        assert!(refused && world.echo.count() == 0, "{target:?}: {outcome:?}");
    }
    // More bytes than announced.
    let mut h2 = H2Raw::connect(world.gateway.address()).await;
    let length: &[(&[u8], &[u8])] = &[(b"content-length", b"2")];
    h2.headers(1, false, &[&base[..], length].concat()).await;
    h2.frame(0, 1, 1, b"hello").await;
    assert!(matches!(
        h2.outcome(1, SOON).await,
        H2Outcome::Reset(_) | H2Outcome::GoAway(_) | H2Outcome::Answered(Some(400))
    ));
    assert!(world.echo.requests().iter().all(|seen| !seen.complete), "{:?}", world.echo.requests());
}

async fn grpc() -> (Gateway, Echo) {
    let echo = Echo::start_h2c().await;
    let config = ConfigBuilder::new().upstream("calls", &echo.url());
    (Gateway::start(config.route("upstream = \"calls\"\naccess = \"public\"")).await, echo)
}

/// HTTP-21, HTTP-22: a gRPC call runs both ways at once, with trailers both ways.
#[tokio::test]
async fn calls_run_both_ways_at_once() {
    let (gateway, echo) = grpc().await;
    let client = H2::connect(gateway.address()).await;
    let (send, receive) = mpsc::channel::<Frame<Bytes>>(1);
    let body = stream::unfold(receive, |mut receive| async {
        let frame = receive.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), receive))
    });
    let request = Request::post(gateway.url("/svc/Method"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .body(StreamBody::new(body).boxed());
    let answer = client.start(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    for piece in ["one", "two", "three"] {
        send.send(Frame::data(Bytes::from(piece))).await.unwrap();
        let back = tokio::time::timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(back.into_data().unwrap(), piece);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "3".parse().unwrap());
    trailers.insert("x-vestibule-identity", "e30.e30.".parse().unwrap());
    send.send(Frame::trailers(trailers)).await.unwrap();
    drop(send);
    let last = tokio::time::timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap().into_trailers().unwrap();
    assert_eq!((&last["grpc-status"], &last["echo-x-sum"]), (&"0".parse().unwrap(), &"3".parse().unwrap()));
    let seen = echo.last();
    assert_eq!(
        (seen.header("te"), seen.header("grpc-timeout"), seen.version.as_str()),
        (Some("trailers"), Some("5S"), "HTTP/2.0")
    );
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "3".to_owned())]);
}

/// HTTP-16, HTTP-21: a call that its client gives up is given up at the upstream too.
#[tokio::test]
async fn cancelled_calls_are_cancelled_upstream() {
    let (gateway, echo) = grpc().await;
    let mut h2 = H2Raw::connect(gateway.address()).await;
    let host = gateway.address().to_string();
    let fields: [(&[u8], &[u8]); 5] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/svc/Long"),
        (b":authority", host.as_bytes()),
        (b"content-type", b"application/grpc"),
    ];
    h2.headers(1, false, &fields).await;
    h2.frame(0, 0, 1, b"first").await;
    assert_eq!(h2.outcome(1, SOON).await, H2Outcome::Answered(Some(200)));
    until("the message at the upstream", SOON, || echo.last().body == "first").await;
    // RST_STREAM with CANCEL.
    h2.frame(3, 0, 1, &8_u32.to_be_bytes()).await;
    until("the reset at the upstream", SOON, || echo.aborted() == 1).await;
    assert!(!echo.last().complete);
}

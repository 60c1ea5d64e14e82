//! Smuggling: what reaches the service, and what does not.

use super::*;

const POISON: &str = "GET /poison HTTP/1.1\r\nHost: a\r\n\r\n";

/// HTTP-01, HTTP-02, HTTP-03: a head that could be read in two ways is answered with 400, after the answers that are
/// due, and closes; neither it nor the request behind it reaches the service, in one piece or byte by byte.
#[tokio::test]
async fn ambiguous_heads_are_refused_and_nothing_behind_them_is_seen() {
    let served = Served::new(LimitSettings::default());
    let corpus = [
        "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST /bad HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
        "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /bad HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /bad HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /bad HTTP/1.1\nHost: a\n\n",
        "GET /bad HTTP/1.1\r\nHost: a\r\nX: \rY\r\n\r\n",
        "GET /bad HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET /bad HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "GET /bad HTTP/1.1\r\nX: y\r\n\r\n",
        "GET /bad HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET /bad HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
        "GET /bad#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET bad HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /bad\r\n\r\n",
    ];
    for bad in corpus {
        let answers = served.talk(format!("GET /first HTTP/1.1\r\nHost: a\r\n\r\n{bad}{POISON}")).await;
        assert_eq!(statuses(&answers), [200, 400], "{bad:?}: {answers}");

        let mut stream = served.connect().await;
        for byte in format!("{bad}{POISON}").bytes() {
            if stream.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(statuses(&read_all(&mut stream).await), [400], "byte by byte: {bad:?}");
    }
    assert!(served.seen().iter().all(|path| path == "/first"), "{:?}", served.seen());
}

/// HTTP-02: a bad chunk is 400 for who reads the body, and closes.
#[tokio::test]
async fn bad_chunks_are_refused() {
    let served = Served::new(LimitSettings::default());
    for body in
        ["x\r\n", "0x1\r\na\r\n0\r\n\r\n", "1\na\r\n0\r\n\r\n", "1;\0\r\na\r\n0\r\n\r\n", "1\r\naX0\r\n\r\n", "-1\r\n"]
    {
        let head = "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answers = served.talk(format!("{head}1\r\na\r\n{body}{POISON}")).await;
        assert_eq!(statuses(&answers), [400], "{body:?}: {answers}");
    }
    assert!(served.seen().iter().all(|path| path == "/chunks"));
}

#[tokio::test]
async fn good_requests_are_answered_in_turn() {
    let served = Served::new(LimitSettings::default());
    let answers = served
        .talk(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
             POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\ndef\r\n0\r\nT: u\r\n\r\n\
             GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(statuses(&answers), [200, 200, 200]);
    assert!(answers.contains("abc") && answers.contains("def"));
    assert_eq!(served.seen(), ["/a", "/b", "/c"]);
}

/// HTTP-13: what a client sends behind a request for an upgrade is a request again when the upgrade is declined.
#[tokio::test]
async fn a_declined_upgrade_goes_on_as_http() {
    let served = Served::new(LimitSettings::default());
    let upgrade = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answers = served.talk(format!("{upgrade}GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(statuses(&answers), [200, 200]);
    let answers = served.talk(format!("{upgrade}GET /bad HTTP/1.1\r\n\r\n")).await;
    assert_eq!(statuses(&answers), [200, 400]);
    assert_eq!(served.seen(), ["/up", "/after", "/up"]);
}

/// CONNECT and a 101 that nobody asked for are not answered with a tunnel.
#[tokio::test]
async fn there_are_no_tunnels_to_anywhere() {
    let served = Served::new(LimitSettings::default());
    let answers = served.talk("CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(statuses(&answers), [405]);
    let answers = served.talk("GET /switch HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(statuses(&answers), [500]);
    assert_eq!(served.seen(), ["/switch"]);
}

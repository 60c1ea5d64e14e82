//! The framing of requests, by tables and against a second, simpler reader.

use proptest::prelude::*;

use super::*;

const BYTES: usize = 2048;
const COUNT: usize = 20;

/// What became of a byte stream: how much passed, and what stopped it.
fn verdict(stream: &[u8], cuts: &[usize]) -> (usize, Option<Stop>) {
    let mut framing = Framing::new(BYTES, COUNT);
    let (mut passed, mut at) = (0, 0);
    let ends = cuts.iter().copied().filter(|&cut| cut <= stream.len()).chain([stream.len()]);
    for end in ends {
        if end <= at {
            continue;
        }
        let progress = framing.check(&stream[at..end]);
        assert!(progress.accepted <= end - at);
        passed = at + progress.accepted;
        if progress.stop.is_some() {
            return (passed, progress.stop);
        }
        at = end;
    }
    (passed, None)
}

fn every_cut(stream: &[u8]) -> Option<Stop> {
    let (_, whole) = verdict(stream, &[]);
    for cut in 1..stream.len() {
        assert_eq!(verdict(stream, &[cut]).1, whole, "cut at {cut} of {:?}", String::from_utf8_lossy(stream));
    }
    let each: Vec<usize> = (1..stream.len()).collect();
    assert_eq!(verdict(stream, &each).1, whole, "byte by byte: {:?}", String::from_utf8_lossy(stream));
    whole
}

const GOOD: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost:a:80 \r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    "GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\nHost: a\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nHost: a\r\nX: \tb\t\r\nEmpty:\r\nY: caf\u{e9}\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\n\0cGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tChunked \r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00A \t;a=\"b c\"\r\n0123456789\r\n0;x\r\nT: v\r\nU: w\r\n\r\n",
];

/// HTTP-01, HTTP-02, HTTP-03: what they name is refused however the bytes are cut, and nothing of the bad head or of
/// what follows it passes.
#[test]
fn refuses_every_head_that_two_readers_could_read_in_two_ways() {
    let host = "Host: a\r\n";
    let post = |fields: &str| format!("POST / HTTP/1.1\r\n{host}{fields}\r\n");
    let get = |line: &str| format!("{line}\r\n{host}\r\n");
    let bad: Vec<(String, Refusal)> = vec![
        (post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), Refusal::BothLengths),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), Refusal::BothLengths),
        (post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), Refusal::BothLengths),
        (post("Content-Length: 4\r\nContent-Length: 5\r\n"), Refusal::ContentLength),
        (post("Content-Length: 4\r\nContent-Length: 4\r\n"), Refusal::ContentLength),
        (post("Content-Length: 4, 4\r\n"), Refusal::ContentLength),
        (post("Content-Length: +4\r\n"), Refusal::ContentLength),
        (post("Content-Length: -4\r\n"), Refusal::ContentLength),
        (post("Content-Length: 0x4\r\n"), Refusal::ContentLength),
        (post("Content-Length: 4 4\r\n"), Refusal::ContentLength),
        (post("Content-Length:\r\n"), Refusal::ContentLength),
        (post("Content-Length: 99999999999999999999\r\n"), Refusal::ContentLength),
        (post("Transfer-Encoding: gzip, chunked\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding: chunked, chunked\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding: xchunked\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding: chunked;q=1\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding: \"chunked\"\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding:\r\n"), Refusal::TransferEncoding),
        (post("Transfer-Encoding: \u{b}chunked\r\n"), Refusal::FieldValue),
        (post("Transfer_Encoding: chunked\r\n"), Refusal::Underscore),
        (post("Content_Length: 4\r\n"), Refusal::Underscore),
        (post("Transfer-Encoding : chunked\r\n"), Refusal::FieldName),
        (post(" Transfer-Encoding: chunked\r\n"), Refusal::Folded),
        (post("X: y\r\n Transfer-Encoding: chunked\r\n"), Refusal::Folded),
        (post("X: y\r\n\tz\r\n"), Refusal::Folded),
        (post("X: y\nTransfer-Encoding: chunked\r\n"), Refusal::BareLineFeed),
        (post("X: y\rTransfer-Encoding: chunked\r\n"), Refusal::FieldValue),
        (post("X: y\r\r\n"), Refusal::FieldValue),
        (post("X: a\0b\r\n"), Refusal::FieldValue),
        (post("X: a\u{7f}b\r\n"), Refusal::FieldValue),
        (post("X\0: a\r\n"), Refusal::FieldName),
        (post("X Y: a\r\n"), Refusal::FieldName),
        (post("no colon\r\n"), Refusal::FieldName),
        (post(": nameless\r\n"), Refusal::FieldName),
        (post("caf\u{e9}: a\r\n"), Refusal::FieldName),
        (post("Host: a\r\n"), Refusal::Host),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), Refusal::Host),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(), Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".to_owned(), Refusal::Host),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Refusal::TransferEncoding),
        (get("GET /"), Refusal::RequestLine),
        (get("GET  / HTTP/1.1"), Refusal::Version),
        (get("GET / HTTP/1.1 "), Refusal::Version),
        (get("GET /a b HTTP/1.1"), Refusal::Version),
        (get("GET\t/\tHTTP/1.1"), Refusal::RequestLine),
        (get(" GET / HTTP/1.1"), Refusal::RequestLine),
        (get("G(T / HTTP/1.1"), Refusal::RequestLine),
        (get("GET / HTTP/1.2"), Refusal::Version),
        (get("GET / HTTP/2.0"), Refusal::Version),
        (get("GET / http/1.1"), Refusal::Version),
        (get("GET / HTTP/1.1\r"), Refusal::Version),
        (get("GET /caf\u{e9} HTTP/1.1"), Refusal::Target),
        (get("GET /\0 HTTP/1.1"), Refusal::Target),
        (get("GET /#x HTTP/1.1"), Refusal::Target),
        (get("GET a HTTP/1.1"), Refusal::Target),
        (get("GET * HTTP/1.1"), Refusal::Target),
        (get("GET ftp://a/ HTTP/1.1"), Refusal::Target),
        (get("CONNECT /x HTTP/1.1"), Refusal::Target),
        (get("CONNECT u@a:80 HTTP/1.1"), Refusal::Target),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), Refusal::BareLineFeed),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::BareLineFeed),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::BareLineFeed),
    ];
    for (stream, refusal) in bad {
        let poisoned = format!("{stream}GET /poison HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(every_cut(poisoned.as_bytes()), Some(Stop::Head(refusal)), "{stream:?}");
        let good = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
        // The empty line that is tolerated once stands before the bad head here.
        let passed = verdict(format!("{good}{poisoned}").as_bytes(), &[]).0;
        let blank = stream.len() - stream.trim_start_matches("\r\n").len();
        assert!((good.len()..=good.len() + blank.min(2)).contains(&passed), "{stream:?} {passed}");
    }
}

/// HTTP-02: chunked bodies that two readers could read in two ways are refused in the middle of the body.
#[test]
fn refuses_bad_chunks() {
    let bad = [
        ("x\r\n", Refusal::ChunkSize),
        ("\r\n", Refusal::ChunkSize),
        ("-1\r\n", Refusal::ChunkSize),
        ("+1\r\n", Refusal::ChunkSize),
        ("0x5\r\nhello\r\n", Refusal::ChunkSize),
        ("5 \r\nhello\r\n", Refusal::ChunkSize),
        (" 5\r\nhello\r\n", Refusal::ChunkSize),
        ("5\nhello\r\n", Refusal::ChunkSize),
        ("5;a\nhello\r\n", Refusal::ChunkSize),
        ("5;a\rb\r\nhello\r\n", Refusal::ChunkSize),
        ("5;a\0b\r\nhello\r\n", Refusal::ChunkSize),
        ("5,5\r\nhello\r\n", Refusal::ChunkSize),
        ("0000000000000005\r\nhello\r\n", Refusal::ChunkSize),
        ("fffffffffffffffff\r\n", Refusal::ChunkSize),
        ("5\r\nhello\n", Refusal::ChunkEnd),
        ("5\r\nhelloX\r\n", Refusal::ChunkEnd),
        ("5\r\nhello0\r\n\r\n", Refusal::ChunkEnd),
        ("0\r\nX : y\r\n\r\n", Refusal::FieldName),
        ("0\r\nX: y\n\r\n", Refusal::BareLineFeed),
        ("0\r\nX: y\r\n z\r\n\r\n", Refusal::Folded),
    ];
    for (body, refusal) in bad {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let stream = format!("{head}{body}GET /poison HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(every_cut(stream.as_bytes()), Some(Stop::Body(refusal)), "{body:?}");
    }
    let endless =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;{}\r\n", "a".repeat(CHUNK_LINE));
    assert_eq!(verdict(endless.as_bytes(), &[]).1, Some(Stop::Body(Refusal::ChunkSize)));
    let trailers = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}\r\n",
        "a: b\r\n".repeat(COUNT + 1)
    );
    assert_eq!(verdict(trailers.as_bytes(), &[]).1, Some(Stop::Body(Refusal::Trailers)));
}

#[test]
fn lets_good_requests_through_untouched() {
    for stream in GOOD {
        assert_eq!(every_cut(stream.as_bytes()), None, "{stream:?}");
        assert_eq!(verdict(stream.as_bytes(), &[]).0, stream.len());
    }
}

/// DOS-03: a head over a limit goes on to hyper, which has the same limits and answers 431; nothing is kept of it here.
#[test]
fn leaves_heads_over_the_limit_to_hyper_and_keeps_nothing() {
    for head in [
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(BYTES)),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(COUNT)),
    ] {
        let mut framing = Framing::new(BYTES, COUNT);
        assert_eq!(framing.check(head.as_bytes()), Progress { accepted: head.len(), stop: None });
        assert_eq!((framing.stage, framing.line.capacity()), (Stage::TooLarge, 0));
    }
}

/// HTTP-13: bytes behind a request for an upgrade wait for its answer, and are then a tunnel's or a request's.
#[test]
fn holds_what_follows_a_request_for_an_upgrade() {
    let head = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut stream = head.to_vec();
    stream.extend_from_slice(b"\x81\x03a\r\n");
    for switched in [true, false] {
        let mut framing = Framing::new(BYTES, COUNT);
        assert_eq!(framing.check(&stream), Progress { accepted: head.len(), stop: Some(Stop::Held) });
        assert!(framing.is_held());
        framing.resume(switched);
        let rest = framing.check(&stream[head.len()..]);
        let expected = if switched {
            Progress { accepted: 5, stop: None }
        } else {
            Progress { accepted: 0, stop: Some(Stop::Head(Refusal::RequestLine)) }
        };
        assert_eq!(rest, expected);
    }
}

/// A second reading of one request's head, written from the RFC without a thought for speed.
fn strictly_valid(head: &str) -> bool {
    let Some(head) = head.strip_suffix("\r\n\r\n") else { return false };
    let lines: Vec<&str> = head.split("\r\n").collect();
    let token = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    };
    let mut line = lines[0].split(' ');
    let (Some(method), Some(target), Some(version), None) = (line.next(), line.next(), line.next(), line.next()) else {
        return false;
    };
    if !token(method) || !target.starts_with('/') || !target.chars().all(|c| ('!'..='~').contains(&c)) {
        return false;
    }
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return false;
    }
    let (mut hosts, mut lengths, mut codings) = (vec![], vec![], vec![]);
    for field in &lines[1..] {
        let Some((name, value)) = field.split_once(':') else { return false };
        if !token(name) || value.chars().any(|c| c != '\t' && (c < ' ' || c == '\u{7f}')) {
            return false;
        }
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts.push(value),
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    let digits = |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    hosts.len() == 1
        && !hosts[0].is_empty()
        && (lengths.is_empty() || (lengths.len() == 1 && lengths.iter().all(digits) && codings.is_empty()))
        && (codings.is_empty()
            || (codings.len() == 1 && codings[0].eq_ignore_ascii_case("chunked") && version == "HTTP/1.1"))
}

/// Pieces that heads are made of, good and bad, so that random rows of them come near the line between the two.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => Just("\r\n".to_owned()),
        3 => prop::sample::select(vec![
            "Host: a", "Content-Length: 3", "Transfer-Encoding: chunked", "content-length:03", "X: y", "TE: trailers",
            "Content-Length: 3,3", "Transfer-Encoding: chunked, identity", "Upgrade: websocket", "Host:", "a", "X : y",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["\n", "\r", " ", "\t", ":", "\0", "\u{7f}", "#", "\u{e9}"]).prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
    ];
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "POST /x?y HTTP/1.1",
        "GET / HTTP/1.0",
        "PUT /a b HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /",
    ]);
    (line, prop::collection::vec(piece, 0..12))
        .prop_map(|(line, rest)| format!("{line}\r\nHost: a\r\n{}", rest.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// HTTP-03: random bytes never panic, and where they are cut never changes what passes.
    #[test]
    fn the_verdict_does_not_depend_on_the_cuts(
        stream in prop_oneof![pieces().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..300)],
        cuts in prop::collection::vec(0_usize..300, 0..8),
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (whole, stop) = verdict(&stream, &[]);
        let (cut, cut_stop) = verdict(&stream, &cuts);
        prop_assert_eq!(stop, cut_stop);
        // Cut, bytes of a head may have passed before its bad part came; never more of the stream than that.
        prop_assert!(cut >= whole);
    }

    /// HTTP-01, HTTP-02, HTTP-03: no head passes that the strict reader refuses, and no good one is refused.
    #[test]
    fn agrees_with_the_strict_reader(head in pieces()) {
        let head = match head.find("\r\n\r\n") {
            Some(at) => head.get(..at + 4).unwrap().to_owned(),
            None => format!("{}\r\n\r\n", head.trim_end_matches(['\r', '\n'])),
        };
        let (passed, stop) = verdict(head.as_bytes(), &[]);
        let valid = strictly_valid(&head);
        if !valid {
            prop_assert!(matches!(stop, Some(Stop::Head(_))), "{:?} passed: {:?}", head, stop);
            prop_assert_eq!(passed, 0);
        } else if !head.contains('#') && !head.contains('\u{e9}') {
            prop_assert!(!matches!(stop, Some(Stop::Head(_))), "{:?} refused: {:?}", head, stop);
        }
    }
}

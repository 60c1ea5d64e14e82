use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};

use super::*;
use crate::testing::SeededRandom;
use crate::web::cookie::SessionCookie;
use crate::web::settings::{CookieSettings, NetworkSettings, SameSite};

/// Public are app.example.com and app.example.org:8443; `trusted` are the trusted proxies.
pub(crate) fn network(trusted: &[&str]) -> Network {
    let origin = |text| Arc::new(PublicOrigin::parse(text).unwrap());
    Network::new(
        NetworkSettings {
            public: vec![origin("https://app.example.com"), origin("https://app.example.org:8443")],
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            endpoints: "/oauth2".into(),
            identity_headers: vec!["X-Identity".into(), "Authorization".into()],
            hsts: Some("max-age=31536000".into()),
        },
        CookieSettings { name: "__Host-vestibule".into(), same_site: SameSite::Lax, partitioned: false, secure: true },
    )
}

/// A GET of `target` by HTTP/1.1, at app.example.com unless `fields` say otherwise.
fn parts(method: &str, target: &str, version: Version, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target).version(version);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn read_from(peer: &str, trusted: &[&str], parts: Parts) -> Result<ClientRequest, RequestError> {
    let connection = Connection::new(Some(format!("{peer}:4711").parse().unwrap()), true);
    ClientRequest::read(parts, &connection, &network(trusted), RequestId::new(&SeededRandom::new(1)))
        .map_err(|it| it.error)
}

fn read(parts: Parts) -> Result<ClientRequest, RequestError> {
    read_from("192.0.2.1", &[], parts)
}

fn get(target: &str, fields: &[(&str, &str)]) -> Result<ClientRequest, RequestError> {
    let fields: Vec<_> = [("host", "app.example.com")].iter().chain(fields).copied().collect();
    read(parts("GET", target, Version::HTTP_11, &fields))
}

/// HTTP-11: one valid authority, known, and the same wherever it is named.
#[test]
fn the_host_is_one_and_known() {
    use RequestError::*;
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    for (version, target, hosts, found) in [
        (h1, "/", &["app.example.com"][..], Ok("https://app.example.com")),
        (h1, "/", &["APP.example.com:443"], Ok("https://app.example.com")),
        (h1, "/", &["app.example.org:8443"], Ok("https://app.example.org:8443")),
        (h1, "/", &["app.example.org"], Err(UnknownHost)),
        (h1, "/", &["app.example.com:80"], Err(UnknownHost)),
        (h1, "/", &["evil.example"], Err(UnknownHost)),
        (h1, "/", &[], Err(NoHost)),
        (h1, "/", &[""], Err(InvalidHost)),
        (h1, "/", &["app.example.com", "app.example.com"], Err(ManyHosts)),
        (h1, "/", &["app.example.com, evil.example"], Err(InvalidHost)),
        (h1, "/", &["u@app.example.com"], Err(InvalidHost)),
        (h1, "/", &["app.example.com/"], Err(InvalidHost)),
        (Version::HTTP_10, "/", &[], Err(NoHost)),
        (Version::HTTP_10, "/", &["app.example.com"], Ok("https://app.example.com")),
        (h1, "http://app.example.com/", &["app.example.com"], Ok("https://app.example.com")),
        (h1, "https://App.example.com/a", &["app.example.com"], Ok("https://app.example.com")),
        (h1, "http://evil.example/", &["app.example.com"], Err(HostMismatch)),
        (h1, "http://app.example.com/", &["evil.example"], Err(HostMismatch)),
        (h1, "http://app.example.com/", &[], Err(NoHost)),
        (h1, "http://u@app.example.com/", &["app.example.com"], Err(HostMismatch)),
        (h1, "ftp://app.example.com/", &["app.example.com"], Err(TargetForm)),
        (h1, "app.example.com:443", &["app.example.com:443"], Err(TargetForm)),
        (h2, "https://app.example.com/", &[], Ok("https://app.example.com")),
        (h2, "https://app.example.com/", &["app.example.com"], Ok("https://app.example.com")),
        (h2, "https://app.example.com/", &["evil.example"], Err(HostMismatch)),
        (h2, "https://u@app.example.com/", &[], Err(InvalidHost)),
        (h2, "https://u@app.example.com/", &["u@app.example.com"], Err(InvalidHost)),
        (h2, "https://evil.example/", &[], Err(UnknownHost)),
        (h2, "/", &["app.example.com"], Err(NoHost)),
        (h2, "/", &[], Err(NoHost)),
    ] {
        let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let origin = read(parts("GET", target, version, &fields)).map(|request| request.origin.to_string());
        assert_eq!(origin, found.map(str::to_owned), "{version:?} {target} {hosts:?}");
    }
}

/// HTTP-10, LOGIN-13: a trusted proxy says which origin the browser sees; nobody else does, and it is always one of ours.
#[test]
fn the_origin_comes_from_configuration() {
    let host = |fields: &[(&str, &str)], trusted: &[&str]| {
        let fields: Vec<_> = [("host", "inner:8080")].iter().chain(fields).copied().collect();
        read_from("10.0.0.1", trusted, parts("GET", "/", Version::HTTP_11, &fields))
            .map(|request| request.origin.to_string())
    };
    let trusted = &["10.0.0.0/8"][..];
    let app = Ok("https://app.example.com".to_owned());
    assert_eq!(host(&[("x-forwarded-host", "app.example.com")], trusted), app);
    assert_eq!(host(&[("x-forwarded-host", "app.example.com"), ("x-forwarded-proto", "http")], trusted), app);
    assert_eq!(host(&[("forwarded", "for=192.0.2.7;host=app.example.com")], trusted), app);
    assert_eq!(host(&[("x-forwarded-host", "evil.example")], trusted), Err(RequestError::UnknownHost));
    assert_eq!(host(&[("x-forwarded-host", "a b")], trusted), Err(RequestError::InvalidHost));
    assert_eq!(host(&[("x-forwarded-host", "app.example.com")], &[]), Err(RequestError::UnknownHost));

    let spoofed =
        get("/", &[("x-forwarded-host", "app.example.org:8443"), ("forwarded", "host=\"app.example.org:8443\"")])
            .unwrap();
    assert_eq!(spoofed.origin.to_string(), "https://app.example.com");
}

/// HTTP-09: a stranger's forwarding fields mean nothing and go nowhere; a trusted peer's are read, then said anew.
#[test]
fn the_client_is_who_trusted_proxies_say() {
    let fields = [
        ("host", "app.example.com"),
        ("x-forwarded-for", "198.51.100.7"),
        ("x_forwarded_for", "6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("x-forwarded-user", "root"),
        ("x-original-url", "/admin"),
        ("accept", "*/*"),
    ];
    let stranger = read_from("192.0.2.1", &["10.0.0.0/8"], parts("GET", "/", Version::HTTP_11, &fields)).unwrap();
    assert_eq!(stranger.address.to_string(), "192.0.2.1");
    assert_eq!(stranger.forwarded_for_value(), "192.0.2.1");
    assert!(stranger.described.is_none());

    let trusted = read_from("10.0.0.1", &["10.0.0.0/8"], parts("GET", "/", Version::HTTP_11, &fields)).unwrap();
    assert_eq!(trusted.address.to_string(), "198.51.100.7");
    assert_eq!(trusted.forwarded_for_value(), "198.51.100.7, 10.0.0.1");
    assert_eq!(trusted.described.as_ref().unwrap()["x-original-url"], "/admin");

    for request in [&stranger, &trusted] {
        let names: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept"]);
        assert_eq!(request.path.as_str(), "/");
    }
}

/// HTTP-09: an address in IPv6 clothes is still that address, and a Unix socket's peer is this machine.
#[test]
fn peers_in_every_form() {
    let trusted = network(&["127.0.0.0/8"]);
    for peer in [Some("127.0.0.1:1"), Some("[::ffff:127.0.0.1]:1"), None] {
        let connection = Connection::new(peer.map(|peer| peer.parse().unwrap()), false);
        let fields = [("host", "app.example.com"), ("x-forwarded-for", "[2001:db8::7]:1")];
        let request = ClientRequest::read(
            parts("GET", "/", Version::HTTP_11, &fields),
            &connection,
            &trusted,
            RequestId::new(&SeededRandom::new(1)),
        )
        .unwrap();
        assert_eq!(request.forwarded_for_value(), "2001:db8::7, 127.0.0.1", "{peer:?}");
    }
}

/// A proxy that asks for forward-auth by our inner name.
#[test]
fn forward_auth_by_an_inner_name() {
    let fields = [("host", "vestibule.svc"), ("x-original-url", "https://app.example.com/a?b")];
    let read = |peer, target| {
        read_from(peer, &["10.0.0.0/8"], parts("GET", target, Version::HTTP_11, &fields))
            .map(|it| it.origin.to_string())
    };
    assert_eq!(read("10.0.0.1", "/oauth2/auth"), Ok("https://app.example.com".into()));
    assert_eq!(read("10.0.0.1", "/other"), Err(RequestError::UnknownHost));
    assert_eq!(read("192.0.2.1", "/oauth2/auth"), Err(RequestError::UnknownHost));
}

/// HTTP-14: CONNECT and TRACE are refused, and so is what is no path.
#[test]
fn methods_and_targets() {
    use RequestError::*;
    for (method, target, error) in [
        ("TRACE", "/", Method),
        ("CONNECT", "app.example.com:443", Method),
        ("CONNECT", "/", Method),
        ("OPTIONS", "*", TargetForm),
        ("GET", "*", TargetForm),
        ("GET", "/\u{e4}", NonAsciiTarget),
        ("GET", "/?\u{e4}", NonAsciiTarget),
        ("GET", "//admin", Path(crate::web::PathError::EmptySegment)),
        ("GET", "/a/..;/admin", Path(crate::web::PathError::DotSegment)),
    ] {
        let found = read(parts(method, target, Version::HTTP_11, &[("host", "app.example.com")]));
        assert_eq!(found.unwrap_err(), error, "{method} {target}");
    }
    assert_eq!(Method.status(), 405);
    assert_eq!(UnknownHost.status(), 421);
    assert_eq!(Expectation.status(), 417);
    assert_eq!(NoHost.status(), 400);
}

/// HTTP-25: unknown methods pass, and repeated fields stay apart and in order.
#[test]
fn unknown_methods_and_repeated_fields_pass() {
    let fields = [("host", "app.example.com"), ("x-a", "1"), ("accept", "a"), ("x-a", "2"), ("x-a", "1")];
    let request = read(parts("PROPFIND", "/", Version::HTTP_11, &fields)).unwrap();
    assert_eq!(request.method.as_str(), "PROPFIND");
    assert_eq!(request.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2", "1"]);
}

/// LOGIN-17: path and query reach the application byte for byte; HTTP-06: but in one canonical form.
#[test]
fn targets_keep_their_bytes() {
    for (target, forwarded) in [
        ("/a;b?x=%20&x=%2F1", "/a;b?x=%20&x=%2F1"),
        ("/a%2Fb?", "/a%2Fb?"),
        ("/%7e/./x/../y?q=/../%7e", "/~/y?q=/../%7e"),
        ("/", "/"),
    ] {
        let request = get(target, &[]).unwrap();
        assert_eq!(request.target(), forwarded);
        assert_eq!(request.query(), forwarded.split_once('?').map(|(_, query)| query));
    }
    let request = get("/a;b?x=%20&x=%2F1", &[]).unwrap();
    assert_eq!(crate::web::ReturnTo::of(&request, &network(&[])).as_str(), "/a;b?x=%20&x=%2F1");
    let login = get("/oauth2/login?rd=/a", &[]).unwrap();
    assert_eq!(crate::web::ReturnTo::of(&login, &network(&[])).as_str(), "/");
}

/// Transfer codings other than `chunked` once, and connection fields in HTTP/2, are refused.
#[test]
fn framing_that_would_be_lost() {
    use RequestError::*;
    let host = ("host", "app.example.com");
    for (version, fields, error) in [
        (Version::HTTP_11, &[host, ("transfer-encoding", "chunked")][..], None),
        (Version::HTTP_11, &[host, ("transfer-encoding", "Chunked")], None),
        (Version::HTTP_11, &[host, ("transfer-encoding", "gzip, chunked")], Some(TransferCoding)),
        (
            Version::HTTP_11,
            &[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            Some(TransferCoding),
        ),
        (Version::HTTP_11, &[host, ("transfer-encoding", "")], Some(TransferCoding)),
        (Version::HTTP_10, &[host, ("transfer-encoding", "chunked")], Some(TransferCoding)),
        (Version::HTTP_2, &[("transfer-encoding", "chunked")], Some(ConnectionField)),
        (Version::HTTP_2, &[("connection", "close")], Some(ConnectionField)),
        (Version::HTTP_2, &[("upgrade", "websocket")], Some(ConnectionField)),
        (Version::HTTP_2, &[("transfer_encoding", "chunked")], Some(FramingField)),
        (Version::HTTP_2, &[("content_length", "5")], Some(FramingField)),
        (Version::HTTP_11, &[host, ("content_length", "5")], Some(FramingField)),
        (Version::HTTP_2, &[("te", "trailers")], None),
    ] {
        let target = if version == Version::HTTP_2 { "https://app.example.com/" } else { "/" };
        let found = read(parts("POST", target, version, fields));
        assert_eq!(found.as_ref().err().copied(), error, "{version:?} {fields:?}");
        if let Ok(request) = found {
            assert!(!request.headers.contains_key(TRANSFER_ENCODING));
            assert_eq!(request.takes_trailers, version == Version::HTTP_2);
        }
    }
}

/// `100-continue` is kept in mind, everything else is 417.
#[test]
fn expectations() {
    assert!(get("/", &[("expect", "100-Continue")]).unwrap().expects_continue);
    assert!(!get("/", &[]).unwrap().expects_continue);
    assert!(!get("/", &[("expect", "100-continue")]).unwrap().headers.contains_key("expect"));
    for other in ["200-ok", "100-continue, x", ""] {
        assert_eq!(get("/", &[("expect", other)]).unwrap_err(), RequestError::Expectation);
    }
    let old = read(parts("POST", "/", Version::HTTP_10, &[("host", "app.example.com"), ("expect", "100-continue")]));
    assert!(!old.unwrap().expects_continue);
}

/// HTTP-14: WebSocket is the only upgrade there is; others are stripped and the request is an ordinary one.
#[test]
fn upgrades() {
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let version = ("sec-websocket-version", "13");
    let upgrade = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    let handshake = |fields: &[(&str, &str)]| get("/", &[&upgrade, fields].concat()).map(|request| request.upgrade);
    assert_eq!(handshake(&[key, version]), Ok(Some(Upgrade::WebSocket)));
    assert_eq!(handshake(&[version]), Err(RequestError::Handshake));
    assert_eq!(handshake(&[key]), Err(RequestError::Handshake));
    assert_eq!(handshake(&[key, key, version]), Err(RequestError::Handshake));
    assert_eq!(handshake(&[("sec-websocket-key", "short"), version]), Err(RequestError::Handshake));
    assert!(get("/", &[&upgrade[..], &[key, version]].concat()).unwrap().headers.contains_key("sec-websocket-key"));

    let h2c =
        get("/", &[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")])
            .unwrap();
    assert_eq!(h2c.upgrade, None);
    assert!(h2c.headers.is_empty(), "{:?}", h2c.headers);
    assert_eq!(get("/", &[("upgrade", "websocket"), key, version]).unwrap().upgrade, None);

    let mut extended = parts("CONNECT", "https://app.example.com/chat", Version::HTTP_2, &[]);
    extended.extensions.insert(Protocol::from_static("websocket"));
    let request = read(extended).unwrap();
    assert_eq!((request.method, request.upgrade), (Method::GET, Some(Upgrade::WebSocketHttp2)));
    let mut other = parts("CONNECT", "https://app.example.com/chat", Version::HTTP_2, &[]);
    other.extensions.insert(Protocol::from_static("connect-udp"));
    assert_eq!(read(other).unwrap_err(), RequestError::Method);
}

/// ID-01, ID-02, ID-03, SESS-06, CSRF-06, OPS-01: what is left of a hostile request is harmless, and printing it shows no credential.
#[test]
fn only_harmless_fields_are_left() {
    let request = get(
        "/",
        &[
            ("connection", "close, X-Identity, Authorization, Cookie, X-Private"),
            ("x-private", "1"),
            ("x-identity", "forged"),
            ("X_Identity", "forged"),
            ("x-identity_", "forged"),
            ("authorization", "Basic QQ=="),
            ("cookie", "__Host-vestibule=S; a=1"),
            ("x-http-method-override", "DELETE"),
            ("x-vestibule-identity", "forged"),
            ("te", "trailers, gzip"),
            ("accept", "*/*"),
            ("content-type", "text/plain"),
            ("proxy-authorization", "Basic QQ=="),
        ],
    )
    .unwrap();
    assert_eq!(request.headers.len(), 2);
    assert_eq!(request.headers[ACCEPT], "*/*");
    assert_eq!(request.headers[CONTENT_TYPE], "text/plain");
    assert!(request.takes_trailers);
    assert!(matches!(&request.authorization, AuthorizationHeader::One(value) if value == "Basic QQ=="));
    assert_eq!(request.cookies.session, SessionCookie::One("S".into()));
    assert_eq!(request.cookies.forward.as_ref().unwrap(), "a=1");
    assert!(!format!("{request:?} {:?}", request.authorization).contains("QQ"));

    let several = get("/", &[("authorization", "Bearer a"), ("authorization", "Basic b")]).unwrap();
    assert!(matches!(several.authorization, AuthorizationHeader::Several));
    assert!(several.headers.is_empty());
}

/// A session is taken from the cookie only.
#[test]
fn sessions_come_from_the_cookie_only() {
    let request =
        get("/?__Host-vestibule=a&sid=b", &[("x-session", "c"), ("__host-vestibule", "d"), ("authorization", "d")])
            .unwrap();
    assert_eq!(request.cookies.session, SessionCookie::None);
}

/// A preflight is one that says so.
#[test]
fn preflights() {
    let preflight = |method: &str, fields: &[(&str, &str)]| {
        let fields: Vec<_> = [("host", "app.example.com")].iter().chain(fields).copied().collect();
        read(parts(method, "/", Version::HTTP_11, &fields)).unwrap().preflight
    };
    let (origin, method) = (("origin", "https://spa.example.com"), ("access-control-request-method", "PUT"));
    assert!(preflight("OPTIONS", &[origin, method]));
    assert!(!preflight("OPTIONS", &[origin]));
    assert!(!preflight("OPTIONS", &[method]));
    assert!(!preflight("GET", &[origin, method]));
}

/// CACHE-03, API-17: rejections are answered in the client's format, and name the request.
#[test]
fn rejections_are_answered_nicely() {
    let connection = Connection::new(None, false);
    for (accept, format, kind) in
        [("text/html", Format::Html, "text/html; charset=utf-8"), ("*/*", Format::Problem, "application/problem+json")]
    {
        let parts = parts("TRACE", "/", Version::HTTP_11, &[("accept", accept)]);
        let rejected =
            ClientRequest::read(parts, &connection, &network(&[]), RequestId::new(&SeededRandom::new(1))).unwrap_err();
        assert_eq!((rejected.format, rejected.https), (format, false));
        let answer = rejected.answer();
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.headers()[CONTENT_TYPE], kind);
        assert!(answer.headers().contains_key("allow"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
}

//! Header fields, trailers, methods and statuses on their way through.

use crate::support::echo::Seen;
use crate::world::World;

fn names(seen: &Seen) -> Vec<String> {
    seen.headers.iter().map(|(name, _)| name.to_lowercase()).collect()
}

/// HTTP-05: what is for the next hop ends here, both ways, and `Connection` takes what it names and nothing else.
#[tokio::test]
async fn hop_by_hop_fields_end_here() {
    let world = World::start().await;
    let lines = [
        "Connection: X-Foo, keep-alive",
        "X-Foo: 1",
        "X-Bar: 2",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "TE: trailers, deflate",
        "Upgrade: foo",
    ];
    let seen = world.seen("GET /public", &lines).await;
    for gone in ["x-foo", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "transfer-encoding"] {
        assert_eq!(seen.header(gone), None, "{gone}: {seen:?}");
    }
    assert_eq!((seen.header("x-bar"), seen.header("te")), (Some("2"), Some("trailers")));
    assert_eq!(seen.header("connection"), Some("te"), "what is for this hop is named for this hop");

    let target = "/public/header?Connection=X-Foo&X-Foo=1&X-Bar=2&Keep-Alive=timeout%3D5&Proxy-Connection=x\
        &Proxy-Authenticate=Basic&Upgrade=h2c&Trailer=X-T";
    let answer = world.ask(&format!("GET {target}"), &[]).await;
    for gone in ["x-foo", "keep-alive", "proxy-connection", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.header(gone), None, "{gone}: {answer:?}");
    }
    assert!(!answer.header("connection").is_some_and(|value| value.to_lowercase().contains("x-foo")));
    assert_eq!((answer.status, answer.header("x-bar")), (200, Some("2")));
    for gone in
        ["/public/header?Connection=close,%20Cache-Control,%20Set-Cookie&Cache-Control=no-store&Set-Cookie=a%3Db"]
    {
        let answer = world.ask(&format!("GET {gone}"), &[]).await;
        assert_eq!((answer.header("cache-control"), answer.header("set-cookie")), (Some("no-store"), Some("a=b")));
    }
}

/// HTTP-09: who the client is comes from the connection; what a stranger says of it is dropped.
#[tokio::test]
async fn strangers_do_not_say_who_they_are() {
    let world = World::start().await;
    let lines = [
        "Forwarded: for=192.0.2.1;host=evil.example;proto=https",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.2",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Server: evil",
        "X_Forwarded_For: 192.0.2.3",
        "X-Real-IP: 192.0.2.4",
        "Client-Cert: :AAAA:",
        "X-SSL-Client-Verify: SUCCESS",
    ];
    let seen = world.seen("GET /public", &lines).await;
    assert_eq!(seen.cgi_variable("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.cgi_variable("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.cgi_variable("x-forwarded-host"), [world.host()]);
    for gone in
        ["forwarded", "x-forwarded-port", "x-forwarded-server", "x-real-ip", "client-cert", "x-ssl-client-verify"]
    {
        assert!(seen.cgi_variable(gone).is_empty(), "{gone}: {seen:?}");
    }
    assert!(!seen.raw_head.contains("192.0.2.") && !seen.raw_head.contains("evil"), "{}", seen.raw_head);
}

/// HTTP-09: what listed peers say counts, from right to left and no further than the first address that is not listed.
#[tokio::test]
async fn listed_peers_say_who_the_client_is() {
    let world = World::with(|config| {
        config.with("network.trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\", \"2001:db8::/32\"]")
    })
    .await;
    let cases: &[(&[&str], &str)] = &[
        (&[], "127.0.0.1"),
        (&["X-Forwarded-For: 192.0.2.1"], "192.0.2.1, 127.0.0.1"),
        (&["X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1, 10.0.0.2, 127.0.0.1"),
        (&["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1, 127.0.0.1"),
        (&["X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2, 127.0.0.1"),
        (&["X-Forwarded-For: 192.0.2.1:4711"], "192.0.2.1, 127.0.0.1"),
        (&["X-Forwarded-For: 2001:db9::1, 2001:db8::5"], "2001:db9::1, 2001:db8::5, 127.0.0.1"),
        (&["Forwarded: for=192.0.2.7", "X-Forwarded-For: 203.0.113.9"], "192.0.2.7, 127.0.0.1"),
        (&["Forwarded: for=\"[2001:db9::17]:4711\";proto=http, for=10.0.0.2"], "2001:db9::17, 10.0.0.2, 127.0.0.1"),
        (&["Forwarded: for=192.0.2.7, for=_hidden, for=10.0.0.2"], "10.0.0.2, 127.0.0.1"),
        (&["Forwarded: for=\"192.0.2.7", "X-Forwarded-For: 192.0.2.8"], "127.0.0.1"),
    ];
    for (lines, expected) in cases {
        let seen = world.seen("GET /public", lines).await;
        assert_eq!(seen.cgi_variable("x-forwarded-for"), [*expected], "{lines:?}");
        assert!(seen.header("forwarded").is_none(), "{lines:?}");
    }
}

/// HTTP-22: trailers go through both ways, without those that decide anything.
#[tokio::test]
async fn trailers_go_through_without_what_decides() {
    let world = World::start().await;
    let body = "5\r\nhello\r\n0\r\nX-Sum: 7\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\nHost: evil\r\n\
        Authorization: Basic x\r\nCookie: a=b\r\nX-Vestibule-Identity: e30.e30.\r\nX_Vestibule_Identity: e30.e30.\r\n\
        X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\nContent-Type: text/html\r\nTE: x\r\n\r\n";
    let head = world.head("POST /public", &["Transfer-Encoding: chunked", "Trailer: X-Sum, Content-Length, Transfer-Encoding, Host, Authorization, Cookie, X-Vestibule-Identity, X_Vestibule_Identity, X-Forwarded-For, Forwarded, Content-Type, TE"]);
    let answer = world.send(format!("{head}{body}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = world.echo.last();
    assert_eq!((seen.body.as_str(), seen.complete), ("hello", true));
    let trailers: Vec<_> = seen.trailers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    assert_eq!(trailers, [("x-sum".to_owned(), "7")]);

    let target = "/public/trailers?X-Sum=7&Set-Cookie=a%3Db&Location=/x&Content-Length=3&WWW-Authenticate=Basic\
        &X-Vestibule-Identity=x&Cache-Control=public&Strict-Transport-Security=max-age%3D0";
    let answer = world.ask(&format!("GET {target}"), &["TE: trailers", "Connection: TE"]).await;
    assert_eq!((answer.text().as_str(), answer.complete), ("hello", true));
    let trailers: Vec<_> = answer.trailers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    assert_eq!(trailers, [("x-sum".to_owned(), "7")]);
}

/// HTTP-24: answers without a body have none, whatever their fields say, and the connection goes on.
#[tokio::test]
async fn answers_without_bodies_have_none() {
    let world = World::start().await;
    world.echo.answer_raw("/public/n204", "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n");
    world.echo.answer_raw("/public/n304", "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n");
    world.echo.answer_raw("/public/head", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    world.echo.answer_raw("/public/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut raw = world.raw().await;
    for (method, path, status, length) in [
        ("GET", "/public/n204", 204, None),
        ("HEAD", "/public/n204", 204, None),
        ("GET", "/public/n304", 304, None),
        ("HEAD", "/public/head", 200, Some("1234")),
        ("GET", "/public/empty", 200, Some("0")),
        ("POST", "/public/n204", 204, None),
    ] {
        raw.send(world.head(&format!("{method} {path}"), &["Content-Length: 0"])).await;
        let answer = raw.answer_to(method).await.unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (status, length), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("transfer-encoding"), None, "{method} {path}");
        // In step: the next answer is the next request's.
        raw.send(world.head("GET /public/next", &[])).await;
        assert_eq!(raw.answer().await.unwrap().json()["target"], "/public/next");

        let request = http::Request::builder().method(method).uri(world.url(path)).body("").unwrap();
        let answer = world.h2().await.send(request).await.unwrap();
        let found = answer.headers.get("content-length").and_then(|length| length.to_str().ok());
        assert_eq!((answer.status, answer.body.len(), found), (status, 0, length), "{method} {path} over HTTP/2");
    }
}

/// HTTP-25: repeated fields stay apart and in order, and what nobody has heard of goes through.
#[tokio::test]
async fn nothing_is_tidied_up() {
    let world = World::start().await;
    let lines = ["X-A: 1", "Accept: a/b", "x-a: 2", "Accept: c/d", "X-Odd: a\tb,, c", "X-Empty:", "X_Under: 1"];
    let seen = world.seen("GET /public/a?b=%20&b&c=%zz+%", &lines).await;
    assert_eq!(seen.target, "/public/a?b=%20&b&c=%zz+%");
    assert_eq!(seen.header_all("x-a"), ["1", "2"]);
    assert_eq!(seen.header_all("accept"), ["a/b", "c/d"]);
    assert_eq!(
        (seen.header("x-odd"), seen.header("x-empty"), seen.header("x_under")),
        (Some("a\tb,, c"), Some(""), Some("1"))
    );
    assert!(names(&seen).iter().all(|name| name != "accept-encoding" && name != "user-agent"), "nothing is invented");

    let target =
        "/public/set-cookie?line=a%3Db;%20Expires%3DThu,%2001%20Jan%202099%2000:00:00%20GMT&line=c%3Dd&line=e%3Df";
    let answer = world.ask(&format!("GET {target}"), &[]).await;
    assert_eq!(answer.header_all("set-cookie"), ["a=b; Expires=Thu, 01 Jan 2099 00:00:00 GMT", "c=d", "e=f"]);
    for method in ["QUERY", "PROPFIND", "PURGE", "M-SEARCH", "get", "PATCH"] {
        let seen = world.seen(&format!("{method} /public"), &["Content-Length: 0"]).await;
        assert_eq!(seen.method, method);
    }
    for status in [299, 418, 451, 499, 599, 302, 500] {
        assert_eq!(world.ask(&format!("GET /public/status?code={status}&body=x"), &[]).await.status, status);
    }
    let odd = world.ask("GET /public/header?X-Bytes=%C3%A4&X-A=1&X-A=2", &[]).await;
    assert_eq!((odd.header("x-bytes"), odd.header_all("x-a")), (Some("\u{e4}"), vec!["1", "2"]));
}

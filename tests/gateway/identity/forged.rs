//! Identities that a client makes up.

use http::{HeaderMap, HeaderName, Method, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::support::echo::Seen;
use crate::support::h2::H2;
use crate::support::websocket::WebSocket;
use crate::support::{Ask, ConfigBuilder, Echo, Gateway};
use crate::world::World;

/// Every spelling that some server folds into one of the variables, and fields that say who somebody is.
const FORGED: &[&str] = &[
    "X-Vestibule-Identity",
    "x-vestibule-identity",
    "X-VESTIBULE-IDENTITY",
    "X_Vestibule_Identity",
    "X-Vestibule_Identity",
    "X_Vestibule-Identity",
    "X-Vestibule-Identity_",
    "X-Vestibule-Identity-",
    "X.Vestibule.Identity",
    "X-Team-User",
    "X_Team_User",
    "x-team_user",
    "X-Team-User-",
    "X-Team-Groups",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X_Forwarded_Access_Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Vestibule-Anything",
];

fn config(config: ConfigBuilder) -> ConfigBuilder {
    config.with(
        "[upstreams.app.identity.headers]\n\"X-Team-User\" = \"sub\"\n\"X-Team-Groups\" = \"groups\"\n\
         [upstreams.app.identity]\nclaims = [\"email\"]",
    )
}

fn forged_lines() -> Vec<String> {
    FORGED.iter().flat_map(|name| [format!("{name}: root"), format!("{name}: root2")]).collect()
}

/// Nothing of what was forged is there; `person` says whether our own is.
fn assert_ours_alone(seen: &Seen, person: bool, what: &str) {
    for (name, value) in &seen.headers {
        assert!(!value.contains("root"), "{what}: {name}: {value}");
    }
    for (name, value) in &seen.trailers {
        assert!(!value.contains("root"), "{what}: trailer {name}: {value}");
    }
    let counts = ["x-vestibule-identity", "x-team-user", "x-team-groups"].map(|name| seen.cgi_variable(name).len());
    assert_eq!(counts, [usize::from(person); 3], "{what}: {seen:?}");
    if person {
        assert_eq!(seen.identity().unwrap()["sub"], "alice", "{what}");
        assert_eq!((seen.header("x-team-user"), seen.header("x-team-groups")), (Some("alice"), Some("staff,dev")));
    }
}

/// ID-01, ID-02: on every kind of route, with and without a session, in every spelling, repeated, over both versions, only the
/// gateway says who is calling.
#[tokio::test]
async fn only_the_gateway_names_the_caller() {
    let world = World::with(config).await;
    let cookie = world.cookie().await;
    let forged = forged_lines();
    let forged: Vec<&str> = forged.iter().map(String::as_str).collect();
    let h2 = world.h2().await;
    for (path, session, person) in [
        ("/x", true, true),
        ("/public", false, false),
        ("/public", true, false),
        ("/optional", false, false),
        ("/optional", true, true),
    ] {
        let cookie: &[&str] = if session { &[&cookie] } else { &[] };
        for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
            let lines = [&forged[..], cookie, &["X-Requested-With: x"]].concat();
            let seen = world.seen(&format!("{method} {path}"), &lines).await;
            assert_ours_alone(&seen, person, &format!("{method} {path}"));
        }
        let mut request = Request::get(world.url(path));
        for line in [&forged[..], cookie].concat() {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(HeaderName::try_from(name.to_lowercase()).unwrap(), value);
        }
        assert_eq!(h2.send(request.body("").unwrap()).await.unwrap().status, 200);
        assert_ours_alone(&world.echo.last(), person, &format!("{path} over HTTP/2"));
    }
    world.echo.forget();
    for (start, lines, status) in
        [("GET /x", &forged[..], 401), ("GET /oauth2/userinfo", &forged, 401), ("GET /a%2fb", &forged, 400)]
    {
        let answer = world.ask(start, lines).await;
        assert_eq!((answer.status, world.echo.count()), (status, 0), "{start}");
        assert!(!format!("{:?}{}", answer.headers, answer.text()).contains("root"), "{start} repeats what was forged");
    }
}

/// ID-01: neither does a WebSocket handshake, nor a request whose answer is an error.
#[tokio::test]
async fn upgrades_and_errors_name_nobody_else() {
    let world = World::with(config).await;
    let cookie = world.cookie().await;
    let forged = forged_lines();
    for (path, person) in [("/ws", true), ("/public/ws", false), ("/optional/ws", true), ("/ws-refuse?code=403", true)]
    {
        let mut lines = vec![format!("Host: {}", world.host()), format!("Origin: {}", world.gateway.public_url())];
        lines.extend([cookie.clone()]);
        lines.extend(forged.clone());
        let opened = WebSocket::open(world.raw().await, path, &lines).await;
        assert_eq!(opened.is_ok(), path.ends_with("/ws"), "{path}");
        assert_ours_alone(&world.echo.last(), person, path);
    }
    let forged: Vec<&str> = forged.iter().map(String::as_str).collect();
    for status in [400, 401, 403, 404, 500, 503] {
        let answer = world.ask(&format!("GET /status?code={status}"), &[&forged[..], &[&cookie]].concat()).await;
        assert_eq!(answer.status, status);
        assert_ours_alone(&world.echo.last(), true, &format!("status {status}"));
    }
}

/// ID-03: a `Connection` that names our fields takes none of them away.
#[tokio::test]
async fn connection_takes_nothing_of_ours() {
    let world = World::with(config).await;
    let cookie = world.cookie().await;
    for named in [
        "close, X-Vestibule-Identity, X-Forwarded-For, Authorization, Cookie, Host",
        "keep-alive, x-team-user, X-Team-Groups, X-Forwarded-Host, x-forwarded-proto",
        "X_Vestibule_Identity, X-Forwarded-For, Content-Length, Content-Type",
    ] {
        let lines = [&*cookie, &format!("Connection: {named}"), "Content-Type: text/x", "Authorization: Basic eDp5"];
        let seen = world.seen("GET /x", &lines).await;
        assert_ours_alone(&seen, true, named);
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{named}");
        assert_eq!((seen.header("x-forwarded-host"), seen.header("host")), (Some(world.host()), Some(world.host())));
        assert_eq!((seen.header("authorization"), seen.header("content-type")), (None, Some("text/x")), "{named}");
    }
}

/// ID-04: trailers say nothing of the caller, nor of what decides: chunked to HTTP/1.1, and HTTP/2 to HTTP/2.
#[tokio::test]
async fn trailers_name_nobody() {
    let world = World::with(config).await;
    let cookie = world.cookie().await;
    let forged: String = forged_lines().iter().map(|line| format!("{line}\r\n")).collect();
    // Only what was announced goes on at all.
    let announced = format!("Trailer: X-Fine, Authorization, Cookie, {}", FORGED.join(", "));
    for (path, lines, person) in [("/public", &[][..], false), ("/x", &[&*cookie, "X-Requested-With: x"], true)] {
        let head = world.head(&format!("POST {path}"), &[lines, &["Transfer-Encoding: chunked", &announced]].concat());
        let answer = world.send(format!("{head}2\r\nhi\r\n0\r\nX-Fine: 1\r\n{forged}Authorization: root\r\nX-Forwarded-For: root\r\nForwarded: for=root\r\nX-Original-Url: /root\r\nCookie: root\r\n\r\n")).await;
        assert_eq!(answer.status, 200);
        let seen = world.echo.last();
        assert_ours_alone(&seen, person, path);
        assert_eq!(seen.trailers.len(), 1, "{path}: {:?}", seen.trailers);
    }

    let h2c = Echo::start_h2c().await;
    let route = "upstream = \"h2c\"\naccess = \"public\"";
    let gateway = Gateway::start(
        ConfigBuilder::new()
            .upstream("h2c", &h2c.url())
            .with("[upstreams.h2c.identity.headers]\n\"X-Team-User\" = \"sub\"\n\"X-Team-Groups\" = \"groups\"")
            .route(route),
    )
    .await;
    let mut trailers = HeaderMap::new();
    for name in FORGED.iter().chain(&["authorization", "x-forwarded-for", "cookie", "x-original-url"]) {
        trailers.append(HeaderName::try_from(name.to_lowercase()).unwrap(), "root".parse().unwrap());
    }
    trailers.insert("x-fine", "1".parse().unwrap());
    let frames = [Ok(Frame::data("hi".into())), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let request =
        Request::post(format!("{}/svc/Call", gateway.public_url())).header("content-type", "application/grpc");
    let answer = H2::connect(gateway.address()).await.start(request.body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    let seen = h2c.last();
    assert_eq!(seen.trailers, [("x-fine".to_owned(), "1".to_owned())]);
    assert_ours_alone(&seen, false, "gRPC");
}

/// ID-08: a token that an upstream got opens nothing at the front, wherever it is shown.
#[tokio::test]
async fn captured_tokens_open_nothing() {
    let world = World::with(config).await;
    let cookie = world.cookie().await;
    let token = world.seen("GET /x", &[&cookie]).await.identity_token().unwrap().to_owned();
    world.echo.forget();
    for line in [
        format!("Authorization: Bearer {token}"),
        format!("authorization: bearer {token}"),
        format!("Authorization: DPoP {token}"),
        format!("X-Vestibule-Identity: {token}"),
        format!("Cookie: vestibule={token}"),
    ] {
        for start in ["GET /x", "GET /oauth2/userinfo", "GET /oauth2/session"] {
            let answer = world.ask(start, &[&line]).await;
            assert_eq!((answer.status, world.echo.count()), (401, 0), "{start} {line}");
        }
    }
    let answer = world.ask("GET /x", &[&format!("Authorization: Bearer {token}"), &cookie]).await;
    assert_eq!((answer.status, world.echo.count()), (401, 0), "a bad bearer token does not fall back to the cookie");
    let browser = world.gateway.browser();
    let logout = Ask::plain(Method::POST, world.url("/oauth2/logout/backchannel"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={token}"));
    assert!(browser.ask(logout).await.status >= 400);
    assert_eq!(world.ask("GET /x", &[&cookie]).await.status, 200);
}

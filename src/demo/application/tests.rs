//! The application as the gateway and its people see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::Application;
use super::frame::Places;
use super::identity::{HEADER, Trust, tampered};
use super::keys::{Keys, KeysAt};
use crate::base::Clock as _;
use crate::jose::{Algorithm, SigningKey, sign};
use crate::testing::{ManualClock, SeededRandom};

const GATEWAY: &str = "http://localhost:8080";

/// The application, and a gateway of which there is nothing but its keys.
struct Rig {
    application: Application,
    clock: ManualClock,
    key: SigningKey,
}

impl Rig {
    async fn new() -> Self {
        let key = SigningKey::generate(Algorithm::Es256, &SeededRandom::new(1)).unwrap();
        let at = publish(json!({ "keys": [key.public_jwk()] }).to_string()).await;
        let clock = ManualClock::default();
        let keys = Keys::new(KeysAt { address: at, authority: "localhost:8080".to_owned(), path: "/oauth2/jwks" });
        let trust = Trust { issuer: GATEWAY.to_owned(), audience: "demo".to_owned(), keys };
        let places = Places {
            public: GATEWAY.to_owned(),
            provider: "http://127.0.0.1:1".to_owned(),
            application: "http://127.0.0.1:2".to_owned(),
            cookie: "vestibule",
        };
        Self { application: Application::new(trust, places, Arc::new(clock.clone())), clock, key }
    }

    /// A token as the gateway makes it, some claims changed.
    fn token(&self, changes: &Value) -> String {
        let now = self.clock.now().unix_seconds();
        let mut claims = json!({
            "iss": GATEWAY, "aud": "demo", "sub": "person-1815", "sid": "s", "iat": now, "nbf": now, "exp": now + 60,
            "name": "Ada Lovelace", "email": "ada@example.com", "groups": ["staff"],
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        sign(&self.key, "vestibule+jwt", &claims).unwrap()
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.application.respond(&request.body(Empty::<Bytes>::new()).unwrap()).await;
        let status = answer.status();
        #[allow(clippy::disallowed_methods, reason = "our own answer")]
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// Serves one document to everybody who asks for the gateway's keys by its name.
async fn publish(document: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            let right =
                head.starts_with("get /oauth2/jwks http/1.1\r\n") && head.contains("\r\nhost: localhost:8080\r\n");
            let status = if right { "200 OK" } else { "421 Misdirected Request" };
            let answer = format!(
                "HTTP/1.1 {status}\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{document}",
                document.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

/// ID-05: a validator that knows nothing but the published keys accepts what is meant for it and refuses everything else.
#[tokio::test]
async fn it_believes_only_what_the_gateway_signed_for_it_and_now() {
    let rig = Rig::new().await;
    let (status, body) = rig.ask("/api/whoami", &[(HEADER, &rig.token(&json!({})))]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let who: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&who["email"], &who["token"]["verified"]), (&json!("ada@example.com"), &json!(true)));

    let now = rig.clock.now().unix_seconds();
    let stranger = SigningKey::generate(Algorithm::Es256, &SeededRandom::new(2)).unwrap();
    let claims = json!({ "iss": GATEWAY, "aud": "demo", "sub": "x", "iat": now, "exp": now + 60 });
    let bad = [
        ("another audience", rig.token(&json!({ "aud": "other" }))),
        ("several audiences", rig.token(&json!({ "aud": ["demo", "other"] }))),
        ("another issuer", rig.token(&json!({ "iss": "http://localhost:8081" }))),
        ("expired", rig.token(&json!({ "exp": now }))),
        ("not yet", rig.token(&json!({ "nbf": now + 10 }))),
        ("changed", tampered(&rig.token(&json!({})))),
        ("another key", sign(&stranger, "vestibule+jwt", &claims).unwrap()),
        ("another kind", sign(&rig.key, "JWT", &claims).unwrap()),
        ("no token", "i.am.grace".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in bad {
        for path in ["/", "/api/whoami", "/events"] {
            let (status, body) = rig.ask(path, &[(HEADER, &token)]).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{what} at {path}: {body}");
        }
    }
    let good = rig.token(&json!({}));
    assert_eq!(rig.ask("/api/whoami", &[(HEADER, &good), (HEADER, &good)]).await.0, StatusCode::UNAUTHORIZED, "twice");
    assert_eq!(rig.ask("/api/whoami", &[]).await.0, StatusCode::UNAUTHORIZED, "none");
    rig.clock.advance(Duration::from_secs(60));
    assert_eq!(rig.ask("/api/whoami", &[(HEADER, &good)]).await.0, StatusCode::UNAUTHORIZED, "a minute later");
}

#[tokio::test]
async fn a_token_that_was_changed_is_shown_as_not_verified() {
    let rig = Rig::new().await;
    let token = rig.token(&json!({}));
    let (status, page) = rig.ask("/", &[(HEADER, &token)]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Hello, Ada Lovelace.") && page.contains("Signature verified"));
    assert!(!page.contains("Not verified"));

    let (status, page) = rig.ask("/?tampered=1", &[(HEADER, &token)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(page.contains("Not verified: the token's signature does not hold."), "{page}");
    assert!(page.contains("Mallory") && !page.contains("Hello, Mallory") && !page.contains("Signature verified"));
}

#[tokio::test]
async fn whatever_arrives_is_shown_escaped() {
    let rig = Rig::new().await;
    let hostile = "\"><script>alert(1)</script>";
    let token = rig.token(&json!({ "name": hostile, "email": hostile, "groups": [hostile], "sid": hostile }));
    let headers = [
        (HEADER, token.as_str()),
        ("x-hostile", hostile),
        ("cookie", "<b>name</b>=1; other=2"),
        ("accept", "text/html"),
    ];
    let paths = [
        "/",
        "/?before=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/?tampered=%3Cscript%3Ealert(1)",
        "/public",
        "/nowhere/%3Cscript%3E",
    ];
    for path in paths {
        let (_, page) = rig.ask(path, &headers).await;
        assert!(!page.contains("<script>alert") && !page.contains("<b>name"), "{path}");
    }
    let (_, page) = rig.ask("/", &headers).await;
    assert!(
        page.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;")
            && page.contains("&lt;b&gt;name&lt;/b&gt;, other")
    );
    // A header's name and value go to a terminal too.
    let (_, text) = rig.ask("/public", &[("x-hostile", "a\tb")]).await;
    assert!(text.contains("x-hostile: a\\tb"), "{text}");
}

#[tokio::test]
async fn asking_again_compares_fingerprints() {
    let rig = Rig::new().await;
    let token = rig.token(&json!({}));
    let (_, page) = rig.ask("/", &[(HEADER, &token)]).await;
    let fingerprint = page.split_once("/?before=").unwrap().1.split('#').next().unwrap().to_owned();
    assert_eq!(fingerprint.len(), 16);
    let (_, page) = rig.ask(&format!("/?before={fingerprint}"), &[(HEADER, &token)]).await;
    assert!(page.contains("The same token as before."));
    let (_, page) = rig.ask(&format!("/?before={fingerprint}"), &[(HEADER, &rig.token(&json!({})))]).await;
    assert!(page.contains("A new one"), "ES256 never signs twice alike");
}

#[tokio::test]
async fn the_public_page_knows_nobody() {
    let rig = Rig::new().await;
    let (status, page) = rig.ask("/public", &[("accept", "text/html,*/*")]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("No identity arrived"));
    let (_, text) = rig.ask("/public", &[("accept", "*/*")]).await;
    assert!(text.starts_with("Hello, somebody. No identity arrived."), "{text}");
    let (_, document) = rig.ask("/public/headers", &[("x-harmless", "hello")]).await;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document, json!({ "identity": false, "headers": [["x-harmless", "hello"]] }));
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_prove_nothing() {
    let mut rig = Rig::new().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let keys_at = KeysAt { address: closed, authority: "localhost:8080".to_owned(), path: "/oauth2/jwks" };
    rig.application.trust.keys = Keys::new(keys_at);
    let (status, body) = rig.ask("/api/whoami", &[(HEADER, &rig.token(&json!({})))]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    assert!(body.contains("the gateway does not answer"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn the_stream_ticks() {
    let rig = Rig::new().await;
    // Verification touches a socket, which a paused clock does not wait for: take the stream itself.
    let mut stream = super::events::clock(Arc::new(rig.clock.clone())).into_body();
    for id in 0..3 {
        let frame = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        let event = String::from_utf8(frame.to_vec()).unwrap();
        assert!(event.starts_with(&format!("event: tick\nid: {id}\ndata: {{\"at\":\"2026-01-01T")), "{event}");
        assert!(event.ends_with("\n\n"));
    }
}

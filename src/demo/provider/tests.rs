//! The provider as its client and a browser see it, without sockets.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::Provider;
use super::request::Client;
use crate::base::{Clock as _, Secret};
use crate::jose::{Algorithm, Expect, KeySet, Typ, at_hash, verify};
use crate::testing::{ManualClock, SeededRandom};

const AUTHORITY: &str = "127.0.0.1:4444";
const ISSUER: &str = "http://127.0.0.1:4444";
const CALLBACK: &str = "http://localhost:8080/oauth2/callback";
const SIGNED_OUT: &str = "http://localhost:8080/oauth2/signed_out";
const SECRET: &str = "s:e c%r+e&t";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A provider, a clock, and one browser with its cookies.
struct Rig {
    provider: Provider,
    clock: ManualClock,
    jar: Vec<(String, String)>,
}

struct Seen {
    status: StatusCode,
    headers: http::HeaderMap,
    body: String,
}

impl Seen {
    fn location(&self) -> Url {
        let location =
            self.headers.get(header::LOCATION).unwrap_or_else(|| panic!("no redirect: {} {}", self.status, self.body));
        Url::parse(location.to_str().unwrap()).unwrap()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        self.location().query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    /// The one-time name of the form on this page.
    fn form(&self) -> String {
        let (_, rest) =
            self.body.split_once("name=\"form\" value=\"").unwrap_or_else(|| panic!("no form: {}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Rig {
    fn new() -> Self {
        let client = Client {
            id: "vestibule demo".to_owned(),
            secret: Secret::new(SECRET.to_owned()),
            redirect_uri: CALLBACK.to_owned(),
            post_logout_redirect_uri: SIGNED_OUT.to_owned(),
        };
        let clock = ManualClock::default();
        let provider =
            Provider::new(AUTHORITY, client, Arc::new(clock.clone()), Arc::new(SeededRandom::new(7))).unwrap();
        Self { provider, clock, jar: Vec::new() }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Seen {
        let (parts, body) = self.provider.respond(request).await.into_parts();
        #[allow(clippy::disallowed_methods, reason = "our own answer")]
        let body = body.collect().await.unwrap().to_bytes();
        for line in parts.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            assert!(line.contains("; HttpOnly; SameSite=Lax"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.jar.retain(|(other, _)| other != name);
            if !value.is_empty() {
                self.jar.push((name.to_owned(), value.to_owned()));
            }
        }
        Seen { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    fn cookies(&self) -> String {
        self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// The browser goes to a page.
    async fn visit(&mut self, path: &str) -> Seen {
        let request = Request::get(path).header("host", AUTHORITY).header("cookie", self.cookies());
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// The browser sends a form.
    async fn submit(&mut self, path: &str, origin: &str, fields: &[(&str, &str)]) -> Seen {
        let request = Request::post(path)
            .header("host", AUTHORITY)
            .header("origin", origin)
            .header("cookie", self.cookies())
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(encoded(fields)).unwrap()).await
    }

    /// The client calls an endpoint, with its secret.
    async fn call(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.call_as(path, SECRET, fields).await
    }

    async fn call_as(&mut self, path: &str, secret: &str, fields: &[(&str, &str)]) -> Seen {
        let form = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = STANDARD.encode(format!("{}:{}", form("vestibule demo"), form(secret)));
        let request = Request::post(path)
            .header("host", AUTHORITY)
            .header("authorization", format!("Basic {credentials}"))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(encoded(fields)).unwrap()).await
    }

    /// Signs in as Ada; the answer is the redirect back to the client.
    async fn sign_in(&mut self) -> Seen {
        let form = self.visit(&authorize(&[])).await.form();
        self.submit("/sign-in", ISSUER, &[("form", &form), ("email", "ada@example.com"), ("password", "analytical")])
            .await
    }

    async fn redeem(&mut self, code: &str) -> Seen {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.call("/token", &fields).await
    }

    async fn refresh(&mut self, token: &str) -> Seen {
        self.call("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Signs in and redeems the code.
    async fn tokens(&mut self) -> Value {
        let code = self.sign_in().await.parameter("code").unwrap();
        self.redeem(&code).await.json()
    }

    async fn userinfo(&mut self, access_token: &str) -> Seen {
        let request = Request::get("/userinfo")
            .header("host", AUTHORITY)
            .header("authorization", format!("Bearer {access_token}"));
        self.send(request.body(Full::default()).unwrap()).await
    }
}

fn encoded(fields: &[(&str, &str)]) -> Full<Bytes> {
    Full::from(form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
}

/// The authorization request of a good client, some parameters changed (an empty value leaves one out).
fn authorize(changes: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("client_id", "vestibule demo"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid profile email offline_access"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        pairs.retain(|(other, _)| other != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    format!("/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[tokio::test]
async fn from_the_form_to_a_verified_id_token() {
    let mut rig = Rig::new();
    let back = rig.sign_in().await;
    assert_eq!(back.status, StatusCode::SEE_OTHER);
    assert!(back.location().as_str().starts_with(&format!("{CALLBACK}?")));
    assert_eq!(back.parameter("state").as_deref(), Some("the state"));
    assert_eq!(back.parameter("iss").as_deref(), Some(ISSUER));
    let code = back.parameter("code").unwrap();
    let answer = rig.redeem(&code).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let tokens = answer.json();

    let metadata = rig.visit("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    let jwks = rig.visit("/jwks").await;
    assert!(!jwks.body.contains("\"d\""), "a private member is published");
    let keys = KeySet::parse(jwks.body.as_bytes()).unwrap();
    let expect = Expect { algorithms: &[Algorithm::Es256], typ: Typ::Exactly("JWT"), max_bytes: 8192 };
    let claims = verify::<Value>(text(&tokens, "id_token"), &keys, &expect).unwrap().into_claims();
    let now = rig.clock.now().unix_seconds();
    let expected: [(&str, Value); 9] = [
        ("iss", ISSUER.into()),
        ("aud", "vestibule demo".into()),
        ("sub", "person-1815".into()),
        ("nonce", "the nonce".into()),
        ("auth_time", now.into()),
        ("at_hash", at_hash(Algorithm::Es256, text(&tokens, "access_token")).into()),
        ("name", "Ada Lovelace".into()),
        ("email", "ada@example.com".into()),
        ("groups", vec!["staff", "engineers"].into()),
    ];
    for (name, value) in expected {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_eq!(rig.userinfo(text(&tokens, "access_token")).await.json()["sub"], "person-1815");
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again_and_its_old_name_is_used_up() {
    let mut rig = Rig::new();
    let form = rig.visit(&authorize(&[])).await.form();
    let fields = [("form", form.as_str()), ("email", "ada@example.com\"><script>"), ("password", "compiler")];
    let refused = rig.submit("/sign-in", ISSUER, &fields).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.body.contains("do not belong together"));
    assert!(refused.body.contains("ada@example.com&quot;&gt;&lt;script&gt;"), "{}", refused.body);
    assert!(!rig.jar.iter().any(|(name, _)| name == super::SESSION_COOKIE));
    let again = rig.submit("/sign-in", ISSUER, &fields).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    let fields =
        [("form", refused.form()), ("email", "ada@example.com".to_owned()), ("password", "analytical".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert!(rig.submit("/sign-in", ISSUER, &fields).await.parameter("code").is_some());
}

#[tokio::test]
async fn a_form_works_once_in_its_own_browser_and_from_our_own_page() {
    let mut rig = Rig::new();
    let form = rig.visit(&authorize(&[])).await.form();
    let fields = [("form", form.as_str()), ("email", "ada@example.com"), ("password", "analytical")];
    for origin in ["http://localhost:8080", "null", "http://127.0.0.1:4445"] {
        assert_eq!(rig.submit("/sign-in", origin, &fields).await.status, StatusCode::BAD_REQUEST, "{origin}");
    }
    // Somebody else's browser, with a form of its own: a victim is not signed in as the attacker.
    let mine = std::mem::take(&mut rig.jar);
    rig.visit(&authorize(&[])).await;
    assert_eq!(rig.submit("/sign-in", ISSUER, &fields).await.status, StatusCode::BAD_REQUEST);
    rig.jar = mine;
    assert_eq!(rig.submit("/sign-in", ISSUER, &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(rig.submit("/sign-in", ISSUER, &fields).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_pkce_the_client_is_told_and_nobody_is_asked() {
    let mut rig = Rig::new();
    for change in [[("code_challenge", "")], [("code_challenge_method", "plain")], [("code_challenge_method", "")]] {
        let answer = rig.visit(&authorize(&change)).await;
        assert_eq!(answer.parameter("error").as_deref(), Some("invalid_request"), "{change:?}");
        assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER), "{change:?}");
    }
    let code = rig.sign_in().await.parameter("code").unwrap();
    for verifier in ["", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK", CHALLENGE] {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        assert_eq!(rig.call("/token", &fields).await.json()["error"], "invalid_grant", "{verifier}");
    }
    assert_eq!(rig.redeem(&code).await.json()["error"], "invalid_grant", "a failed redemption leaves the code usable");
}

#[tokio::test]
async fn an_unregistered_address_shows_a_page_and_is_never_redirected_to() {
    let mut rig = Rig::new();
    for uri in ["https://evil.example/", "http://localhost:8080/oauth2/callback/../x", ""] {
        let answer = rig.visit(&authorize(&[("redirect_uri", uri)])).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{uri}");
        assert!(!answer.headers.contains_key(header::LOCATION) && !answer.body.contains("evil"), "{uri}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_one_use_and_a_second_ends_what_the_first_gave() {
    let mut rig = Rig::new();
    let code = rig.sign_in().await.parameter("code").unwrap();
    let tokens = rig.redeem(&code).await.json();
    assert_eq!(rig.userinfo(text(&tokens, "access_token")).await.status, StatusCode::OK);
    assert_eq!(rig.redeem(&code).await.json()["error"], "invalid_grant");
    assert_eq!(rig.userinfo(text(&tokens, "access_token")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(rig.refresh(text(&tokens, "refresh_token")).await.json()["error"], "invalid_grant");

    let code = rig.visit(&authorize(&[])).await.parameter("code").unwrap();
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(rig.redeem(&code).await.json()["error"], "invalid_grant", "a code lives for a minute");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_ends_the_grant() {
    let mut rig = Rig::new();
    let first = rig.tokens().await;
    let second = rig.refresh(text(&first, "refresh_token")).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let payload = text(&second, "id_token").split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!((claims["sub"].as_str(), claims.get("nonce")), (Some("person-1815"), None));

    assert_eq!(rig.refresh(text(&first, "refresh_token")).await.json()["error"], "invalid_grant");
    assert_eq!(
        rig.refresh(text(&second, "refresh_token")).await.json()["error"],
        "invalid_grant",
        "the thief's copy lives on"
    );
    assert_eq!(rig.userinfo(text(&second, "access_token")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn access_tokens_expire_and_can_be_given_back() {
    let mut rig = Rig::new();
    let tokens = rig.tokens().await;
    assert_eq!(tokens["expires_in"], 300);
    let next = rig.refresh(text(&tokens, "refresh_token")).await.json();
    assert_eq!(rig.call("/revoke", &[("token", text(&next, "refresh_token"))]).await.status, StatusCode::OK);
    assert_eq!(rig.call("/revoke", &[("token", "never heard of")]).await.status, StatusCode::OK);
    assert_eq!(rig.userinfo(text(&next, "access_token")).await.status, StatusCode::UNAUTHORIZED);

    let code = rig.visit(&authorize(&[])).await.parameter("code").unwrap();
    let tokens = rig.redeem(&code).await.json();
    rig.clock.advance(Duration::from_secs(300));
    assert_eq!(rig.userinfo(text(&tokens, "access_token")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_client_proves_its_secret_in_one_way() {
    let mut rig = Rig::new();
    let code = rig.sign_in().await.parameter("code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    for path in ["/token", "/revoke"] {
        let refused = rig.call_as(path, "wrong", &fields).await;
        assert_eq!(
            (refused.status, refused.json()["error"].as_str()),
            (StatusCode::UNAUTHORIZED, Some("invalid_client"))
        );
        assert!(refused.headers.contains_key(header::WWW_AUTHENTICATE));
        let nobody = rig.submit(path, ISSUER, &fields).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    }
    let twice: Vec<_> = fields.into_iter().chain([("client_secret", SECRET)]).collect();
    assert_eq!(rig.call("/token", &twice).await.json()["error"], "invalid_request");
    assert!(rig.redeem(&code).await.json()["access_token"].is_string());
}

#[tokio::test]
async fn who_is_signed_in_is_not_asked_again_unless_the_client_wants_it() {
    let mut rig = Rig::new();
    let silent = rig.visit(&authorize(&[("prompt", "none")])).await;
    assert_eq!(silent.parameter("error").as_deref(), Some("login_required"));
    rig.sign_in().await;
    for prompt in ["none", ""] {
        assert!(rig.visit(&authorize(&[("prompt", prompt)])).await.parameter("code").is_some(), "{prompt}");
    }
    let again = rig.visit(&authorize(&[("prompt", "login"), ("login_hint", "grace@example.com")])).await;
    assert!(again.body.contains("value=\"grace@example.com\""));
    rig.clock.advance(Duration::from_secs(100));
    assert!(rig.visit(&authorize(&[("max_age", "100")])).await.parameter("code").is_some());
    assert_eq!(rig.visit(&authorize(&[("max_age", "99")])).await.status, StatusCode::OK);
    assert_eq!(
        rig.visit(&authorize(&[("max_age", "99"), ("prompt", "none")])).await.parameter("error").as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn signing_out_needs_the_id_token_or_a_click() {
    let mut rig = Rig::new();
    let tokens = rig.tokens().await;
    let query = |pairs: &[(&str, &str)]| {
        format!("/end_session?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    };
    let hint = text(&tokens, "id_token");
    let asked = rig.visit(&query(&[("post_logout_redirect_uri", SIGNED_OUT), ("state", "s 1")])).await;
    assert_eq!(asked.status, StatusCode::OK, "no proof: the person is asked");
    assert!(rig.visit(&authorize(&[])).await.parameter("code").is_some(), "asking ended the session");

    let elsewhere = rig
        .visit(&query(&[("id_token_hint", &hint.replace('.', "x.")), ("post_logout_redirect_uri", SIGNED_OUT)]))
        .await;
    assert_eq!(elsewhere.status, StatusCode::OK, "a hint that does not hold is no proof");

    rig.clock.advance(Duration::from_secs(3600));
    let out =
        rig.visit(&query(&[("id_token_hint", hint), ("post_logout_redirect_uri", SIGNED_OUT), ("state", "s 2")])).await;
    assert_eq!(out.location().as_str(), format!("{SIGNED_OUT}?state=s+2"));
    assert_eq!(rig.visit(&authorize(&[])).await.status, StatusCode::OK, "still signed in");
    assert_eq!(rig.refresh(text(&tokens, "refresh_token")).await.json()["error"], "invalid_grant");

    rig.sign_in().await;
    let asked = rig.visit(&query(&[("post_logout_redirect_uri", "https://evil.example/")])).await;
    let form = asked.form();
    assert_eq!(
        rig.submit("/sign-out", "https://evil.example", &[("form", &form)]).await.status,
        StatusCode::BAD_REQUEST
    );
    let form = rig.visit("/").await.form();
    let out = rig.submit("/sign-out", ISSUER, &[("form", &form)]).await;
    assert!(out.status == StatusCode::OK && out.body.contains("signed out"), "{}", out.body);
    assert!(!rig.jar.iter().any(|(name, _)| name == super::SESSION_COOKIE));
}

#[tokio::test]
async fn pages_carry_a_strict_policy_and_other_hosts_are_refused() {
    let mut rig = Rig::new();
    let page = rig.visit(&authorize(&[])).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(
        policy.contains("form-action 'self' http://localhost:8080"),
        "the form's redirect must be allowed: {policy}"
    );
    let request = Request::get("/").header("host", "evil.example").body(Full::default()).unwrap();
    assert_eq!(rig.send(request).await.status, StatusCode::MISDIRECTED_REQUEST);
}

//! Whether the scriptable provider does what tests believe. Belongs to the `gateway` binary.
//!
//! Must never need another process.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use http::Method;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use crate::support::badop::Client;
use crate::support::codec::{self, b64, b64url, form, sha256};
use crate::support::{Ask, BadOp, Browser, Echo, Endpoint, Key, TestCa};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-1234";

fn authorize_url(op: &BadOp, redirect_uri: &str, more: &[(&str, &str)]) -> String {
    let client = op.client();
    let challenge = b64url(&sha256(VERIFIER.as_bytes()));
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", &client.id),
        ("redirect_uri", redirect_uri),
        ("scope", "openid email"),
        ("state", "s1"),
        ("nonce", "n1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    params.extend_from_slice(more);
    format!("{}/authorize?{}", op.issuer().trim_end_matches('/'), form(&params))
}

fn basic(client: &Client) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", b64(format!("{}:{}", encode(&client.id), encode(&client.secret)).as_bytes()))
}

fn token_ask(op: &BadOp, path: &str, fields: &[(&str, &str)]) -> Ask {
    Ask::plain(Method::POST, format!("{}/{path}", op.issuer()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", &basic(&op.client()))
        .body(form(fields))
}

async fn code(op: &BadOp, browser: &Browser, echo: &Echo) -> (String, String) {
    let redirect_uri = format!("{}/callback", echo.url());
    let page = browser.navigate(authorize_url(op, &redirect_uri, &[])).await.expect_status(200);
    let code = page.url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    (code, redirect_uri)
}

async fn redeem(op: &BadOp, browser: &Browser, code: &str, redirect_uri: &str, verifier: &str) -> (u16, Value) {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ];
    let page = browser.ask(token_ask(op, "token", &fields)).await;
    (page.status, page.json())
}

async fn refresh(op: &BadOp, browser: &Browser, token: &str) -> (u16, Value) {
    let page = browser.ask(token_ask(op, "token", &[("grant_type", "refresh_token"), ("refresh_token", token)])).await;
    (page.status, page.json())
}

async fn log_in(op: &BadOp, browser: &Browser, echo: &Echo) -> Value {
    let (code, redirect_uri) = code(op, browser, echo).await;
    let (status, tokens) = redeem(op, browser, &code, &redirect_uri, VERIFIER).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

async fn verifies(op: &BadOp, browser: &Browser, token: &str) -> bool {
    let header = codec::unverified_header(token).unwrap();
    let Ok(algorithm) = header["alg"].as_str().unwrap().parse::<Algorithm>() else { return false };
    let jwks = browser.ask(Ask::plain(Method::GET, format!("{}/jwks", op.issuer()))).await.json();
    let keys = jwks["keys"].as_array().unwrap();
    let Some(jwk) = keys.iter().find(|jwk| jwk["kid"] == header["kid"]) else { return false };
    let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[op.client().id]);
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    decode::<Value>(token, &key, &validation).is_ok()
}

#[tokio::test]
async fn the_provider_runs_a_whole_login() {
    let (op, echo, browser) = (BadOp::start().await, Echo::start().await, Browser::new());
    let tokens = log_in(&op, &browser, &echo).await;
    let claims = codec::unverified_claims(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["nonce"]),
        (&json!(op.issuer()), &json!("alice"), &json!("n1"))
    );
    assert_eq!(claims["aud"], json!(op.client().id));
    let hash = b64url(&sha256(tokens["access_token"].as_str().unwrap().as_bytes())[..16]);
    assert_eq!(claims["at_hash"], json!(hash));
    assert!(verifies(&op, &browser, tokens["id_token"].as_str().unwrap()).await);

    let ask = Ask::plain(Method::GET, format!("{}/userinfo", op.issuer()))
        .header("authorization", &format!("Bearer {}", tokens["access_token"].as_str().unwrap()));
    assert_eq!(browser.ask(ask).await.json()["email"], "alice@example.test");
    assert_eq!((op.count(Endpoint::Authorize), op.count(Endpoint::Token), op.count(Endpoint::Other)), (1, 1, 0));
    let secrets = op.issued_secrets();
    for name in ["access_token", "refresh_token", "id_token"] {
        assert!(secrets.iter().any(|secret| tokens[name] == **secret), "{name}");
    }
    assert!(secrets.iter().any(|secret| secret == VERIFIER));
}

#[tokio::test]
async fn the_provider_is_strict_about_codes() {
    let (op, echo, browser) = (BadOp::start().await, Echo::start().await, Browser::new());
    let (first, uri) = code(&op, &browser, &echo).await;
    assert_eq!(redeem(&op, &browser, &first, &uri, &VERIFIER.replace('a', "b")).await.0, 400, "another verifier");
    assert_eq!(redeem(&op, &browser, &first, "http://127.0.0.1/other", VERIFIER).await.0, 400, "another redirect_uri");
    let (status, tokens) = redeem(&op, &browser, &first, &uri, VERIFIER).await;
    assert_eq!(status, 200);
    assert!(op.is_alive(tokens["access_token"].as_str().unwrap()));
    assert_eq!(redeem(&op, &browser, &first, &uri, VERIFIER).await.1["error"], "invalid_grant");
    assert!(!op.is_alive(tokens["access_token"].as_str().unwrap()), "a second use ends what the first one got");
    // Without PKCE there is no code.
    let url = authorize_url(&op, &uri, &[]).replace("code_challenge=", "x=");
    let page = browser.navigate(url).await;
    assert!(page.url.query().unwrap().contains("error=invalid_request"), "{}", page.url);
}

#[tokio::test]
async fn the_provider_rotates_and_detects_reuse() {
    let (op, echo, browser) = (BadOp::start().await, Echo::start().await, Browser::new());
    let first = log_in(&op, &browser, &echo).await["refresh_token"].as_str().unwrap().to_owned();
    let (status, second) = refresh(&op, &browser, &first).await;
    let second = second["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!((status, op.reuses()), (200, 0));
    assert_eq!(refresh(&op, &browser, &first).await.1["error"], "invalid_grant");
    assert_eq!(op.reuses(), 1);
    assert_eq!(refresh(&op, &browser, &second).await.1["error"], "invalid_grant", "the family is dead");
    assert_eq!(op.grants("refresh_token"), 3);
}

#[tokio::test]
async fn the_provider_accepts_one_way_of_client_authentication() {
    let (op, browser) = (BadOp::start().await, Browser::new());
    let client = op.client();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", "none")];
    let post = [fields[0], fields[1], ("client_id", &client.id), ("client_secret", &client.secret)];
    let bare = |fields: &[(&str, &str)]| {
        Ask::plain(Method::POST, format!("{}/token", op.issuer()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(fields))
    };
    let raw = format!("Basic {}", b64(format!("{}:{}", client.id, client.secret).as_bytes()));
    for (what, ask, error) in [
        ("basic", token_ask(&op, "token", &fields), "invalid_grant"),
        ("post", bare(&post), "invalid_grant"),
        ("both", token_ask(&op, "token", &post), "invalid_request"),
        ("none", bare(&fields), "invalid_client"),
        ("basic without form encoding", bare(&fields).header("authorization", &raw), "invalid_client"),
    ] {
        assert_eq!(browser.ask(ask).await.json()["error"], error, "{what}");
    }
}

#[tokio::test]
async fn the_provider_signs_as_told() {
    let (op, browser) = (BadOp::start().await, Browser::new());
    let claims = json!({"aud": op.client().id, "exp": 9_999_999_999_i64});
    let pem = op.rsa_pem().into_bytes();
    for (key, good) in [
        (Key::Rs256, true),
        (Key::Ps256, true),
        (Key::Es256, true),
        (Key::Es384, true),
        (Key::EdDsa, true),
        (Key::Flipped(Box::new(Key::Es256)), false),
        (Key::Flipped(Box::new(Key::Rs256)), false),
        (Key::Forged, false),
        (Key::Unknown, false),
        (Key::None("none"), false),
    ] {
        let token = op.sign(&key, json!({}), &claims);
        assert_eq!(verifies(&op, &browser, &token).await, good, "{key:?}");
    }
    // A library that takes the public key's text for a secret would accept this one.
    let token = op.sign(&Key::Hs256(pem.clone()), json!({"typ": "JWT"}), &claims);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[op.client().id]);
    assert!(decode::<Value>(&token, &DecodingKey::from_secret(&pem), &validation).is_ok());
    assert!(DecodingKey::from_rsa_pem(&pem).is_ok());
    // The weak key's signature is right: what refuses it has to look at its size.
    let token = op.sign(&Key::Rsa1024, json!({}), &claims);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let jwks = browser.ask(Ask::plain(Method::GET, format!("{}/jwks", op.issuer()))).await.json();
    let weak = jwks["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == "weak-0").unwrap().clone();
    let key = aws_lc_rs::signature::RsaPublicKeyComponents {
        n: codec::from_b64url(weak["n"].as_str().unwrap()).unwrap(),
        e: codec::from_b64url(weak["e"].as_str().unwrap()).unwrap(),
    };
    let algorithm = &aws_lc_rs::signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    assert!(key.verify(algorithm, signed.as_bytes(), &codec::from_b64url(signature).unwrap()).is_ok());
}

#[tokio::test]
async fn the_provider_follows_its_script() {
    let (op, echo, browser) = (BadOp::start().await, Echo::start().await, Browser::new());
    op.script(|script| {
        script
            .user("bob")
            .id_token_claims(|claims| claims["nonce"] = "wrong".into())
            .id_token_header(|header| header["typ"] = "at+jwt".into())
            .id_token_payload(|payload| *payload = payload.replacen('{', r#"{"sub":"twice","#, 1))
            .token_answer(|answer| answer["expires_in"] = "soon".into())
            .discovery(|document| drop(document.as_object_mut().unwrap().remove("end_session_endpoint")))
            .authorize_answer(|params| params.retain(|(name, _)| name != "iss"));
    });
    let tokens = log_in(&op, &browser, &echo).await;
    let token = tokens["id_token"].as_str().unwrap();
    let payload = String::from_utf8(codec::from_b64url(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert!(payload.starts_with(r#"{"sub":"twice","#) && payload.contains(r#""sub":"bob""#), "{payload}");
    assert_eq!(codec::unverified_header(token).unwrap()["typ"], "at+jwt");
    assert_eq!(tokens["expires_in"], "soon");
    assert!(!echo.last().target.contains("iss="));
    let discovery = format!("{}/.well-known/openid-configuration", op.issuer());
    assert!(browser.ask(Ask::plain(Method::GET, &discovery)).await.json().get("end_session_endpoint").is_none());

    op.behave();
    op.script(|script| {
        script.fail(Endpoint::Discovery, 503).times(Endpoint::Discovery, 1).drop_connection(Endpoint::Jwks);
        script.endless(Endpoint::Userinfo);
    });
    assert_eq!(browser.ask(Ask::plain(Method::GET, &discovery)).await.status, 503);
    assert_eq!(browser.ask(Ask::plain(Method::GET, &discovery)).await.status, 200);
    assert!(browser.attempt(Ask::plain(Method::GET, format!("{}/jwks", op.issuer()))).await.is_err());

    op.behave();
    let gate = op.hold(Endpoint::Jwks);
    let ask = Ask::plain(Method::GET, format!("{}/jwks", op.issuer()));
    let waiting = tokio::spawn({
        let (browser, ask) = (browser.clone(), ask.clone());
        async move { browser.ask(ask).await }
    });
    gate.arrived().await;
    assert!(!waiting.is_finished());
    gate.open();
    assert_eq!(waiting.await.unwrap().status, 200);

    op.stop().await;
    assert!(browser.attempt(ask.clone()).await.is_err());
    op.start_again().await;
    let before = browser.ask(ask.clone()).await.json();
    op.rotate_keys();
    let after = browser.ask(ask).await.json();
    assert_ne!(before["keys"][0]["n"], after["keys"][0]["n"]);
}

#[tokio::test]
async fn the_provider_posts_forms_and_signs_out() {
    let (op, echo, browser) = (BadOp::start().await, Echo::start().await, Browser::new());
    let uri = format!("{}/callback", echo.url());
    browser.navigate(authorize_url(&op, &uri, &[("response_mode", "form_post")])).await.expect_status(200);
    let seen = echo.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/callback"));
    assert!(seen.body.contains("code=canary-code-") && seen.body.contains("state=s1"), "{}", seen.body);
    assert_eq!(seen.header("origin"), Some(op.issuer()));

    let sid = op.last_sid();
    op.change_client(|client| client.backchannel_logout_uri = Some(format!("{}/backchannel", echo.url())));
    op.script(|script| {
        script.calls_back_at_end_session();
    });
    let hint = op.sign(&Key::Es256, json!({}), &json!({"sub": "alice", "sid": sid}));
    let fields = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", &uri), ("state", "x")];
    let page = browser.navigate(format!("{}/end_session?{}", op.issuer(), form(&fields))).await;
    assert_eq!(page.url.as_str(), format!("{uri}?state=x"));
    let call = echo.requests().into_iter().find(|seen| seen.target == "/backchannel").unwrap();
    let token = codec::value(&codec::pairs(call.body.as_bytes()), "logout_token").unwrap().to_owned();
    let claims = codec::unverified_claims(&token).unwrap();
    assert_eq!((&claims["sid"], &claims["sub"]), (&json!(sid), &json!("alice")));
    assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
}

#[tokio::test]
async fn an_issuer_can_have_a_path_and_tls() {
    let ca = TestCa::new();
    let op = BadOp::setup().path("/realms/staff/").tls(&ca).start().await;
    let browser = Browser::trusting(&ca);
    assert!(op.issuer().starts_with("https://127.0.0.1:") && op.issuer().ends_with("/realms/staff/"));
    let url = format!("{}.well-known/openid-configuration", op.issuer());
    assert_eq!(browser.ask(Ask::plain(Method::GET, url)).await.json()["issuer"], op.issuer());
    let doubled = format!("{}/.well-known/openid-configuration", op.issuer());
    assert_eq!(browser.ask(Ask::plain(Method::GET, doubled)).await.status, 404);
}

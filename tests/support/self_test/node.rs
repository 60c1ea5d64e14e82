//! Whether the npm provider and the browser get along. Belongs to the `provider` binary.
//!
//! Must never need the gateway.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use http::Method;
use serde_json::{Value, json};

use crate::support::codec::{self, b64, b64url, form, sha256};
use crate::support::gateway::Site;
use crate::support::{Ask, Browser, Echo, NodeOp};

/// An application that does by hand what the gateway does.
struct Application(Echo);

impl Site for Application {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.url())
    }
}

#[tokio::test]
async fn the_npm_provider_runs_a_whole_login() {
    let (op, browser) = (NodeOp::start().await, Browser::new());
    let application = Application(Echo::start().await);
    op.register(&application).await;
    let get = |path: &str| Ask::plain(Method::GET, format!("{}{path}", op.issuer()));
    let metadata = browser.ask(get("/.well-known/openid-configuration")).await.json();
    assert_eq!(metadata["issuer"], op.issuer());

    let verifier = "a-verifier-of-at-least-forty-three-characters-1234";
    let redirect_uri = application.url("/oauth2/callback");
    let challenge = b64url(&sha256(verifier.as_bytes()));
    let params = [
        ("response_type", "code"),
        ("client_id", &op.client_id),
        ("redirect_uri", &redirect_uri),
        ("scope", "openid email offline_access"),
        ("state", "s1"),
        ("nonce", "n1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let url = format!("{}?{}", metadata["authorization_endpoint"].as_str().unwrap(), form(&params));
    let page = op.sign_in(&browser, &url, "alice").await.expect_status(200);
    assert!(page.url.as_str().starts_with(&redirect_uri), "{}\n{}", page.url, op.output());
    let returned = codec::pairs(page.url.query().unwrap().as_bytes());
    assert_eq!(codec::value(&returned, "iss"), Some(op.issuer()));

    let token = |fields: Vec<(&'static str, String)>| {
        Ask::plain(Method::POST, metadata["token_endpoint"].as_str().unwrap())
            .header("content-type", "application/x-www-form-urlencoded")
            .header(
                "authorization",
                &format!("Basic {}", b64(format!("{}:{}", op.client_id, op.client_secret).as_bytes())),
            )
            .body(form(&fields))
    };
    let code = codec::value(&returned, "code").unwrap().to_owned();
    let redeem = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code),
        ("redirect_uri", redirect_uri.clone()),
        ("code_verifier", verifier.to_owned()),
    ];
    let tokens = browser.ask(token(redeem)).await.expect_status(200).json();
    let claims = codec::unverified_claims(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("alice"), &json!("n1")));
    assert!(claims["sid"].is_string(), "{claims}");

    // Rotated keys, rotated refresh tokens.
    let first_keys = browser.ask(get("/jwks")).await.json();
    op.rotate_keys(true).await;
    let both = browser.ask(get("/jwks")).await.json();
    assert_eq!(both["keys"].as_array().unwrap().len(), 2 * first_keys["keys"].as_array().unwrap().len());
    let refresh = |token: &Value| {
        vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.as_str().unwrap().to_owned())]
    };
    let again = browser.ask(token(refresh(&tokens["refresh_token"]))).await.expect_status(200).json();
    assert_ne!(again["refresh_token"], tokens["refresh_token"]);
    let header = codec::unverified_header(again["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(header["kid"], "rsa-2");
    let ask = get("/me").header("authorization", &format!("Bearer {}", again["access_token"].as_str().unwrap()));
    assert_eq!(browser.ask(ask).await.expect_status(200).json()["email"], "alice@example.test");

    // Signed in there already: no form.
    let page = browser.navigate(&url).await;
    assert!(page.url.as_str().starts_with(&redirect_uri));

    // Signing out calls the application back.
    let landing = application.url("/oauth2/signed_out");
    let params = [("id_token_hint", again["id_token"].as_str().unwrap()), ("post_logout_redirect_uri", &landing)];
    let url = format!("{}?{}", metadata["end_session_endpoint"].as_str().unwrap(), form(&params));
    let page = browser.navigate(url).await;
    let page = op.confirm_sign_out(&browser, &page).await;
    assert!(page.url.as_str().starts_with(&landing), "{}: {}", page.url, page.text());
    let called = application.0.requests().into_iter().find(|seen| seen.target == "/oauth2/logout/backchannel");
    let body = called.unwrap_or_else(|| panic!("no logout token came\n{}", op.output())).body;
    let claims = codec::unverified_claims(body.trim_start_matches("logout_token=")).unwrap();
    assert!(claims["sid"].is_string() && claims["events"].is_object(), "{claims}");
}

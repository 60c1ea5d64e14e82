//! Logout in both directions.

use serde_json::{Value, json};

use super::provider::Reply;
use super::*;
use crate::base::{Blame, Blamed as _};
use crate::jose::{Algorithm, SigningKey, sign};

fn signed_out() -> Url {
    Url::parse("https://app.example.com/oauth2/signed_out").unwrap()
}

/// LOGOUT-03: the hint, the client, where to come back to, and a state.
#[tokio::test]
async fn the_browser_takes_everything_along() {
    let bench = Bench::start().await;
    let hint = Secret::new("a.b.c".to_owned());
    let end = bench.provider.end_session(Some(&hint), &signed_out(), "st").await.unwrap().unwrap();
    let EndSession::Redirect(url) = end else { panic!("short enough") };
    assert_eq!(url.path(), "/logout");
    let pairs: Vec<(String, String)> = url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let expected = [
        ("id_token_hint", "a.b.c"),
        ("client_id", "portal"),
        ("post_logout_redirect_uri", "https://app.example.com/oauth2/signed_out"),
        ("state", "st"),
    ];
    assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
}

#[tokio::test]
async fn there_may_be_nowhere_to_go() {
    let bench = Bench::start().await;
    bench.op.announce(json!({"end_session_endpoint": null, "revocation_endpoint": null}));
    assert_eq!(bench.provider.end_session(None, &signed_out(), "st").await.unwrap(), None);
    assert!(!bench.provider.revoke(&Secret::new("t".to_owned()), TokenKind::Refresh).await.unwrap());
    let off = Bench::with(|settings| settings.logout.rp_initiated = false).await;
    assert_eq!(off.provider.end_session(None, &signed_out(), "st").await.unwrap(), None);
}

/// Tokens are revoked with the client's credentials, each by its kind, also on a loopback provider.
#[tokio::test]
async fn tokens_are_revoked() {
    let bench = Bench::start().await;
    for (kind, hint) in [(TokenKind::Refresh, "refresh_token"), (TokenKind::Access, "access_token")] {
        assert!(bench.provider.revoke(&Secret::new("t-1".to_owned()), kind).await.unwrap());
        let request = bench.op.seen("/revoke").pop().unwrap();
        assert_eq!(
            (request.field("token"), request.field("token_type_hint")),
            (vec!["t-1".to_owned()], vec![hint.to_owned()])
        );
        assert!(request.header("authorization").unwrap().starts_with("Basic "));
    }
    bench.op.reply("/revoke", Reply::json(503, &json!({})));
    assert!(bench.provider.revoke(&Secret::new("t".to_owned()), TokenKind::Access).await.unwrap_err().is_temporary());
}

fn logout_claims(bench: &Bench) -> Value {
    let now = bench.now().unix_seconds();
    json!({
        "iss": bench.op.issuer(), "aud": "portal", "iat": now, "exp": now + 120, "jti": "j", "sid": "s",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

/// LOGOUT-06, LOGOUT-10, TOK-12: signed by the provider, of the right or a generic kind, and no ID token.
#[tokio::test]
async fn logout_tokens() {
    let bench = Bench::start().await;
    let claims = logout_claims(&bench);
    for (typ, good) in [
        ("logout+jwt", true),
        ("JWT", true),
        ("application/logout+jwt", true),
        ("at+jwt", false),
        ("vestibule+jwt", false),
    ] {
        let verdict = bench.provider.verify_logout_token(&bench.op.signed(typ, &claims), bench.now()).await;
        assert_eq!(verdict.is_ok(), good, "{typ}");
    }
    let stranger = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let id_token = bench.op.signed("JWT", &bench.op.id_claims("n", bench.now()));
    let mut expired = claims.clone();
    expired["exp"] = json!(bench.now().unix_seconds() - 61);
    for token in [
        sign(&stranger, "logout+jwt", &claims).unwrap(),
        id_token,
        bench.op.signed("logout+jwt", &expired),
        "eyJhbGciOiJub25lIn0.e30.".to_owned(),
        String::new(),
        "x".repeat(20_000),
    ] {
        let error = bench.provider.verify_logout_token(&token, bench.now()).await.unwrap_err();
        assert!(matches!(error, ProviderError::LogoutToken(_)), "{error}");
        assert_eq!(error.blame(), Blame::Client);
    }
    let token = bench.provider.verify_logout_token(&bench.op.signed("logout+jwt", &claims), bench.now()).await.unwrap();
    assert_eq!((token.sid.as_deref(), token.sub, token.jti.as_str()), (Some("s"), None, "j"));
}

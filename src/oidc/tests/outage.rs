//! A provider that is down, busy, or not who it should be.

use std::time::Duration;

use serde_json::json;

use super::provider::{DISCOVERY, Reply};
use super::*;
use crate::base::{Blame, Blamed as _};

/// OPS-07: the provider is down at start, comes up, and logins work without anybody's help.
#[tokio::test]
async fn down_at_start_then_up() {
    let bench = Bench::start().await;
    bench.op.stop().await;
    let error = bench.provider.warm().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Unavailable { endpoint: Endpoint::Discovery, outage: Outage::Connect(_) }),
        "{error}"
    );
    assert_eq!((error.is_temporary(), error.blame()), (true, Blame::Provider));
    assert!(bench.provider.authorization_url(&bench.attempt()).await.unwrap_err().is_temporary());
    let status = bench.provider.status();
    assert!(status.metadata.is_none() && status.trouble.is_some());

    bench.op.resume().await;
    // Too early: a provider that is just coming up is not run over.
    assert!(bench.provider.warm().await.is_err());
    assert_eq!(bench.op.count(DISCOVERY), 0);
    bench.clock.advance(Duration::from_secs(2));
    let attempt = bench.attempt();
    bench.provider.authorization_url(&attempt).await.unwrap();
    bench.sign_in_as(&attempt, &bench.id_claims(&attempt)).await.unwrap();
    let status = bench.provider.status();
    assert_eq!((status.metadata, status.keys), (Some(bench.now()), Some(bench.now())));
    assert!(status.trouble.is_none());
}

/// Without an ID token a refresh changes only what the userinfo endpoint says.
#[tokio::test]
async fn claims_after_a_refresh() {
    for userinfo in [false, true] {
        let bench = Bench::with(|settings| settings.userinfo = userinfo).await;
        bench.op.reply("/userinfo", Reply::json(200, &json!({"sub": "ann", "email": "new@example.com"})));
        let before = json!({"sub": "ann", "email": "old@example.com", "groups": ["a"]});
        let access_token = Secret::new("t".to_owned());
        let before = before.as_object().unwrap();
        let after = bench.provider.refreshed_claims(None, "ann", &access_token, before).await.unwrap();
        let email = if userinfo { "new@example.com" } else { "old@example.com" };
        assert_eq!(serde_json::Value::Object(after), json!({"sub": "ann", "email": email, "groups": ["a"]}));
        let other = bench.provider.refreshed_claims(None, "bob", &access_token, before).await;
        assert_eq!(matches!(other, Err(ProviderError::OtherSubject)), userinfo);
    }
}

#[tokio::test]
async fn many_first_logins_ask_once() {
    let bench = Bench::start().await;
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (provider, attempt) = (bench.provider.clone(), bench.attempt());
        logins.spawn(async move { provider.authorization_url(&attempt).await });
    }
    while let Some(login) = logins.join_next().await {
        login.unwrap().unwrap();
    }
    assert_eq!(bench.op.count(DISCOVERY), 1);
}

/// LOGIN-14: metadata of another issuer stops everything before anybody is sent anywhere.
#[tokio::test]
async fn another_issuer_stops_everything() {
    let bench = Bench::start().await;
    let issuer = bench.op.issuer();
    for other in [format!("{issuer}X"), format!("{issuer}/"), "https://id.example.com".to_owned()] {
        bench.op.announce(json!({ "issuer": other }));
        bench.clock.advance(Duration::from_secs(60));
        let error = bench.provider.authorization_url(&bench.attempt()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Issuer), "{error}");
        assert!(bench.sign_in(&bench.attempt()).await.is_err());
        assert_eq!(bench.op.count("/token") + bench.op.count("/jwks"), 0);
    }
}

/// LOGIN-14: an issuer that ends in a slash is asked at one slash, and works.
#[tokio::test]
async fn an_issuer_with_a_slash() {
    let bench = Bench::with(|settings| settings.issuer.push('/')).await;
    bench.op.announce(json!({ "issuer": format!("{}/", bench.op.issuer()) }));
    let attempt = bench.attempt();
    let mut claims = bench.id_claims(&attempt);
    claims["iss"] = json!(format!("{}/", bench.op.issuer()));
    bench.sign_in_as(&attempt, &claims).await.unwrap();
    assert_eq!(bench.op.count(DISCOVERY), 1);
}

/// LOGIN-18: a plain issuer is refused before any request, and so are plain redirect URIs.
#[tokio::test]
async fn plain_http_is_refused_outside_development() {
    let op = TestProvider::start().await;
    let new = |adjust: fn(&mut ProviderSettings)| {
        let mut settings = settings(&op.issuer());
        adjust(&mut settings);
        Provider::new(settings, Arc::new(ManualClock::default()), Arc::new(SystemRandom))
    };
    assert!(new(|_| {}).is_ok());
    assert!(matches!(new(|settings| settings.allow_http = false), Err(ProviderError::EndpointUrl("issuer"))));
    let plain = |settings: &mut ProviderSettings| {
        settings.issuer = "https://id.example.com".to_owned();
        settings.allow_http = false;
        settings.redirect_uri = Url::parse("http://app.example.com/oauth2/callback").unwrap();
    };
    assert!(matches!(new(plain), Err(ProviderError::Settings(_))));
    // A gateway on a developer's own machine, in front of a real provider.
    let local = |settings: &mut ProviderSettings| {
        settings.issuer = "https://id.example.com".to_owned();
        settings.allow_http = false;
        settings.redirect_uri = Url::parse("http://localhost:8080/oauth2/callback").unwrap();
    };
    assert!(new(local).is_ok());
    assert_eq!(op.count(DISCOVERY), 0);
}

/// CLI-01: there is no client without credentials.
#[tokio::test]
async fn settings_that_cannot_work() {
    let wrong: [fn(&mut ProviderSettings); 6] = [
        |settings| settings.credential = ClientCredential::Secret(Secret::default()),
        |settings| settings.credential = ClientCredential::Key(Arc::new([])),
        |settings| settings.client_auth = ClientAuth::PrivateKeyJwt,
        |settings| settings.client_id.clear(),
        |settings| drop(settings.authorize_params.insert("redirect_uri".to_owned(), "x".to_owned())),
        |settings| settings.ca = Some("/nowhere/ca.pem".into()),
    ];
    for adjust in wrong {
        let mut settings = settings("https://id.example.com");
        adjust(&mut settings);
        let built = Provider::new(settings, Arc::new(ManualClock::default()), Arc::new(SystemRandom));
        assert!(matches!(built, Err(ProviderError::Settings(_))));
    }
}

/// What is temporary, what is final, and whose fault it is.
#[tokio::test]
async fn errors_are_sorted() {
    let bench = Bench::start().await;
    bench.provider.warm().await.unwrap();
    let refresh_token = Secret::new("r".to_owned());
    let html = Reply::Answer(401, vec![("content-type", "text/html".to_owned())], "<html>".into());
    for (reply, temporary, invalid_grant, blame) in [
        (Reply::json(500, &json!({"error": "invalid_grant"})), true, false, Blame::Provider),
        (Reply::json(503, &json!({})), true, false, Blame::Provider),
        (Reply::json(429, &json!({})), true, false, Blame::Provider),
        (Reply::json(400, &json!({"error": "invalid_grant"})), false, true, Blame::Client),
        (Reply::json(401, &json!({"error": "invalid_client"})), false, false, Blame::Provider),
        (Reply::json(400, &json!({"error": 7})), false, false, Blame::Provider),
        (Reply::json(404, &json!({})), false, false, Blame::Provider),
        (html, false, false, Blame::Provider),
    ] {
        bench.op.reply("/token", reply);
        let error = bench.provider.refresh(&refresh_token).await.unwrap_err();
        assert_eq!(
            (error.is_temporary(), error.is_invalid_grant(), error.blame()),
            (temporary, invalid_grant, blame),
            "{error}"
        );
    }
    bench.op.stop().await;
    assert!(bench.provider.refresh(&refresh_token).await.unwrap_err().is_temporary());
}

/// REF-06, REF-07, REF-08: the refresh goes to the token endpoint with credentials; its ID token must agree with the session's.
#[tokio::test]
async fn a_refresh() {
    let bench = Bench::with(|settings| settings.resource = Some("https://api.example.com".to_owned())).await;
    let now = bench.now();
    let claims = bench.op.id_claims("the-nonce", now);
    bench.op.reply("/token", Reply::json(200, &json!({"access_token": "new", "token_type": "Bearer"})));
    let answer = bench.provider.refresh(&Secret::new("r-1".to_owned())).await.unwrap();
    assert!(answer.refresh_token.is_none() && answer.scope.is_none());
    let request = &bench.op.seen("/token")[0];
    assert_eq!(request.field("grant_type"), ["refresh_token"]);
    assert_eq!(request.field("refresh_token"), ["r-1"]);
    assert_eq!(request.field("resource"), ["https://api.example.com"]);
    assert!(request.field("scope").is_empty());
    assert!(request.header("authorization").unwrap().starts_with("Basic "));

    let original = Original { sub: "ann", auth_time: Some(Timestamp::from_unix_seconds(now.unix_seconds() - 10)) };
    let nonce = Secret::new("the-nonce".to_owned());
    assert!(bench.provider.verify_refreshed(&answer, original, Some(&nonce), now).await.unwrap().is_none());
    for (name, value, good) in [
        ("email", json!("new@example.com"), true),
        ("nonce", json!(null), true),
        ("nonce", json!("another"), false),
        ("sub", json!("bob"), false),
        ("iss", json!("https://other.example"), false),
        ("aud", json!("other"), false),
        ("auth_time", json!(now.unix_seconds()), false),
    ] {
        let mut claims = claims.clone();
        claims[name] = value.clone();
        bench.op.answer_tokens(&claims);
        let answer = bench.provider.refresh(&Secret::new("r-1".to_owned())).await.unwrap();
        let verdict = bench.provider.verify_refreshed(&answer, original, Some(&nonce), now).await;
        assert_eq!(verdict.is_ok(), good, "{name} {value}");
        assert!(good || !verdict.unwrap_err().is_temporary());
    }
    assert_eq!(bench.op.count("/userinfo") + bench.op.count("/revoke"), 0);
}

//! Answers that no provider should give: too much, too late, of another kind, or from elsewhere.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::provider::Reply;
use super::*;

fn redirect(status: u16, to: &str) -> Reply {
    Reply::Answer(
        status,
        vec![("location", to.to_owned()), ("content-type", "application/json".to_owned())],
        Bytes::from("{}"),
    )
}

/// TOK-20, CLI-10: no redirect is followed, least of all with credentials.
#[tokio::test]
async fn redirects_are_not_followed() {
    let bench = Bench::with(|settings| settings.userinfo = true).await;
    let attempt = bench.attempt();
    bench.op.answer_tokens(&bench.id_claims(&attempt));
    let (answer, id_token) = bench.sign_in(&attempt).await.unwrap();
    let elsewhere = format!("{}/elsewhere", bench.op.issuer());
    for status in [301, 302, 303, 307, 308] {
        for path in ["/token", "/userinfo", "/revoke"] {
            bench.op.reply(path, redirect(status, &elsewhere));
        }
        let calls = [
            bench.sign_in(&attempt).await.map(drop),
            bench.provider.refresh(answer.refresh_token.as_ref().unwrap()).await.map(drop),
            bench.provider.claims(&id_token, &answer.access_token).await.map(drop),
            bench.provider.revoke(&answer.access_token, TokenKind::Access).await.map(drop),
        ];
        for call in calls {
            let error = call.unwrap_err();
            assert!(
                matches!(error, ProviderError::Answer { nonsense: Nonsense::Redirect(found), .. } if found == status),
                "{error}"
            );
        }
    }
    assert_eq!(bench.op.count("/elsewhere"), 0);
    for request in bench.op.seen("/token") {
        assert_eq!(request.header("cookie"), None);
        assert_eq!(request.header("accept-encoding"), None);
    }
}

/// TOK-20: answers of another kind, compressed, endless, or never coming.
#[tokio::test]
async fn answers_are_read_within_limits() {
    let bench = Bench::with(|settings| settings.userinfo = true).await;
    let attempt = bench.attempt();
    bench.op.answer_tokens(&bench.id_claims(&attempt));
    let (answer, id_token) = bench.sign_in(&attempt).await.unwrap();
    let me = json!({"sub": "ann"}).to_string();
    let encoded = vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
    for (reply, expected) in [
        (Reply::typed("text/html", "<html>"), Nonsense::ContentType),
        (Reply::Answer(200, vec![], me.clone().into()), Nonsense::ContentType),
        (Reply::Answer(200, encoded, me.clone().into()), Nonsense::ContentEncoding),
        (Reply::Flood, Nonsense::TooLarge),
        (Reply::typed("application/json", vec![b' '; (1 << 20) + 1]), Nonsense::TooLarge),
        (Reply::typed("text/html", ""), Nonsense::ContentType),
    ] {
        bench.op.reply("/userinfo", reply);
        match bench.provider.claims(&id_token, &answer.access_token).await {
            Err(ProviderError::Answer { endpoint: Endpoint::Userinfo, nonsense }) => assert_eq!(nonsense, expected),
            other => panic!("{other:?}"),
        }
    }
    for content_type in ["application/json;charset=UTF-8", "Application/JSON", "application/problem+json"] {
        bench.op.reply("/userinfo", Reply::typed(content_type, me.clone()));
        assert!(bench.provider.claims(&id_token, &answer.access_token).await.is_ok(), "{content_type}");
    }
    bench.op.reply("/userinfo", Reply::Hang);
    tokio::time::pause();
    let patience = Duration::from_secs(60);
    let late = tokio::time::timeout(patience, bench.provider.claims(&id_token, &answer.access_token)).await;
    let late = late.expect("a call has an end").unwrap_err();
    assert!(late.is_temporary(), "{late}");
}

/// TOK-20: claims that point elsewhere are not followed.
#[tokio::test]
async fn distributed_claims_are_left_alone() {
    let bench = Bench::start().await;
    let attempt = bench.attempt();
    let mut claims = bench.id_claims(&attempt);
    claims["_claim_names"] = json!({"groups": "src"});
    claims["_claim_sources"] = json!({"src": {"endpoint": format!("{}/elsewhere", bench.op.issuer())}});
    bench.op.answer_tokens(&claims);
    let (answer, id_token) = bench.sign_in(&attempt).await.unwrap();
    let claims = bench.provider.claims(&id_token, &answer.access_token).await.unwrap();
    assert!(!claims.contains_key("groups") && !claims.contains_key("_claim_sources"));
    assert_eq!(bench.op.count("/elsewhere"), 0);
}

/// OPS-01: neither errors nor the log at its most talkative hold a code, token, secret, nonce, verifier or body.
#[tokio::test]
async fn nothing_secret_is_said() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // With one subscriber alone, a place that another test's thread comes by first would be taken for one that nobody listens to.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());

    let bench = Bench::with(|settings| {
        settings.userinfo = true;
        settings.credential = ClientCredential::Secret(Secret::new("canary-client-secret".to_owned()));
    })
    .await;
    let attempt = bench.attempt();
    bench.op.answer_tokens(&bench.id_claims(&attempt));
    bench.op.reply("/userinfo", Reply::json(200, &json!({"sub": "canary-other-subject"})));
    let code = Secret::new("canary-code".to_owned());
    let (answer, id_token) = bench.sign_in(&attempt).await.unwrap();
    let mut said = format!("{answer:?} {id_token:?} {attempt:?} {:?}", bench.provider);
    let mut say = |error: &ProviderError| said.push_str(&format!("{error} {error:?}"));
    say(&bench.provider.claims(&id_token, &answer.access_token).await.unwrap_err());
    for reply in [
        Reply::json(400, &json!({"error": "canary-error", "error_description": "canary-description"})),
        Reply::json(200, &json!({"access_token": ["canary-access-token"]})),
        Reply::json(200, &json!({"access_token": "canary-access-token", "token_type": "canary-type"})),
        Reply::typed("application/json", "canary-body"),
        Reply::typed("text/html", "canary-html"),
        redirect(302, "https://elsewhere.example/?canary"),
    ] {
        bench.op.reply("/token", reply);
        say(&bench.provider.exchange(&code, &attempt).await.unwrap_err());
        say(&bench.provider.refresh(answer.refresh_token.as_ref().unwrap()).await.unwrap_err());
    }
    bench.op.reply("/revoke", Reply::json(400, &json!({"error": "canary-error"})));
    say(&bench.provider.revoke(&answer.access_token, TokenKind::Access).await.unwrap_err());
    let log = log.text();
    assert!(log.contains("provider answered") && log.contains("provider call failed"), "{log}");
    for secret in ["canary", attempt.nonce.expose(), attempt.state.expose(), attempt.verifier.expose(), "eyJ"] {
        assert!(!said.contains(secret), "{secret} in {said}");
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

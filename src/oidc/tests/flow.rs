//! The code flow from the authorization URL to a judged ID token and its claims.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::provider::{ACCESS_TOKEN, REFRESH_TOKEN, Reply};
use super::*;
use crate::jose::{Algorithm, SigningKey, VerifyError, sign};

fn query(url: &Url) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        assert!(found.insert(name.clone().into_owned(), value.into_owned()).is_none(), "{name} twice");
    }
    found
}

/// LOGIN-03: S256 with a fresh verifier of 256 bits each time, whether the metadata speaks of PKCE or not; the verifier is what is redeemed.
#[tokio::test]
async fn every_login_has_its_own_pkce() {
    for methods in [json!(null), json!(["S256"]), json!(["plain"])] {
        let bench = Bench::start().await;
        bench.op.announce(json!({"code_challenge_methods_supported": methods}));
        let mut challenges = HashSet::new();
        for _ in 0..1000 {
            let attempt = bench.attempt();
            let query = query(&bench.provider.authorization_url(&attempt).await.unwrap());
            let verifier = attempt.verifier.expose();
            assert_eq!(URL_SAFE_NO_PAD.decode(verifier).unwrap().len(), 32);
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
            assert_eq!(query["code_challenge"], URL_SAFE_NO_PAD.encode(digest));
            assert_eq!(query["code_challenge_method"], "S256");
            assert_ne!(attempt.nonce.expose(), attempt.state.expose());
            challenges.insert(query["code_challenge"].clone());
        }
        assert_eq!(challenges.len(), 1000);
        let attempt = bench.attempt();
        bench.sign_in_as(&attempt, &bench.id_claims(&attempt)).await.unwrap();
        assert_eq!(bench.op.seen("/token")[0].field("code_verifier"), [attempt.verifier.expose().as_str()]);
    }
}

/// LOGIN-01, LOGIN-19, LOGIN-22, CLI-14: the code flow, the configured scopes with `openid`, and nothing that a login or the configuration slips in.
#[tokio::test]
async fn the_authorization_url_has_each_parameter_once() {
    let bench = Bench::with(|settings| {
        settings.scopes = vec!["email".to_owned(), "openid".to_owned()];
        settings.resource = Some("https://api.example.com".to_owned());
        settings.response_mode = ResponseMode::FormPost;
        settings.authorize_params = [("ui_locales", "sv"), ("kc_idp_hint", "x&y"), ("max_age", "600")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
    })
    .await;
    bench.op.announce(json!({"authorization_endpoint": format!("{}/authorize?tenant=a", bench.op.issuer())}));
    let wanted = "ui_locales=en&prompt=login&login_hint=ann&acr_values=gold&max_age=60&redirect_uri=x&scope=y&nonce=z&client_id=q&state=s";
    let asked = Asked::from_parameters(url::form_urlencoded::parse(wanted.as_bytes()));
    let attempt = bench.provider.begin("/x".to_owned(), asked, bench.now());
    let url = bench.provider.authorization_url(&attempt).await.unwrap();
    assert_eq!(url.path(), "/authorize");
    let mut found = query(&url);
    found.remove("code_challenge").unwrap();
    let expected = [
        ("tenant", "a"),
        ("response_type", "code"),
        ("response_mode", "form_post"),
        ("client_id", "portal"),
        ("redirect_uri", "https://app.example.com/oauth2/callback"),
        ("scope", "openid email"),
        ("state", attempt.state.expose()),
        ("nonce", attempt.nonce.expose()),
        ("code_challenge_method", "S256"),
        ("resource", "https://api.example.com"),
        ("kc_idp_hint", "x&y"),
        ("ui_locales", "en"),
        ("prompt", "login"),
        ("login_hint", "ann"),
        ("acr_values", "gold"),
        ("max_age", "60"),
    ];
    assert_eq!(found, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    bench.op.answer_tokens(&json!({}));
    bench.provider.exchange(&Secret::new("c".to_owned()), &attempt).await.unwrap();
    assert_eq!(bench.op.seen("/token")[0].field("resource"), ["https://api.example.com"]);
}

#[tokio::test]
async fn a_whole_login() {
    let bench = Bench::start().await;
    let attempt = bench.attempt();
    bench.op.answer_tokens(&bench.id_claims(&attempt));
    let (answer, id_token) = bench.sign_in(&attempt).await.unwrap();
    assert_eq!(id_token.sub, "ann");
    assert_eq!(answer.access_token.expose(), ACCESS_TOKEN);
    assert_eq!(answer.refresh_token.unwrap().expose(), REFRESH_TOKEN);
    assert_eq!(answer.scope.as_deref(), Some("openid"));
    let claims = bench.provider.claims(&id_token, &answer.access_token).await.unwrap();
    assert_eq!(serde_json::Value::Object(claims), json!({"sub": "ann", "email": "ann@example.com"}));
    let request = &bench.op.seen("/token")[0];
    assert_eq!(request.field("grant_type"), ["authorization_code"]);
    assert_eq!(request.field("code"), ["the-code"]);
    assert_eq!(request.field("redirect_uri"), ["https://app.example.com/oauth2/callback"]);
    assert_eq!((bench.op.count("/token"), bench.op.count("/userinfo")), (1, 0));
}

/// CLI-03, CLI-04: the credentials are form-encoded before Base64, and sent in one way only.
#[tokio::test]
async fn one_way_to_authenticate() {
    let secret = ": % + / space é";
    let methods = |names: &[&str]| json!({ "token_endpoint_auth_methods_supported": names });
    let post = ClientAuth::SecretPost;
    for (configured, offered, expected) in [
        (ClientAuth::Auto, json!({}), Some("basic")),
        (ClientAuth::Auto, methods(&["client_secret_post", "client_secret_basic"]), Some("basic")),
        (ClientAuth::Auto, methods(&["private_key_jwt", "client_secret_post"]), Some("post")),
        (ClientAuth::Auto, methods(&["private_key_jwt"]), None),
        (ClientAuth::SecretBasic, methods(&["client_secret_post"]), None),
        (ClientAuth::SecretBasic, json!({}), Some("basic")),
        (post, methods(&["client_secret_basic"]), None),
        (post, methods(&["client_secret_post", "client_secret_basic"]), Some("post")),
    ] {
        let bench = Bench::with(|settings| {
            settings.client_auth = configured;
            settings.credential = ClientCredential::Secret(Secret::new(secret.to_owned()));
            settings.client_id = "a:b".to_owned();
        })
        .await;
        bench.op.announce(offered.clone());
        bench.op.answer_tokens(&json!({}));
        let result = bench.provider.exchange(&Secret::new("c".to_owned()), &bench.attempt()).await;
        let seen = bench.op.seen("/token");
        match expected {
            None => {
                assert!(matches!(result, Err(ProviderError::Unsupported(_))), "{offered}");
                assert!(seen.is_empty());
            }
            Some("basic") => {
                let basic = seen[0].header("authorization").unwrap().strip_prefix("Basic ").unwrap();
                let decoded = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
                assert_eq!(decoded, "a%3Ab:%3A+%25+%2B+%2F+space+%C3%A9");
                assert!(seen[0].field("client_secret").is_empty() && seen[0].field("client_id").is_empty());
            }
            Some(_) => {
                assert_eq!(seen[0].header("authorization"), None);
                assert_eq!(seen[0].field("client_secret"), [secret]);
                assert_eq!(seen[0].field("client_id"), ["a:b"]);
            }
        }
    }
}

/// LOGIN-12: a code is redeemed only where its login began, by name and by issuer.
#[tokio::test]
async fn another_providers_attempt_redeems_nothing() {
    let (bench, other) = (Bench::start().await, Bench::with(|settings| settings.name = "other".into()).await);
    let mut renamed = other.attempt();
    renamed.provider = "corp".into();
    for attempt in [other.attempt(), renamed] {
        assert!(matches!(bench.sign_in(&attempt).await, Err(ProviderError::OtherProvider)));
    }
    assert_eq!(bench.op.count("/token") + other.op.count("/token"), 0);
}

/// TOK-01: a changed signature, for every kind of key.
#[tokio::test]
async fn a_flipped_byte_of_the_signature() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ps256, Algorithm::EdDsa] {
        let bench = Bench::start().await;
        bench.op.rotate(algorithm);
        let attempt = bench.attempt();
        let token = bench.op.signed("JWT", &bench.id_claims(&attempt));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[7] ^= 1;
        bench.op.answer_id_token(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes)));
        let error = bench.sign_in(&attempt).await.unwrap_err();
        assert!(
            matches!(error, ProviderError::IdToken(IdTokenError::Unverified(VerifyError::Signature))),
            "{algorithm} {error}"
        );
        bench.op.answer_id_token(&token);
        assert!(bench.sign_in(&attempt).await.is_ok(), "{algorithm}");
    }
}

/// TOK-02: `none`, HMAC with what is public or shared, and algorithms that the provider does not announce.
#[tokio::test]
async fn algorithms_that_are_not_allowed() {
    let bench = Bench::start().await;
    let attempt = bench.attempt();
    let claims = bench.id_claims(&attempt);
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let mut tokens = Vec::new();
    for alg in ["none", "None", "NONE"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": bench.op.key().kid()}).to_string());
        tokens.push(format!("{header}.{payload}."));
    }
    let public = bench.op.key().public_jwk().unwrap().to_string().into_bytes();
    for shared in [public, b"s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t".to_vec()] {
        tokens.push(sign(&SigningKey::shared(&Secret::new(shared)).unwrap(), "JWT", &claims).unwrap());
    }
    for token in tokens {
        bench.op.answer_id_token(&token);
        let error = bench.sign_in(&attempt).await.unwrap_err();
        assert!(matches!(error, ProviderError::IdToken(IdTokenError::Unverified(VerifyError::Algorithm))), "{error}");
    }
    // A good RS256 token, from a provider that announces ES256 alone.
    let strict = Bench::start().await;
    strict.op.announce(json!({"id_token_signing_alg_values_supported": ["ES256"]}));
    strict.op.rotate(Algorithm::Rs256);
    let attempt = strict.attempt();
    let error = strict.sign_in_as(&attempt, &strict.id_claims(&attempt)).await.unwrap_err();
    assert!(matches!(error, ProviderError::IdToken(IdTokenError::Unverified(VerifyError::Algorithm))), "{error}");
}

/// TOK-03, TOK-04, TOK-05, TOK-17, LOGIN-04: what the rules refuse is refused in the whole flow, and nothing further is asked of the provider.
#[tokio::test]
async fn tokens_that_do_not_hold_end_the_login() {
    let bench = Bench::with(|settings| settings.userinfo = true).await;
    let attempt = bench.attempt();
    let other = bench.attempt();
    let now = bench.now().unix_seconds();
    for (name, value) in [
        ("nonce", json!(other.nonce.expose())),
        ("nonce", json!(null)),
        ("iss", json!(format!("{}/", bench.op.issuer()))),
        ("iss", json!([bench.op.issuer()])),
        ("aud", json!(["portal", "other"])),
        ("azp", json!("other")),
        ("exp", json!(now - 360)),
        ("iat", json!(now + 600)),
        ("nbf", json!(now + 600)),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("exp", json!((now + 300).to_string())),
        ("sub", json!("x".repeat(256))),
    ] {
        let mut claims = bench.id_claims(&attempt);
        claims[name] = value.clone();
        let error = bench.sign_in_as(&attempt, &claims).await.unwrap_err();
        assert!(matches!(error, ProviderError::IdToken(_)), "{name} {value}: {error}");
    }
    bench.op.reply("/token", Reply::json(200, &json!({"access_token": "a", "token_type": "Bearer"})));
    assert!(matches!(bench.sign_in(&attempt).await, Err(ProviderError::IdToken(IdTokenError::Absent))));
    assert_eq!((bench.op.count("/userinfo"), bench.op.count("/jwks")), (0, 1));
}

/// TOK-06, TOK-12: duplicate members (signed as they are), unknown critical extensions, other kinds of token.
#[tokio::test]
async fn tokens_of_a_wrong_form() {
    let bench = Bench::start().await;
    let attempt = bench.attempt();
    let claims = bench.id_claims(&attempt).to_string();
    // The header is judged before the signature, so that these need none.
    for (header, payload) in [
        (json!({"alg": "ES256", "crit": ["x"], "x": 1, "kid": bench.op.key().kid()}).to_string(), claims.clone()),
        (format!(r#"{{"alg":"ES256","alg":"ES256","kid":"{}"}}"#, bench.op.key().kid()), claims.clone()),
        (json!({"alg": "ES256", "typ": "at+jwt", "kid": bench.op.key().kid()}).to_string(), claims),
    ] {
        bench.op.answer_id_token(&format!(
            "{}.{}.AAAA",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        ));
        let error = bench.sign_in(&attempt).await.unwrap_err();
        let expected = [VerifyError::Critical, VerifyError::Duplicate, VerifyError::Typ];
        assert!(
            matches!(&error, ProviderError::IdToken(IdTokenError::Unverified(why)) if expected.contains(why)),
            "{error}"
        );
    }
    bench.op.answer_id_token(&sign(&bench.op.key(), "JWT", &Doubled(bench.id_claims(&attempt))).unwrap());
    let error = bench.sign_in(&attempt).await.unwrap_err();
    assert!(matches!(error, ProviderError::IdToken(IdTokenError::Unverified(VerifyError::Duplicate))), "{error}");
    for typ in ["at+jwt", "logout+jwt", "vestibule+jwt", "secevent+jwt"] {
        bench.op.answer_id_token(&bench.op.signed(typ, &bench.id_claims(&attempt)));
        assert!(bench.sign_in(&attempt).await.is_err(), "{typ}");
    }
}

/// Claims with every member there twice.
struct Doubled(serde_json::Value);

impl serde::Serialize for Doubled {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.0.as_object().unwrap();
        serializer.collect_map(members.iter().chain(members))
    }
}

/// TOK-16: what was asked for, by this login or by the configuration, must come back.
#[tokio::test]
async fn demanded_freshness_and_strength() {
    for by_configuration in [false, true] {
        let bench = Bench::with(|settings| {
            if by_configuration {
                settings.authorize_params = [("max_age", "60"), ("acr_values", "gold silver")]
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .into();
            }
        })
        .await;
        let asked = if by_configuration { "" } else { "max_age=60&acr_values=gold+silver" };
        let asked = Asked::from_parameters(url::form_urlencoded::parse(asked.as_bytes()));
        let attempt = bench.provider.begin("/".to_owned(), asked, bench.now());
        let now = bench.now().unix_seconds();
        for (auth_time, acr, good) in [
            (json!(now - 30), json!("silver"), true),
            (json!(now - 600), json!("silver"), false),
            (json!(null), json!("silver"), false),
            (json!(now - 30), json!("bronze"), false),
            (json!(now - 30), json!(null), false),
        ] {
            let mut claims = bench.id_claims(&attempt);
            claims["auth_time"] = auth_time.clone();
            claims["acr"] = acr.clone();
            assert_eq!(bench.sign_in_as(&attempt, &claims).await.is_ok(), good, "{auth_time} {acr} {by_configuration}");
        }
    }
}

/// TOK-14, TOK-15: odd lifetimes do not stop a login; token types that are not understood do.
#[tokio::test]
async fn token_answers() {
    let bench = Bench::start().await;
    let attempt = bench.attempt();
    let id_token = bench.op.signed("JWT", &bench.id_claims(&attempt));
    let mut answer = json!({"access_token": ACCESS_TOKEN, "token_type": "bEARER", "id_token": id_token});
    for expires_in in [json!(null), json!(0), json!(-5), json!("3600"), json!(9_007_199_254_740_992_u64)] {
        answer["expires_in"] = expires_in.clone();
        bench.op.reply("/token", Reply::json(200, &answer));
        let (tokens, _) = bench.sign_in(&attempt).await.unwrap();
        assert_eq!(tokens.expires_in, bench.provider.settings().access_token_lifetime, "{expires_in}");
    }
    for token_type in [json!("mac"), json!("DPoP"), json!(null), json!(7)] {
        answer["token_type"] = token_type.clone();
        bench.op.reply("/token", Reply::json(200, &answer));
        assert!(matches!(bench.sign_in(&attempt).await, Err(ProviderError::Answer { .. })), "{token_type}");
    }
}

/// TOK-13: the userinfo endpoint speaks of the same subject, signed or not, or the login ends.
#[tokio::test]
async fn userinfo_is_about_the_same_person() {
    let bench = Bench::with(|settings| {
        settings.userinfo = true;
        settings.claims = [("groups".to_owned(), "realm.roles".to_owned())].into();
    })
    .await;
    let attempt = bench.attempt();
    bench.op.answer_tokens(&bench.id_claims(&attempt));
    let (answer, id_token) = bench.sign_in(&attempt).await.unwrap();
    let me = json!({"sub": "ann", "iss": bench.op.issuer(), "aud": "portal", "email": "new@example.com", "realm": {"roles": ["a"]}});
    let changed = |name: &str, value: serde_json::Value| {
        let mut claims = me.clone();
        claims[name] = value;
        claims
    };
    let jwt = |claims: &serde_json::Value| Reply::typed("application/jwt", bench.op.signed("JWT", claims));
    let stranger = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    for (reply, good) in [
        (Reply::json(200, &me), true),
        (jwt(&me), true),
        (jwt(&changed("aud", json!(["portal", "other"]))), true),
        (Reply::json(200, &changed("sub", json!("bob"))), false),
        (Reply::json(200, &changed("sub", json!(null))), false),
        (Reply::json(200, &changed("sub", json!(["ann"]))), false),
        (Reply::json(200, &json!(["ann"])), false),
        (jwt(&changed("sub", json!("bob"))), false),
        (jwt(&changed("iss", json!("https://other.example"))), false),
        (jwt(&changed("aud", json!("other"))), false),
        (jwt(&changed("aud", json!(null))), false),
        (Reply::typed("application/jwt", sign(&stranger, "JWT", &me).unwrap()), false),
        (Reply::typed("text/html", me.to_string()), false),
    ] {
        bench.op.reply("/userinfo", reply);
        let claims = bench.provider.claims(&id_token, &answer.access_token).await;
        assert_eq!(claims.is_ok(), good, "{claims:?}");
        if let Ok(claims) = claims {
            let expected = json!({"sub": "ann", "email": "new@example.com", "groups": ["a"]});
            assert_eq!(serde_json::Value::Object(claims), expected);
        }
    }
    assert_eq!(bench.op.seen("/userinfo")[0].header("authorization"), Some("Bearer canary-access-token"));
}

/// LOGIN-11: an announced `iss` is demanded; a provider that does not announce it may leave it out.
#[tokio::test]
async fn the_issuer_of_the_response() {
    for (announced, iss, good) in
        [(true, "right", true), (true, "wrong", false), (true, "", false), (false, "", true), (false, "wrong", false)]
    {
        let bench = Bench::start().await;
        bench.op.announce(json!({"authorization_response_iss_parameter_supported": announced}));
        let mut parameters = vec![("state", "s".to_owned()), ("code", "c".to_owned())];
        match iss {
            "right" => parameters.push(("iss", bench.op.issuer())),
            "wrong" => parameters.push(("iss", "https://evil.example".to_owned())),
            _ => {}
        }
        let response = AuthorizationResponse::parse(parameters).unwrap();
        assert_eq!(bench.provider.check_response(&response).await.is_ok(), good, "{announced} {iss}");
        assert_eq!(bench.op.count("/token"), 0);
    }
}

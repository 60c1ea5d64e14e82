//! The signed token: what it says, how long, and for whom.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::check;
use crate::support::codec::{unverified_claims, unverified_header};
use crate::support::{Answer, Echo};
use crate::world::World;

async fn jwks(world: &World) -> Value {
    world.ask("GET /oauth2/jwks", &[]).await.json()
}

/// ID-05, ID-16: an application that checks as the docs say accepts its own tokens and refuses those of others; a token says what kind of
/// caller it is about, and names the session without its cookie.
#[tokio::test]
async fn applications_can_check_tokens() {
    let other = Echo::start().await;
    let world = World::with(|config| {
        config
            .upstream("other", &other.url())
            .with("upstreams.app.identity.audience = \"urn:app\"")
            .route("path = \"/other\"\nupstream = \"other\"")
    })
    .await;
    let cookie = world.cookie().await;
    let ours = world.seen("GET /x", &[&cookie]).await.identity_token().unwrap().to_owned();
    assert_eq!(world.ask("GET /other", &[&cookie]).await.status, 200);
    let theirs = other.last().identity_token().unwrap().to_owned();
    let (jwks, issuer) = (jwks(&world).await, world.gateway.public_url());

    let header = unverified_header(&ours).unwrap();
    assert_eq!((&header["typ"], &header["alg"]), (&"vestibule+jwt".into(), &"ES256".into()));
    assert!(header["kid"].as_str().is_some_and(|kid| !kid.is_empty()));
    let claims = check(&ours, &jwks, Algorithm::ES256, "urn:app", issuer).unwrap();
    check(&theirs, &jwks, Algorithm::ES256, "other", issuer).unwrap();
    for (token, audience, issuer) in [
        (&ours, "other", issuer),
        (&theirs, "urn:app", issuer),
        (&theirs, "app", issuer),
        (&ours, "urn:app", "http://elsewhere.test"),
    ] {
        assert!(check(token, &jwks, Algorithm::ES256, audience, issuer).is_err(), "{audience} {issuer}");
    }
    let mut broken = ours.clone();
    let at = broken.rfind('.').unwrap() + 5;
    let flipped = if &broken[at..=at] == "A" { "B" } else { "A" };
    broken.replace_range(at..=at, flipped);
    assert!(check(&broken, &jwks, Algorithm::ES256, "urn:app", issuer).is_err());

    for name in ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "provider", "kind", "auth_time"] {
        assert!(!claims[name].is_null(), "{name}: {claims}");
    }
    assert_eq!(
        (&claims["sub"], &claims["provider"], &claims["kind"]),
        (&"alice".into(), &"corp".into(), &"user".into())
    );
    assert!(!cookie.contains(claims["sid"].as_str().unwrap()), "the reference is not the cookie");
    assert_ne!(claims["jti"], unverified_claims(&theirs).unwrap()["jti"]);
}

/// ID-06: a token is short-lived, the same bytes for a while, and never another session's, person's or upstream's, whatever
/// connection it is asked for on.
#[tokio::test]
async fn tokens_are_short_lived_and_nobody_elses() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let cookie = crate::world::cookie_line(&browser);
    let mut raw = world.raw().await;
    let token = async |raw: &mut crate::support::Raw, cookie: &str| {
        raw.send(world.head("GET /x", &[cookie])).await;
        let answer: Answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        world.echo.last().identity_token().unwrap().to_owned()
    };
    let first = token(&mut raw, &cookie).await;
    let claims = unverified_claims(&first).unwrap();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert_eq!(first, token(&mut raw, &cookie).await);

    // Out and in again, as somebody else, on the connection that is there.
    raw.send(world.head("POST /oauth2/logout", &[&cookie, "X-Requested-With: x", "Content-Length: 0"])).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    raw.send(world.head("GET /x", &[&cookie])).await;
    assert_eq!(raw.answer().await.unwrap().status, 401);
    world.op.script(|script| _ = script.user("bob"));
    let again = world.cookie().await;
    let second = token(&mut raw, &again).await;
    let bob = unverified_claims(&second).unwrap();
    assert_eq!((&claims["sub"], &bob["sub"]), (&"alice".into(), &"bob".into()));
    assert_ne!(claims["sid"], bob["sid"]);

    // The same person twice: two sessions, two tokens.
    let third = token(&mut raw, &world.cookie().await).await;
    assert_ne!(unverified_claims(&third).unwrap()["sid"], bob["sid"]);
    assert_eq!(token(&mut raw, &again).await, second);
}

/// ID-06: a token that was used before is used again for half of its life and no longer, for its own upstream alone.
#[tokio::test]
async fn tokens_are_new_before_they_are_old() {
    let other = Echo::start().await;
    let world = World::with(|config| {
        config
            .upstream("other", &other.url())
            .route("path = \"/other\"\nupstream = \"other\"")
            .with("identity.lifetime = \"4s\"")
    })
    .await;
    let cookie = world.cookie().await;
    let first = world.seen("GET /x", &[&cookie]).await.identity_token().unwrap().to_owned();
    let begun = Instant::now();
    loop {
        assert_eq!(world.ask("GET /other", &[&cookie]).await.status, 200);
        let theirs = unverified_claims(other.last().identity_token().unwrap()).unwrap();
        assert_eq!(theirs["aud"], "other");
        let asked = begun.elapsed();
        let token = world.seen("GET /x", &[&cookie]).await.identity_token().unwrap().to_owned();
        if token != first {
            // Times in tokens are whole seconds.
            let answered = begun.elapsed();
            break assert!(answered >= Duration::from_millis(900), "{answered:?}");
        }
        assert!(asked < Duration::from_millis(2100), "the same token after {asked:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// ID-06: the life is configurable up to five minutes, and never beyond the session's.
#[tokio::test]
async fn tokens_end_with_their_session() {
    let world = World::with(|config| {
        config.with("[identity]\nlifetime = \"5m\"\n[session]\nidle = \"60s\"\nlifetime = \"90s\"")
    })
    .await;
    let cookie = world.cookie().await;
    let claims = world.seen("GET /x", &[&cookie]).await.identity().unwrap();
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((80..=90).contains(&life), "{claims}");
}

/// ID-07: the key set shows public members alone, says how long it may be kept, and is cheap to ask for again.
#[tokio::test]
async fn the_key_set_is_public_and_cacheable() {
    let world = World::start().await;
    for path in ["/oauth2/jwks", "/.well-known/jwks.json"] {
        let answer = world.ask(&format!("GET {path}"), &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/jwk-set+json")));
        let caching = answer.header("cache-control").unwrap();
        assert!(caching.contains("public") && caching.contains("max-age=300"), "{caching}");
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        assert!(!keys.is_empty());
        for key in &keys {
            let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"].into(), "{key}");
        }
        let tag = answer.header("etag").unwrap();
        for (line, status) in [
            (format!("If-None-Match: {tag}"), 304),
            (format!("If-None-Match: \"other\", {tag}"), 304),
            ("If-None-Match: \"other\"".to_owned(), 200),
        ] {
            let answer = world.ask(&format!("GET {path}"), &[&line]).await;
            assert_eq!((answer.status, answer.header("etag")), (status, Some(tag)), "{line}");
            assert_eq!(answer.body.is_empty(), status == 304);
        }
        let head = world.ask(&format!("HEAD {path}"), &[]).await;
        assert_eq!((head.status, head.header("etag")), (200, Some(tag)));
    }
    assert_eq!(world.echo.count(), 0);
}

/// ID-09: no token of the provider reaches an upstream; what it gets is ours alone.
#[tokio::test]
async fn the_providers_tokens_stay_here() {
    let world = World::with(|config| {
        config.with("providers.corp.scopes = [\"openid\", \"profile\", \"email\", \"offline_access\"]")
    })
    .await;
    let cookie = world.cookie().await;
    for start in ["GET /x", "GET /optional", "GET /public", "PUT /x"] {
        world.seen(start, &[&cookie, "X-Requested-With: x", "Content-Length: 0"]).await;
    }
    let sent: String = world.echo.requests().iter().map(|seen| seen.raw_head.clone()).collect();
    let secrets = world.op.issued_secrets();
    assert!(secrets.len() >= 3, "{secrets:?}");
    crate::support::gateway::assert_holds_none("what the upstream got", sent.as_bytes(), &secrets);
    let session = cookie.trim_start_matches("Cookie: vestibule=").to_owned();
    crate::support::gateway::assert_holds_none("what the upstream got", sent.as_bytes(), &[session]);
}

/// ID-10, ID-11: two identities never travel together, and who is nobody carries none.
#[tokio::test]
async fn one_identity_or_none() {
    let echo = Echo::start().await;
    let world = World::with(|config| {
        config
            .upstream("bearer", &echo.url())
            .with("upstreams.bearer.identity.header = \"Authorization\"")
            .route("path = \"/bearer\"\nupstream = \"bearer\"\naccess = \"optional\"")
    })
    .await;
    let cookie = world.cookie().await;
    let basic = "Authorization: Basic eDp5";
    for (path, lines, authorization, person) in [
        ("/x", &[&*cookie, basic][..], None, true),
        ("/optional", &[&*cookie, basic], None, true),
        ("/optional", &[basic], Some("Basic eDp5"), false),
        ("/public", &[&*cookie, basic], Some("Basic eDp5"), false),
        ("/public", &["Authorization: Bearer x"], Some("Bearer x"), false),
        ("/public", &[], None, false),
        ("/optional", &[], None, false),
    ] {
        let seen = world.seen(&format!("GET {path}"), lines).await;
        assert_eq!(
            (seen.header("authorization"), seen.identity_token().is_some()),
            (authorization, person),
            "{path} {lines:?}"
        );
        assert!(seen.header_all("x-vestibule-identity").len() <= 1);
    }
    assert_eq!(world.ask("GET /bearer", &[&cookie, basic]).await.status, 200);
    let seen = echo.last();
    let [ours] = seen.header_all("authorization")[..] else { panic!("one: {seen:?}") };
    let claims = check(
        ours.strip_prefix("Bearer ").unwrap(),
        &jwks(&world).await,
        Algorithm::ES256,
        "bearer",
        world.gateway.public_url(),
    );
    assert_eq!(claims.unwrap()["sub"], "alice");
    assert_eq!(seen.identity_token(), None);
    assert_eq!(world.ask("GET /bearer", &[]).await.status, 200);
    assert_eq!(echo.last().header("authorization"), None);
}

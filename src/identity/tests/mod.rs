//! The service as a whole, judged by an ordinary JWT library.

mod keys;

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use super::*;
use crate::base::{Blame, Blamed as _, Secret};
use crate::jose::outsider::{Trust, claims};
use crate::jose::{Algorithm, SigningKey};
use crate::testing::{ManualClock, SeededRandom};

const ISSUER: &str = "https://app.example.com";
const SHARED: &[u8] = b"0123456789abcdef0123456789abcdef";

fn settings(algorithm: Algorithm) -> IdentitySettings {
    let keys = match algorithm {
        Algorithm::Hs256 => KeySource::Shared(vec![Secret::new(SHARED.to_vec())]),
        _ => KeySource::Managed { rotate_every: Duration::from_secs(30 * 86_400) },
    };
    IdentitySettings { issuer: ISSUER.to_owned(), algorithm, lifetime: Duration::from_secs(60), keys }
}

fn upstream(name: &str) -> UpstreamIdentitySettings {
    UpstreamIdentitySettings {
        upstream: name.into(),
        audience: name.to_owned(),
        header: TokenHeader::Named(HeaderName::from_static("x-vestibule-identity")),
        claims: vec!["email".to_owned(), "groups".to_owned()],
        headers: BTreeMap::new(),
    }
}

struct Setup {
    identity: Identity,
    clock: ManualClock,
}

impl Setup {
    async fn with(settings: IdentitySettings, upstreams: Vec<UpstreamIdentitySettings>) -> Self {
        let clock = ManualClock::default();
        let random = Arc::new(SeededRandom::new(11));
        let identity = Identity::new(settings, upstreams, None, Arc::new(clock.clone()), random).unwrap();
        identity.refresh_keys().await.unwrap();
        Self { identity, clock }
    }

    async fn ordinary() -> Self {
        Self::with(settings(Algorithm::EdDsa), vec![upstream("a"), upstream("b")]).await
    }

    fn mint(&self, upstream: &str, subject: &Subject<'_>) -> Arc<IdentityToken> {
        self.identity.mint(upstream, subject, self.clock.now()).unwrap()
    }

    fn claims(&self, audience: &str, token: &IdentityToken) -> Result<Value, String> {
        claims(Trust::Jwks(&self.identity.jwks().body), ISSUER, audience, bearer(token), self.clock.now())
    }
}

fn bearer(token: &IdentityToken) -> &str {
    let text = token.headers[0].1.to_str().unwrap();
    text.strip_prefix("Bearer ").unwrap_or(text)
}

fn header_of(token: &str) -> Value {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

fn session_claims() -> Map<String, Value> {
    json!({"email": "ada@example.com", "groups": ["staff", "crew"], "secret": "not configured"})
        .as_object()
        .unwrap()
        .clone()
}

fn subject(claims: &Map<String, Value>) -> Subject<'_> {
    Subject {
        kind: Kind::User,
        provider: "corp",
        issuer: "https://id.example.com",
        sub: "ada",
        sid: "sid-1",
        version: 1,
        auth_time: None,
        acr: None,
        amr: &[],
        claims,
        scope: None,
        session_expires: ManualClock::default().now() + Duration::from_secs(3600),
        client_id: None,
    }
}

/// ID-05: for every algorithm an ordinary library accepts the token at the right upstream, and at no other.
#[tokio::test]
async fn every_algorithm_validates_elsewhere() {
    let known = session_claims();
    for algorithm in
        [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es384, Algorithm::Hs256]
    {
        let setup = Setup::with(settings(algorithm), vec![upstream("a"), upstream("b")]).await;
        let token = setup.mint("a", &subject(&known));
        let jwks = setup.identity.jwks();
        let trust = if algorithm.is_symmetric() { Trust::Shared(SHARED) } else { Trust::Jwks(&jwks.body) };
        let now = setup.clock.now();
        let read = claims(trust, ISSUER, "a", bearer(&token), now).unwrap();
        assert_eq!((&read["iss"], &read["aud"], &read["sub"]), (&json!(ISSUER), &json!("a"), &json!("ada")));
        assert_eq!(read["exp"].as_i64().unwrap() - read["iat"].as_i64().unwrap(), 60);
        assert_eq!(read["jti"].as_str().unwrap().len(), 22);
        assert_eq!(read["groups"], json!(["staff", "crew"]));
        assert!(read.get("secret").is_none());
        let header = header_of(bearer(&token));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("vestibule+jwt"), &json!(algorithm.as_str())));
        assert!(header["kid"].is_string());

        assert!(claims(trust, ISSUER, "b", bearer(&token), now).is_err(), "{algorithm}");
        assert!(claims(trust, "https://other.example", "a", bearer(&token), now).is_err());
        assert!(claims(trust, ISSUER, "a", bearer(&token), now + Duration::from_secs(60)).is_err());
        assert!(claims(trust, ISSUER, "b", bearer(&setup.mint("b", &subject(&known))), now).is_ok());
    }
}

/// ID-06: one signature serves a session and upstream until half the token's life is over, byte for byte.
#[tokio::test]
async fn tokens_are_reused_for_half_their_life() {
    let (setup, known) = (Setup::ordinary().await, session_claims());
    let subject = subject(&known);
    let first = setup.mint("a", &subject);
    setup.clock.advance(Duration::from_millis(29_999));
    assert!(Arc::ptr_eq(&first, &setup.mint("a", &subject)));
    assert_eq!(setup.identity.signatures(), 1);
    setup.clock.advance(Duration::from_millis(1));
    let second = setup.mint("a", &subject);
    assert_ne!(bearer(&first), bearer(&second));
    // A clock that is set back: a token from the future is not handed out.
    setup.clock.set(ManualClock::default().now());
    assert_ne!(bearer(&second), bearer(&setup.mint("a", &subject)));
    assert_eq!((setup.identity.signatures(), setup.identity.cached().0), (3, 1));
}

/// ID-06: never for another version, kind, user, provider, client or upstream, should references ever coincide.
#[tokio::test]
async fn tokens_are_not_shared() {
    let (setup, known) = (Setup::ordinary().await, session_claims());
    let ada = subject(&known);
    let robot = Subject { kind: Kind::Client, client_id: Some("robot"), ..ada };
    let nobody = Subject { sid: "", ..ada };
    assert_ne!(bearer(&setup.mint("a", &ada)), bearer(&setup.mint("b", &ada)));
    // Each differs in one thing alone from the one whose token was made right before it.
    for (one, other) in [
        (ada, Subject { sid: "sid-2", ..ada }),
        (ada, Subject { version: 2, ..ada }),
        (ada, Subject { sub: "eve", ..ada }),
        (ada, Subject { provider: "social", ..ada }),
        (ada, Subject { issuer: "https://evil.example", ..ada }),
        (ada, Subject { kind: Kind::Client, ..ada }),
        (robot, Subject { client_id: Some("other"), ..robot }),
        (nobody, nobody),
    ] {
        let (first, second) = (setup.mint("a", &one), setup.mint("a", &other));
        assert_ne!(bearer(&first), bearer(&second), "{other:?}");
        let read = setup.claims("a", &second).unwrap();
        assert_eq!(
            (&read["sub"], &read["provider"], &read["sid"], &read["kind"]),
            (&json!(other.sub), &json!(other.provider), &json!(other.sid), &json!(other.kind))
        );
    }
}

/// ID-06: whatever the settings, 5 minutes at most, and never past the session's end.
#[tokio::test]
async fn tokens_end_with_the_session() {
    let known = session_claims();
    let long = IdentitySettings { lifetime: Duration::from_secs(86_400), ..settings(Algorithm::EdDsa) };
    let setup = Setup::with(long, vec![upstream("a")]).await;
    let now = setup.clock.now();
    assert_eq!(setup.mint("a", &subject(&known)).expires, now + Duration::from_secs(300));

    let soon = Subject { session_expires: now + Duration::from_millis(10_900), ..subject(&known) };
    // The longer token above is not handed to a session that now ends earlier.
    let token = setup.mint("a", &soon);
    assert_eq!(token.expires, now + Duration::from_secs(10));
    assert_eq!(token.renew_at, now + Duration::from_secs(5));
    setup.clock.advance(Duration::from_secs(10));
    let over = setup.identity.mint("a", &soon, setup.clock.now()).unwrap_err();
    assert!(matches!(over, IdentityError::SessionOver));
    assert!(matches!(setup.identity.mint("none", &soon, now), Err(IdentityError::UnknownUpstream(_))));
}

/// ID-08: our own tokens, and what pretends to be one, are recognised at the front door.
#[tokio::test]
async fn our_own_tokens_are_recognised() {
    let (setup, known) = (Setup::ordinary().await, session_claims());
    let token = setup.mint("a", &subject(&known));
    assert!(setup.identity.issued(bearer(&token)));
    let stranger = SigningKey::generate(Algorithm::EdDsa, &SeededRandom::new(1)).unwrap();
    let signed = |typ: &str, iss: &str| crate::jose::sign(&stranger, typ, &json!({ "iss": iss })).unwrap();
    assert!(setup.identity.issued(&signed("at+jwt", ISSUER)));
    assert!(setup.identity.issued(&signed("application/VESTIBULE+jwt", "https://id.example.com")));
    assert!(!setup.identity.issued(&signed("at+jwt", "https://id.example.com")));
    assert!(!setup.identity.issued("opaque"));
}

/// ID-12: claims that do not fit are an error that names them, never a part of them.
#[tokio::test]
async fn too_many_groups_are_refused_whole() {
    let mut plain = upstream("plain");
    plain.claims.clear();
    plain.headers = BTreeMap::from([("X-Groups".to_owned(), "groups".to_owned())]);
    let setup = Setup::with(settings(Algorithm::EdDsa), vec![upstream("a"), plain]).await;
    let groups: Vec<_> = (0..5_000).map(|n| format!("group-{n}")).collect();
    let known = json!({"email": "ada@example.com", "groups": groups}).as_object().unwrap().clone();
    for name in ["a", "plain"] {
        let error = setup.identity.mint(name, &subject(&known), setup.clock.now()).unwrap_err();
        assert_eq!(error.blame(), Blame::Bug);
        let text = error.to_string();
        assert!(
            text.contains(&format!("{name:?}")) && text.contains("groups (") && !text.contains("group-7"),
            "{text}"
        );
    }
    assert_eq!(setup.identity.cached().0, 0);
}

/// ID-16: the kind of principal, the strength of its sign-in and a session reference are told; machines differ from people of equal `sub`.
#[tokio::test]
async fn principals_are_told_apart() {
    let (setup, known) = (Setup::ordinary().await, session_claims());
    let amr = ["pwd".to_owned(), "otp".to_owned()];
    let signed_in = setup.clock.now() - Duration::from_secs(100);
    let person = Subject { auth_time: Some(signed_in), acr: Some("mfa"), amr: &amr, ..subject(&known) };
    let read = setup.claims("a", &setup.mint("a", &person)).unwrap();
    assert_eq!((&read["kind"], &read["acr"], &read["amr"]), (&json!("user"), &json!("mfa"), &json!(["pwd", "otp"])));
    assert_eq!((&read["auth_time"], &read["sid"]), (&json!(signed_in.unix_seconds()), &json!("sid-1")));
    assert!(read.get("client_id").is_none());

    let machine = Subject { kind: Kind::Client, client_id: Some("robot"), sid: "token-1", ..subject(&known) };
    let read = setup.claims("a", &setup.mint("a", &machine)).unwrap();
    assert_eq!((&read["kind"], &read["client_id"], &read["sub"]), (&json!("client"), &json!("robot"), &json!("ada")));
    for absent in ["auth_time", "acr", "amr"] {
        assert!(read.get(absent).is_none(), "{absent}");
    }
}

/// ID-05: a provider's claim never takes the place of one of ours, even if it is configured.
#[tokio::test]
async fn reserved_claims_stay_ours() {
    let mut greedy = upstream("a");
    greedy.claims = RESERVED_CLAIMS.map(str::to_owned).to_vec();
    let setup = Setup::with(settings(Algorithm::EdDsa), vec![greedy]).await;
    let evil: Map<String, Value> = RESERVED_CLAIMS.iter().map(|name| ((*name).to_owned(), json!("evil"))).collect();
    let read = setup.claims("a", &setup.mint("a", &subject(&evil))).unwrap();
    assert!(!read.to_string().contains("evil"), "{read}");
    // Every claim of ours is on the list.
    let full = Subject {
        auth_time: Some(setup.clock.now()),
        acr: Some("x"),
        amr: &["x".to_owned()],
        sid: "s",
        kind: Kind::Client,
        client_id: Some("c"),
        ..subject(&evil)
    };
    let read = setup.claims("a", &setup.mint("a", &full)).unwrap();
    let names: std::collections::BTreeSet<_> = read.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, RESERVED_CLAIMS.into_iter().collect());
}

/// OPS-01: neither the token nor the claims show in `Debug`; the token's header is marked sensitive.
#[tokio::test]
async fn headers_carry_what_is_configured() {
    let mut app = upstream("a");
    app.header = TokenHeader::Authorization;
    app.headers = [("X-Forwarded-User", "sub"), ("X-Forwarded-Groups", "groups"), ("X-Forwarded-Phone", "phone")]
        .into_iter()
        .map(|(name, claim)| (name.to_owned(), claim.to_owned()))
        .collect();
    let mut bad = app.clone();
    let setup = Setup::with(settings(Algorithm::EdDsa), vec![app]).await;
    let known = session_claims();
    let token = setup.mint("a", &subject(&known));
    let (name, value) = &token.headers[0];
    assert!(name == AUTHORIZATION && value.is_sensitive() && value.to_str().unwrap().starts_with("Bearer ey"));
    let plain: Vec<_> =
        token.headers[1..].iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(plain, [("x-forwarded-groups", "staff,crew"), ("x-forwarded-user", "ada")]);
    let shown = format!("{token:?} {:?} {:?}", setup.identity, subject(&known));
    assert!(!shown.contains("ey") && !shown.contains("crew") && !shown.contains("ada"), "{shown}");

    let broken = json!({"groups": ["staff\r\nX-Admin: 1"]}).as_object().unwrap().clone();
    let other = Subject { sid: "sid-2", ..subject(&broken) };
    let error = setup.identity.mint("a", &other, setup.clock.now()).unwrap_err().to_string();
    assert!(
        error.contains("\"groups\"") && error.contains("x-forwarded-groups") && !error.contains("Admin"),
        "{error}"
    );

    bad.headers = BTreeMap::from([("X Bad".to_owned(), "sub".to_owned())]);
    let clock = Arc::new(setup.clock.clone());
    let error = Identity::new(settings(Algorithm::EdDsa), vec![bad], None, clock, Arc::new(SeededRandom::new(1)));
    assert!(error.unwrap_err().to_string().contains("X Bad"));
}

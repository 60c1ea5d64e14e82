//! What `{:?}` says of the types that hold secrets: a log line, a panic or an error of tomorrow may print any of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};
use serde_json::json;
use vestibule::base::{Secret, SystemRandom, Timestamp};
use vestibule::jose::{Algorithm, SigningKey};
use vestibule::oidc::{Asked, AuthorizationResponse, ClientCredential, EndSession};
use vestibule::session::{NewSession, Ring, SessionToken, StoreSettings, Tokens};
use vestibule::web::{AuthorizationHeader, CookieSettings, Cookies, SameSite, SessionCookie};

use crate::support::codec::{b64url, hex, random_bytes};

/// OPS-01: none of them shows a secret, plain or pretty.
#[test]
fn debug_shows_no_secret() {
    let secret = || Secret::new("canary-secret".to_owned());
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    let tokens = Tokens {
        access_token: secret(),
        access_token_obtained: now,
        access_token_expires: now,
        refresh_token: Some(secret()),
        id_token: secret(),
        nonce: Some(secret()),
    };
    let claims = json!({"email": "canary-mail", "name": "canary-name"});
    let session = NewSession {
        provider: "corp".into(),
        issuer: "https://id.example".to_owned(),
        subject: "canary-subject".to_owned(),
        provider_sid: Some("canary-sid".to_owned()),
        origin: "https://app.example".to_owned(),
        auth_time: None,
        acr: None,
        amr: Vec::new(),
        claims: claims.as_object().unwrap().clone(),
        scope: None,
        tokens: tokens.clone(),
    };
    let response = AuthorizationResponse::parse([("state", "canary-state"), ("code", "canary-code")]).unwrap();
    let refused = AuthorizationResponse::parse([
        ("state", "canary-state"),
        ("error", "access_denied"),
        ("error_description", "canary"),
    ]);
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_static("vestibule=canary-a; vestibule-x=canary-b; theme=canary-c"));
    let settings =
        CookieSettings { name: "vestibule".to_owned(), same_site: SameSite::Lax, partitioned: false, secure: true };
    let cookies = Cookies::read(&headers, &settings);
    assert_eq!(cookies.session, SessionCookie::One("canary-a".to_owned()));
    let asked = Asked::from_parameters([("login_hint", "canary-mail"), ("ui_locales", "canary-locale")]);
    let hint = vec![("id_token_hint", "canary-token".to_owned())];
    let url = |text: &str| url::Url::parse(text).unwrap();
    let keys =
        [Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| SigningKey::generate(algorithm, &SystemRandom).unwrap());
    let shared = SigningKey::shared(&Secret::new(b"canary-shared-key-of-32-bytes-or-more".to_vec())).unwrap();

    let cookie = random_bytes(32);
    let opens = SessionToken::parse(&b64url(&cookie)).unwrap();
    let mut forbidden = vec!["canary".to_owned(), hex(&cookie), b64url(&cookie), format!("{cookie:?}")];
    for key in &keys {
        let pkcs8 = key.to_pkcs8().unwrap().unwrap();
        let der = pkcs8.expose();
        let at = der.windows(2).position(|two| two == [0x04, 0x20]).expect("a private key") + 2;
        let scalar = &der[at..at + 32];
        forbidden.extend([hex(scalar), b64url(scalar), format!("{scalar:?}")]);
    }
    let ring = Ring::new(&[Secret::new(b"canary-server-secret-of-32-bytes-or-more".to_vec())]).unwrap();
    let wrapped: Vec<Arc<dyn std::fmt::Debug>> = vec![
        Arc::new(secret()),
        Arc::new(Some(secret())),
        Arc::new(opens.clone()),
        Arc::new(tokens),
        Arc::new(session),
        Arc::new(response),
        Arc::new(refused),
        Arc::new(cookies.session.clone()),
        Arc::new(cookies),
        Arc::new(AuthorizationHeader::One(HeaderValue::from_static("Bearer canary-bearer"))),
        Arc::new(asked),
        Arc::new(EndSession::Redirect(url("https://id.example/end?id_token_hint=canary-token"))),
        Arc::new(EndSession::Post { action: url("https://id.example/end"), fields: hint }),
        Arc::new(ClientCredential::Secret(secret())),
        Arc::new(ClientCredential::Key(keys.to_vec().into())),
        Arc::new(shared),
        Arc::new(ring),
        Arc::new(StoreSettings::Redis(Secret::new("redis://me:canary-password@redis".to_owned()))),
    ];
    for (nth, value) in wrapped.iter().enumerate() {
        for shown in [format!("{value:?}"), format!("{value:#?}"), format!("{:?}", Some(value))] {
            for secret in &forbidden {
                assert!(!shown.contains(secret.as_str()), "number {nth} shows a secret");
            }
        }
    }
}

/// Fields that sound like secrets and are none, each with its reason.
const HARMLESS: &[(&str, &str)] = &[
    ("oidc/grant.rs: TokenType.TokenType", "the word Bearer"),
    ("route/pattern.rs: PathPattern.decoded", "a path of the configuration"),
    ("session/store.rs: Record.sealed", "sealed: the store has it too"),
    ("session/store.rs: StoredOperator.sealed", "sealed: the store has it too"),
    ("demo/provider/memory.rs: Code.nonce", "the demo's own provider, and it goes no further"),
    ("demo/provider/request.rs: AuthorizationRequest.nonce", "the demo's own provider, and it goes no further"),
    ("demo/provider/request.rs: AuthorizationRequest.login_hint", "the demo's own provider, and it goes no further"),
    ("demo/application/identity.rs: Identity.token", "the demo's application, which shows it on its pages"),
];

/// OPS-01: a type that derives `Debug` has no field that sounds like a secret and is bare text or bytes: those are
/// `Secret`s, or the type says itself what it shows.
#[test]
fn no_derived_debug_has_a_bare_secret() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut looked) = (Vec::new(), 0);
    for file in files(&source) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&source).unwrap().display().to_string();
        // Tests are free to print what they made up.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (of, body) in derived(text) {
            looked += 1;
            for field in bare_secrets(body) {
                found.push(format!("{name}: {of}.{field}"));
            }
        }
    }
    assert!(looked > 100, "{looked} types with a derived Debug: the search is blind");
    found.retain(|found| !HARMLESS.iter().any(|(harmless, _)| harmless == found));
    assert!(found.is_empty(), "fields that a derived Debug shows: {found:#?}");
    let bad = "#[derive(Clone, Debug)]\npub struct Held {\n    /// Words.\n    pub refresh_token: Option<String>,\n}\n";
    let fields: Vec<String> = derived(bad).into_iter().flat_map(|(_, body)| bare_secrets(body)).collect();
    assert_eq!(fields, ["refresh_token"], "the search is blind");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match () {
            () if path.is_dir() && name != "tests" => all.extend(files(&path)),
            () if name.ends_with(".rs") && !name.contains("tests") => all.push(path),
            () => {}
        }
    }
    all
}

/// Name and body of each struct and enum that derives `Debug`.
fn derived(text: &str) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices("#[derive(") {
        let rest = &text[at..];
        let Some(end) = rest.find(")]") else { continue };
        if !rest[..end].split(['(', ',']).any(|word| word.trim() == "Debug") {
            continue;
        }
        let after = &rest[end..];
        let Some(kind) = ["struct ", "enum "].iter().filter_map(|word| Some(after.find(word)? + word.len())).min()
        else {
            continue;
        };
        let item = &after[kind..];
        let name = item.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        // As this tree is formatted, an item ends where a line is a closing brace alone, or with its first line.
        let line = item.lines().next().unwrap_or_default();
        let body = if line.ends_with('{') { item.find("\n}").map_or(item, |end| &item[..end]) } else { line };
        all.push((name, body));
    }
    all
}

const WORDS: [&str; 14] = [
    "token",
    "secret",
    "password",
    "cookie",
    "nonce",
    "verifier",
    "code",
    "jwt",
    "hint",
    "credential",
    "assertion",
    "private",
    "sealed",
    "bearer",
];
const BARE: [&str; 7] = ["String", "Vec<u8>", "str>", "&'a str", "Bytes", "[u8", "HeaderValue"];

/// The fields and variants that sound like secrets and are bare.
fn bare_secrets(body: &str) -> Vec<String> {
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    let mut found = Vec::new();
    for line in lines {
        let line = line.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let Some(at) = line.find([':', '(']) else { continue };
        let (name, of) = (&line[..at], &line[at..]);
        let sounds = WORDS.iter().any(|word| name.to_lowercase().contains(word));
        let bare = BARE.iter().any(|bare| of.contains(bare)) && !of.contains("Secret<") && !of.contains("'static str");
        if sounds && bare {
            found.push(name.to_owned());
        }
    }
    found
}

//! Signed tokens: what strangers bring, and what the holder of the key says.

use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::jose::{Algorithm, Expect, KeySet, SigningKey, Typ, VerifyError, resembles, verify};

/// The key of RFC 8032 section 7.1, test 1: its signatures are always the same, so that tokens can lie in a corpus.
const SEED: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// The only tokens that this key has ever signed, as far as [`brought`] knows.
const SIGNED: [&str; 2] = [
    r#"{"alg":"EdDSA","typ":"JWT","kid":"k"}.{"iss":"https://id.example.com","sub":"ann","aud":"portal","exp":1767229200}"#,
    r#"{"alg":"Ed25519"}.{}"#,
];

struct Signer {
    pair: Ed25519KeyPair,
    set: KeySet,
    signed: Vec<String>,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64url");
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
    let key = SigningKey::of_every_algorithm(SEED.as_bytes()).expect("a key").remove(0);
    let mut jwk = key.public_jwk().expect("a public half");
    jwk["kid"] = "k".into();
    let set = KeySet::parse(serde_json::json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a set");
    let signed = SIGNED.iter().map(|parts| {
        let (header, payload) = parts.split_once('.').expect("two parts");
        token(&pair, header.as_bytes(), payload.as_bytes())
    });
    let signed = signed.collect();
    Signer { pair, set, signed }
});

fn token(pair: &Ed25519KeyPair, header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

const EVERYTHING: Expect<'static> =
    Expect { algorithms: &Algorithm::ALL, typ: Typ::Generic(&["logout+jwt"]), max_bytes: 4096 };

/// A token that strangers bring is refused unless it is, byte for byte, one that the key signed. An input that begins with a
/// digit is such a token with changes: pairs of a place and a byte to write there.
pub fn tokens(data: &[u8]) {
    let text = match data.split_first() {
        Some((which @ b'0'..=b'1', changes)) => {
            let mut bytes = SIGNER.signed[usize::from(which - b'0')].clone().into_bytes();
            for change in changes.chunks_exact(2) {
                let at = usize::from(change[0]) * bytes.len() / 256;
                bytes[at] = change[1];
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    let verdict = verify::<Map<String, Value>>(&text, &SIGNER.set, &EVERYTHING);
    let known = SIGNER.signed.contains(&text);
    assert_eq!(verdict.is_ok(), known, "{text:?}: {verdict:?}");
    if let Err(error) = verdict {
        // What a stranger wrote stays on one line of the log.
        assert!(error.to_string().bytes().all(|byte| matches!(byte, b' '..=b'~')) && error.to_string().len() < 200);
    }
    // A hint at what it may be is never more than that: it must only not fall over.
    let _ = resembles(&text, "vestibule+jwt", "https://app.example.com");
}

/// The first line of the input is a header, the rest a payload, both signed by the right key: only a header that means one thing, and
/// a payload that is one object without a member twice, is read; and then as any other JSON reader does.
pub fn signed(data: &[u8]) {
    let at = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (header, payload) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    let token = token(&SIGNER.pair, header, payload);
    let read = verify::<Map<String, Value>>(&token, &SIGNER.set, &EVERYTHING);
    let Ok(verified) = read else {
        let plain = header == SIGNED[1].split_once('.').expect("two parts").0.as_bytes();
        let odd = matches!(read, Err(VerifyError::Malformed | VerifyError::Duplicate | VerifyError::TooLong));
        assert!(!plain || odd, "a good header: {read:?}");
        return;
    };
    let parse = |part: &[u8]| serde_json::from_slice::<Map<String, Value>>(part).expect("an object");
    let (header, expected) = (parse(header), parse(payload));
    assert_eq!(verified.claims(), &expected);
    assert!(matches!(header["alg"].as_str(), Some("EdDSA" | "Ed25519")), "{header:?}");
    assert!(["crit", "zip", "enc"].iter().all(|name| !header.contains_key(*name)), "{header:?}");
    assert!(header.get("b64").is_none_or(|b64| b64 == true), "{header:?}");
    assert!(header.get("kid").is_none_or(|kid| kid == "k"), "{header:?}");
    let typ = header.get("typ").map(|typ| typ.as_str().expect("text").to_ascii_lowercase());
    let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    assert!(matches!(typ, None | Some("jwt" | "logout+jwt")), "{header:?}");
    // Members twice are gone in the value: count them in the text.
    for (part, object) in [(&data[..at], &header), (payload, &expected)] {
        assert!(part.iter().filter(|byte| **byte == b':').count() >= members(object), "{object:?}");
    }
    assert_eq!(once(payload), Some(expected.len()), "a member twice");
}

fn members(object: &Map<String, Value>) -> usize {
    object.values().map(|value| 1 + value.as_object().map_or(0, members)).sum()
}

/// How many members the outermost object has as written, each counted.
fn once(payload: &[u8]) -> Option<usize> {
    struct Count(usize);
    impl<'de> serde::Deserialize<'de> for Count {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Members;
            impl<'de> serde::de::Visitor<'de> for Members {
                type Value = Count;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                    let mut count = 0;
                    while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {
                        count += 1;
                    }
                    Ok(Count(count))
                }
            }
            deserializer.deserialize_map(Members)
        }
    }
    serde_json::from_slice::<Count>(payload).ok().map(|count| count.0)
}

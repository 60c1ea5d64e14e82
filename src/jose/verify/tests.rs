//! What verification accepts and refuses.

use std::time::Duration;

use aws_lc_rs::hmac;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jose::{SigningKey, sign};
use crate::testing::SeededRandom;

const ANY: Expect<'_> = Expect { algorithms: &Algorithm::ALL, typ: Typ::Generic(&[]), max_bytes: 16 * 1024 };

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm, &SeededRandom::new(7)).unwrap()
}

/// A token with any header and payload, signed by `signer`.
fn craft(header: &Value, payload: &str, signer: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = signer(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn check(token: &str, keys: &KeySet, expect: &Expect<'_>) -> Result<Verified<Value>, VerifyError> {
    verify(token, keys, expect)
}

/// TOK-01: every algorithm verifies what it signed, and one changed byte anywhere ends that.
#[test]
fn signatures_hold_until_a_byte_changes() {
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
        let key = key(algorithm);
        let keys = KeySet::from_signing_keys(std::slice::from_ref(&key));
        let token = sign(&key, "JWT", &json!({"sub": "s"})).unwrap();
        let verified = check(&token, &keys, &ANY).unwrap();
        assert_eq!(verified.claims(), &json!({"sub": "s"}));
        assert_eq!(verified.header().algorithm, algorithm);
        assert_eq!(verified.header().kid.as_deref(), Some(key.kid()));

        let (message, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert_eq!(check(&forged, &keys, &ANY).unwrap_err(), VerifyError::Signature, "{algorithm} {at}");
            bytes[at] ^= 1;
        }
        let (header, _) = message.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"t"}"#));
        assert_eq!(check(&forged, &keys, &ANY).unwrap_err(), VerifyError::Signature, "{algorithm}");
        for empty in [format!("{message}."), format!("{message}.AA")] {
            assert_eq!(check(&empty, &keys, &ANY).unwrap_err(), VerifyError::Signature, "{algorithm}");
        }
    }
}

/// TOK-02: `none` in any case, HMAC under the public key in every form or under the client secret, and algorithms off the list.
#[test]
fn algorithms_are_not_the_tokens_choice() {
    let rsa = key(Algorithm::Rs256);
    let keys = KeySet::from_signing_keys(std::slice::from_ref(&rsa));
    for alg in ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "ES512", "ES256K", "RS1"] {
        for signature in [&b""[..], b"x"] {
            let token = craft(&json!({"alg": alg, "kid": rsa.kid()}), r#"{"sub":"s"}"#, |_| signature.to_vec());
            assert_eq!(check(&token, &keys, &ANY).unwrap_err(), VerifyError::Algorithm, "{alg:?}");
        }
    }

    let jwk = rsa.public_jwk().unwrap();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let der = aws_lc_rs::signature::RsaPublicKeyComponents { n: modulus.as_slice(), e: &[1, 0, 1] };
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&der).unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let stored = jwk.to_string();
    for secret in [pem.as_bytes(), der.as_ref(), &modulus, stored.as_bytes(), b"the client secret"] {
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, secret);
        for kid in [json!(rsa.kid()), json!(null)] {
            let mut header = json!({"alg": "HS256", "kid": kid});
            if kid.is_null() {
                header.as_object_mut().unwrap().remove("kid");
            }
            let token = craft(&header, r#"{"sub":"s"}"#, |message| hmac::sign(&hmac, message).as_ref().to_vec());
            assert_eq!(check(&token, &keys, &ANY).unwrap_err(), VerifyError::Algorithm);
        }
    }

    let token = sign(&rsa, "JWT", &json!({})).unwrap();
    let only_es256 = Expect { algorithms: &[Algorithm::Es256], ..ANY };
    assert_eq!(check(&token, &keys, &only_es256).unwrap_err(), VerifyError::Algorithm);
    assert_eq!(check(&token, &keys, &Expect { algorithms: &[], ..ANY }).unwrap_err(), VerifyError::Algorithm);
    // What the key is published for counts too: a genuine PS256 signature by a key for RS256.
    let pss = SigningKey::from_pkcs8(Algorithm::Ps256, rsa.to_pkcs8().unwrap().unwrap().expose()).unwrap();
    let token = sign(&pss, "JWT", &json!({})).unwrap();
    assert!(matches!(check(&token, &keys, &ANY).unwrap_err(), VerifyError::UnknownKey { .. }));
}

/// TOK-06: wrong types and shapes, members twice, extensions that nobody understands. All are signed by the right key.
#[test]
fn shapes() {
    let key = key(Algorithm::EdDsa);
    let keys = KeySet::from_signing_keys(std::slice::from_ref(&key));
    let signer = |message: &[u8]| key.signature(message).unwrap();
    let with = |member: &str, value: Value| {
        let mut header = json!({"alg": "EdDSA", "kid": key.kid()});
        header[member] = value;
        craft(&header, "{}", signer)
    };
    let raw = |header: &str, payload: &str| {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signer(message.as_bytes())))
    };
    let good = r#"{"alg":"EdDSA"}"#;
    assert!(check(&raw(good, "{}"), &keys, &ANY).is_ok());
    assert!(check(&with("b64", json!(true)), &keys, &ANY).is_ok());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(50), "]".repeat(50));
    for (token, why) in [
        (raw(r#"{"alg":"none","alg":"EdDSA"}"#, "{}"), VerifyError::Duplicate),
        (raw(good, r#"{"sub":"a","sub":"b"}"#), VerifyError::Duplicate),
        (raw(good, r#"{"a":{"b":1,"b":2}}"#), VerifyError::Duplicate),
        (raw(good, "[]"), VerifyError::Malformed),
        (raw(good, "null"), VerifyError::Malformed),
        (raw(good, ""), VerifyError::Malformed),
        (raw(good, "{}{}"), VerifyError::Malformed),
        (raw(good, &deep), VerifyError::Malformed),
        (raw("[]", "{}"), VerifyError::Malformed),
        (raw("{}", "{}"), VerifyError::Malformed),
        (raw("", "{}"), VerifyError::Malformed),
        (with("alg", json!(1)), VerifyError::Malformed),
        (with("alg", json!(null)), VerifyError::Malformed),
        (with("kid", json!(1)), VerifyError::Malformed),
        (with("kid", json!("k".repeat(513))), VerifyError::Malformed),
        (with("typ", json!(["JWT"])), VerifyError::Malformed),
        (with("crit", json!([])), VerifyError::Critical),
        (with("crit", json!(["exp"])), VerifyError::Critical),
        (with("crit", json!(["b64"])), VerifyError::Critical),
        (with("b64", json!(false)), VerifyError::Critical),
        (with("b64", json!("true")), VerifyError::Critical),
        (with("zip", json!("DEF")), VerifyError::Critical),
        (with("enc", json!("A256GCM")), VerifyError::Critical),
    ] {
        assert_eq!(check(&token, &keys, &ANY).unwrap_err(), why, "{token}");
    }

    let token = raw(good, "{}");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut loose = signature.to_owned();
    // 64 bytes end on a character with four unused bits: the next letter decodes to the same bytes.
    let last = loose.pop().unwrap();
    loose.push(char::from(last as u8 + 1));
    for broken in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        message.to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.AA"),
        format!("{token}.AA.AA"),
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        token.replace('.', ". "),
        format!("{message}.{loose}"),
        format!("{message}.{}", signature.replace(['-', '_'], "+")) + "/",
    ] {
        assert_eq!(check(&broken, &keys, &ANY).unwrap_err(), VerifyError::Malformed, "{broken:?}");
    }

    #[derive(Debug, serde::Deserialize)]
    struct Strict {
        #[allow(dead_code, reason = "only its type matters here")]
        exp: i64,
    }
    for payload in [r#"{"exp":"1"}"#, r#"{"exp":1.5}"#, r#"{"exp":null}"#, "{}"] {
        assert_eq!(verify::<Strict>(&raw(good, payload), &keys, &ANY).unwrap_err(), VerifyError::Claims);
    }
}

/// TOK-07: whatever a token says of its own key is not looked at.
#[test]
fn keys_named_by_the_token_are_not_followed() {
    let (ours, theirs) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let keys = KeySet::from_signing_keys(std::slice::from_ref(&ours));
    for (member, value) in [
        ("jwk", theirs.public_jwk().unwrap()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        for kid in [ours.kid(), theirs.kid()] {
            let mut header = json!({"alg": "ES256", "kid": kid});
            header[member] = value.clone();
            let forged = craft(&header, r#"{"sub":"s"}"#, |message| theirs.signature(message).unwrap());
            assert!(check(&forged, &keys, &ANY).is_err(), "{member}");
        }
        let mut header = json!({"alg": "ES256", "kid": ours.kid()});
        header[member] = value;
        let genuine = craft(&header, r#"{"sub":"s"}"#, |message| ours.signature(message).unwrap());
        assert!(check(&genuine, &keys, &ANY).is_ok(), "{member}");
    }
}

/// TOK-10: duplicates of a `kid`, decoys of another algorithm, and tokens without one find the key that signed.
#[test]
fn the_right_key_is_found_among_decoys() {
    let (signer, decoy, rsa) = (key(Algorithm::Es256), key(Algorithm::Es256), key(Algorithm::Rs256));
    let named = |key: &SigningKey, kid: &str| {
        let mut jwk = key.public_jwk().unwrap();
        jwk["kid"] = json!(kid);
        jwk
    };
    let set = json!({"keys": [named(&rsa, "k"), named(&decoy, "k"), named(&signer, "k"), {"kid": 3}]});
    let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
    let signed = |header: &Value| craft(header, "{}", |message| signer.signature(message).unwrap());
    assert!(check(&signed(&json!({"alg": "ES256", "kid": "k"})), &keys, &ANY).is_ok());
    assert!(check(&signed(&json!({"alg": "ES256"})), &keys, &ANY).is_ok());
    let unknown = check(&signed(&json!({"alg": "ES256", "kid": "\u{1b}[2J\u{e9}"})), &keys, &ANY).unwrap_err();
    assert_eq!(unknown, VerifyError::UnknownKey { kid: Some("\u{1b}[2J\u{e9}".to_owned()) });
    assert_eq!(unknown.to_string(), "no key of the issuer fits the token (kid ?[2J?)");
    // Rotated by a provider that names no keys: worth asking again.
    let only_decoy = KeySet::from_signing_keys(&[decoy]);
    let unknown = check(&signed(&json!({"alg": "ES256"})), &only_decoy, &ANY).unwrap_err();
    assert_eq!(unknown, VerifyError::UnknownKey { kid: None });
}

/// TOK-11: a token by RSA-1024 whose signature is right.
#[test]
fn weak_keys_verify_nothing() {
    let set = json!({"keys": [{"kty": "RSA", "kid": "weak", "e": "AQAB", "n":
        "w3AMlFCPC9HBi3h9hkwwWFjhiXYNFumS_x9iCa2qlrXCVaZHw1OX-RxzXZtBVqSUPfgTVRYyDnzPqEZ79VAhijcVtZgN1VGTRynoavebrKtIEYq2mXLQ5zt\
         L8yynzhmECzvfbJx2BRx-Lc8NdLcb4cYkEmrgHVq7TR19ZRTg2BU"}]});
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IndlYWsifQ.eyJzdWIiOiJzIn0.BTr9W52LPTqE2VzGuhCYH3CtHsMUWsqGHOnISmSIazg46Y1pm-27te\
         ytwapJA6lD_mf81JcDatxbr3q5bmyajs-TX2cV8iOE8T9heLmuPJGOwuJqh4gYsCGJh9aeTGTaqT_HXd_70LWxhuAC9pXKx5JzMYZ7tT17My8wS8hIE3I";
    let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
    let refused = check(token, &keys, &ANY).unwrap_err();
    assert_eq!(refused, VerifyError::UnknownKey { kid: Some("weak".to_owned()) });
}

/// TOK-12: one kind of token is not taken for another.
#[test]
fn kinds_are_kept_apart() {
    let key = key(Algorithm::EdDsa);
    let keys = KeySet::from_signing_keys(std::slice::from_ref(&key));
    let id_token = Typ::Generic(&[]);
    let logout_token = Typ::Generic(&["logout+jwt"]);
    let access_token = Typ::Exactly("at+jwt");
    for (typ, id, logout, access) in [
        (None, true, true, false),
        (Some("JWT"), true, true, false),
        (Some("jwt"), true, true, false),
        (Some("application/jwt"), true, true, false),
        (Some("logout+jwt"), false, true, false),
        (Some("APPLICATION/Logout+JWT"), false, true, false),
        (Some("at+jwt"), false, false, true),
        (Some("application/at+jwt"), false, false, true),
        (Some("vestibule+jwt"), false, false, false),
        (Some("oauth-authz-req+jwt"), false, false, false),
        (Some(""), false, false, false),
        (Some("application/"), false, false, false),
        (Some("aplication/at+jwt"), false, false, false),
        (Some("é"), false, false, false),
    ] {
        let mut header = json!({"alg": "EdDSA"});
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        let token = craft(&header, "{}", |message| key.signature(message).unwrap());
        for (expected, accepted) in [(id_token, id), (logout_token, logout), (access_token, access)] {
            let result = check(&token, &keys, &Expect { typ: expected, ..ANY });
            assert_eq!(result.is_ok(), accepted, "{typ:?} as {expected:?}");
            assert!(accepted || result.unwrap_err() == VerifyError::Typ);
        }
    }
}

/// DOS-08: length, encryption, compression and password-based key derivation are refused before anything is computed.
#[test]
fn expensive_tokens_are_refused_at_the_door() {
    let keys = KeySet::empty();
    let encode = |header: Value| URL_SAFE_NO_PAD.encode(header.to_string());
    let jwe = encode(json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 1_000_000_000, "p2s": "AAAA"}));
    assert_eq!(check(&format!("{jwe}.AA.AA.AA.AA"), &keys, &ANY).unwrap_err(), VerifyError::Malformed);
    assert_eq!(check(&format!("{jwe}.AA.AA"), &keys, &ANY).unwrap_err(), VerifyError::Algorithm);
    let zip = encode(json!({"alg": "ES256", "zip": "DEF"}));
    assert_eq!(check(&format!("{zip}.AA.AA"), &keys, &ANY).unwrap_err(), VerifyError::Critical);
    let long = "a".repeat(ANY.max_bytes + 1);
    assert_eq!(check(&long, &keys, &ANY).unwrap_err(), VerifyError::TooLong);
    let deep = URL_SAFE_NO_PAD.encode("{\"a\":".repeat(2000));
    assert_eq!(check(&format!("{deep}.AA.AA"), &keys, &ANY).unwrap_err(), VerifyError::Malformed);
}

/// A token of ours as an ordinary library sees it.
#[test]
fn an_independent_library_agrees() {
    use crate::base::Timestamp;
    use crate::jose::outsider::{Trust, claims};
    let now = Timestamp::from_unix_seconds(1_000);
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps512] {
        let key = key(algorithm);
        let jwks = json!({"keys": [key.public_jwk()]}).to_string();
        let body = json!({"iss": "i", "aud": "a", "sub": "s", "nbf": 1_000, "exp": 1_060});
        let token = sign(&key, "x+jwt", &body).unwrap();
        let trust = Trust::Jwks(jwks.as_bytes());
        assert_eq!(claims(trust, "i", "a", &token, now), Ok(body));
        assert!(claims(trust, "i", "b", &token, now).is_err());
        assert!(claims(trust, "i", "a", &token, now + Duration::from_secs(60)).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// TOK-06: no text makes verification panic or succeed.
    #[test]
    fn random_tokens_are_refused(token in r"[A-Za-z0-9_\-=.+/ é]{0,120}") {
        prop_assert!(check(&token, &KeySet::empty(), &ANY).is_err());
    }

    /// TOK-06: nor does any header and payload, well-formed as base64url.
    #[test]
    fn random_parts_are_refused(header in "\\PC{0,60}", payload in "\\PC{0,60}", kid in "\\PC{0,10}") {
        let keys = KeySet::empty();
        let free = format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&payload));
        prop_assert!(check(&free, &keys, &ANY).is_err());
        let framed = craft(&json!({"alg": "ES256", "kid": kid, "typ": payload}), &payload, |_| vec![0; 64]);
        prop_assert!(check(&framed, &keys, &ANY).is_err());
    }

    /// TOK-01: a genuine token with any one character replaced is refused.
    #[test]
    fn mutated_tokens_are_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.\\-]") {
        use std::sync::LazyLock;
        static GENUINE: LazyLock<(KeySet, String)> = LazyLock::new(|| {
            let key = key(Algorithm::EdDsa);
            let token = sign(&key, "JWT", &json!({"sub": "s", "n": 1})).unwrap();
            (KeySet::from_signing_keys(&[key]), token)
        });
        let (keys, token) = &*GENUINE;
        let at = at.index(token.len());
        let mut mutated = token.clone();
        mutated.replace_range(at..=at, &with);
        prop_assert_eq!(check(&mutated, keys, &ANY).is_ok(), &mutated == token);
    }
}

//! The provider's key set: rotation, strange members, strangers' key names.

use serde_json::json;

use super::{accepted, refused, world};
use crate::login::world_at;
use crate::support::{BadOp, Endpoint, Key};

/// TOK-08: keys that changed right before the signature are found without a restart, again and again.
#[tokio::test]
async fn rotated_keys_are_found() {
    let world = world().await;
    accepted(&world, "the first keys", |_| {}).await;
    for round in 0..3 {
        world.op.rotate_keys();
        accepted(&world, &format!("rotation {round}"), |_| {}).await;
    }
    assert_eq!(world.op.count(Endpoint::Jwks), 4);
}

/// TOK-09: unknown key names lead to one look per interval, however many there are, and good tokens still pass.
#[tokio::test]
async fn unknown_keys_do_not_decide_how_often_the_provider_is_asked() {
    let world = world().await;
    accepted(&world, "a good one", |_| {}).await;
    world.op.forget();
    let mut looks = 0;
    for n in 0..20 {
        refused(&world, &format!("unknown key {n}"), "no key of the issuer fits", |script| {
            script.sign_with(Key::Unknown);
        })
        .await;
        looks += world.op.count(Endpoint::Jwks);
        if n % 5 == 0 {
            accepted(&world, "a good one between", |_| {}).await;
            looks += world.op.count(Endpoint::Jwks);
        }
    }
    assert!((1..=2).contains(&looks), "{looks} looks at the keys");
}

/// TOK-10: a key set with everything in it: keys are chosen by kid, type, algorithm and use; what is strange is passed over.
#[tokio::test]
async fn strange_key_sets_are_tolerated() {
    let op = BadOp::start().await;
    op.script(|script| {
        script.jwks(|set| {
            let keys = set["keys"].as_array_mut().unwrap();
            let named =
                |keys: &[serde_json::Value], kid: &str| keys.iter().find(|key| key["kid"] == kid).unwrap().clone();
            let (p256, rsa) = (named(keys, "p256-0"), named(keys, "rsa-0"));
            let mut decoy = p256.clone();
            decoy["alg"] = "ES384".into();
            let mut same_kid = named(keys, "ed-0");
            same_kid["kid"] = "p256-0".into();
            let mut encryption = rsa.clone();
            encryption["use"] = "enc".into();
            let mut without_kid = named(keys, "p384-0");
            drop(without_kid.as_object_mut().unwrap().remove("kid"));
            let strange = [
                json!({"kty": "EC", "crv": "secp256k1", "kid": "p256-0", "x": p256["x"], "y": p256["y"]}),
                json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "p256-0", "pub": "AAAA"}),
                json!({"kty": "oct", "k": "AAAA", "kid": "rsa-0"}),
                json!({"kty": "RSA", "n": "!!!", "e": "AQAB", "kid": "rsa-0"}),
                json!({"kty": 7}),
                json!({}),
                json!("key"),
                json!(null),
                decoy,
                same_kid,
                encryption,
                without_kid,
            ];
            for (at, key) in strange.into_iter().enumerate() {
                keys.insert(at.min(keys.len()), key);
            }
        });
    });
    let world = world_at(op, |config| config.with("providers.corp.userinfo = true")).await;
    for key in [Key::Es256, Key::Rs256, Key::Ps256, Key::EdDsa, Key::Es384] {
        // The script of the set is needed for the one fetch only.
        let (browser, what) = (world.gateway.browser(), format!("{key:?}"));
        world.op.script(|script| {
            script.sign_with(key).id_token_claims(|claims| drop(claims.as_object_mut().unwrap().remove("at_hash")));
        });
        let page = browser.navigate(world.url("/")).await;
        assert_eq!(page.status, 200, "{what}: {page:?}");
    }
    refused(&world, "flipped", "signature does not hold", |script| {
        script.sign_with(Key::Flipped(Box::new(Key::Es256)));
    })
    .await;
}

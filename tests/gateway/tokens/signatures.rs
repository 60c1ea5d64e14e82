//! Signatures and algorithms.

use serde_json::json;

use super::{accepted, refused, world};
use crate::login::{answered, param, who, world_at};
use crate::support::{BadOp, Endpoint, Key};
use crate::world::World;

/// TOK-01, TOK-02, TOK-11, TOK-19: good signatures sign in; flipped, forged, absent, symmetric and weak ones do not.
#[tokio::test]
async fn signatures_are_verified() {
    let world = world().await;
    let all = [Key::Rs256, Key::Ps256, Key::Es256, Key::Es384, Key::EdDsa];
    for key in all.clone() {
        accepted(&world, &format!("{key:?}"), |script| {
            // The provider of these tests only knows how to make that of SHA-256.
            script.sign_with(key).id_token_claims(|claims| drop(claims.as_object_mut().unwrap().remove("at_hash")));
        })
        .await;
    }
    for key in all {
        let what = format!("flipped {key:?}");
        refused(&world, &what, "signature does not hold", |script| {
            script.sign_with(Key::Flipped(Box::new(key)));
        })
        .await;
    }
    let (pem, secret) = (world.op.rsa_pem().into_bytes(), world.op.client().secret.into_bytes());
    for (key, reason) in [
        (Key::Forged, "signature does not hold"),
        (Key::None("none"), "algorithm is not allowed"),
        (Key::None("None"), "algorithm is not allowed"),
        (Key::None("NONE"), "algorithm is not allowed"),
        (Key::Hs256(pem), "algorithm is not allowed"),
        (Key::Hs256(secret), "algorithm is not allowed"),
        (Key::Rsa1024, "no key of the issuer fits"),
    ] {
        let what = format!("{key:?}");
        refused(&world, &what, reason, |script| {
            script.sign_with(key);
        })
        .await;
    }
}

/// TOK-02: an algorithm that this provider does not announce is refused, its key published or not.
#[tokio::test]
async fn algorithms_are_those_of_the_provider() {
    let op = BadOp::start().await;
    op.script(|script| {
        script.discovery(|metadata| {
            metadata["id_token_signing_alg_values_supported"] = json!(["ES256", "HS256", "none"])
        });
    });
    let world = world_at(op, |config| config).await;
    // From here on the gateway knows the metadata.
    world.signed_in().await;
    accepted(&world, "ES256", |script| {
        script.sign_with(Key::Es256);
    })
    .await;
    let secret = world.op.client().secret.into_bytes();
    for key in [Key::Rs256, Key::Es384, Key::EdDsa, Key::Hs256(secret), Key::None("none")] {
        let what = format!("{key:?}");
        refused(&world, &what, "algorithm is not allowed", |script| {
            script.sign_with(key);
        })
        .await;
    }
}

/// TOK-07: keys that a token itself names or brings are not looked at.
#[tokio::test]
async fn keys_inside_of_tokens_are_not_followed() {
    let (world, attacker) = (World::start().await, BadOp::start().await);
    let browser = world.gateway.browser();
    let jwks = format!("{}/jwks", attacker.issuer());
    let document = browser.ask(crate::support::Ask::plain(http::Method::GET, &jwks)).await.json();
    let key = document["keys"].as_array().unwrap().iter().find(|key| key["crv"] == "P-256").unwrap().clone();
    attacker.forget();
    for header in [
        json!({"jku": jwks}),
        json!({"jwk": key}),
        json!({ "jku": jwks, "jwk": key, "kid": null }),
        json!({"x5u": format!("{}/cert.pem", attacker.issuer())}),
        json!({"x5c": ["MIIB"], "x5t": "AAAA", "kid": "of-theirs"}),
    ] {
        // The same token, signed by the provider itself, would do.
        for (signer, good) in [(&attacker, false), (&world.op, true)] {
            let browser = world.gateway.browser();
            let page = browser.step(world.url("/")).await.expect_status(303);
            let back = answered(&browser, &page).await;
            let claims = json!({
                "iss": world.op.issuer(), "aud": world.op.client().id, "sub": "mallory", "nonce": param(&page.location().unwrap(), "nonce"),
                "iat": 1_700_000_000, "exp": 9_999_999_999_i64,
            });
            let header = if good { json!({}) } else { header.clone() };
            let token = signer.sign(&Key::Es256, header.clone(), &claims);
            world.op.behave();
            world.op.script(|script| {
                script.token_answer(move |answer| answer["id_token"] = token.clone().into());
            });
            let page = browser.step(back).await;
            assert_eq!(page.status, if good { 303 } else { 502 }, "{header}: {page:?}");
            assert_eq!(who(&world, &browser).await.is_some(), good, "{header}");
        }
    }
    assert_eq!(attacker.all_requests().len(), 0, "the attacker's URL was asked");
    assert_eq!(world.op.count(Endpoint::Other), 0);
}

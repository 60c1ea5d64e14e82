//! Signing keys that the replicas agree on.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use http::Method;
use serde_json::Value;

use crate::support::codec::{from_b64url, unverified_header};
use crate::support::{Ask, Gateway, Site, sign_in};
use crate::world::{World, cookies, ready};

async fn jwks(gateway: &Gateway) -> Value {
    let ask = Ask::plain(Method::GET, gateway.url("/oauth2/jwks"));
    gateway.browser().ask(ask).await.expect_status(200).json()
}

/// Whether a token holds under a key set, by an implementation that is not the product's.
fn holds(token: &str, jwks: &Value) -> bool {
    let header = unverified_header(token).unwrap();
    assert_eq!(header["alg"], "ES256");
    let keys = jwks["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == header["kid"]) else { return false };
    let member = |name: &str| from_b64url(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], member("x"), member("y")].concat();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    public.verify(signed.as_bytes(), &from_b64url(signature).unwrap()).is_ok()
}

/// The replicas publish one key set, and what one signs holds under what the other publishes, now and after a restart, and
/// while a store that lost everything is filled anew.
#[tokio::test]
async fn replicas_agree_on_their_signing_keys() {
    let mut world = World::start().await;
    let line = cookies(&world.signed_in().await);
    let published = jwks(&world.replicas[0]).await;
    assert!(!published["keys"].as_array().unwrap().is_empty());
    assert_eq!(published, jwks(&world.replicas[1]).await);
    let token = async |world: &World, replica: usize| {
        world.replay(replica, &line).await.expect_status(200);
        world.echo.last().identity_token().unwrap().to_owned()
    };
    for (signs, publishes) in [(0, 1), (1, 0)] {
        let token = token(&world, signs).await;
        assert!(holds(&token, &jwks(&world.replicas[publishes]).await));
        let forged = format!("{}A{}", &token[..token.len() - 10], &token[token.len() - 9..]);
        assert!(forged == token || !holds(&forged, &published), "the check itself can fail");
    }
    let kid = unverified_header(&token(&world, 0).await).unwrap()["kid"].clone();

    world.replicas[0].restart().await;
    ready(&world.replicas[0]).await;
    assert_eq!(jwks(&world.replicas[0]).await, published);
    assert_eq!(unverified_header(&token(&world, 0).await).unwrap()["kid"], kid);

    // Nobody knows a session any more, and yet upstreams that cached the keys are right to go on.
    world.redis.restart_empty().await;
    for replica in [0, 1] {
        ready(&world.replicas[replica]).await;
        let browser = world.replicas[replica].browser();
        crate::support::eventually("a login after the loss", crate::world::SOON, || async {
            (browser.navigate(world.url("/")).await.status == 200).then_some(())
        })
        .await;
        sign_in(&browser, &world.replicas, "/").await;
        let token = world.echo.last().identity_token().unwrap().to_owned();
        assert!(holds(&token, &published));
        assert_eq!(jwks(&world.replicas[replica]).await, published);
    }
}

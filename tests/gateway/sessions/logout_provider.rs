//! What the provider is told about a logout.

use http::Method;

use crate::login::{SESSION, opens};
use crate::support::client::Ask;
use crate::support::{Endpoint, codec};
use crate::world::World;

/// LOGOUT-03: the hint is the session's last ID token, with `client_id`, our landing page, and an unguessable `state`.
#[tokio::test]
async fn the_provider_gets_what_it_needs() {
    let world = World::start().await;
    let mut states = Vec::new();
    for refreshed in [false, true] {
        let browser = world.signed_in().await;
        if refreshed {
            browser.ask(Ask::fetch(Method::POST, world.url("/oauth2/session/refresh"))).await.expect_status(200);
        }
        let hint = world.op.last_id_token();
        // Another login meanwhile does not change whose hint it is.
        world.signed_in().await;
        let page = browser.submit(world.url("/oauth2/logout"), &[("rd", "/public/x")]).await.expect_status(200);
        assert_eq!(page.url.path(), "/public/x");
        let sent = world.op.last(Endpoint::EndSession);
        assert_eq!(sent.method, "GET");
        assert_eq!(sent.param("id_token_hint"), Some(hint.as_str()));
        assert_eq!(sent.param("client_id"), Some(world.op.client().id.as_str()));
        assert_eq!(sent.param("post_logout_redirect_uri"), Some(world.url("/oauth2/signed_out").as_str()));
        let state = sent.param("state").unwrap().to_owned();
        assert!(state.len() >= 22 && !states.contains(&state), "{state}");
        states.push(state);
        let names: Vec<_> = sent.params.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), 4, "{names:?}");
    }
}

/// LOGOUT-15: an ID token too long for a URL is carried by a form, whose button signs out at the provider.
#[tokio::test]
async fn long_hints_go_by_form() {
    let world = World::start().await;
    world.op.set_claim("alice", "long", "x".repeat(12 * 1024));
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION).unwrap();
    let page = browser.ask(Ask::form(world.url("/oauth2/logout"), &[("a", "b")])).await.expect_status(200);
    assert!(!opens(&world, &cookie).await);
    let form = page.forms().remove(0);
    assert_eq!(form.action.as_str(), format!("{}/end_session", world.op.issuer()));
    assert!(page.header("content-security-policy").unwrap().contains(world.op.issuer()));
    let page = browser.submit(form.action.as_str(), &form.fields).await.expect_status(200);
    assert_eq!(page.url.path(), "/oauth2/signed_out");
    let sent = world.op.last(Endpoint::EndSession);
    assert_eq!((sent.method.as_str(), sent.param("id_token_hint")), ("POST", Some(world.op.last_id_token().as_str())));
    assert!(codec::contains(&sent.body, b"post_logout_redirect_uri"));
}

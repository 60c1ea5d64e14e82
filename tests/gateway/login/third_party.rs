//! Logins that another party asks for (OpenID Connect Core 1.0, section 4).

use super::{ELSEWHERE, param};
use crate::logout::two_providers;
use crate::support::client::{Ask, Page};
use crate::support::wait::until;
use crate::support::{Endpoint, codec};
use crate::world::{SOON, World};

/// The same by GET and by POST, from a page of the other party, up to the redirect to the provider or the refusal.
async fn both_ways(world: &World, fields: &[(&str, &str)]) -> [Page; 2] {
    let url = world.url("/oauth2/login");
    let get = Ask::navigation(format!("{url}?{}", codec::form(fields))).caused_by(ELSEWHERE);
    let get = world.gateway.browser().ask(get).await;
    let browser = world.gateway.browser();
    let mut post = browser.ask(Ask::form(&url, fields).caused_by(ELSEWHERE)).await;
    if let Some(own) = post.location().filter(|to| to.as_str().starts_with(&url)) {
        assert!(post.set_cookies().is_empty());
        post = browser.ask(Ask::navigation(own).caused_by(ELSEWHERE)).await;
    }
    [get, post]
}

/// LOGIN-23: a known `iss` picks that provider, and the hint goes along; an unknown one gets 400, and nobody is asked.
#[tokio::test]
async fn only_known_issuers_are_asked() {
    let (world, other) = two_providers().await;
    let issuer = world.op.issuer();
    // What the gateway asks of its own accord when it starts is over.
    for op in [&world.op, &other] {
        until("the provider's keys", SOON, || op.count(Endpoint::Jwks) == 1).await;
        op.forget();
    }
    for iss in [
        ELSEWHERE,
        "",
        "corp",
        "http://127.0.0.1:1",
        &format!("{issuer}/"),
        &format!("{issuer}.evil.example"),
        &issuer.to_uppercase(),
    ] {
        for page in both_ways(&world, &[("iss", iss), ("target_link_uri", "/x")]).await {
            assert_eq!((page.status, page.location(), page.set_cookies().len()), (400, None, 0), "{iss}: {page:?}");
        }
    }
    let query = codec::form(&[("provider", "corp"), ("iss", other.issuer())]);
    world.gateway.browser().step(world.url(&format!("/oauth2/login?{query}"))).await.expect_status(400);
    assert_eq!((world.op.all_requests().len(), other.all_requests().len()), (0, 0), "somebody was asked");
    world.gateway.browser().ask(Ask::form(world.url("/oauth2/login"), &[("a", "b")])).await.expect_status(400);

    for op in [&world.op, &other] {
        for page in
            both_ways(&world, &[("iss", op.issuer()), ("login_hint", "ann@example.test"), ("scope", "evil")]).await
        {
            let sent = page.expect_status(303).location().unwrap();
            assert!(sent.as_str().starts_with(&format!("{}/authorize?", op.issuer())), "{sent}");
            assert_eq!(param(&sent, "login_hint"), "ann@example.test");
            assert!(!param(&sent, "scope").contains("evil"));
        }
    }
}

/// LOGIN-23: `target_link_uri` is judged like every return target.
#[tokio::test]
async fn targets_are_our_own() {
    let world = World::start().await;
    for (target, lands) in [
        ("/deep?x=1", "/deep?x=1"),
        (&*world.url("/deep"), "/deep"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/oauth2/logout", "/"),
    ] {
        for method in ["GET", "POST"] {
            let fields = [("iss", world.op.issuer()), ("target_link_uri", target)];
            let url = world.url("/oauth2/login");
            let ask = match method {
                "GET" => Ask::navigation(format!("{url}?{}", codec::form(&fields))),
                _ => Ask::form(&url, &fields),
            };
            let page = world.gateway.browser().follow(ask.caused_by(ELSEWHERE)).await.expect_status(200);
            assert_eq!(page.url.as_str(), world.url(lands), "{method} {target}");
        }
    }
}

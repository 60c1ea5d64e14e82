//! The page that a provider frames.

use http::Method;

use super::{session_of, two_providers};
use crate::login::{ELSEWHERE, SESSION, opens};
use crate::support::client::Ask;
use crate::support::codec;
use crate::world::World;

fn page_of(world: &World, iss: &str, sid: &str) -> String {
    world.url(&format!("/oauth2/logout/frontchannel?{}", codec::form(&[("iss", iss), ("sid", sid)])))
}

fn frame_ancestors(page: &crate::support::Page) -> String {
    let policies = page.header_all("content-security-policy").join("; ");
    let found: Vec<&str> =
        policies.split(';').map(str::trim).filter_map(|one| one.strip_prefix("frame-ancestors ")).collect();
    assert_eq!(found.len(), 1, "{policies}");
    found[0].to_owned()
}

/// LOGOUT-13: `iss` and `sid` in a frame end that session without any cookie; the provider alone may frame it, and this page alone.
#[tokio::test]
async fn a_frame_of_the_provider_ends_the_session() {
    let (world, other) = two_providers().await;
    let (cookie, sid) = session_of(&world, "alice").await;
    let (second, _) = session_of(&world, "alice").await;
    let browser = world.gateway.browser();
    let frame = async |url: String| browser.ask(Ask::frame(url).caused_by(world.op.issuer()).without_cookies()).await;

    let page = frame(page_of(&world, other.issuer(), &sid)).await.expect_status(200);
    assert_eq!(frame_ancestors(&page), other.issuer());
    assert!(opens(&world, &cookie).await, "another issuer's sid of the same name");
    let page = frame(page_of(&world, world.op.issuer(), &sid)).await.expect_status(200);
    assert_eq!(frame_ancestors(&page), world.op.issuer());
    assert_eq!((page.header("cache-control"), page.header("x-frame-options")), (Some("no-store"), None));
    assert!(page.set_cookies().is_empty() && !page.text().contains(&sid));
    assert!(!opens(&world, &cookie).await && opens(&world, &second).await);
    // Again, and for a session that never was: the same answer.
    frame(page_of(&world, world.op.issuer(), &sid)).await.expect_status(200);
    frame(page_of(&world, world.op.issuer(), "no-such-sid")).await.expect_status(200);
    assert!(opens(&world, &second).await);

    for path in [
        "/oauth2/signed_out",
        "/oauth2/logout",
        "/oauth2/nothing",
        "/oauth2/callback?error=x",
        "/oauth2/login?provider=x",
    ] {
        let page = browser.step(world.url(path)).await;
        let allowed = frame_ancestors(&page);
        assert!(!allowed.contains("http") && !allowed.contains('*'), "{path}: {allowed}");
    }
}

/// LOGOUT-13: what names no session of a known issuer is refused, also with somebody's cookie, and ends nothing.
#[tokio::test]
async fn strangers_end_nothing_by_a_frame() {
    let world = World::start().await;
    let (cookie, sid) = session_of(&world, "alice").await;
    let line = format!("{SESSION}={cookie}");
    let browser = world.gateway.browser();
    let issuer = world.op.issuer();
    for (query, status) in [
        (codec::form(&[("iss", ELSEWHERE), ("sid", &sid)]), 400),
        (codec::form(&[("iss", &*format!("{issuer}/")), ("sid", &sid)]), 400),
        (codec::form(&[("iss", ""), ("sid", &sid)]), 400),
        (codec::form(&[("sid", &sid)]), 400),
        (codec::form(&[("iss", issuer)]), 400),
        (String::new(), 400),
        (codec::form(&[("iss", issuer), ("sid", "guess")]), 200),
        (codec::form(&[("iss", issuer), ("sid", "")]), 200),
        (codec::form(&[("iss", issuer), ("sid", "*")]), 200),
    ] {
        let url = world.url(&format!("/oauth2/logout/frontchannel?{query}"));
        let page = browser.ask(Ask::frame(url).caused_by(ELSEWHERE).header("cookie", &line)).await;
        assert_eq!((page.status, page.header("cache-control")), (status, Some("no-store")), "{query}");
        assert!(page.set_cookies().is_empty(), "{query}");
        assert!(opens(&world, &cookie).await, "{query}");
    }
    let url = page_of(&world, issuer, &sid);
    browser.ask(Ask::plain(Method::POST, url)).await.expect_status(405);
    assert!(opens(&world, &cookie).await);
    let told = world.gateway.audit_events().into_iter().filter(|event| event["event"] == "revoked").count();
    assert_eq!(told, 0, "nothing is recorded for strangers");
}

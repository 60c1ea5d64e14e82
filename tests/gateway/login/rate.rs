//! How many logins one address may start.

use http::Method;

use crate::support::client::{Ask, Page};
use crate::support::{Browser, Endpoint};
use crate::world::World;

async fn login_by(world: &World, forwarded: &str) -> Page {
    let ask = Ask::navigation(world.url("/")).header("x-forwarded-for", forwarded);
    world.gateway.browser().ask(ask).await
}

fn refused(page: &Page) {
    assert_eq!((page.status, page.location(), page.set_cookies().len()), (429, None, 0), "{page:?}");
    let wait: u64 = page.header("retry-after").expect("how long").parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
}

/// DOS-06, for the start of logins: the fourth within a minute gets 429 and is told how long to wait; who has a session or asks for
/// none, and who comes from another address, does not notice.
#[tokio::test]
async fn one_address_starts_so_many() {
    let world =
        World::with(|config| config.with("limits.logins_per_minute = 3\nnetwork.trusted_proxies = [\"127.0.0.1\"]"))
            .await;
    let browser: Browser = world.signed_in().await;
    for _ in 0..3 {
        login_by(&world, "192.0.2.1").await.expect_status(303);
    }
    refused(&login_by(&world, "192.0.2.1").await);
    // What the client itself wrote in front of the proxy's word does not count.
    refused(&login_by(&world, "198.51.100.7, 192.0.2.1").await);
    let asked = world.op.count(Endpoint::Authorize);
    for n in 2..10 {
        login_by(&world, &format!("192.0.2.{n}")).await.expect_status(303);
    }
    let by_first = |ask: Ask| ask.header("x-forwarded-for", "192.0.2.1");
    browser.ask(by_first(Ask::fetch(Method::GET, world.url("/")))).await.expect_status(200);
    browser.ask(by_first(Ask::fetch(Method::GET, world.url("/public")))).await.expect_status(200);
    world.gateway.browser().ask(by_first(Ask::fetch(Method::GET, world.url("/")))).await.expect_status(401);
    assert_eq!(world.op.count(Endpoint::Authorize), asked);
}

/// DOS-06: without a trusted proxy the address is that of the connection, whatever the client writes.
#[tokio::test]
async fn the_address_cannot_be_made_up() {
    let world = World::with(|config| config.with("limits.logins_per_minute = 3")).await;
    for n in 1..=3 {
        login_by(&world, &format!("192.0.2.{n}")).await.expect_status(303);
    }
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.9"),
        ("forwarded", "for=192.0.2.9"),
        ("x-real-ip", "192.0.2.9"),
        ("true-client-ip", "192.0.2.9"),
    ] {
        let page = world.gateway.browser().ask(Ask::navigation(world.url("/oauth2/login")).header(name, value)).await;
        refused(&page);
    }
}

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

/// DOS-06, for callbacks: those that fail are counted, and an address that has failed too often waits, whatever it claims its
/// address to be; logins of others, and those that succeed, are not held up.
#[tokio::test]
async fn callbacks_that_fail_are_limited() {
    let world =
        World::with(|config| config.with("limits.logins_per_minute = 20\nnetwork.trusted_proxies = [\"127.0.0.1\"]"))
            .await;
    let by = |address: &str, url: &str| Ask::navigation(url).header("x-forwarded-for", address);
    let forged = world.url("/oauth2/callback?code=x");
    let stranger = world.gateway.browser();
    for _ in 0..20 {
        stranger.ask(by("192.0.2.1", &forged)).await.expect_status(400);
    }
    refused(&stranger.ask(by("192.0.2.1", &forged)).await);
    refused(&stranger.ask(by("198.51.100.7, 192.0.2.1", &world.url("/oauth2/callback?code=x&state=y"))).await);
    refused(
        &stranger
            .ask(Ask::form(world.url("/oauth2/callback"), &[("a", "b")]).header("x-forwarded-for", "192.0.2.1"))
            .await,
    );
    assert!(world.gateway.metrics().await.sum("vestibule_limited_total", &[("kind", "failed_callbacks")]) >= 3.0);
    // Everybody else, and more often than anybody may fail.
    for n in 0..3 {
        let ask = Ask::navigation(world.url("/")).header("x-forwarded-for", &format!("192.0.2.{}", n + 2));
        world.gateway.browser().follow(ask).await.expect_status(200);
    }
    let world = World::with(|config| config.with("limits.logins_per_minute = 4")).await;
    for _ in 0..4 {
        world.gateway.browser().navigate(world.url("/")).await.expect_status(200);
    }
    let back = world.url("/oauth2/callback?code=x");
    for _ in 0..4 {
        world.gateway.browser().step(&back).await.expect_status(400);
    }
    for (name, value) in [("x-forwarded-for", "192.0.2.9"), ("forwarded", "for=192.0.2.9")] {
        refused(&world.gateway.browser().ask(Ask::navigation(&back).header(name, value)).await);
    }
}

/// DOS-06, for bearer tokens: an address that comes with ones that are not taken, again and again, is told to wait; others are not.
#[tokio::test]
async fn bearer_tokens_that_are_not_taken_are_limited() {
    let world =
        World::with(|config| config.with("limits.logins_per_minute = 3\nnetwork.trusted_proxies = [\"127.0.0.1\"]"))
            .await;
    let with_token = |address: &str| {
        Ask::plain(Method::GET, world.url("/api"))
            .header("authorization", "Bearer guessed")
            .header("x-forwarded-for", address)
    };
    let client = world.gateway.browser();
    for _ in 0..3 {
        let page = client.ask(with_token("192.0.2.1")).await.expect_status(401);
        assert_eq!(page.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
    refused(&client.ask(with_token("192.0.2.1")).await);
    client.ask(with_token("192.0.2.2")).await.expect_status(401);
    assert_eq!(world.gateway.metrics().await.sum("vestibule_limited_total", &[("kind", "failed_bearer_tokens")]), 1.0);
    let plain = Ask::plain(Method::GET, world.url("/api")).header("x-forwarded-for", "192.0.2.1");
    client.ask(plain).await.expect_status(401);
}

//! `session/events`: a page learns that its session has ended, and why.

use crate::support::client::Ask;
use crate::support::raw::Raw;
use crate::world::{SOON, World, cookie_line};

async fn listen(world: &World, cookie: &str) -> Raw {
    let mut raw = world.raw().await;
    raw.send(world.head("GET /oauth2/session/events", &[cookie])).await;
    let head = raw.head().await.expect("an answer");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert!(raw.take_until(b": the session is alive\n\n", SOON).await.is_some());
    raw
}

async fn hears(mut raw: Raw, reason: &str) {
    let said = format!("event: ended\ndata: {{\"reason\": \"{reason}\"}}\n\n");
    assert!(raw.take_until(said.as_bytes(), SOON).await.is_some(), "no {reason}");
    // That is all there is to say: the stream ends cleanly, so that nobody takes it for a broken one.
    assert!(raw.take_until(b"0\r\n\r\n", SOON).await.is_some(), "no clean end");
}

/// Sign-out, an operator, the idle limit: each is told by its name, and only to whom it concerns.
#[tokio::test]
async fn the_reason_is_told() {
    let world = World::with(|config| config.with("session.near_cache.staleness = \"1s\"")).await;
    let (leaving, ended, staying) = (world.signed_in().await, world.signed_in().await, world.signed_in().await);
    let one = listen(&world, &cookie_line(&leaving)).await;
    let two = listen(&world, &cookie_line(&ended)).await;
    let mut three = listen(&world, &cookie_line(&staying)).await;

    leaving.ask(Ask::form(world.url("/oauth2/logout"), &[("x", "y")]).caused_by(world.gateway.public_url())).await;
    hears(one, "logout").await;

    let page = ended.fetch(world.url("/oauth2/session")).await.expect_status(200).json();
    let path = format!("/api/sessions/{}", page["sid"].as_str().unwrap());
    world.gateway.admin("DELETE", &path, None).await.expect_status(204);
    hears(two, "revoked").await;

    assert!(three.take_until(b"event: ended", std::time::Duration::from_millis(300)).await.is_none());
    assert_eq!(staying.fetch(world.url("/oauth2/session")).await.status, 200);
}

/// Listening does not keep a session alive, and the end by idleness is told as that.
#[tokio::test]
async fn listening_is_no_use_of_a_session() {
    let world =
        World::with(|config| config.with("[session]\nidle = \"2s\"\nlifetime = \"1h\"\nnear_cache.staleness = \"1s\""))
            .await;
    let raw = listen(&world, &world.cookie().await).await;
    hears(raw, "idle").await;
}

#[tokio::test]
async fn without_a_session_there_is_nothing_to_hear() {
    let world = World::with(|config| config.with("")).await;
    let page = world.gateway.browser().fetch(world.url("/oauth2/session/events")).await;
    assert_eq!((page.status, page.header("content-type")), (401, Some("application/problem+json")));
}

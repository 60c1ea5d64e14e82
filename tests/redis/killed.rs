//! A replica that dies, or stands still, between the provider's answer and the store's write.

use std::time::Duration;

use crate::support::{Endpoint, Signal};
use crate::world::{World, cookies};

/// REF-02: SIGKILL between grant and write: the rotated token is gone with the process. Whoever comes next waits for the dead
/// holder's lease, is told that the family has ended, and signs in again, once and cleanly. So it is with a holder that stands still
/// past its lease; when it goes on, it stores nothing.
#[tokio::test]
async fn a_replica_lost_in_a_refresh_costs_a_new_login_at_most() {
    tokio::join!(interrupted(Signal::Kill), interrupted(Signal::Stop));
}

async fn interrupted(signal: Signal) {
    let mut world = World::start().await;
    world.op.script(|script| {
        script.expires_in(1);
    });
    let browser = world.signed_in().await;
    let old = cookies(&browser);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    world.op.script(|script| {
        script.expires_in(300);
    });
    world.op.forget();
    let gate = world.op.hold(Endpoint::Token);
    let refreshing = tokio::spawn({
        let (browser, url) = (world.at(0, &browser), world.url("/"));
        async move { browser.attempt(crate::support::Ask::fetch(http::Method::GET, url)).await.map(|page| page.status) }
    });
    gate.arrived().await;
    world.replicas[0].signal(signal);
    if signal == Signal::Kill {
        assert!(refreshing.await.unwrap().is_err(), "nobody answers");
        gate.open();
        next_person(&world, &browser, &old).await;
        return;
    }
    gate.open();
    next_person(&world, &browser, &old).await;
    let new = cookies(&browser);
    world.replicas[0].signal(Signal::Cont);
    assert_ne!(refreshing.await.unwrap(), Ok(200), "its session is another's by now");
    assert_eq!(world.records().len(), 1);
    assert_eq!(world.replay(0, &old).await.status, 401);
    for replica in [0, 1] {
        assert_eq!(world.replay(replica, &new).await.status, 200);
    }
}

/// At the other replica: one login, one session, and the provider saw one reuse that it was told the truth about.
async fn next_person(world: &World, browser: &crate::support::Browser, old: &str) {
    let page = world.at(1, browser).navigate(world.url("/wanted")).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/wanted"));
    assert_eq!(world.op.count(Endpoint::Authorize), 1, "one clean login");
    assert_eq!((world.op.grants("refresh_token"), world.op.grants("authorization_code")), (2, 1));
    assert_eq!(world.records().len(), 1);
    assert_eq!(world.replay(1, old).await.status, 401);
    let told = world.replicas[1].audit_event("refresh_failed").await;
    assert_eq!(told["sub"], "alice");
}

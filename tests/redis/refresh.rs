//! Refreshes of rotated tokens: one at a time, never lost, never for somebody who has gone.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::codec::contains;
use crate::support::fault_proxy::Mode;
use crate::support::{
    Ask, BadOp, Browser, ConfigBuilder, Echo, Endpoint, FaultProxy, Gateway, Redis, Site, eventually, sign_in,
};
use crate::world::{SOON, World, cookies, ready, records};

/// Signed in with an access token that is over; what is granted from now on lives long.
async fn expired(world: &World) -> Browser {
    world.op.script(|script| {
        script.expires_in(1);
    });
    let browser = world.signed_in().await;
    // What has to pass is time.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    world.op.script(|script| {
        script.expires_in(300);
    });
    world.op.forget();
    browser
}

fn post(url: String) -> Ask {
    Ask::fetch(Method::POST, url)
}

/// REF-01: two hundred requests at two replicas when the access token has just ended, with a provider that is quick and one
/// that is slow: one refresh, and all of them are served.
#[tokio::test]
async fn of_two_hundred_requests_one_refreshes() {
    let world = World::start().await;
    for delay in [0, 1000] {
        world.op.behave();
        let browser = expired(&world).await;
        world.op.script(|script| {
            script.delay(Endpoint::Token, Duration::from_millis(delay));
        });
        world.echo.forget();
        let mut asked = JoinSet::new();
        for n in 0..200 {
            let (browser, url) = (world.at(n % 2, &browser), world.url("/"));
            asked.spawn(async move { browser.fetch(url).await.status });
        }
        let answers = asked.join_all().await;
        assert_eq!(answers.iter().filter(|&&status| status == 200).count(), 200, "{answers:?}");
        assert_eq!((world.op.grants("refresh_token"), world.op.reuses(), world.echo.count()), (1, 0, 200));
    }
}

/// REF-05 (and SESS-07): the session ends while its refresh is under way at another replica. What the provider grants then is given
/// back, nothing is written, and the cookie opens nothing.
#[tokio::test]
async fn a_refresh_that_ends_after_its_session_gives_the_tokens_back() {
    let world = World::start().await;
    for way in ["logout", "revoke a user", "revoke everybody"] {
        world.op.behave();
        let browser = expired(&world).await;
        let line = cookies(&browser);
        let gate = world.op.hold(Endpoint::Token);
        let waiting = tokio::spawn({
            let (browser, url) = (world.at(0, &browser), world.url("/"));
            async move { browser.fetch(url).await }
        });
        gate.arrived().await;
        let tokens = world.op.issued_tokens();
        let granted = tokens.iter().rfind(|token| token.starts_with("canary-refresh-")).unwrap().clone();
        assert!(world.op.is_alive(&granted), "{way}: granted, and on its way");
        match way {
            "logout" => drop(world.at(1, &browser).ask(post(world.url("/oauth2/logout"))).await.expect_status(200)),
            "revoke a user" => {
                assert_eq!(world.revoke(1, &json!({"provider": "corp", "sub": "alice"})).await, 1);
            }
            _ => drop(world.revoke(1, &json!({"all": true})).await),
        }
        gate.open();
        assert_eq!(waiting.await.unwrap().status, 401, "{way}");
        eventually(&format!("a revocation of the new token after {way}"), SOON, || async {
            world.op.revoked().contains(&granted).then_some(())
        })
        .await;
        assert!(!world.op.is_alive(&granted), "{way}");
        assert_eq!(world.records(), [""; 0], "{way}");
        world.refused_everywhere(&line).await;
    }
}

/// REF-02: the store refuses to write for a while right after a grant: the token waits for it, and the session goes on with it.
#[tokio::test]
async fn a_rotated_token_waits_for_a_store_that_refuses() {
    let world = World::start().await;
    let browser = expired(&world).await;
    let gate = world.op.hold(Endpoint::Token);
    let waiting = tokio::spawn({
        let (browser, url) = (world.at(0, &browser), world.url("/"));
        async move { browser.fetch(url).await }
    });
    gate.arrived().await;
    assert_eq!(world.redis.cli(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    gate.open();
    // Its pauses grow up to half a second: these are more than three seconds.
    eventually("patience", Duration::from_secs(15), || async {
        assert!(!waiting.is_finished(), "it did not wait");
        (world.replicas[0].logs().matches("renewed tokens are not stored yet").count() >= 10).then_some(())
    })
    .await;
    assert_eq!(world.redis.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    assert_eq!(waiting.await.unwrap().status, 200);
    world.op.behave();
    // The next one presents the rotated token, wherever it happens.
    world.at(1, &browser).ask(post(world.url("/oauth2/session/refresh"))).await.expect_status(200);
    assert_eq!((world.op.grants("refresh_token"), world.op.reuses()), (2, 0));
    assert_eq!(world.replay(0, &cookies(&browser)).await.status, 200);
}

/// The write reaches the store, and its answer is lost: the rotated token stands, and the ID token that came with it is judged
/// all the same: one of somebody else ends the session.
#[tokio::test]
async fn a_write_whose_answer_is_lost_has_happened() {
    tokio::join!(answer_lost(true), answer_lost(false));
}

async fn answer_lost(honest: bool) {
    let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
    let way = FaultProxy::start(redis.address()).await;
    let gateway = Gateway::start(ConfigBuilder::usual(&op, &echo).store(&redis.url_at(way.address))).await;
    ready(&gateway).await;
    let browser = gateway.browser();
    sign_in(&browser, &gateway, "/").await;
    // The server knows the scripts from now on: what is told next needs no answer to take effect.
    let refresh = || post(gateway.url("/oauth2/session/refresh"));
    browser.ask(refresh()).await.expect_status(200);
    let record = || redis.command(&["GET", &records(&redis)[0]]);
    let before = record();
    let gate = op.script(|script| {
        if !honest {
            script.id_token_claims(|claims| claims["sub"] = "mallory".into());
        }
        script.hold(Endpoint::Token)
    });
    let waiting = tokio::spawn({
        let (browser, ask) = (browser.clone(), refresh());
        async move { browser.ask(ask).await }
    });
    gate.arrived().await;
    way.set(Mode::SwallowAnswers);
    gate.open();
    eventually("a write without an answer", SOON, || async {
        gateway.logs().contains("renewed tokens are not stored yet").then_some(())
    })
    .await;
    assert_ne!(record(), before, "it has happened");
    way.set(Mode::Pass);
    let status = waiting.await.unwrap().status;
    op.behave();
    if honest {
        assert_eq!(status, 200);
        browser.ask(refresh()).await.expect_status(200);
        assert_eq!((op.grants("refresh_token"), op.reuses()), (3, 0));
    } else {
        assert_eq!(status, 401);
        assert_eq!(records(&redis), [""; 0]);
    }
}

/// As if its holder had been paused for too long.
fn take_the_lease_away(world: &World) {
    let keys = world.redis.keys().into_iter().map(|key| String::from_utf8(key).unwrap());
    let leases: Vec<String> = keys.filter(|key| key.starts_with("vestibule:lease:")).collect();
    assert_eq!(leases.len(), 1, "somebody refreshes");
    world.redis.command(&["DEL", &leases[0]]);
}

/// REF-02: a holder that has lost its lease cannot write: what a neighbour has stored meanwhile stands, and is what is presented next.
#[tokio::test]
async fn a_holder_that_lost_its_lease_writes_nothing() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let refresh = || post(world.url("/oauth2/session/refresh"));
    let gate = world.op.hold(Endpoint::Token);
    let late = tokio::spawn({
        let (browser, ask) = (world.at(0, &browser), refresh());
        async move { browser.ask(ask).await }
    });
    gate.arrived().await;
    take_the_lease_away(&world);
    let granted = json!({
        "access_token": "canary-access-won", "token_type": "Bearer", "expires_in": 300, "refresh_token": "canary-refresh-won",
    });
    world.op.script(|script| {
        script.answer(Endpoint::Token, 200, "application/json", granted.to_string());
    });
    world.at(1, &browser).ask(refresh()).await.expect_status(200);
    gate.open();
    late.await.unwrap().expect_status(200);
    for replica in [0, 1] {
        world.at(replica, &browser).ask(refresh()).await.expect_status(200);
        assert_eq!(world.op.last(Endpoint::Token).param("refresh_token"), Some("canary-refresh-won"));
    }
}

/// REF-03: two replicas refresh at once, since a lease was lost. The one that the provider refuses finds what the other has stored, and
/// the session goes on.
#[tokio::test]
async fn a_refresh_that_is_refused_looks_whether_a_neighbour_has_won() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let refresh = || post(world.url("/oauth2/session/refresh"));
    world.op.end_grants();
    let gate = world.op.hold(Endpoint::Token);
    let refused = tokio::spawn({
        let (browser, ask) = (world.at(1, &browser), refresh());
        async move { browser.ask(ask).await }
    });
    gate.arrived().await;
    take_the_lease_away(&world);
    let granted = json!({"access_token": "canary-access-won", "token_type": "Bearer", "expires_in": 300});
    world.op.script(|script| {
        script.answer(Endpoint::Token, 200, "application/json", granted.to_string());
    });
    world.at(0, &browser).ask(refresh()).await.expect_status(200);
    gate.open();
    refused.await.unwrap().expect_status(200);
    assert_eq!((world.op.grants("refresh_token"), world.records().len()), (2, 1));
    for replica in [0, 1] {
        assert_eq!(world.replay(replica, &cookies(&browser)).await.status, 200);
    }
}

/// REF-08: refresh tokens go to their provider's token endpoint (and, when they are given back, to its revocation endpoint),
/// with the client's authentication, and nowhere else; and refreshing moves no limit.
#[tokio::test]
async fn refresh_tokens_go_to_their_provider_and_extend_nothing() {
    let world = World::with(|config| config.with("[session]\nidle = \"4s\"\nlifetime = \"4s\"")).await;
    world.op.script(|script| {
        script.expires_in(1);
    });
    let browser = world.signed_in().await;
    let line = cookies(&browser);
    let mut replica = 0;
    eventually("the absolute limit", Duration::from_secs(8), || {
        replica = 1 - replica;
        let (world, line) = (&world, &line);
        async move { (world.replay(replica, line).await.status == 401).then_some(()) }
    })
    .await;
    world.refused_everywhere(&line).await;
    assert!(world.op.grants("refresh_token") >= 2);
    let mut tokens = world.op.issued_tokens();
    tokens.retain(|token| token.starts_with("canary-refresh-"));
    let holds = |bytes: &[u8]| tokens.iter().any(|token| contains(bytes, token.as_bytes()));
    for request in world.op.all_requests() {
        assert!(!holds(request.target.as_bytes()), "{request:?}");
        if holds(&request.body) || holds(format!("{:?}", request.headers).as_bytes()) {
            assert!(matches!(request.endpoint, Endpoint::Token | Endpoint::Revocation), "{request:?}");
            assert!(request.header("authorization").is_some_and(|value| value.starts_with("Basic ")), "{request:?}");
        }
    }
    for seen in world.echo.requests() {
        assert!(!holds(seen.raw_head.as_bytes()) && !holds(seen.body.as_bytes()));
    }
    assert!(!holds(&browser.received()) && !holds(world.replicas.output().as_bytes()));
    assert!(!holds(&world.redis.dump_all()));
}

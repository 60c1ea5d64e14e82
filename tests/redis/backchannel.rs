//! Logouts by the provider, seen from every replica and in the store.

use std::time::Duration;

use crate::support::fault_proxy::Mode;
use crate::support::{BadOp, ConfigBuilder, Echo, Endpoint, FaultProxy, Page, Redis, Replicas, eventually, sign_in};
use crate::world::{SOON, World, cookies, ready};

async fn send(world: &World, replica: usize, token: &str) -> Page {
    let url = world.url("/oauth2/logout/backchannel");
    world.op.send_logout(&world.replicas[replica].browser(), &url, token).await
}

/// LOGOUT-07, LOGOUT-11: a logout token for a `sub` ends all five sessions of that person on both replicas, and nobody else's; one that
/// comes again, too late or forged changes nothing.
#[tokio::test]
async fn a_person_is_signed_out_everywhere() {
    let world = World::start().await;
    let mut hers = Vec::new();
    for replica in [0, 1, 0, 1, 0] {
        world.op.script(|script| {
            script.user("alice").new_sid_each_time();
        });
        let browser = world.replicas[replica].browser();
        sign_in(&browser, &world.replicas, "/").await;
        let line = cookies(&browser);
        for replica in [0, 1] {
            assert_eq!(world.replay(replica, &line).await.status, 200);
        }
        hers.push(line);
    }
    let last = world.op.last_sid();
    let bob = cookies(&world.signed_in_as("bob").await);
    send(&world, 1, &world.op.logout_token(None, Some(&last))).await.expect_status(200);
    world.refused_everywhere(&hers[4]).await;
    for line in &hers[..4] {
        assert_eq!((world.replay(0, line).await.status, world.replay(1, line).await.status), (200, 200));
    }
    // Too late, or by somebody else: nothing changes, at either replica.
    let token = world.op.logout_token(Some("alice"), None);
    world.op.script(|script| {
        script.logout_token_claims(|claims| {
            claims["iat"] = (claims["iat"].as_i64().unwrap() - 7200).into();
            claims["exp"] = (claims["exp"].as_i64().unwrap() - 7200).into();
        });
    });
    let late = world.op.logout_token(Some("alice"), None);
    world.op.behave();
    let mut forger = crate::support::BadOp::setup().start().await.logout_token(Some("alice"), None);
    forger = token.split('.').take(2).chain(forger.split('.').skip(2)).collect::<Vec<_>>().join(".");
    for (replica, refused) in [(0, &late), (1, &late), (0, &forger), (1, &forger)] {
        send(&world, replica, refused).await.expect_status(400);
    }
    for line in &hers[..4] {
        assert_eq!((world.replay(0, line).await.status, world.replay(1, line).await.status), (200, 200));
    }
    send(&world, 0, &token).await.expect_status(200);
    for line in &hers {
        world.refused_everywhere(line).await;
    }
    assert_eq!((world.replay(0, &bob).await.status, world.replay(1, &bob).await.status), (200, 200));
    // Seen at one replica, it is a replay at the other.
    let again = cookies(&world.signed_in_as("alice").await);
    send(&world, 1, &token).await.expect_status(200);
    assert_eq!((world.replay(0, &again).await.status, world.replay(1, &again).await.status), (200, 200));
}

/// LOGOUT-14: with the session its record is gone, and no byte of a refresh token was or is in the store.
#[tokio::test]
async fn refresh_tokens_go_with_the_record() {
    let world = World::start().await;
    let line = cookies(&world.signed_in().await);
    let (record, token) = (world.records(), world.op.logout_token(Some("alice"), Some(&world.op.last_sid())));
    assert_eq!(record.len(), 1);
    crate::support::gateway::assert_holds_none("the store", &world.redis.dump_all(), &world.op.issued_tokens());
    send(&world, 1, &token).await.expect_status(200);
    assert_eq!(world.records(), [""; 0]);
    assert_eq!(world.redis.command(&["EXISTS", &record[0]]), crate::support::redis::Reply::Number(0));
    crate::support::gateway::assert_holds_none("the store", &world.redis.dump_all(), &world.op.issued_tokens());
    world.refused_everywhere(&line).await;
    assert_eq!(world.records(), [""; 0], "nothing brings it back");
    // Nobody had used it at that replica: only the cookie could open the record.
    assert_eq!(world.op.count(Endpoint::Revocation), 0);
}

/// LOGOUT-14, REF-10: where a replica still knows the session that it ends without its cookie, its tokens are taken back at the provider: on a
/// logout by the provider, and on a revocation by an operator.
#[tokio::test]
async fn tokens_of_sessions_that_are_near_are_taken_back() {
    let world = World::start().await;
    for by_operator in [false, true] {
        let line = cookies(&world.signed_in().await);
        let (sid, before) = (world.op.last_sid(), world.op.count(Endpoint::Revocation));
        eventually("a session that is near", SOON, async || {
            assert_eq!(world.replay(1, &line).await.status, 200);
            (world.replicas[1].metrics().await.sum("vestibule_near_cache_sessions", &[]) > 0.0).then_some(())
        })
        .await;
        if by_operator {
            let all = serde_json::json!({ "all": true });
            world.replicas[1].admin("POST", "/api/revocations", Some(&all)).await.expect_status(200);
        } else {
            send(&world, 1, &world.op.logout_token(Some("alice"), Some(&sid))).await.expect_status(200);
        }
        eventually("revocations at the provider", SOON, async || {
            (world.op.count(Endpoint::Revocation) >= before + 2).then_some(())
        })
        .await;
        world.refused_everywhere(&line).await;
    }
    let revoked = world.op.requests(Endpoint::Revocation);
    let tokens: Vec<String> = revoked.iter().map(|request| request.param("token").unwrap().to_owned()).collect();
    assert_eq!(tokens.len(), 4, "{revoked:?}");
    assert!(tokens.iter().all(|token| world.op.issued_tokens().contains(token)), "{revoked:?}");
}

/// LOGOUT-13: a frame for a session that is not there leaves nothing in the store, nor does a logout token that does not hold.
#[tokio::test]
async fn strangers_write_nothing() {
    let world = World::start().await;
    let line = cookies(&world.signed_in().await);
    // The near caches' beats come and go all the time.
    let keys = || {
        let keys = world.redis.keys().into_iter().filter(|key| !key.windows(7).any(|part| part == b"}:beat:"));
        keys.collect::<std::collections::BTreeSet<_>>()
    };
    let before = keys();
    for n in 0..20 {
        let query = crate::support::codec::form(&[("iss", world.op.issuer()), ("sid", &format!("guess-{n}"))]);
        let url = world.url(&format!("/oauth2/logout/frontchannel?{query}"));
        world.replicas[n % 2].browser().step(url).await.expect_status(200);
        let token = world.op.logout_token(Some("alice"), None);
        send(&world, n % 2, &token[..token.len() - 6]).await.expect_status(400);
    }
    assert_eq!(keys(), before);
    assert_eq!(world.replay(1, &line).await.status, 200);
}

/// LOGOUT-11: the network delivers a logout token at both replicas at once, and one of them is slow: who signs in again as soon as the
/// other has answered stays signed in.
#[tokio::test]
async fn a_token_that_comes_twice_spares_who_signed_in_in_between() {
    let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
    let way = FaultProxy::start(redis.address()).await;
    let config = ConfigBuilder::usual(&op, &echo);
    let configs = vec![config.clone().redis(&redis).into(), config.store(&redis.url_at(way.address)).into()];
    let world = World { op, echo, redis, replicas: Replicas::start_each(configs).await };
    for gateway in world.replicas.all() {
        ready(gateway).await;
    }
    let old = cookies(&world.signed_in().await);
    let token = world.op.logout_token(Some("alice"), None);
    // Whatever the slow one does first.
    let asked = || world.redis.calls("incr") + world.redis.calls("exists");
    let before = asked();
    way.set(Mode::Delay(Duration::from_millis(250)));
    let quick = async {
        eventually("the slow delivery's first command", SOON, || async { (asked() > before).then_some(()) }).await;
        send(&world, 0, &token).await.expect_status(200);
        cookies(&world.signed_in().await)
    };
    let (slow, new) = tokio::join!(send(&world, 1, &token), quick);
    slow.expect_status(200);
    way.set(Mode::Pass);
    world.refused_everywhere(&old).await;
    assert_eq!((world.replay(0, &new).await.status, world.replay(1, &new).await.status), (200, 200));
}

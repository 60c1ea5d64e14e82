//! What lies in the store: what a thief of it finds, and for how long.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::support::codec::{contains, from_b64url, hex, random_name};
use crate::support::gateway::assert_holds_none;
use crate::support::tls::write_secret;
use crate::support::{Ask, BadOp, ConfigBuilder, Echo, Gateway, Redis, Site, eventually, sign_in};
use crate::world::{SOON, World, cookies, life, ready, records};

/// The default of `session.lifetime`.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// SESS-11: no cookie and no part of one can be read in the store, in any form.
#[tokio::test]
async fn a_dump_yields_no_cookie() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let pending = world.replicas[0].browser();
    let callback = world.callback(&pending, "/").await;
    let mut found: Vec<_> = browser.cookies().into_iter().chain(pending.cookies()).collect();
    // Burns the state.
    let after = pending.clone();
    after.step(callback).await.expect_status(303);
    found.extend(after.cookies());
    // The provider's cookie goes to the same host, and others of ours hold a word or a number.
    found.retain(|one| one.name.starts_with("vestibule") && one.value.len() >= 16);
    assert!(found.len() >= 3, "two sessions and an attempt: {found:?}");
    let dump = world.redis.dump_all();
    assert_eq!(world.records().len(), 2);
    for one in found {
        let bytes = from_b64url(&one.value).unwrap_or_default();
        let parts = one.value.as_bytes().windows(10).chain(bytes.windows(8));
        for part in parts {
            let hexed = hex(part);
            assert!(
                !contains(&dump, part) && !contains(&dump, hexed.as_bytes()),
                "a part of {} is in the store",
                one.name
            );
        }
    }
}

/// SESS-12: no token can be read in the store; swapped records open nothing; secrets rotate with overlap while sessions live.
#[tokio::test]
async fn records_are_sealed_bound_to_their_key_and_survive_new_secrets() {
    let (op, echo, redis, dir) =
        (BadOp::start().await, Echo::start().await, Redis::start().await, TempDir::new().unwrap());
    let secret = |name: &str| random_name(&format!("canary-{name}-secret-"));
    let (old, new, spare, other) = (secret("old"), secret("new"), secret("spare"), secret("other"));
    let write = |first: &str, second: &str| {
        write_secret(&dir.path().join("first"), first.as_bytes());
        write_secret(&dir.path().join("second"), second.as_bytes());
    };
    write(&old, &spare);
    let at = dir.path().display();
    let config = ConfigBuilder::usual(&op, &echo)
        .redis(&redis)
        .with(&format!("[session]\nsecrets = [{{ file = \"{at}/first\" }}, {{ file = \"{at}/second\" }}]"));
    let mut gateway = Gateway::start(config).await;
    ready(&gateway).await;
    let mut people = Vec::new();
    for _ in 0..4 {
        let browser = gateway.browser();
        sign_in(&browser, &gateway, "/").await;
        people.push(browser);
    }
    let kid =
        || echo.last().identity_token().and_then(crate::support::codec::unverified_header).unwrap()["kid"].clone();
    let first_kid = kid();
    let mut secrets = op.issued_secrets();
    secrets.extend(gateway.secrets());
    secrets.extend([old.clone(), spare]);
    assert_holds_none("the store", &redis.dump_all(), &secrets);

    // Whose records they are is not written on them: swap any two, see who is refused, and expect exactly two.
    let names = records(&redis);
    for (from, to) in [(&names[0], "aside"), (&names[1], &*names[0]), (&"aside".to_owned(), &names[1])] {
        assert_eq!(redis.cli(&["RENAME", from, to]), "OK");
    }
    let mut alive = Vec::new();
    for browser in &people {
        let line = cookies(browser);
        let ask = Ask::fetch(Method::GET, gateway.url("/")).header("cookie", &line);
        match browser.ask(ask).await.status {
            200 => alive.push(line),
            status => assert_eq!(status, 401),
        }
    }
    assert_eq!(alive.len(), 2, "both swapped records are refused, and only they");

    // The second of the two that live is written anew under the new secret; the first is not.
    let status = async |gateway: &Gateway, line: &str| {
        let ask = Ask::fetch(Method::GET, gateway.url("/")).header("cookie", line);
        gateway.browser().ask(ask).await.status
    };
    write(&new, &old);
    gateway.restart().await;
    ready(&gateway).await;
    assert_eq!((status(&gateway, &alive[0]).await, status(&gateway, &alive[1]).await), (200, 200));
    assert_eq!(kid(), first_kid, "what is sealed under the secret alone is read, too");
    let refresh = Ask::fetch(Method::POST, gateway.url("/oauth2/session/refresh")).header("cookie", &alive[1]);
    gateway.browser().ask(refresh).await.expect_status(200);
    write(&new, &other);
    gateway.restart().await;
    ready(&gateway).await;
    assert_eq!((status(&gateway, &alive[0]).await, status(&gateway, &alive[1]).await), (401, 200));
    assert_eq!(kid(), first_kid, "the managed keys were sealed under the new secret meanwhile");
}

/// SESS-14: after logins, a replaced one, refreshes, logouts and revocations every key ends within the absolute limit, but
/// for those that belong to nobody.
#[tokio::test]
async fn every_key_expires() {
    let world = World::start().await;
    churn(&world).await;
    let mut forever = world.redis.keys_without_ttl();
    forever.retain(|key| !key.starts_with("vestibule:managed:"));
    forever.sort();
    assert_eq!(forever, ["vestibule:sequence", "vestibule:session:{generation}"]);
    let keys = world.redis.keys();
    assert!(keys.len() > 12, "there is something to see: {keys:?}");
    for key in keys {
        let key = String::from_utf8(key).unwrap();
        assert!(life(&world.redis, &key).unwrap_or_default() <= LIFETIME, "{key}");
    }
}

/// SESS-14: when the limit has passed nothing of a person is left, in indexes and lists neither.
#[tokio::test]
async fn nothing_of_a_person_outlives_the_limit() {
    let world = World::with(|config| {
        config.with("[session]\nidle = \"1s\"\nlifetime = \"2s\"\nnear_cache = { staleness = \"1s\" }")
    })
    .await;
    churn(&world).await;
    let of_people = || {
        let kinds = ["session", "seen", "operator", "sid", "user", "provider-sid", "sessions", "lease"];
        let keys = world.redis.keys().into_iter().map(|key| String::from_utf8(key).unwrap());
        let keys = keys.filter(|key| key != "vestibule:session:{generation}" && !key.contains("}:beat:"));
        let of = |key: &String| kinds.iter().any(|kind| key.starts_with(&format!("vestibule:{kind}:")));
        keys.filter(of).collect::<Vec<_>>()
    };
    eventually("an empty store", SOON, || async { of_people().is_empty().then_some(()) }).await;
}

/// Some of everything that writes.
async fn churn(world: &World) {
    let refresh = || Ask::fetch(Method::POST, world.url("/oauth2/session/refresh"));
    for user in ["anna", "boris", "clara"] {
        let browser = world.signed_in_as(user).await;
        world.at(1, &browser).ask(refresh()).await.expect_status(200);
        browser.fetch(world.url("/")).await.expect_status(200);
    }
    let twice = world.signed_in_as("dora").await;
    let login = world.at(1, &twice);
    login.navigate(world.url("/oauth2/login?rd=/&prompt=login")).await.expect_status(200);
    let leaving = world.signed_in_as("emil").await;
    leaving.ask(Ask::fetch(Method::POST, world.url("/oauth2/logout"))).await.expect_status(200);
    world.revoke(0, &json!({"provider": "corp", "sub": "anna"})).await;
    world.revoke(1, &json!({"provider": "corp", "provider_sid": world.op.last_sid()})).await;
    world.revoke(0, &json!({"all": true})).await;
    let last = world.signed_in_as("boris").await;
    last.fetch(world.url("/")).await.expect_status(200);
    world.at(1, &last).ask(refresh()).await.expect_status(200);
}

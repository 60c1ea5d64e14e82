//! A store that answers, and refuses.

use std::time::Duration;

use http::Method;

use crate::support::{Ask, BadOp, ConfigBuilder, Echo, Gateway, Redis, Site, eventually, sign_in};
use crate::world::{SOON, cookies, opens_session, ready, readyz, says};

/// SESS-13: a store that is read-only, full, or no longer lets us in is one that is away, with a word in the log that says
/// what is wrong; nobody is signed out, nobody gets in, nothing is acknowledged that does not stand.
#[tokio::test]
async fn refusals_are_outages_with_a_name() {
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    let redis = Redis::setup().user("gateway", "pass-word", "~* &* +@all").start().await;
    let gateway = Gateway::start(ConfigBuilder::usual(&op, &echo).redis(&redis)).await;
    ready(&gateway).await;
    let browser = gateway.browser();
    sign_in(&browser, &gateway, "/").await;
    let line = cookies(&browser);
    for (reason, broken, healed) in [
        ("read-only", vec!["REPLICAOF 127.0.0.1 1"], vec!["REPLICAOF NO ONE"]),
        ("out-of-memory", vec!["CONFIG SET maxmemory 1"], vec!["CONFIG SET maxmemory 0"]),
        ("no-permission", vec!["ACL SETUSER gateway -@write -@scripting"], vec!["ACL SETUSER gateway +@all"]),
        ("no-permission", vec!["ACL SETUSER gateway resetkeys ~other:*"], vec!["ACL SETUSER gateway ~*"]),
        (
            "credentials",
            vec!["ACL SETUSER gateway resetpass >another-word", "CLIENT KILL USER gateway"],
            vec!["ACL SETUSER gateway >pass-word"],
        ),
    ] {
        let what = format!("{reason}: {broken:?}");
        let tell = |commands: &[&str]| {
            for command in commands {
                let words: Vec<&str> = command.split(' ').collect();
                let said = redis.cli(&words);
                assert!(said == "OK" || said.parse::<u32>().is_ok(), "{command}: {said}");
            }
        };
        let said_before = gateway.logs().matches(&format!("\"{reason}\"")).count();
        tell(&broken);
        // Somebody else signs in.
        let stranger = browser.stranger();
        let page = stranger.navigate(gateway.url("/")).await;
        assert_eq!(page.status, 503, "{what}: {page:?}");
        assert!(page.header("retry-after").is_some() && !opens_session(&page), "{what}");
        assert!(stranger.cookie("vestibule").is_none(), "{what}");
        // Who is signed in stays so: what can be read may be served.
        let page = browser.fetch(gateway.url("/")).await;
        assert!(matches!(page.status, 200 | 503) && page.set_cookies().is_empty(), "{what}: {page:?}");
        // An end that does not stand is not acknowledged.
        // (A full store has room for that one.)
        if reason != "out-of-memory" {
            let page = browser.ask(Ask::fetch(Method::POST, gateway.url("/oauth2/logout"))).await.expect_status(503);
            assert_eq!(page.set_cookies(), [""; 0], "{what}");
        }
        says(&gateway, reason).await;
        assert!(gateway.logs().matches(&format!("\"{reason}\"")).count() > said_before, "{what}: said this time, too");
        tell(&healed);
        eventually(&format!("service after {what}"), SOON, || async {
            let page = browser.fetch(gateway.url("/")).await;
            assert!(matches!(page.status, 200 | 503), "{what}: {page:?}");
            (page.status == 200).then_some(())
        })
        .await;
        assert_eq!(cookies(&browser), line, "{what}");
        // The log speaks once an outage, so the next one begins when this one has ended.
        eventually(&format!("the end of {what}"), SOON, || async {
            (gateway.metrics().await.sum("vestibule_store_up", &[]) > 0.0).then_some(())
        })
        .await;
        eventually(&format!("a login after {what}"), SOON, || async {
            let page = browser.stranger().navigate(gateway.url("/")).await;
            assert!(matches!(page.status, 200 | 503), "{what}: {page:?}");
            (page.status == 200).then_some(())
        })
        .await;
    }
    browser.ask(Ask::fetch(Method::POST, gateway.url("/oauth2/logout"))).await.expect_status(200);
}

/// One that is refused from the start serves what needs no session, says why it is not ready, and recovers by itself.
#[tokio::test]
async fn a_store_that_refuses_from_the_start_is_waited_for() {
    let primary = Redis::start().await;
    let copy = Redis::setup().replica_of(&primary).start().await;
    let locked = Redis::setup().user("gateway", "pass-word", "~* &* +@all").start().await;
    let wrong = locked.url().replace("pass-word", "wrong-word");
    for (reason, redis, url, healed) in [
        ("read-only", &copy, copy.url(), "REPLICAOF NO ONE"),
        ("credentials", &locked, wrong, "ACL SETUSER gateway >wrong-word"),
    ] {
        let (op, echo) = (BadOp::start().await, Echo::start().await);
        let config = ConfigBuilder::usual(&op, &echo)
            .store(&url)
            .route("path = \"/\"\nupstream = \"app\"")
            .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"");
        let gateway = Gateway::start(config).await;
        let browser = gateway.browser();
        browser.fetch(gateway.url("/public")).await.expect_status(200);
        let page = browser.navigate(gateway.url("/")).await.expect_status(503);
        assert!(!opens_session(&page), "{reason}");
        says(&gateway, reason).await;
        assert_eq!(readyz(&gateway).await, 503, "{reason}");
        let words: Vec<&str> = healed.split(' ').collect();
        assert_eq!(redis.cli(&words), "OK");
        eventually("a ready gateway", Duration::from_secs(5), || async {
            (readyz(&gateway).await == 200).then_some(())
        })
        .await;
        sign_in(&gateway.browser(), &gateway, "/").await;
    }
}

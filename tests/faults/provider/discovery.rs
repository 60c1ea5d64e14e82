//! The provider's metadata cannot be had, or are not its own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::badop::Script;
use crate::support::{BadOp, Endpoint, eventually, sign_in};
use crate::world::World;

type Fault = fn(&mut Script);

/// Row "provider down", LOGIN-14, OPS-07: whatever stands in the place of the metadata, a login gets a 503 at once and
/// a script its 401, nobody is sent anywhere, the provider is asked seldom, and the first good answer ends it.
#[tokio::test]
async fn no_metadata_no_login() {
    let faults: [(&str, Fault); 9] = [
        ("closed", |script| _ = script.drop_connection(Endpoint::Discovery)),
        ("500", |script| _ = script.fail(Endpoint::Discovery, 500)),
        ("404", |script| _ = script.fail(Endpoint::Discovery, 404)),
        ("429", |script| _ = script.fail(Endpoint::Discovery, 429)),
        ("HTML", |script| _ = script.answer(Endpoint::Discovery, 200, "text/html", "<html>under maintenance</html>")),
        ("half", |script| {
            _ = script.answer(Endpoint::Discovery, 200, "application/json", "{\"issuer\":\"http://127.0")
        }),
        ("empty", |script| _ = script.answer(Endpoint::Discovery, 200, "application/json", "{}")),
        ("endless", |script| _ = script.endless(Endpoint::Discovery)),
        ("another issuer", |script| {
            _ = script.discovery(|document| document["issuer"] = "https://evil.example".into())
        }),
    ];
    join_all(faults.map(|(what, fault)| async move {
        let op = BadOp::start().await;
        op.script(fault);
        let world = World::around(op, |config| config).await;
        let begun = Instant::now();
        for path in ["/wanted", "/oauth2/login?rd=/wanted"] {
            for _ in 0..4 {
                let browser = world.gateway.browser();
                let page = browser.step(world.url(path)).await.expect_status(503);
                assert!(page.header("retry-after").is_some() && page.location().is_none(), "{what}: {page:?}");
                assert_eq!(page.set_cookies(), [""; 0], "{what}");
                assert!(!page.text().contains("evil") && !page.text().contains("127.0.0.1:"), "{what}");
            }
        }
        let took = begun.elapsed();
        // Once, and again after 1, 2, 4 … seconds.
        let most = 1 + usize::try_from(took.as_secs()).unwrap();
        let asked = world.op.count(Endpoint::Discovery);
        assert!((1..=most).contains(&asked), "{what}: asked {asked} times in {took:?}");
        world.gateway.browser().fetch(world.url("/")).await.expect_status(401);
        world.gateway.browser().fetch(world.url("/public")).await.expect_status(200);
        assert_eq!(world.op.count(Endpoint::Token) + world.op.count(Endpoint::Authorize), 0, "{what}");
        assert!(
            world.gateway.metrics().await.sum("vestibule_logins_total", &[("kind", "provider_unavailable")]) >= 8.0
        );
        world.op.behave();
        let browser = world.gateway.browser();
        eventually(&format!("a login after {what}"), Duration::from_secs(12), || async {
            let page = browser.step(world.url("/wanted")).await;
            assert!(matches!(page.status, 303 | 503), "{what}: {page:?}");
            (page.status == 303).then_some(())
        })
        .await;
        sign_in(&browser, &world.gateway, "/wanted").await;
    }))
    .await;
}

/// Row "provider down": slow metadata are waited for, all who wait share one question, and one that never comes has an
/// end. Who needs no provider does not wait.
#[tokio::test]
async fn slow_metadata_are_waited_for() {
    let op = BadOp::start().await;
    op.script(|script| {
        script.delay(Endpoint::Discovery, Duration::from_secs(2));
    });
    let world = World::around(op, |config| config).await;
    let logins = join_all((0..10).map(|_| {
        let browser = world.gateway.browser();
        let url = world.url("/wanted");
        async move { browser.step(url).await.status }
    }));
    let public = async {
        let begun = Instant::now();
        world.gateway.browser().fetch(world.url("/public")).await.expect_status(200);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    };
    let (statuses, ()) = tokio::join!(logins, public);
    assert_eq!(statuses, [303; 10]);
    assert_eq!(world.op.count(Endpoint::Discovery), 1);

    let op = BadOp::start().await;
    let gate = op.hold(Endpoint::Discovery);
    let world = World::around(op, |config| config).await;
    let begun = Instant::now();
    let page = world.gateway.browser().step(world.url("/wanted")).await.expect_status(503);
    assert!(page.header("retry-after").is_some());
    assert!((8..13).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    gate.open();
    let browser = world.gateway.browser();
    eventually("a login", Duration::from_secs(5), || async {
        (browser.step(world.url("/wanted")).await.status == 303).then_some(())
    })
    .await;
}

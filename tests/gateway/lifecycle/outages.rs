//! A provider that is away, and a start without anybody.

use std::time::{Duration, Instant};

use crate::support::wait::eventually;
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway, sign_in};
use crate::world::cookie_line;

/// OPS-07: the gateway starts without its provider and says so; new logins are 503 until it comes back, by itself; who is
/// signed in stays so while it is away again.
#[tokio::test]
async fn the_provider_may_come_later_and_go_again() {
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    op.stop().await;
    let begun = Instant::now();
    let gateway = Gateway::start(
        ConfigBuilder::usual(&op, &echo)
            .route("path = \"/\"\nupstream = \"app\"")
            .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\""),
    )
    .await;
    assert!(begun.elapsed() < Duration::from_secs(10), "the provider is not waited for");
    let browser = gateway.browser();
    // A provider never makes a replica unready.
    eventually("readiness", Duration::from_secs(5), async || {
        let ready = crate::support::Browser::new().fetch(format!("{}/readyz", gateway.admin_url())).await;
        (ready.status == 200).then_some(())
    })
    .await;
    let page = browser.step(format!("{}/x", gateway.public_url())).await;
    assert_eq!((page.status, page.header("retry-after").is_some()), (503, true), "{page:?}");
    assert!(!page.text().contains(&op.address().port().to_string()), "{}", page.text());
    assert_eq!(browser.fetch(format!("{}/x", gateway.public_url())).await.status, 401);
    assert_eq!(browser.fetch(format!("{}/public", gateway.public_url())).await.status, 200);
    assert_eq!(browser.fetch(format!("{}/oauth2/jwks", gateway.public_url())).await.status, 200);
    assert_eq!(echo.count(), 1);

    op.start_again().await;
    eventually("the recovery", Duration::from_secs(15), async || {
        (browser.step(format!("{}/x", gateway.public_url())).await.status == 303).then_some(())
    })
    .await;
    let browser = gateway.browser();
    sign_in(&browser, &gateway, "/x").await;
    op.stop().await;
    for _ in 0..3 {
        browser.fetch(format!("{}/x", gateway.public_url())).await.expect_status(200);
        browser.fetch(format!("{}/oauth2/userinfo", gateway.public_url())).await.expect_status(200);
    }
    assert!(!cookie_line(&browser).is_empty());
    op.start_again().await;
}

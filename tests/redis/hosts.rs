//! One store behind several hosts.

use crate::support::{Ask, BadOp, ConfigBuilder, Echo, Gateway, Redis, Site, sign_in};
use crate::world::ready;

/// SESS-15: the cookie of a session at one host, copied to another that shares store and secrets with it, opens nothing there; the session
/// itself goes on.
#[tokio::test]
async fn a_session_is_of_one_host() {
    let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
    let config = ConfigBuilder::usual(&op, &echo).redis(&redis);
    let here = Gateway::start(config.clone()).await;
    let there = Gateway::start(config.with("public_url = \"http://localhost:@PUBLIC_PORT@\"")).await;
    for gateway in [&here, &there] {
        ready(gateway).await;
    }
    let browser = here.browser();
    sign_in(&browser, &here, "/").await;
    let line = format!("vestibule={}", browser.cookie("vestibule").unwrap());
    for path in ["/", "/oauth2/userinfo", "/oauth2/session", "/oauth2/sessions"] {
        for (gateway, status) in [(&there, 401), (&here, 200)] {
            let ask = Ask::fetch(http::Method::GET, gateway.url(path)).header("cookie", &line);
            let page = gateway.browser().ask(ask).await;
            assert_eq!(page.status, status, "{path}: {page:?}");
            assert!(page.set_cookies().is_empty(), "{path}: {page:?}");
        }
    }
}

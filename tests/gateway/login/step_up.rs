//! Routes that ask for a stronger or a fresher login than the one there is.

use http::Method;
use url::Url;

use super::{SESSION, opens, param};
use crate::support::Endpoint;
use crate::support::client::Ask;
use crate::world::World;

async fn world() -> World {
    World::with(|config| {
        config
            .route("path = \"/strong\"\nupstream = \"app\"\nacr = [\"urn:mfa\", \"urn:key\"]")
            .route("path = \"/fresh\"\nupstream = \"app\"\nmax_age = \"5m\"")
    })
    .await
}

fn no_acr(world: &World) {
    world.op.script(|script| {
        script.id_token_claims(|claims| claims["acr"] = "urn:weak".into());
    });
}

fn long_ago(world: &World) {
    world.op.script(|script| {
        script.id_token_claims(|claims| claims["auth_time"] = (claims["iat"].as_i64().unwrap() - 1000).into());
    });
}

/// API-14, SESS-02: scripts are told what is missing; a navigation goes to the provider for exactly that and comes back; the weaker
/// session ends. A provider that cannot meet it is asked no second time.
#[tokio::test]
async fn too_weak_and_too_old_sessions_step_up() {
    let world = world().await;
    let too_weak: fn(&World) = no_acr;
    let cases = [("/strong/x", too_weak, "acr_values", "urn:mfa urn:key"), ("/fresh/x", long_ago, "max_age", "300")];
    for (path, lacks, name, value) in cases {
        lacks(&world);
        let browser = world.signed_in().await;
        let weak = browser.cookie(SESSION).unwrap();

        let page = browser.fetch(world.url(path)).await.expect_status(401);
        let wanted = page.header("www-authenticate").unwrap();
        assert!(wanted.contains("error=\"insufficient_user_authentication\""), "{wanted}");
        assert!(wanted.contains(&format!("{name}=\"{value}\"")), "{wanted}");
        assert!(page.set_cookies().is_empty());
        let login = Url::parse(page.json()["login"].as_str().unwrap()).unwrap();
        assert_eq!(param(&login, name), value);
        browser.ask(Ask::fetch(Method::POST, world.url(path))).await.expect_status(401);

        let page = browser.step(world.url(path)).await.expect_status(303);
        let sent = page.location().unwrap();
        assert!(sent.as_str().starts_with(&format!("{}/authorize?", world.op.issuer())), "{sent}");
        assert_eq!(param(&sent, name), value);

        // The provider does not meet it: one try, no session in place of the old one, nothing forwarded.
        let before = world.op.count(Endpoint::Authorize);
        let page = browser.navigate(world.url(path)).await;
        assert!(page.status >= 400, "{page:?}");
        assert_eq!(world.op.count(Endpoint::Authorize), before + 1);
        assert_eq!(world.echo.count(), 0);
        assert!(opens(&world, &weak).await);

        world.op.behave();
        let page = browser.navigate(world.url(&format!("{path}?q=1"))).await.expect_status(200);
        assert_eq!(page.url.as_str(), world.url(&format!("{path}?q=1")));
        assert!(!opens(&world, &weak).await, "the weaker session goes on");
        browser.fetch(world.url(path)).await.expect_status(200);
        // What asks for nothing special never saw a difference.
        world.signed_in().await.fetch(world.url("/")).await.expect_status(200);
    }
}

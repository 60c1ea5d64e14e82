//! Signing out here and there.

use http::Method;

use crate::support::{Ask, Page, Site};
use crate::world::World;

/// Whether the provider asks who it is.
fn asks_who(world: &World, page: &Page) -> bool {
    page.url.as_str().starts_with(world.op.issuer()) && !page.forms().is_empty()
}

/// Signing out by our page and then by the provider's ends both sessions, and the next visit has to sign in again.
#[tokio::test]
async fn signing_out_is_confirmed_here_and_there() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    world.land(&browser, "/", "alice").await;
    let line = browser.cookie("vestibule").unwrap();

    // A link from elsewhere asks first, and does nothing yet.
    let link = Ask::navigation(world.gateway.url("/oauth2/logout")).caused_by("https://elsewhere.example");
    let page = browser.follow(link).await.expect_status(200);
    world.get(&browser, "/").await.expect_status(200);
    let form = page.forms().into_iter().next().expect("our page asks");
    let page = browser.submit(form.action.as_str(), &form.fields).await;
    assert!(browser.cookie("vestibule").is_none());
    assert_eq!(world.sessions(), 0, "ended here before the provider has said anything");
    let page = world.op.confirm_sign_out(&browser, &page).await.expect_status(200);
    assert!(
        page.url.as_str().starts_with(&world.gateway.url("/oauth2/signed_out")),
        "{}\n{}",
        page.url,
        world.op.output()
    );

    let replay = Ask::fetch(Method::GET, world.gateway.url("/")).header("cookie", &format!("vestibule={line}"));
    assert_eq!(browser.stranger().ask(replay).await.status, 401);
    let page = browser.navigate(world.gateway.url("/")).await;
    assert!(asks_who(&world, &page), "signed out there, too: {}", page.url);
    world.land(&browser, "/", "bob").await;
    assert_eq!(world.echo.last().identity().unwrap()["sub"], "bob");
}

/// Who says no at the provider is signed out here all the same, and back without a question.
#[tokio::test]
async fn staying_signed_in_there_does_not_mean_here() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    world.land(&browser, "/", "alice").await;
    let page = browser.submit(world.gateway.url("/oauth2/logout"), &[("rd", "/bye")]).await;
    assert!(page.url.as_str().starts_with(world.op.issuer()), "{}", page.url);
    assert_eq!(world.sessions(), 0);
    // Leaves the provider's question alone: it knows alice still.
    let page = browser.navigate(world.gateway.url("/")).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.gateway.url("/"));
    assert_eq!(world.echo.last().identity().unwrap()["sub"], "alice");
}

/// The provider's own sign-out tells the gateway by the back channel: that harms nobody, and where the gateway listens to it the
/// session ends.
#[tokio::test]
async fn the_providers_own_sign_out_is_heard_or_harmless() {
    let world = World::start().await;
    let (alice, bob) = (world.gateway.browser(), world.gateway.browser());
    world.land(&alice, "/", "alice").await;
    world.land(&bob, "/", "bob").await;
    let page = alice.navigate(format!("{}/session/end", world.op.issuer())).await.expect_status(200);
    let page = world.op.confirm_sign_out(&alice, &page).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let heard = alice.fetch(world.gateway.url("/")).await.status;
    assert!(matches!(heard, 200 | 401), "{heard}");
    let probe = Ask::plain(Method::POST, world.gateway.url("/oauth2/logout/backchannel"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("logout_token=x");
    // The endpoint is there: then it was heard.
    let listens = world.gateway.browser().ask(probe).await.status != 404;
    assert_eq!(heard, if listens { 401 } else { 200 });
    world.get(&bob, "/").await.expect_status(200);
    let page = alice.navigate(world.gateway.url("/")).await;
    assert!(!listens || asks_who(&world, &page), "{}", page.url);
}

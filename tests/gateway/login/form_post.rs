//! Providers that answer by a form.

use super::SESSION;
use crate::support::client::Ask;
use crate::support::{BadOp, ConfigBuilder, Echo, Endpoint, Gateway, TestCa};
use crate::world::World;

/// LOGIN-21: the answer comes as a cross-site POST; the attempt's cookie alone is `SameSite=None`, the session's stays Lax.
#[tokio::test]
async fn an_answer_by_form_signs_in() {
    let ca = TestCa::new();
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    let config = ConfigBuilder::usual(&op, &echo)
        .tls(&ca, "app.example.test")
        .with("providers.corp.response_mode = \"form_post\"");
    let gateway = Gateway::start(config).await;
    let world = World { op, echo, gateway };
    let browser = world.gateway.browser();

    let page = browser.step(world.url("/deep?x=1")).await.expect_status(303);
    let lines = page.set_cookies();
    assert!(lines.len() == 1 && lines[0].starts_with("__Host-vestibule-login-"), "{lines:?}");
    let marks: Vec<String> = lines[0].split(';').map(|part| part.trim().to_lowercase()).collect();
    for mark in ["samesite=none", "secure", "httponly", "path=/"] {
        assert!(marks.iter().any(|one| one == mark), "{mark}: {}", lines[0]);
    }
    let page = browser.step(page.location().unwrap()).await.expect_status(200);
    assert_eq!(world.op.last(Endpoint::Authorize).param("response_mode"), Some("form_post"));
    let form = page.forms().remove(0);
    assert_eq!(form.action.as_str(), world.url("/oauth2/callback"));
    // Somebody else's browser did not begin this login: it redeems nothing, and may begin one of its own.
    let post = || Ask::form(form.action.as_str(), &form.fields).caused_by(world.op.issuer());
    let page = world.gateway.browser().ask(post()).await.expect_status(303);
    assert!(page.location().unwrap().as_str().starts_with(world.op.issuer()), "{page:?}");
    assert!(!page.set_cookies().iter().any(|line| line.starts_with("__Host-vestibule=")), "{page:?}");
    assert_eq!(world.op.count(Endpoint::Token), 0);

    let page = browser.ask(post()).await.expect_status(303);
    assert_eq!(page.location().unwrap().as_str(), world.url("/deep?x=1"));
    let lines = page.set_cookies();
    let session = lines.iter().find(|line| line.starts_with("__Host-vestibule=")).unwrap();
    assert!(session.contains("SameSite=Lax"), "{session}");
    assert!(browser.jar(|jar| jar.refused.is_empty()));
    browser.navigate(world.url("/deep?x=1")).await.expect_status(200);
    assert_eq!(browser.cookie(SESSION), None);
    // All of it at once, as a browser does it.
    let page = world.gateway.browser().navigate(world.url("/again")).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/again"));
}

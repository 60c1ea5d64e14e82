//! Providers that answer by a form.

use url::Url;

use super::{ELSEWHERE, opens, who};
use crate::support::client::{Ask, Browser, Form, Page};
use crate::support::{BadOp, ConfigBuilder, Echo, Endpoint, Gateway, TestCa};
use crate::world::World;

/// Over https, under a name that shares no cookies and no site with the provider's.
const COOKIE: &str = "__Host-vestibule";

async fn world() -> World {
    let ca = TestCa::new();
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    let config = ConfigBuilder::usual(&op, &echo)
        .tls(&ca, "app.example.test")
        .with("providers.corp.response_mode = \"form_post\"");
    let gateway = Gateway::start(config).await;
    World { op, echo, gateway }
}

/// The provider's page that posts to the callback, for a login that begins at `path`.
async fn form(world: &World, browser: &Browser, path: &str) -> Form {
    let page = browser.step(world.url(path)).await.expect_status(303);
    let page = browser.step(page.location().unwrap()).await.expect_status(200);
    page.forms().remove(0)
}

/// Posts it, as the provider's page does; where the answer leads.
async fn post(world: &World, browser: &Browser, form: &Form) -> (Page, Url) {
    let page = browser.ask(posted(world, form)).await.expect_status(303);
    let next = page.location().unwrap();
    assert_eq!(next.path(), "/oauth2/callback");
    (page, next)
}

fn posted(world: &World, form: &Form) -> Ask {
    Ask::form(form.action.as_str(), &form.fields).caused_by(world.op.issuer())
}

/// The second half: the browser asks again, still because of the provider's page.
async fn ask_again(world: &World, browser: &Browser, next: &Url) -> Page {
    browser.ask(Ask::navigation(next.as_str()).caused_by(world.op.issuer())).await
}

fn answer_cookies(browser: &Browser) -> usize {
    browser.cookies().iter().filter(|cookie| cookie.name.contains("-answer-")).count()
}

/// LOGIN-21: the answer comes as a cross-site POST; the attempt's cookie alone is `SameSite=None`, the session's stays Lax. The code
/// stands in no address and leaves the browser with the next request.
#[tokio::test]
async fn an_answer_by_form_signs_in() {
    let world = world().await;
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

    // Somebody else's browser did not begin this login: it redeems nothing, keeps nothing, and may begin one of its own.
    let stranger = world.gateway.browser();
    let (page, next) = post(&world, &stranger, &form).await;
    assert!(page.set_cookies().is_empty(), "{page:?}");
    let page = ask_again(&world, &stranger, &next).await.expect_status(303);
    assert!(page.location().unwrap().as_str().starts_with(world.op.issuer()), "{page:?}");
    assert!(!page.set_cookies().iter().any(|line| line.starts_with("__Host-vestibule=")), "{page:?}");
    assert_eq!(world.op.count(Endpoint::Token), 0);

    let (page, next) = post(&world, &browser, &form).await;
    assert_eq!(world.op.count(Endpoint::Token), 0, "nothing is redeemed by the POST");
    let code = form.fields.iter().find(|(name, _)| name == "code").map(|(_, code)| code.as_str()).unwrap();
    assert!(!next.as_str().contains(code) && !next.as_str().contains("code"), "{next}");
    let lines = page.set_cookies();
    assert!(
        lines.len() == 1 && lines[0].starts_with("__Host-vestibule-answer-") && !lines[0].contains(code),
        "{lines:?}"
    );
    for mark in ["SameSite=Lax", "Secure", "HttpOnly", "Path=/", "Max-Age=60"] {
        assert!(lines[0].contains(mark), "{mark}: {}", lines[0]);
    }
    let page = ask_again(&world, &browser, &next).await.expect_status(303);
    assert_eq!(page.location().unwrap().as_str(), world.url("/deep?x=1"));
    let lines = page.set_cookies();
    let session = lines.iter().find(|line| line.starts_with("__Host-vestibule=")).unwrap();
    assert!(session.contains("SameSite=Lax"), "{session}");
    assert!(browser.jar(|jar| jar.refused.is_empty()));
    assert_eq!(answer_cookies(&browser), 0);
    assert_eq!(world.op.count(Endpoint::Token), 1);
    browser.navigate(world.url("/deep?x=1")).await.expect_status(200);
    // All of it at once, as a browser does it.
    let page = world.gateway.browser().navigate(world.url("/again")).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/again"));
}

/// SESS-02, LOGIN-20: although the session's cookie does not come with the form, the earlier session ends when the new one stands, for
/// another person and for the same.
#[tokio::test]
async fn the_earlier_session_ends() {
    let world = world().await;
    let browser = world.signed_in().await;
    let mut earlier = browser.cookie(COOKIE).unwrap();
    for user in ["bob", "bob"] {
        world.op.script(|script| {
            script.user(user);
        });
        let form = form(&world, &browser, "/oauth2/login?rd=/x").await;
        let (_, next) = post(&world, &browser, &form).await;
        assert!(lives(&world, &earlier).await, "not before the new one stands");
        ask_again(&world, &browser, &next).await.expect_status(303);
        let new = browser.cookie(COOKIE).unwrap();
        assert_ne!(new, earlier);
        assert!(!lives(&world, &earlier).await && lives(&world, &new).await);
        assert_eq!(who(&world, &browser).await.as_deref(), Some(user));
        earlier = new;
    }
    let ended = world.gateway.audit_event("session_ended").await;
    assert_eq!((&ended["sub"], &ended["reason"]), (&"alice".into(), &"replaced by a new login".into()));
}

async fn lives(world: &World, cookie: &str) -> bool {
    let ask = Ask::fetch(http::Method::GET, world.url("/oauth2/userinfo"));
    let page = world.gateway.browser().ask(ask.header("cookie", &format!("{COOKIE}={cookie}"))).await;
    assert!(matches!(page.status, 200 | 401), "{page:?}");
    page.status == 200
}

/// LOGIN-05: a form that is sent twice, and a GET with cookies that were kept, redeem nothing more; with a session one lands.
#[tokio::test]
async fn one_form_redeems_once() {
    let world = world().await;
    let browser = world.gateway.browser();
    let form = form(&world, &browser, "/target").await;
    let (_, next) = post(&world, &browser, &form).await;
    let (_, same) = post(&world, &browser, &form).await;
    assert_eq!(next, same);
    let kept = browser.jar(|jar| jar.clone());
    ask_again(&world, &browser, &next).await.expect_status(303);
    let session = browser.cookie(COOKIE);

    // Back and reload, with and without the form.
    let page = ask_again(&world, &browser, &next).await.expect_status(303);
    assert_eq!(page.location().unwrap().as_str(), world.url("/"));
    let (page, next) = post(&world, &browser, &form).await;
    assert!(page.set_cookies().is_empty(), "{page:?}");
    let page = ask_again(&world, &browser, &next).await.expect_status(303);
    assert_eq!(page.location().unwrap().as_str(), world.url("/"), "a stale callback with a live session lands");
    assert_eq!(browser.cookie(COOKIE), session);

    let thief = world.gateway.browser();
    thief.jar(|jar| *jar = kept);
    let page = ask_again(&world, &thief, &next).await.expect_status(303);
    assert!(!page.set_cookies().iter().any(|line| line.starts_with("__Host-vestibule=")), "{page:?}");
    assert_eq!(world.op.count(Endpoint::Token), 1);
}

/// LOGIN-02: an answer that was sealed for one login counts for no other, nor without the attempt that it answers.
#[tokio::test]
async fn an_answer_counts_for_its_own_login_alone() {
    let world = world().await;
    let browser = world.gateway.browser();
    let (one, two) = (form(&world, &browser, "/one").await, form(&world, &browser, "/two").await);
    let (_, first) = post(&world, &browser, &one).await;
    let (_, second) = post(&world, &browser, &two).await;
    let cookies = browser.cookies();
    let answers: Vec<_> = cookies.iter().filter(|cookie| cookie.name.contains("-answer-")).collect();
    let attempts: Vec<_> = cookies.iter().filter(|cookie| cookie.name.contains("-login-")).collect();
    assert_eq!((answers.len(), attempts.len()), (2, 2));
    let line = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    };
    let both = [(attempts[0].name.as_str(), attempts[0].value.as_str()), (&attempts[1].name, &attempts[1].value)];
    for cookies in [
        // The one's answer under the other's name, whichever is asked for.
        line(&[&both[..], &[(&answers[0].name, &answers[1].value), (&answers[1].name, &answers[0].value)]].concat()),
        // An attempt's own cookie as an answer.
        line(&[&both[..], &[(&answers[0].name, &attempts[0].value), (&answers[1].name, &attempts[1].value)]].concat()),
        line(&[&both[..], &[(&answers[0].name, "x"), (&answers[1].name, "")]].concat()),
        // The answers alone.
        line(&[(&answers[0].name, &answers[0].value), (&answers[1].name, &answers[1].value)]),
    ] {
        for next in [&first, &second] {
            let ask = Ask::navigation(next.as_str()).header("cookie", &cookies);
            let page = world.gateway.browser().ask(ask).await.expect_status(303);
            assert!(page.location().unwrap().as_str().starts_with(world.op.issuer()), "{page:?}");
        }
    }
    assert_eq!(world.op.count(Endpoint::Token), 0);
    // Tabs do not disturb each other: the later finishes first.
    for (next, path) in [(second, "/two"), (first, "/one")] {
        let page = ask_again(&world, &browser, &next).await.expect_status(303);
        assert_eq!(page.location().unwrap().as_str(), world.url(path));
    }
}

/// LOGIN-15: errors are told as ever; what is no answer of a provider is refused at once; one too long to be carried is redeemed at once.
#[tokio::test]
async fn errors_and_odd_answers() {
    let world = world().await;
    world.op.script(|script| {
        script.deny("access_denied", "<script>no");
    });
    let browser = world.gateway.browser();
    let page = browser.navigate(world.url("/")).await.expect_status(403);
    assert!(page.text().contains("access_denied") && page.text().contains("&lt;script&gt;no"), "{}", page.text());
    assert_eq!((answer_cookies(&browser), world.op.count(Endpoint::Authorize)), (0, 1));
    world.op.behave();

    let good = form(&world, &browser, "/").await;
    let token = good.clone().with("id_token", "x");
    let twice = {
        let mut form = good.clone();
        form.fields.extend(good.fields.iter().filter(|(name, _)| name == "code").cloned().collect::<Vec<_>>());
        form
    };
    for odd in [token, twice, good.clone().with("state", ""), good.clone().with("error", "x")] {
        let page = browser.ask(posted(&world, &odd)).await.expect_status(400);
        assert!(page.set_cookies().is_empty(), "{page:?}");
    }
    let long = good.clone().with("code", &"c".repeat(8 * 1024));
    let page = browser.ask(posted(&world, &long)).await;
    assert!(page.status >= 400 && world.op.count(Endpoint::Token) == 1, "redeemed by the POST: {page:?}");
    assert!(!page.set_cookies().iter().any(|line| line.starts_with("__Host-vestibule=")), "{page:?}");
}

/// On plain loopback no cookie comes with the form, not even the attempt's: signing in works all the same.
#[tokio::test]
async fn it_works_on_loopback_without_tls() {
    let world = World::with(|config| {
        config.with("public_url = \"http://localhost:@PUBLIC_PORT@\"\nproviders.corp.response_mode = \"form_post\"")
    })
    .await;
    let browser = world.gateway.browser();
    for path in ["/a", "/oauth2/login?rd=/b"] {
        let before = browser.cookie(super::SESSION);
        let page = browser.navigate(world.url(path)).await.expect_status(200);
        assert!(page.url.path().len() == 2 && page.trail.iter().any(|step| step.url.path() == "/oauth2/callback"));
        if let Some(before) = before {
            assert!(!opens(&world, &before).await, "the earlier session has ended");
        }
    }
    // Still only in the browser that began it.
    let form = form(&world, &browser, "/oauth2/login").await;
    let stranger = world.gateway.browser();
    let (_, next) = post(&world, &stranger, &form).await;
    let page = stranger.ask(Ask::navigation(next.as_str()).caused_by(ELSEWHERE)).await.expect_status(303);
    assert!(page.location().unwrap().as_str().starts_with(world.op.issuer()), "{page:?}");
    assert_eq!(stranger.cookie(super::SESSION), None);
}

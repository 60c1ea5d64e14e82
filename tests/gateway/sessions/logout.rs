//! Logout at the gateway: who may, what goes, where one lands.

use http::Method;

use crate::login::{ELSEWHERE, SESSION, opens, who};
use crate::support::client::Ask;
use crate::support::{BadOp, Endpoint, codec};
use crate::world::{SOON, World};

/// LOGOUT-02: a page of another site ends nobody's session: its forms and scripts are refused, its images and links get a page
/// that asks.
#[tokio::test]
async fn another_site_cannot_sign_anybody_out() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION).unwrap();
    let line = format!("{SESSION}={cookie}");
    // With the cookie, as where it is `SameSite=None` or the site is a neighbour's.
    let neighbour = "http://127.0.0.1:1";
    for path in ["/oauth2/logout", "/oauth2/sign_out"] {
        let url = world.url(path);
        for (what, ask, status) in [
            ("form", Ask::form(&url, &[("a", "b")]).caused_by(ELSEWHERE), 403),
            ("form of a neighbour", Ask::form(&url, &[("a", "b")]).caused_by(neighbour), 403),
            ("form without metadata", Ask::form(&url, &[("a", "b")]).caused_by(ELSEWHERE).without_metadata(), 403),
            ("script", Ask::fetch(Method::POST, &url).caused_by(ELSEWHERE), 403),
            ("script of a neighbour", Ask::fetch(Method::POST, &url).caused_by(neighbour), 403),
            ("null origin", Ask::plain(Method::POST, &url).header("origin", "null"), 403),
            ("image", Ask::image(&url).caused_by(ELSEWHERE), 200),
            ("own image", Ask::image(&url).caused_by(&world.url("")), 200),
            ("frame", Ask::frame(&url).caused_by(ELSEWHERE), 200),
            ("link", Ask::navigation(&url).caused_by(ELSEWHERE), 200),
            ("link of a neighbour", Ask::navigation(&url).caused_by(neighbour), 200),
            ("script's GET", Ask::fetch(Method::GET, &url), 200),
            ("prefetch", Ask::navigation(&url).header("sec-purpose", "prefetch"), 200),
            ("own prefetch", Ask::navigation(&url).caused_by(&world.url("")).header("sec-purpose", "prefetch"), 200),
            ("old browser's GET", Ask::navigation(&url).without_metadata(), 200),
            ("typed", Ask::navigation(&url), 200),
        ] {
            let page = browser.ask(ask.header("cookie", &line)).await;
            assert_eq!(page.status, status, "{what}: {page:?}");
            assert_eq!((page.location(), page.set_cookies().len()), (None, 0), "{what}");
            assert!(opens(&world, &cookie).await, "{what} ended the session");
        }
        browser.ask(Ask::fetch(Method::DELETE, &url)).await.expect_status(405);
    }
    assert_eq!(world.op.count(Endpoint::Revocation), 0);
}

/// LOGOUT-02: one's own form, click and script sign out, each answered as it asks; the page that asks works by its button.
#[tokio::test]
async fn ones_own_clicks_sign_out() {
    let world = World::start().await;
    for path in ["/oauth2/logout", "/oauth2/sign_out"] {
        let url = world.url(path);
        for (what, ask) in [
            ("form", Ask::form(&url, &[("a", "b")])),
            ("link of our own page", Ask::navigation(&url).caused_by(&world.url(""))),
        ] {
            let browser = world.signed_in().await;
            let cookie = browser.cookie(SESSION).unwrap();
            let page = browser.ask(ask).await.expect_status(303);
            assert!(
                page.location().unwrap().as_str().starts_with(&format!("{}/end_session?", world.op.issuer())),
                "{what}"
            );
            assert_eq!(browser.cookie(SESSION), None, "{what}");
            assert!(!opens(&world, &cookie).await, "{what}");
        }
        let browser = world.signed_in().await;
        let cookie = browser.cookie(SESSION).unwrap();
        let page = browser.ask(Ask::fetch(Method::POST, &url)).await.expect_status(200);
        let answer = page.json();
        assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
        assert!(answer["location"].as_str().unwrap().starts_with(&format!("{}/end_session?", world.op.issuer())));
        assert_eq!((browser.cookie(SESSION), opens(&world, &cookie).await), (None, false));
        let page = browser.navigate(answer["location"].as_str().unwrap()).await.expect_status(200);
        assert_eq!(page.url.path(), "/oauth2/signed_out");
    }

    let browser = world.signed_in().await;
    let page =
        browser.ask(Ask::navigation(world.url("/oauth2/logout?rd=/bye%22%3E%3Cscript%3E")).caused_by(ELSEWHERE)).await;
    assert!(!page.text().contains("<script"), "{}", page.text());
    let form = page.forms().remove(0);
    assert_eq!((form.method.as_str(), form.action.as_str()), ("post", world.url("/oauth2/logout").as_str()));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self'") && policy.contains(world.op.issuer()), "{policy}");
    let form = form.with("rd", "/public/bye");
    let page = browser.submit(form.action.as_str(), &form.fields).await.expect_status(200);
    assert_eq!(page.url.path(), "/public/bye");
    assert_eq!(who(&world, &browser).await, None);
}

/// LOGOUT-17: the page after logout is public, starts nothing by itself and says that the provider's session may remain.
#[tokio::test]
async fn the_page_after_logout_starts_nothing() {
    let op = BadOp::start().await;
    op.script(|script| {
        script.discovery(|metadata| drop(metadata.as_object_mut().unwrap().remove("end_session_endpoint")));
    });
    let world = crate::login::world_at(op, |config| config).await;
    let browser = world.signed_in().await;
    let before = world.op.count(Endpoint::Authorize);
    let page = browser.submit(world.url("/oauth2/logout"), &[("a", "b")]).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/oauth2/signed_out"));
    let text = page.text();
    assert!(text.contains("You are signed out") && text.contains("may still be signed in"), "{text}");
    assert!(
        text.contains("/oauth2/login") && !text.contains("http-equiv") && page.header("refresh").is_none(),
        "{text}"
    );
    browser.step(page.url.as_str()).await.expect_status(200);
    browser.fetch(world.url("/")).await.expect_status(401);
    assert_eq!((world.op.count(Endpoint::Authorize), world.op.count(Endpoint::EndSession)), (before, 0));
    // Only the click does.
    browser.step(world.url("/oauth2/login")).await.expect_status(303);
    // Once more, with nobody signed in, is no error.
    for ask in [
        Ask::form(world.url("/oauth2/logout"), &[("a", "b")]),
        Ask::navigation(world.url("/oauth2/logout")).caused_by(&world.url("")),
    ] {
        let page = browser.follow(ask).await.expect_status(200);
        assert_eq!(page.url.path(), "/oauth2/signed_out");
    }
}

/// LOGOUT-04: the landing page takes any `state` or none, and goes nowhere because of it.
#[tokio::test]
async fn the_landing_page_goes_nowhere() {
    let world = World::start().await;
    for query in [
        "",
        "?state=",
        "?state=random",
        "?state=https://evil.example",
        "?state=a&state=b",
        "?rd=https://evil.example",
        "?rd=/x&return_to=/y",
    ] {
        for browser in [world.gateway.browser(), world.signed_in().await] {
            let page = browser.step(world.url(&format!("/oauth2/signed_out{query}"))).await.expect_status(200);
            assert!(page.set_cookies().is_empty() && !page.text().contains("evil"), "{query}: {page:?}");
        }
    }
    // Nor because of a cookie that we did not seal.
    let ask = Ask::navigation(world.url("/oauth2/signed_out")).header("cookie", "vestibule-return=L2V2aWw");
    world.gateway.browser().ask(ask).await.expect_status(200);
}

/// After the provider one lands on `rd` if it is ours, once; else on the page.
#[tokio::test]
async fn where_one_lands() {
    let world = World::start().await;
    for (name, target, lands) in [
        ("rd", "/public/bye?x=%20", "/public/bye?x=%20"),
        ("return_to", "/public/bye", "/public/bye"),
        ("rd", "https://evil.example/", "/oauth2/signed_out"),
        ("rd", "//evil.example/", "/oauth2/signed_out"),
        ("rd", "", "/oauth2/signed_out"),
    ] {
        for in_query in [true, false] {
            let browser = world.signed_in().await;
            let fields = [(name, target)];
            let page = if in_query {
                browser.submit(world.url(&format!("/oauth2/logout?{}", codec::form(&fields))), &[("a", "b")]).await
            } else {
                browser.submit(world.url("/oauth2/logout"), &fields).await
            };
            let landed = &page.url[url::Position::BeforePath..];
            let (path, query) = landed.split_once('?').unwrap_or((landed, ""));
            // The provider gives our `state` back to our own page.
            let landed = if query.starts_with("state=") { path } else { landed };
            assert_eq!(landed, lands, "{name}={target} {in_query}: {:?}", page.trail);
            assert!(page.trail.iter().any(|step| step.url.path() == "/end_session"), "by way of the provider");
            assert_eq!(browser.cookies().iter().filter(|cookie| cookie.name.starts_with(SESSION)).count(), 0);
        }
    }
}

/// LOGOUT-01, LOGOUT-16: the session is gone and the cookie deleted with the first answer, whether the provider answers or not.
#[tokio::test]
async fn the_session_ends_here_first() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION).unwrap();
    world.op.stop().await;
    let page = browser.ask(Ask::form(world.url("/oauth2/logout"), &[("a", "b")])).await.expect_status(303);
    assert!(
        page.set_cookies().iter().any(|line| line.starts_with("vestibule=;") && line.contains("Max-Age=0")),
        "{page:?}"
    );
    assert_eq!(page.header("clear-site-data"), Some("\"cache\""));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(
        page.location().unwrap().as_str(),
        world.url("/oauth2/signed_out"),
        "not to an address where nothing answers"
    );
    assert!(!opens(&world, &cookie).await);
    assert_eq!(world.gateway.audit_event("logout").await["sub"], "alice");
    // The person can see that it is over, without the provider.
    let page = browser.step(world.url("/oauth2/signed_out")).await.expect_status(200);
    assert!(page.text().contains("You are signed out"));
    assert!(page.text().contains("may still be signed in"), "{}", page.text());
    browser.step(world.url("/")).await;
    assert_eq!(who(&world, &browser).await, None);
}

/// LOGOUT-01: a script, and somebody who wanted to go on to a page of ours, end on the page that says so as well.
#[tokio::test]
async fn a_provider_that_is_away_is_not_visited() {
    let world = World::start().await;
    let (script, person) = (world.signed_in().await, world.signed_in().await);
    world.op.stop().await;
    let page = script.ask(Ask::fetch(Method::POST, world.url("/oauth2/logout"))).await.expect_status(200);
    assert_eq!(page.json()["location"], "/oauth2/signed_out");
    let page = person.submit(world.url("/oauth2/logout"), &[("rd", "/public/bye")]).await.expect_status(200);
    assert_eq!(page.url.as_str(), world.url("/oauth2/signed_out"));
    assert_eq!(who(&world, &person).await, None);
}

/// REF-10: logout takes the tokens back at the provider; a provider that fails there holds nobody up.
#[tokio::test]
async fn tokens_are_taken_back() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let tokens: Vec<String> =
        world.op.issued_tokens().into_iter().filter(|token| token.starts_with("canary-")).collect();
    let gate = world.op.hold(Endpoint::Revocation);
    browser.ask(Ask::form(world.url("/oauth2/logout"), &[("a", "b")])).await.expect_status(303);
    gate.arrived().await;
    gate.open();
    crate::support::eventually("the revocations", SOON, || async {
        tokens.iter().all(|token| world.op.revoked().contains(token)).then_some(())
    })
    .await;
    assert!(tokens.iter().all(|token| !world.op.is_alive(token)));

    world.op.behave();
    world.op.script(|script| {
        script.fail(Endpoint::Revocation, 500);
    });
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION).unwrap();
    browser.ask(Ask::form(world.url("/oauth2/logout"), &[("a", "b")])).await.expect_status(303);
    assert!(!opens(&world, &cookie).await);
}

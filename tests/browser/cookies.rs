//! Our cookies as a browser stores them.

use http::Method;

use crate::support::{Ask, Chromium, ConfigBuilder, Echo, Endpoint, Gateway, Site};
use crate::world::{SESSION, World};

/// SESS-03: attempt, session, loop and return cookies are Secure, `HttpOnly`, host-only, for `/`, `SameSite=Lax`, and have the prefix that makes
/// browsers insist on it; the session's goes with the browser, and the attempt's is gone after the login.
#[tokio::test]
async fn the_browser_keeps_every_cookie_as_strictly_as_it_can() {
    let World { op, gateway, chromium, .. } = &World::start().await;
    let check = async |when: &str, expected: &[&str]| {
        let cookies = chromium.cookies().await;
        let mut names: Vec<&str> = cookies.iter().map(|cookie| cookie.name.as_str()).collect();
        // Of the provider.
        names.retain(|name| !name.starts_with("badop"));
        names.sort_unstable();
        assert_eq!(names.len(), expected.len(), "{when}: {names:?}");
        for (name, expected) in names.iter().zip(expected) {
            assert!(name.starts_with(expected), "{when}: {names:?}");
        }
        for cookie in cookies.iter().filter(|cookie| names.contains(&cookie.name.as_str())) {
            assert!(cookie.secure && cookie.http_only, "{when}: {cookie:?}");
            assert_eq!((cookie.domain.as_str(), cookie.path.as_str()), ("app.test", "/"), "{when}");
            assert_eq!(cookie.same_site.as_deref(), Some("Lax"), "{when}: {cookie:?}");
            assert_eq!(cookie.session, cookie.name == SESSION, "{when}: {cookie:?}");
        }
    };
    op.script(|script| {
        script.fail(Endpoint::Authorize, 500).fail(Endpoint::EndSession, 500).user("alice");
    });
    chromium.goto(&gateway.url("/a")).await;
    check("a login under way", &["__Host-vestibule-login-"]).await;

    op.behave();
    chromium.clear_cookies().await;
    chromium.goto(&gateway.url("/a")).await;
    check("signed in", &[SESSION, "__Host-vestibule-loop"]).await;
    let visible = chromium.run("return document.cookie", vec![]).await;
    assert_eq!(visible, "", "what a script sees");

    op.script(|script| {
        script.fail(Endpoint::EndSession, 500).user("alice");
    });
    chromium.run("location.href = '/oauth2/logout?rd=/bye'", vec![]).await;
    chromium.wait_for_url(|url| url.starts_with(op.issuer())).await;
    check("at the provider to sign out", &["__Host-vestibule-return"]).await;
    chromium.goto(&gateway.url("/oauth2/signed_out")).await;
    let left = chromium.cookies().await;
    assert!(!left.iter().any(|cookie| cookie.name.ends_with("-return")), "{left:?}");
}

/// SESS-03: and so says every line that we send, deletions included.
#[tokio::test]
async fn every_line_that_sets_or_deletes_a_cookie_of_ours_has_every_mark() {
    let world = World::start().await;
    let (gateway, browser) = (&world.gateway, world.gateway.browser());
    let mut pages = vec![browser.navigate(gateway.url("/a")).await.expect_status(200)];
    // Changes the subject: the old session is replaced.
    world.op.script(|script| {
        script.user("bob").calls_back_at_end_session();
    });
    pages.push(browser.navigate(gateway.url("/oauth2/login?rd=/b")).await.expect_status(200));
    let fields = [("rd", "/bye")];
    pages.push(browser.follow(Ask::form(gateway.url("/oauth2/logout"), &fields)).await);
    let dead = format!("{SESSION}={}", "A".repeat(43));
    pages.push(gateway.browser().ask(Ask::fetch(Method::GET, gateway.url("/a")).header("cookie", &dead)).await);
    let stale = gateway.url("/oauth2/callback?state=unknown&code=c");
    pages.push(gateway.browser().follow(Ask::navigation(stale)).await);
    pages.push(gateway.browser().without_cookies().follow(Ask::navigation(gateway.url("/c"))).await);

    let mut lines: Vec<String> = pages.iter().flat_map(|page| page.set_cookies()).collect();
    for step in pages.iter().flat_map(|page| &page.trail) {
        lines.extend(step.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned()));
    }
    lines.retain(|line| !line.starts_with("badop"));
    for what in ["-login-", "-loop=", "-return=", "__Host-vestibule=;", "-return=;"] {
        assert!(lines.iter().any(|line| line.contains(what)), "no line with {what}: {lines:#?}");
    }
    for line in &lines {
        let marks: Vec<String> = line.split("; ").skip(1).map(str::to_lowercase).collect();
        for mark in ["secure", "httponly", "path=/", "samesite=lax"] {
            assert!(marks.iter().any(|found| found == mark), "{mark}: {line}");
        }
        assert!(!marks.iter().any(|found| found.starts_with("domain")), "{line}");
        assert!(line.starts_with("__Host-vestibule"), "{line}");
    }
}

/// LOGIN-16: a browser that keeps no cookie is told so after a few round trips; and so is one whose provider has another time.
#[tokio::test]
async fn without_cookies_the_login_ends_on_a_page_that_says_why() {
    let (op, echo) = (crate::support::BadOp::start().await, Echo::start().await);
    let gateway = Gateway::start(ConfigBuilder::usual(&op, &echo)).await;
    let chromium = Chromium::setup().without_cookies().start().await;
    chromium.goto(&gateway.url("/a")).await;
    let text = chromium.text().await;
    assert!(text.contains("Signing in goes round in circles") && text.contains("cookies are blocked"), "{text}");
    assert!((1..=3).contains(&op.count(Endpoint::Authorize)), "{}", op.count(Endpoint::Authorize));
    assert_eq!(echo.requests().iter().filter(|seen| seen.target == "/a").count(), 0);
    assert!(chromium.client.find(fantoccini::Locator::Css("a.button[href]")).await.is_ok(), "a way to try again");
    chromium.client.clone().close().await.unwrap();

    for hour in [-3600, 3600] {
        op.behave();
        op.script(move |script| {
            script.id_token_claims(move |claims| {
                for name in ["iat", "exp", "auth_time"] {
                    if let Some(at) = claims[name].as_i64() {
                        claims[name] = (at + hour).into();
                    }
                }
            });
        });
        let before = op.count(Endpoint::Authorize);
        let page = gateway.browser().navigate(gateway.url("/a")).await;
        assert!(page.status >= 400, "{hour}: {}", page.text());
        assert_eq!(op.count(Endpoint::Authorize), before + 1, "{hour}");
    }
}

/// The loop breaker means browsers that lose the session, not people who sign in again while they have one.
#[tokio::test]
async fn signing_in_again_and_again_with_a_session_is_no_loop() {
    let world = World::start().await;
    for n in 1..=5 {
        world.chromium.goto(&world.gateway.url(&format!("/oauth2/login?prompt=login&rd=/{n}"))).await;
        assert_eq!(world.chromium.url().await, world.gateway.url(&format!("/{n}")));
    }
}

/// LOGIN-16: a provider that never says what a route asks for, and a session that comes back each time: that circle ends as well.
#[tokio::test]
async fn a_step_up_that_never_suffices_ends() {
    let world = World::with(|config| config.route("path = \"/fresh\"\nupstream = \"app\"\nmax_age = \"20s\"")).await;
    // As far back as the clocks may differ: enough for the login, not for the route.
    world.op.script(|script| {
        script.id_token_claims(|claims| {
            let at = claims["iat"].as_i64().unwrap();
            claims["auth_time"] = (at - 30).into();
        });
    });
    world.chromium.goto(&world.gateway.url("/fresh")).await;
    let text = world.chromium.text().await;
    assert!(text.contains("Signing in goes round in circles"), "{}: {text}", world.chromium.url().await);
    assert!(world.op.count(Endpoint::Authorize) <= 4, "{}", world.op.count(Endpoint::Authorize));
    assert_eq!(world.seen("/fresh"), 0);
}

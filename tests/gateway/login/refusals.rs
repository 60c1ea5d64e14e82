//! What starts no login, and what ends one without a session.

use http::Method;

use super::{ELSEWHERE, SESSION, answered, callback, param, twin, who, with_param, world_at};
use crate::logout::two_providers;
use crate::support::client::Ask;
use crate::support::{BadOp, Endpoint, codec};
use crate::world::World;

/// LOGIN-08: whatever is no navigation gets 401 without redirect and cookie, and nothing reaches the application.
#[tokio::test]
async fn what_is_no_navigation_gets_401() {
    let world = World::start().await;
    let url = world.url("/api");
    let get = || Ask::fetch(Method::GET, &url);
    let plain = |method| Ask::plain(method, &url);
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let websocket = upgrade.iter().fold(plain(Method::GET), |ask, (name, value)| ask.header(name, value));
    for (what, ask) in [
        ("fetch", get()),
        ("fetch from elsewhere", get().caused_by(ELSEWHERE)),
        ("fetch that accepts pages", get().header("accept", "text/html")),
        ("POST by fetch", Ask::fetch(Method::POST, &url).body("x=1")),
        ("DELETE", Ask::fetch(Method::DELETE, &url)),
        ("XHR of old browsers", get().without_metadata().header("x-requested-with", "XMLHttpRequest")),
        (
            "page request that says it is a script",
            plain(Method::GET).header("accept", "text/html").header("x-requested-with", "XMLHttpRequest"),
        ),
        (
            "fetch that names no destination",
            plain(Method::GET).header("accept", "text/html").header("sec-fetch-mode", "cors"),
        ),
        ("EventSource", get().header("accept", "text/event-stream")),
        ("image", Ask::image(&url)),
        ("frame", Ask::frame(&url)),
        ("program", plain(Method::GET)),
        ("program that wants JSON", plain(Method::GET).header("accept", "application/json")),
        ("curl", plain(Method::GET).header("accept", "*/*")),
        ("OPTIONS", plain(Method::OPTIONS)),
        (
            "WebSocket",
            websocket.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").header("origin", &world.url("")),
        ),
        ("WebSocket of a page that navigates", {
            let ask = upgrade.iter().fold(Ask::navigation(&url), |ask, (name, value)| ask.header(name, value));
            ask.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        }),
        ("gRPC", plain(Method::POST).header("content-type", "application/grpc").header("te", "trailers")),
    ] {
        let page = world.gateway.browser().ask(ask).await;
        assert_eq!(page.status, 401, "{what}: {page:?}");
        assert_eq!((page.header("location"), page.set_cookies().len()), (None, 0), "{what}");
        if !matches!(what, "fetch that accepts pages" | "fetch that names no destination" | "frame")
            && !what.contains("page")
        {
            assert_eq!(page.header("content-type"), Some("application/problem+json"), "{what}");
            let problem = page.json();
            assert_eq!(
                (&problem["status"], &problem["login"]),
                (&401.into(), &world.url("/oauth2/login").into()),
                "{what}"
            );
        }
    }
    assert_eq!((world.echo.count(), world.op.count(Endpoint::Authorize)), (0, 0));
}

/// LOGIN-10: GET and HEAD navigations alone are sent to log in, by 303; a form's bytes never get to the provider.
#[tokio::test]
async fn only_get_and_head_navigations_start_a_login() {
    let world = World::with(|config| {
        config.with("session.idle = \"1s\"\nsession.lifetime = \"1s\"\nsession.near_cache.staleness = \"1s\"")
    })
    .await;
    let browser = world.signed_in().await;
    let cookie = browser.cookie(SESSION).unwrap();
    crate::support::wait::eventually("the session's end", crate::world::SOON, || async {
        (!super::opens(&world, &cookie).await).then_some(())
    })
    .await;
    world.op.forget();
    let secret = "canary-form-field-that-belongs-to-the-application";
    for browser in [browser, world.gateway.browser()] {
        let page = browser.ask(Ask::form(world.url("/submit"), &[("note", secret)])).await;
        assert!(matches!(page.status, 401), "{page:?}");
        assert_eq!(page.location(), None);
        let page = browser.follow(Ask::form(world.url("/submit"), &[("note", secret)]).caused_by(ELSEWHERE)).await;
        assert_eq!(page.status, 401);
    }
    for method in [Method::GET, Method::HEAD] {
        let mut ask = Ask::navigation(world.url("/x"));
        if method == Method::HEAD {
            ask = Ask::plain(Method::HEAD, world.url("/x")).header("accept", "text/html");
        }
        assert_eq!(world.gateway.browser().ask(ask).await.status, 303, "{method}");
    }
    for request in world.op.all_requests() {
        assert!(!codec::contains(&request.body, secret.as_bytes()) && !request.target.contains(secret));
    }
    assert_eq!(world.echo.count(), 0);
}

/// LOGIN-11: `iss` is compared where it is there and demanded where it is announced, on codes and on errors.
#[tokio::test]
async fn the_issuer_of_the_answer_is_checked() {
    for announced in [true, false] {
        let op = BadOp::start().await;
        let issuer = op.issuer().to_owned();
        if !announced {
            op.script(|script| {
                script.discovery(|metadata| {
                    metadata["authorization_response_iss_parameter_supported"] = false.into();
                });
            });
        }
        let world = world_at(op, |config| config).await;
        let other = format!("{issuer}/");
        for (iss, good) in [
            (Some(issuer.as_str()), true),
            (Some("https://evil.example"), false),
            (Some(&other), false),
            (Some(""), false),
            (None, !announced),
        ] {
            let before = world.op.count(Endpoint::Token);
            let browser = world.gateway.browser();
            let back = with_param(&callback(&world, &browser, "/").await, "iss", iss);
            let page = browser.step(back).await;
            let what = format!("announced {announced}, iss {iss:?}: {page:?}");
            assert_eq!(page.status, if good { 303 } else { 400 }, "{what}");
            assert_eq!(world.op.count(Endpoint::Token) - before, usize::from(good), "{what}");
            assert_eq!(browser.cookie(SESSION).is_some(), good, "{what}");

            let browser = world.gateway.browser();
            let back = with_param(&callback(&world, &browser, "/").await, "iss", iss);
            let back = with_param(&with_param(&back, "code", None), "error", Some("access_denied"));
            let page = browser.step(with_param(&back, "error_description", Some("told by them"))).await;
            assert_eq!(page.status, if good { 403 } else { 400 }, "error, {what}");
            assert_eq!(page.text().contains("told by them"), good, "error, {what}");
        }
    }
}

/// LOGIN-12: with two providers, a code that comes with the other login's state is redeemed at neither.
#[tokio::test]
async fn a_code_is_redeemed_where_its_login_began() {
    let (world, other) = two_providers().await;
    let browser = world.gateway.browser();
    let (corp, theirs) = (callback(&world, &browser, "/").await, callback(&world, &browser, "/other").await);
    for (code, login) in [(&corp, &theirs), (&theirs, &corp)] {
        let swapped = with_param(code, "state", Some(&param(login, "state")));
        let page = twin(&browser).step(swapped).await;
        assert_eq!((page.status, browser.cookie(SESSION)), (400, None), "{page:?}");
    }
    assert_eq!((world.op.count(Endpoint::Token), other.count(Endpoint::Token)), (0, 0));
    for (back, op) in [(&corp, &world.op), (&theirs, &other)] {
        browser.step(back.clone()).await.expect_status(303);
        assert_eq!(op.count(Endpoint::Token), 1);
    }
}

/// LOGIN-15: the provider's errors become an escaped page, after state and `iss`, and nothing is tried again.
#[tokio::test]
async fn errors_of_the_provider_are_shown_escaped() {
    let world = World::start().await;
    for (error, status) in [
        ("access_denied", 403),
        ("login_required", 400),
        ("interaction_required", 400),
        ("consent_required", 400),
        ("invalid_scope", 400),
        ("server_error", 503),
        ("temporarily_unavailable", 503),
        ("<b>made-up</b>", 400),
    ] {
        world.op.behave();
        world.op.forget();
        world.op.script(|script| {
            script.deny(error, "<script>alert(1)</script>\r\nSet-Cookie: a=b");
        });
        let browser = world.gateway.browser();
        let page = browser.navigate(world.url("/")).await;
        assert_eq!(page.status, status, "{error}: {page:?}");
        let text = page.text();
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script") && !text.contains("<b>"), "{text}");
        assert!(text.contains("Reference"), "{text}");
        assert_eq!((world.op.count(Endpoint::Authorize), world.op.count(Endpoint::Token)), (1, 0), "{error}");
        assert_eq!(browser.cookies().len(), 0, "neither a session nor an attempt is left");
    }
    // An error for which nobody here asked shows nothing.
    world.op.behave();
    let page = world
        .gateway
        .browser()
        .step(world.url("/oauth2/callback?state=x&error=access_denied&error_description=hello"))
        .await;
    assert!(!page.text().contains("hello"), "{page:?}");
}

/// LOGIN-24: loading ahead and subresources start nothing.
#[tokio::test]
async fn loading_ahead_starts_nothing() {
    let world = World::start().await;
    let url = world.url("/page");
    for ask in [
        Ask::navigation(&url).header("sec-purpose", "prefetch"),
        Ask::navigation(&url).header("sec-purpose", "prefetch;prerender"),
        Ask::navigation(&url).header("purpose", "prefetch"),
        Ask::image(world.url("/favicon.ico")),
        Ask::navigation(world.url("/oauth2/login")).header("sec-purpose", "prefetch"),
    ] {
        let what = format!("{ask:?}");
        let page = world.gateway.browser().ask(ask).await;
        assert!(matches!(page.status, 401 | 503), "{what}: {page:?}");
        assert_eq!((page.location(), page.set_cookies().len()), (None, 0), "{what}");
    }
    assert_eq!(world.op.count(Endpoint::Authorize), 0);
}

/// LOGIN-04: a wrong, missing or borrowed nonce makes no session, and userinfo is not asked.
#[tokio::test]
async fn the_nonce_is_that_of_this_login() {
    let world = World::with(|config| config.with("providers.corp.userinfo = true")).await;
    let elsewhere = world.gateway.browser();
    let borrowed = param(&elsewhere.step(world.url("/")).await.location().unwrap(), "nonce");
    for nonce in [Some("wrong".to_owned()), None, Some(borrowed), Some(String::new())] {
        world.op.behave();
        let given = nonce.clone();
        world.op.script(|script| {
            script.id_token_claims(move |claims| {
                claims["nonce"] = given.clone().into();
                if given.is_none() {
                    drop(claims.as_object_mut().unwrap().remove("nonce"));
                }
            });
        });
        let browser = world.gateway.browser();
        let page = browser.step(callback(&world, &browser, "/").await).await;
        assert_eq!(page.status, 502, "{nonce:?}: {page:?}");
        assert_eq!(who(&world, &browser).await, None, "{nonce:?}");
    }
    assert_eq!(world.op.count(Endpoint::Userinfo), 0);
    world.op.behave();
    let browser = world.gateway.browser();
    let page = browser.step(world.url("/")).await;
    browser.step(answered(&browser, &page).await).await.expect_status(303);
    assert_eq!(world.op.count(Endpoint::Userinfo), 1, "a good one is signed in");
}

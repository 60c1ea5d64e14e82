//! Requests that another site has caused.

use http::Method;

use crate::support::Ask;
use crate::world::World;

/// CSRF-01: neither a form nor a script of another site, a sibling of ours included, does anything with the cookie.
#[tokio::test]
async fn other_sites_change_nothing() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let url = world.url("/transfer");
    // Another port is a sibling: same site, another origin. Its requests carry the cookie.
    for origin in ["http://127.0.0.1:1", "https://evil.example"] {
        for ask in [
            Ask::form(url.clone(), &[("to", "mallory")]),
            Ask::fetch(Method::POST, url.clone()).header("content-type", "text/plain").body("to=mallory"),
            Ask::fetch(Method::PUT, url.clone()).body("x"),
            Ask::fetch(Method::DELETE, url.clone()),
            Ask::fetch(Method::GET, url.clone()),
            Ask::image(url.clone()),
        ] {
            // The attacker's best case: the cookie goes along whatever `SameSite` says.
            let cookie =
                browser.cookies().iter().map(|c| format!("{}={}", c.name, c.value)).collect::<Vec<_>>().join("; ");
            let page = browser.ask(ask.caused_by(origin).header("cookie", &cookie)).await;
            assert_eq!((page.status, world.echo.count()), (403, 0), "{origin}: {page:?}");
        }
    }
    for ask in [Ask::form(url.clone(), &[("to", "bob")]), Ask::fetch(Method::DELETE, url.clone())] {
        browser.ask(ask).await.expect_status(200);
    }
    browser.ask(Ask::navigation(url).caused_by("https://evil.example")).await.expect_status(200);
}

/// CSRF-02: site, mode, destination and method against the table.
#[tokio::test]
async fn fetch_metadata_decides() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    for site in ["same-origin", "none", "same-site", "cross-site", "unheard-of"] {
        for (mode, dest) in [("navigate", "document"), ("navigate", "iframe"), ("cors", "empty"), ("no-cors", "image")]
        {
            for method in ["GET", "HEAD", "POST", "DELETE"] {
                let friendly = matches!(site, "same-origin" | "none");
                let reading = matches!(method, "GET" | "HEAD") && mode == "navigate";
                let lines = [
                    &*cookie,
                    &format!("Sec-Fetch-Site: {site}"),
                    &format!("Sec-Fetch-Mode: {mode}"),
                    &format!("Sec-Fetch-Dest: {dest}"),
                    "Content-Length: 0",
                ];
                world.echo.forget();
                let answer = world.ask(&format!("{method} /x"), &lines).await;
                let passes = friendly || reading;
                assert_eq!(answer.status, if passes { 200 } else { 403 }, "{method} {lines:?}");
                assert_eq!(world.echo.count(), usize::from(passes));
            }
        }
    }
}

/// CSRF-03: without Fetch metadata an exact `Origin`; with neither, a header that no form can send.
#[tokio::test]
async fn older_browsers_go_by_origin() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    let own = format!("Origin: {}", world.gateway.public_url());
    let longer = format!("{own}.evil.example");
    for (lines, status) in [
        (&[&*own][..], 200),
        (&["Origin: https://evil.example"], 403),
        (&[&*longer], 403),
        (&["Origin: http://127.0.0.1"], 403),
        (&["Origin: null"], 403),
        (&[&*own, "Origin: https://evil.example"], 403),
        (&["Origin: https://evil.example", "X-Requested-With: XMLHttpRequest"], 403),
        (&[], 403),
        (&["Referer: http://127.0.0.1/"], 403),
        (&["X-Requested-With: XMLHttpRequest"], 200),
    ] {
        world.echo.forget();
        let answer = world.ask("POST /x", &[&[&*cookie, "Content-Length: 0"], lines].concat()).await;
        assert_eq!((answer.status, world.echo.count()), (status, usize::from(status == 200)), "{lines:?}");
    }
}

/// CSRF-01, CSRF-02: a route may leave the defence to its application, or list who may; without a session there is nothing to
/// defend.
#[tokio::test]
async fn routes_say_who_else_may() {
    let world = World::with(|config| {
        config
            .route("path = \"/open\"\nupstream = \"app\"\ncross_site = \"allow\"")
            .route("path = \"/listed\"\nupstream = \"app\"\ncross_site = [\"https://spa.example.com\"]")
    })
    .await;
    let cookie = world.cookie().await;
    let spa = "Origin: https://spa.example.com";
    let evil = "Origin: https://evil.example";
    for (path, lines, status) in [
        ("/open", &[&*cookie, evil, "Sec-Fetch-Site: cross-site"][..], 200),
        ("/open", &[&*cookie], 200),
        ("/listed", &[&*cookie, spa, "Sec-Fetch-Site: cross-site"], 200),
        ("/listed", &[&*cookie, spa], 200),
        ("/listed", &[&*cookie, evil, "Sec-Fetch-Site: cross-site"], 403),
        ("/listed", &[&*cookie, "Origin: https://spa.example.com:8443", "Sec-Fetch-Site: cross-site"], 403),
        ("/listed", &[&*cookie, "Sec-Fetch-Site: cross-site"], 403),
        ("/optional", &[&*cookie, evil, "Sec-Fetch-Site: cross-site"], 403),
        ("/optional", &[evil, "Sec-Fetch-Site: cross-site"], 200),
        ("/public", &[&*cookie, evil, "Sec-Fetch-Site: cross-site"], 200),
    ] {
        let answer = world.ask(&format!("POST {path}"), &[lines, &["Content-Length: 0"]].concat()).await;
        assert_eq!(answer.status, status, "{path} {lines:?}: {}", answer.text());
    }
}

/// CSRF-05: reading changes nothing: neither logout nor refresh happens by GET or HEAD from elsewhere, nor by HEAD at all.
#[tokio::test]
async fn reading_changes_nothing() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    let elsewhere = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"];
    for start in [
        "GET /oauth2/logout",
        "GET /oauth2/sign_out",
        "HEAD /oauth2/logout",
        "OPTIONS /oauth2/logout",
        "GET /oauth2/session/refresh",
        "HEAD /oauth2/session/refresh",
        "GET /oauth2/sessions/revoke",
        "GET /oauth2/login",
        "HEAD /oauth2/login",
    ] {
        for lines in [
            &elsewhere[..],
            &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"],
            &[],
        ] {
            let answer = world.ask(start, &[&[&*cookie], lines].concat()).await;
            let cleared = answer.header_all("set-cookie").iter().any(|line| line.starts_with("vestibule="));
            assert!(!cleared, "{start} {lines:?}: {answer:?}");
            let after = world.ask("GET /x", &[&cookie]).await;
            assert_eq!(after.status, 200, "the session lives on after {start} {lines:?}");
        }
    }
    assert_eq!(world.op.grants("refresh_token"), 0);
}

/// CSRF-06: a request is judged and forwarded as the method that it has; what wants it to be another is gone.
#[tokio::test]
async fn methods_cannot_be_overridden() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    let navigation = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "x_http_method_override",
        "X-Http-Method_Override",
    ] {
        let line = format!("{name}: DELETE");
        let seen = world.seen("GET /x", &[&[&*cookie, &line], &navigation[..]].concat()).await;
        assert_eq!((seen.method.as_str(), seen.cgi_variable(name)), ("GET", vec![]), "{name}");
    }
}

/// CSRF-08, CACHE-03: every page and error of ours shuts itself off, and nothing that a request said stands in it unescaped.
#[tokio::test]
async fn our_own_pages_shut_themselves_off() {
    let world = World::with(|config| {
        config
            .route("path = \"/staff\"\nupstream = \"app\"\nrequire = { groups = [\"nobody\"] }")
            .upstream("away", "http://127.0.0.1:9")
            .route("path = \"/away\"\nupstream = \"away\"\naccess = \"public\"")
    })
    .await;
    let cookie = world.cookie().await;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E";
    for (start, lines, status) in [
        ("GET /oauth2/signed_out", &[][..], 200),
        ("GET /oauth2/logout", &[&*cookie], 200),
        ("GET /oauth2/nothing", &[], 404),
        ("POST /oauth2/userinfo", &["Content-Length: 0"], 405),
        ("GET /oauth2/userinfo", &[], 401),
        ("GET /oauth2/userinfo", &[&cookie], 200),
        ("GET /oauth2/session", &[&cookie], 200),
        ("GET /oauth2/callback?error=%3Cscript%3Ealert(1)%3C/script%3E", &[], 400),
        ("GET /oauth2/login?rd=%3Cscript%3Ealert(1)%3C/script%3E&provider=%3Cscript%3E", &[], 400),
        ("POST /x", &["Content-Length: 0"], 401),
        ("POST /x", &[&cookie, "Origin: null", "Content-Length: 0"], 403),
        ("GET /staff", &[&cookie], 403),
        ("GET /a%5cb", &[], 400),
        ("GET /away", &[], 502),
        ("TRACE /x", &[], 405),
    ] {
        for accept in ["Accept: text/html", "Accept: application/json"] {
            let answer = world
                .ask(
                    &format!("{start}{}", if start.contains('?') { format!("&x={evil}") } else { String::new() }),
                    &[lines, &[accept]].concat(),
                )
                .await;
            let what = format!("{start}, {accept}: {answer:?}\n{}", answer.text());
            // A login that cannot name its provider may be an error or begin with the only one there is.
            assert!(answer.status == status || start.contains("login?"), "{what}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
            assert!(!answer.text().contains("<script"), "{what}");
            if answer.status == 303 {
                continue;
            }
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
            let html = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
            let page = start.ends_with("signed_out") || start.ends_with("logout");
            assert_eq!(html, page || accept.ends_with("html") && status >= 400, "{what}");
            if html {
                let policy = answer.header("content-security-policy").unwrap_or_default();
                for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
                    assert!(policy.contains(part), "{part}: {what}");
                }
                assert!(!policy.contains("unsafe-inline") || !policy.contains("script-src"), "{what}");
                assert!(answer.header("referrer-policy").is_some(), "{what}");
                assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{what}");
            }
        }
    }
}

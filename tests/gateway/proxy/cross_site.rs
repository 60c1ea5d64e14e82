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
        // Our own endpoints neither: nobody is signed out, nothing is renewed or revoked.
        let cookie = crate::world::cookie_line(&browser);
        for (path, body) in [("logout", ""), ("session/refresh", ""), ("sessions/revoke", "{\"others\":true}")] {
            for mode in ["navigate", "no-cors"] {
                let lines = [
                    &*cookie,
                    &format!("Origin: {origin}"),
                    "Sec-Fetch-Site: same-site",
                    &format!("Sec-Fetch-Mode: {mode}"),
                    "Content-Type: text/plain",
                    &format!("Content-Length: {}", body.len()),
                ];
                let head = world.head(&format!("POST /oauth2/{path}"), &lines);
                let answer = world.send(format!("{head}{body}")).await;
                assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{path}: {answer:?}");
            }
        }
    }
    assert_eq!(world.op.grants("refresh_token"), 0);
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
        let twice = [&*cookie, "Sec-Fetch-Site: same-origin", &format!("Sec-Fetch-Site: {site}"), "Content-Length: 0"];
        assert_eq!(world.ask("POST /x", &twice).await.status, 403, "of several none is believed: {twice:?}");
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
        (&["Origin: null", "X-Requested-With: XMLHttpRequest"], 403),
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

/// CSRF-07: with the custom-header mode on, a request by cookie without the header is refused, from our own pages and of whatever method
/// too; other sites may not even with it, but for those of `cors`, and theirs takes a preflight.
#[tokio::test]
async fn a_route_can_ask_for_a_header() {
    let world = World::with(|config| {
        config
            .route("path = \"/api\"\nupstream = \"app\"\ncross_site = \"header\"")
            .route("path = \"/spa\"\nupstream = \"app\"\ncross_site = \"header\"\ncors = { origins = [\"https://spa.example.com\"] }")
            .route("path = \"/maybe\"\nupstream = \"app\"\naccess = \"optional\"\ncross_site = \"header\"")
    })
    .await;
    let cookie = world.cookie().await;
    let own = format!("Origin: {}", world.gateway.public_url());
    let (csrf, ajax) = ("X-Vestibule-Csrf: 1", "X-Requested-With: XMLHttpRequest");
    let (same, cross) = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site");
    let navigation = ["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    let spa = "Origin: https://spa.example.com";
    for (path, lines, status) in [
        ("/api", &[same, &*own][..], 403),
        ("/api", &[same], 403),
        ("/api", &[], 403),
        ("/api", &navigation, 403),
        ("/api", &[same, &own, csrf], 200),
        ("/api", &[same, ajax], 200),
        ("/api", &[ajax], 200),
        ("/api", &["Sec-Fetch-Site: same-site", csrf], 403),
        ("/api", &[cross, "Origin: https://evil.example", csrf], 403),
        ("/api", &["Origin: null", csrf], 403),
        ("/spa", &[cross, spa], 403),
        ("/spa", &[cross, spa, csrf], 200),
        ("/spa", &[spa, csrf], 200),
        ("/spa", &[cross, "Origin: https://spa.example.com:8443", csrf], 403),
        ("/x", &[same], 200),
    ] {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            world.echo.forget();
            let lines = [&[&*cookie, "Content-Length: 0"], lines].concat();
            let answer = world.ask(&format!("{method} {path}"), &lines).await;
            let forwarded = usize::from(status == 200);
            assert_eq!((answer.status, world.echo.count()), (status, forwarded), "{method} {path} {lines:?}");
        }
    }
    let refused = world.ask("POST /api", &[&cookie, same, "Content-Length: 0"]).await;
    assert!(refused.text().contains("X-Vestibule-Csrf"), "{}", refused.text());
    // Without a session there is nothing to defend.
    assert_eq!(world.ask("GET /maybe", &[]).await.status, 200);
    assert_eq!(world.ask("GET /maybe", &[&cookie]).await.status, 403);
    assert_eq!(world.ask("GET /api", &[]).await.status, 401);
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
    // What a click on a page of ours may do, a look ahead may not.
    let own = ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    for start in ["HEAD /oauth2/logout", "OPTIONS /oauth2/logout", "HEAD /oauth2/session/refresh"] {
        let answer = world.ask(start, &[&[&*cookie], &own[..]].concat()).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (405, None), "{start}");
        assert_eq!(world.ask("GET /x", &[&cookie]).await.status, 200, "the session lives on after {start}");
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
        ("GET /oauth2/logout?rd=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", &[], 200),
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
            let page = start.ends_with("signed_out") || start.contains("logout");
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

/// CSRF-10: in a frame, an object or an embed nobody is sent to the provider, whoever embeds it: 401, and no login begins.
#[tokio::test]
async fn nobody_signs_in_inside_something_else() {
    let world = World::start().await;
    for dest in ["iframe", "frame", "object", "embed", "fencedframe"] {
        for site in ["same-origin", "same-site", "cross-site"] {
            for path in ["/x", "/oauth2/login"] {
                let lines = [
                    "Accept: text/html",
                    "Sec-Fetch-Mode: navigate",
                    &format!("Sec-Fetch-Dest: {dest}"),
                    &format!("Sec-Fetch-Site: {site}"),
                ];
                let answer = world.ask(&format!("GET {path}"), &lines).await;
                let what = format!("{path} in {dest}, {site}: {answer:?}");
                assert_eq!((answer.header("location"), answer.header("set-cookie")), (None, None), "{what}");
                assert!(answer.status == 401 || path != "/x", "{what}");
                assert!(answer.status < 500 && answer.status != 303, "{what}");
            }
        }
    }
    assert_eq!(world.op.all_requests().iter().filter(|seen| seen.target.contains("authorize")).count(), 0);
}

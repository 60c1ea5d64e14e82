//! The session cookie.

use http::{Method, Request};

use crate::login::{ELSEWHERE, SESSION, answered, opens, who};
use crate::support::client::Ask;
use crate::support::h2::H2;
use crate::support::{Browser, ConfigBuilder, Gateway, TestCa, codec};
use crate::world::World;

/// SESS-03, SESS-18: every `Set-Cookie` line of a site on https, whatever it is for, has the prefix and all marks, and the session's
/// ends with the browser.
#[tokio::test]
async fn every_cookie_has_every_mark() {
    let ca = TestCa::new();
    let (op, echo) = (crate::support::BadOp::start().await, crate::support::Echo::start().await);
    let gateway = Gateway::start(ConfigBuilder::usual(&op, &echo).tls(&ca, "app.example.test")).await;
    let world = World { op, echo, gateway };
    let browser = world.gateway.browser();
    let mut lines = Vec::new();
    let url = |path: &str| world.url(path);

    // Six attempts (the oldest goes), a login, a loop count, a dead cookie, a logout with a target.
    let mut page = browser.step(url("/0")).await;
    for n in 1..7 {
        lines.extend(page.set_cookies());
        page = browser.step(url(&format!("/{n}"))).await.expect_status(303);
    }
    lines.extend(page.set_cookies());
    let page = browser.step(answered(&browser, &page).await).await.expect_status(303);
    lines.extend(page.set_cookies());
    assert!(browser.cookie("__Host-vestibule").is_some());
    let stranger = world.gateway.browser();
    let dead = format!("__Host-vestibule={}", codec::b64url(&codec::random_bytes(32)));
    lines.extend(
        stranger.ask(Ask::fetch(Method::GET, url("/")).header("cookie", &dead)).await.expect_status(401).set_cookies(),
    );
    lines.extend(
        browser.ask(Ask::form(url("/oauth2/logout"), &[("rd", "/bye")])).await.expect_status(303).set_cookies(),
    );
    lines.extend(browser.step(url("/oauth2/signed_out")).await.expect_status(303).set_cookies());

    assert!(browser.jar(|jar| jar.refused.is_empty()), "a browser refuses some");
    let mut names = std::collections::BTreeSet::new();
    for line in &lines {
        let parts: Vec<String> = line.split(';').map(|part| part.trim().to_ascii_lowercase()).collect();
        let name = line.split('=').next().unwrap();
        assert!(name.starts_with("__Host-vestibule"), "{line}");
        for mark in ["secure", "httponly", "path=/", "samesite=lax"] {
            assert_eq!(parts.iter().filter(|part| *part == mark).count(), 1, "{mark}: {line}");
        }
        assert!(!parts.iter().any(|part| part.starts_with("domain")), "{line}");
        let deletes = parts.contains(&"max-age=0".to_owned());
        let lasts = parts.iter().any(|part| part.starts_with("max-age") || part.starts_with("expires"));
        assert!(name != "__Host-vestibule" || deletes || !lasts, "the session's is persistent: {line}");
        names.insert((name.split("-login-").next().unwrap().to_owned(), name.contains("-login-"), deletes));
    }
    let kinds = ["", "-loop", "-return"].map(|suffix| format!("__Host-vestibule{suffix}"));
    for (kind, deletes) in [(0, false), (0, true), (1, false), (2, false), (2, true)] {
        assert!(names.contains(&(kinds[kind].clone(), false, deletes)), "{} {deletes}: {names:?}", kinds[kind]);
    }
    assert!(
        names.contains(&(kinds[0].clone(), true, false)) && names.contains(&(kinds[0].clone(), true, true)),
        "{names:?}"
    );
}

/// SESS-18: the cookie has one size, whoever signs in and whatever is known of them.
#[tokio::test]
async fn the_cookie_is_small() {
    let world = World::start().await;
    let small = world.signed_in().await.cookie(SESSION).unwrap();
    let groups: Vec<String> = (0..500).map(|n| format!("group-number-{n}")).collect();
    world.op.set_claim("alice", "groups", groups);
    let browser = world.signed_in().await;
    assert_eq!(browser.cookie(SESSION).unwrap().len(), small.len());
    assert_eq!(small.len(), 43);
    let shown = browser.fetch(world.url("/oauth2/userinfo")).await.json();
    assert_eq!(shown["groups"].as_array().map(Vec::len), Some(500));
}

/// SESS-10: an identifier that the gateway did not issue is never adopted, and none is read from anywhere but the cookie.
#[tokio::test]
async fn planted_identifiers_are_not_adopted() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    let planted = codec::b64url(&codec::random_bytes(32));
    let url = url::Url::parse(&world.url("/")).unwrap();
    browser.jar(|jar| jar.plant(&url, SESSION, &planted));
    let page = browser.navigate(world.url("/")).await.expect_status(200);
    assert_eq!(page.url.path(), "/");
    let own = browser.cookie(SESSION).unwrap();
    assert_ne!(own, planted);
    assert!(opens(&world, &own).await && !opens(&world, &planted).await);

    let get = |path: &str| Ask::fetch(Method::GET, world.url(path));
    for ask in [
        get(&format!("/?sid={own}")),
        get(&format!("/?{SESSION}={own}")),
        get(&format!("/;{SESSION}={own}")),
        get("/").header("authorization", &format!("Bearer {own}")),
        get("/").header("authorization", &own),
        get("/").header("x-session-id", &own),
        get("/").header(SESSION, &own),
        get("/").header("cookie", &format!("sid={own}")),
        get("/").header("cookie", &format!("{SESSION}=\"{own}")),
        get("/").header("cookie", &format!("{SESSION}={own}x")),
        get("/").header("cookie", &format!("{SESSION}={}", &own[..42])),
        get("/").header("cookie2", &format!("{SESSION}={own}")),
        Ask::fetch(Method::POST, world.url("/"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("{SESSION}={own}&sid={own}")),
    ] {
        let what = format!("{ask:?}");
        let page = world.gateway.browser().ask(ask).await;
        assert_eq!(page.status, 401, "{what}");
    }
}

/// SESS-10: a connection that a proxy shares among people belongs to none of them. Each request is its own cookie's, over both
/// protocols, and an ended session has no afterlife on the connection that used it.
#[tokio::test]
async fn many_people_may_share_a_connection() {
    let world = World::start().await;
    let (one, other) = (world.signed_in().await, world.signed_in().await);
    let value = |browser: &Browser| browser.cookie(SESSION).unwrap();
    let (own, others) = (value(&one), value(&other));
    let (mut h1, h2) = (world.raw().await, world.h2().await);
    // As one of them, and as somebody who tries to pass for the one before.
    let nearly = format!("{}{}", &own[..42], if own.ends_with('A') { 'E' } else { 'A' });
    let turns = [(&own, true), (&own, true), (&others, true), (&own, true), (&nearly, false), (&others, true)];
    let mut sids = std::collections::BTreeMap::<&String, std::collections::BTreeSet<String>>::new();
    for (value, opens) in turns {
        let cookie = format!("{SESSION}={value}");
        let mut saw = |status| {
            assert_eq!((status, world.echo.count()), if opens { (200, 1) } else { (401, 0) }, "{value}");
            let sid = opens.then(|| world.echo.last().identity().unwrap()["sid"].as_str().unwrap().to_owned());
            sids.entry(value).or_default().extend(sid);
            world.echo.forget();
        };
        h1.send(world.head("GET /", &[&format!("Cookie: {cookie}")])).await;
        saw(h1.answer().await.unwrap().status);
        let request = Request::get(world.url("/")).header("cookie", &cookie).body("").unwrap();
        saw(h2.send(request).await.unwrap().status);
    }
    assert_eq!((sids[&own].len(), sids[&others].len(), sids[&nearly].len()), (1, 1, 0), "{sids:?}");
    assert_ne!(sids[&own], sids[&others]);

    one.ask(Ask::form(world.url("/oauth2/logout"), &[("rd", "/")])).await;
    for (value, status) in [(&own, 401), (&others, 200), (&own, 401)] {
        h1.send(world.head("GET /", &[&format!("Cookie: {SESSION}={value}")])).await;
        assert_eq!(h1.answer().await.unwrap().status, status, "{value}");
    }
}

/// SESS-09: two session cookies are refused in either order, never chosen from; over HTTP/2 in split fields, too.
#[tokio::test]
async fn several_session_cookies_are_refused() {
    let world = World::start().await;
    let own = world.signed_in().await.cookie(SESSION).unwrap();
    let (other, random) = (world.signed_in().await.cookie(SESSION).unwrap(), codec::b64url(&codec::random_bytes(32)));
    let pair = |value: &str| format!("{SESSION}={value}");
    let h2 = H2::connect(world.gateway.address()).await;
    for path in ["/", "/optional", "/oauth2/userinfo", "/oauth2/session"] {
        for (first, second) in [(&own, &other), (&other, &own), (&own, &random), (&random, &own)] {
            let (first, second) = (pair(first), pair(second));
            for cookies in [
                vec![format!("{first}; {second}")],
                vec![format!("{first};{second}")],
                vec![format!("a=1; {first}; b=2; {second}; c=3")],
                vec![first.clone(), second.clone()],
                vec![first.clone(), "a=1".to_owned(), second.clone()],
            ] {
                let ask = cookies
                    .iter()
                    .fold(Ask::fetch(Method::GET, world.url(path)), |ask, line| ask.header("cookie", line));
                let page = world.gateway.browser().ask(ask).await;
                assert_eq!(page.status, 400, "{path} {cookies:?}");
                assert!(page.set_cookies().is_empty());

                let request =
                    cookies.iter().fold(Request::get(world.url(path)), |request, line| request.header("cookie", line));
                let answer = h2.send(request.body("").unwrap()).await.unwrap();
                assert_eq!(answer.status, 400, "h2 {path} {cookies:?}");
            }
        }
    }
    assert_eq!(world.echo.count(), 0);
    // One session cookie among split fields is one.
    let crumbs =
        Request::get(world.url("/")).header("cookie", "a=1").header("cookie", pair(&own)).header("cookie", "b=2");
    assert_eq!(h2.send(crumbs.body("").unwrap()).await.unwrap().status, 200);
    assert_eq!(world.echo.last().header_all("cookie"), ["a=1; b=2"]);
}

/// SESS-02: identifiers do not repeat, and a cookie that another site's page could send is not sent by browsers.
#[tokio::test]
async fn identifiers_are_new_at_each_login() {
    let world = World::start().await;
    let mut seen = std::collections::HashSet::new();
    let browser = world.gateway.browser();
    let mut before: Option<String> = None;
    for _ in 0..5 {
        browser.navigate(world.url("/oauth2/login?rd=/")).await.expect_status(200);
        let now = browser.cookie(SESSION).unwrap();
        assert!(seen.insert(now.clone()), "{now} was there before");
        if let Some(before) = before.replace(now) {
            assert!(!opens(&world, &before).await, "the old one still opens");
        }
    }
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));
    post_from_elsewhere(&world, &browser).await;
}

async fn post_from_elsewhere(world: &World, browser: &Browser) {
    let page = browser.ask(Ask::form(world.url("/"), &[("a", "b")]).caused_by(ELSEWHERE)).await;
    assert_eq!(page.status, 401, "Lax: the cookie stays at home");
}

//! Signing in, as a person with a browser does it.

use std::time::Duration;

use crate::support::{Chromium, Endpoint, Site, eventually};
use crate::world::{SESSION, World, at_node_op, fill_in, html_page};

/// LOGIN-17: path and query come back byte by byte, with a clean address, and neither code nor state is told to anybody.
#[tokio::test]
async fn a_deep_link_comes_back_as_it_was() {
    let World { echo, gateway, chromium, .. } =
        &World::with(|config| config.route("path = \"/slashes\"\nupstream = \"app\"\nencoded_slash = \"keep\"")).await;
    for path in ["/a;b?x=%20&x=%2F1", "/slashes/a%2Fb?q=%e2%82%ac", "/?", "/caf%C3%A9/~x?a=b&&c=+"] {
        chromium.clear_cookies().await;
        echo.forget();
        chromium.goto(&gateway.url(path)).await;
        assert_eq!(chromium.url().await, gateway.url(path));
        let seen = echo.requests().into_iter().find(|seen| seen.target == path);
        let seen = seen.unwrap_or_else(|| panic!("{path} did not arrive: {:?}", echo.requests()));
        assert_eq!(seen.header("referer"), None);
        assert_eq!(chromium.run("return document.referrer", vec![]).await, "");
    }
    let callback: Vec<_> = chromium.answers().await.into_iter().filter(|(url, _)| url.contains("/callback?")).collect();
    assert_eq!(callback.len(), 4);
    assert!(callback.iter().all(|(_, status)| *status == 303), "{callback:?}");
    for seen in echo.requests() {
        let all = format!("{seen:?}");
        assert!(!all.contains("code=") && !all.contains("state="), "{all}");
    }

    // The callback's own answer, which a browser does not show.
    let browser = gateway.browser();
    let away = browser.step(gateway.url("/a")).await.location().unwrap();
    let back = browser.step(away).await.location().unwrap();
    let answer = browser.step(back).await.expect_status(303);
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert!(!answer.text().contains("src=") && !answer.text().contains("<link"), "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/a"));
}

/// LOGIN-17 at a certified provider with a form of its own.
#[tokio::test]
async fn signing_in_at_the_npm_provider_leads_back_to_the_page() {
    let (op, echo, gateway) = at_node_op().await;
    let chromium = Chromium::start().await;
    chromium.goto(&gateway.url("/reports;v=2?from=%2F1")).await;
    assert!(chromium.url().await.starts_with(op.issuer()));
    fill_in(&chromium, "alice").await;
    chromium.wait_for_url(|url| url == gateway.url("/reports;v=2?from=%2F1")).await;
    let seen = echo.requests().into_iter().find(|seen| seen.target == "/reports;v=2?from=%2F1").unwrap();
    assert_eq!(seen.header("cookie"), None);
    let claims = chromium.run("return (await fetch('/oauth2/userinfo')).json()", vec![]).await;
    assert_eq!((&claims["sub"], &claims["provider"]), (&"alice".into(), &"node".into()));
}

/// LOGIN-07: tabs in which logins are under way don't disturb each other, whichever is finished first.
#[tokio::test]
async fn two_tabs_finish_in_either_order() {
    let (op, _echo, gateway) = at_node_op().await;
    let chromium = Chromium::start().await;
    let open = async |path: &str| {
        chromium.goto(&gateway.url(path)).await;
        assert!(chromium.url().await.starts_with(op.issuer()));
    };
    for finishes_first in [1, 2] {
        chromium.clear_cookies().await;
        let first = chromium.client.window().await.unwrap();
        open("/one?tab=1").await;
        let second = chromium.client.new_window(true).await.unwrap().handle;
        chromium.client.switch_to_window(second.clone()).await.unwrap();
        open("/two?tab=2").await;
        let mut tabs = [(first.clone(), "/one?tab=1"), (second, "/two?tab=2")];
        if finishes_first == 2 {
            tabs.reverse();
        }
        for (tab, path) in tabs {
            chromium.client.switch_to_window(tab).await.unwrap();
            fill_in(&chromium, "alice").await;
            let wanted = gateway.url(path);
            chromium.wait_for_url(|url| url == wanted).await;
            assert!(chromium.text().await.contains(path), "{}", chromium.text().await);
        }
        chromium.client.switch_to_window(first).await.unwrap();
    }
}

/// The way back leads to the page before, not into the login; a callback in the bookmarks redeems nothing a second time.
#[tokio::test]
async fn back_forward_and_a_bookmarked_callback_do_no_harm() {
    let World { op, echo, gateway, chromium, .. } = &World::start().await;
    html_page(echo, "/public/start", "<a href=\"/private\">in</a>");
    chromium.goto(&gateway.url("/public/start")).await;
    chromium.answers().await;
    chromium.click("a").await;
    chromium.wait_for_url(|url| url == gateway.url("/private")).await;
    chromium.client.back().await.unwrap();
    assert_eq!(chromium.url().await, gateway.url("/public/start"));
    chromium.client.forward().await.unwrap();
    assert_eq!(chromium.url().await, gateway.url("/private"));
    assert_eq!(op.count(Endpoint::Authorize), 1);

    let answers = chromium.answers().await;
    let (callback, _) = answers.into_iter().find(|(url, _)| url.contains("/oauth2/callback?")).unwrap();
    chromium.goto(&callback).await;
    assert_eq!(chromium.url().await, gateway.url("/"));
    assert_eq!((op.count(Endpoint::Authorize), op.grants("authorization_code")), (1, 1));

    // Next day: no session any more. The old code is not tried; a new login leads in.
    chromium.clear_cookies().await;
    chromium.goto(&callback).await;
    assert_eq!(chromium.url().await, gateway.url("/"));
    assert_eq!((op.count(Endpoint::Authorize), op.grants("authorization_code")), (2, 2));
}

/// LOGIN-08: a script gets a 401 that it can read and act upon; EventSource, images and WebSockets get theirs; nobody gets a cookie or sees
/// the provider.
#[tokio::test]
async fn a_script_without_a_session_reads_an_honest_401() {
    let World { op, echo, gateway, chromium, .. } = &World::start().await;
    chromium.goto(&gateway.url("/public/page")).await;
    let script = "
        const answer = await fetch('/api/things', {headers: {accept: 'application/json'}});
        return [answer.status, answer.redirected, answer.headers.get('content-type'), await answer.json()]";
    let answer = chromium.run(script, vec![]).await;
    assert_eq!((&answer[0], &answer[1]), (&401.into(), &false.into()));
    assert_eq!(answer[2], "application/problem+json");
    assert_eq!((&answer[3]["status"], &answer[3]["title"]), (&401.into(), &"Sign in first".into()));
    assert_eq!(answer[3]["login"], gateway.url("/oauth2/login"));
    assert!(answer[3]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{answer}");

    let script = "
        const ended = (thing, events) => new Promise(end => events.forEach(name => thing.addEventListener(name, () => end(name))));
        const image = new Image(); image.src = '/api/image';
        const post = fetch('/api/post', {method: 'POST', body: 'x'}).then(answer => answer.status);
        return Promise.all([
            ended(new EventSource('/api/events'), ['open', 'error']), ended(image, ['load', 'error']),
            ended(new WebSocket('/api/ws'), ['open', 'error']), post])";
    let ends = chromium.run(script, vec![]).await;
    assert_eq!(ends, serde_json::json!(["error", "error", "error", 401]));
    let answers = chromium.answers().await;
    for path in ["/api/things", "/api/image", "/api/post", "/api/events"] {
        let statuses: Vec<u64> =
            answers.iter().filter(|(url, _)| url.ends_with(path)).map(|(_, status)| *status).collect();
        assert_eq!(statuses, [401], "{path}");
    }
    assert_eq!(chromium.cookies().await, []);
    assert_eq!(op.count(Endpoint::Authorize), 0);
    assert!(!echo.requests().iter().any(|seen| seen.target.starts_with("/api")));

    // What the document names works.
    let login = format!("{}?rd=%2Fpublic%2Fpage", answer[3]["login"].as_str().unwrap());
    chromium.goto(&login).await;
    assert_eq!(chromium.url().await, gateway.url("/public/page"));
    assert_eq!(chromium.run("return (await fetch('/api/things')).status", vec![]).await, 200);
}

/// CSRF-10: in a frame, of our own or of somebody else's page, there is no login and no provider.
#[tokio::test]
async fn a_frame_without_a_session_never_shows_the_provider() {
    let world = World::start().await;
    let World { op, echo, gateway, chromium, .. } = &world;
    let inside = |url: &str| format!("<iframe src=\"{url}\"></iframe><object data=\"{url}\"></object>");
    html_page(echo, "/public/frame", &inside("/private"));
    let pages = [
        gateway.url("/public/frame"),
        world.page("elsewhere.test", "/frame", &inside(&gateway.url("/private"))),
        world.page("blog.app.test", "/login", &inside(&gateway.url("/oauth2/login?rd=/private"))),
    ];
    for page in &pages {
        chromium.answers().await;
        chromium.goto(page).await;
        let refused = eventually("answers in the frames", Duration::from_secs(5), || async {
            let answers = chromium.answers().await;
            answers.iter().any(|(url, status)| url.starts_with(&gateway.url("/")) && *status == 401).then_some(())
        });
        refused.await;
        assert_eq!(op.count(Endpoint::Authorize), 0, "{page}");
        assert_eq!(world.cookie(SESSION).await, None);
        assert_eq!(chromium.cookies().await, [], "{page}");
    }
    assert_eq!(world.seen("/private"), 0);
}

/// A link from another site, such as in a mail, finds the person signed in.
#[tokio::test]
async fn a_link_from_elsewhere_uses_the_session() {
    let world = World::start().await;
    world.signed_in("/home").await;
    let link = format!("<a href=\"{}\">in</a>", world.gateway.url("/report"));
    world.chromium.goto(&world.page("elsewhere.test", "/mail", &link)).await;
    world.chromium.click("a").await;
    world.chromium.wait_for_url(|url| url == world.gateway.url("/report")).await;
    assert_eq!((world.seen("/report"), world.op.count(Endpoint::Authorize)), (1, 1));
}

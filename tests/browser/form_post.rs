//! The way back from a provider of another site, by a form and by a link, with session cookies that stay at home.

use crate::support::{BadOp, Chromium, Endpoint, Site};
use crate::world::{ELSEWHERE, SESSION, World};

async fn world(response_mode: &str, same_site: &str) -> World {
    let config =
        format!("providers.corp.response_mode = \"{response_mode}\"\nsession.cookie.same_site = \"{same_site}\"");
    World::at(BadOp::start().await, Chromium::setup(), |builder| builder.with(&config)).await
}

/// LOGIN-21, SESS-02, with `SameSite=Lax` and `Strict`: a person who follows another site's link signs in with one visit to the provider,
/// whose form or link leads back; a second login ends the first session; the code of a form stands in no address, and nothing of it stays.
#[tokio::test]
async fn the_way_back_from_another_site_finds_the_session() {
    for (response_mode, same_site) in
        [("form_post", "lax"), ("form_post", "strict"), ("query", "strict"), ("query", "lax")]
    {
        let what = format!("{response_mode}, {same_site}");
        let world = world(response_mode, same_site).await;
        let World { op, gateway, chromium, .. } = &world;
        let mut earlier: Option<String> = None;
        for (n, path) in ["/private?x=1", "/oauth2/login?rd=%2Fprivate%3Fx%3D1"].into_iter().enumerate() {
            let link = format!("<a href=\"{}\">in</a>", gateway.url(path));
            chromium.goto(&world.page(ELSEWHERE, "/links", &link)).await;
            chromium.answers().await;
            chromium.click("a").await;
            chromium.wait_for_url(|url| url == gateway.url("/private?x=1")).await;
            assert!(chromium.text().await.contains("/private"), "{what}: {}", chromium.text().await);
            assert_eq!(op.count(Endpoint::Authorize), n + 1, "{what}: nobody goes round");
            assert_eq!(op.count(Endpoint::Token), n + 1, "{what}");
            let cookie = world.cookie(SESSION).await.unwrap_or_else(|| panic!("{what}: a session"));
            assert_eq!(cookie.same_site.as_deref().map(str::to_lowercase).as_deref(), Some(same_site));
            let answers = chromium.answers().await;
            let by_form = answers.iter().any(|(url, _)| url.contains("/oauth2/callback?answered="));
            assert_eq!(by_form, response_mode == "form_post", "{what}: {answers:?}");
            if by_form {
                assert!(!answers.iter().any(|(url, _)| url.contains("code=")), "{what}: {answers:?}");
            }
            if let Some(earlier) = earlier.replace(cookie.value) {
                assert_eq!(status(&world, &earlier).await, 401, "{what}: the earlier session goes on");
            }
            assert_eq!(status(&world, earlier.as_deref().unwrap()).await, 200, "{what}");
            let left: Vec<String> = chromium.cookies().await.into_iter().map(|cookie| cookie.name).collect();
            assert!(!left.iter().any(|name| name.contains("-answer-") || name.contains("-login-")), "{what}: {left:?}");
        }
        // A way back in the history repeats nothing.
        chromium.client.back().await.unwrap();
        chromium.client.forward().await.unwrap();
        assert_eq!(chromium.url().await, gateway.url("/private?x=1"), "{what}");
        assert_eq!(op.count(Endpoint::Token), 2, "{what}");
    }
}

/// What a script with that session gets, asked from outside of the browser.
async fn status(world: &World, cookie: &str) -> u16 {
    let ask = crate::support::Ask::plain(http::Method::GET, world.gateway.url("/oauth2/session"));
    world.gateway.browser().ask(ask.header("cookie", &format!("{SESSION}={cookie}"))).await.status
}

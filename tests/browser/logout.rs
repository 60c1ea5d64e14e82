//! Signing out, and staying so.

use fantoccini::Locator;

use crate::support::{Ask, BadOp, Chromium, ConfigBuilder, Echo, Endpoint, Gateway, Site};
use crate::world::{APP, ELSEWHERE, SIBLING, World, html_page, html_page_with};

const FORM: &str = "<h1>Private words</h1><form method=\"post\" action=\"/oauth2/logout\"><button>Out</button></form>";

/// LOGOUT-17: the form ends the session and leads to a public page which starts nothing by itself. LOGOUT-16: the way back shows no protected
/// page that says it is not to be stored.
#[tokio::test]
async fn after_signing_out_nothing_protected_is_shown_and_nothing_starts_by_itself() {
    let world = World::start().await;
    let World { op, echo, gateway, chromium, .. } = &world;
    html_page_with(echo, "/home", "no-store", FORM);
    world.signed_in("/home").await;
    chromium.click("button").await;
    chromium.wait_for_url(|url| url.starts_with(&gateway.url("/oauth2/signed_out"))).await;
    assert!(chromium.text().await.contains("You are signed out"));
    assert!(!world.session_lives().await);
    let cookies = chromium.cookies().await;
    assert!(!cookies.iter().any(|cookie| cookie.domain == APP), "{cookies:?}");
    // What the address says is nobody's order.
    chromium
        .goto(&gateway.url("/oauth2/signed_out?state=https%3A%2F%2Felsewhere.test&rd=https%3A%2F%2Felsewhere.test"))
        .await;
    assert!(chromium.url().await.starts_with(&gateway.url("/oauth2/signed_out")));
    assert_eq!((op.count(Endpoint::Authorize), op.count(Endpoint::EndSession)), (1, 1));

    // Whoever sits down here next presses Back, twice. The provider would have to ask who they are.
    op.script(|script| {
        script.deny("access_denied", "who are you?");
    });
    for _ in 0..2 {
        chromium.client.back().await.unwrap();
        let text = chromium.text().await;
        assert!(!text.contains("Private words"), "{} shows {text}", chromium.url().await);
    }
    assert_eq!(world.seen("/home"), 0);
}

/// LOGOUT-16: nor does it where the form names a page to land on.
#[tokio::test]
async fn after_signing_out_to_another_page_the_way_back_shows_nothing_protected() {
    let world = World::start().await;
    let World { op, echo, gateway, chromium, .. } = &world;
    let form = FORM.replace("<button>", "<input type=hidden name=rd value=/public/bye><button>");
    html_page_with(echo, "/home", "no-store", &form);
    world.signed_in("/home").await;
    chromium.click("button").await;
    chromium.wait_for_url(|url| url == gateway.url("/public/bye")).await;
    op.script(|script| {
        script.deny("access_denied", "who are you?");
    });
    chromium.client.back().await.unwrap();
    let text = chromium.text().await;
    assert!(text.contains("You were not let in") && !text.contains("Private words"), "{text}");
}

/// LOGOUT-16: a route with `cache = "no-store"` holds ordinary pages to it, which their application lets the browser keep.
#[tokio::test]
async fn after_signing_out_a_strict_route_shows_nothing_protected() {
    let world =
        World::with(|config| config.route("path = \"/strict\"\nupstream = \"app\"\ncache = \"no-store\"")).await;
    let World { op, echo, gateway, chromium, .. } = &world;
    html_page_with(echo, "/strict/home", "private, max-age=600", FORM);
    world.signed_in("/strict/home").await;
    chromium.click("button").await;
    chromium.wait_for_url(|url| url.starts_with(&gateway.url("/oauth2/signed_out"))).await;
    assert!(chromium.text().await.contains("You are signed out"));
    op.script(|script| {
        script.deny("access_denied", "who are you?");
    });
    chromium.client.back().await.unwrap();
    let text = chromium.text().await;
    assert!(!text.contains("Private words"), "{} shows {text}", chromium.url().await);
    assert_eq!(world.seen("/strict/home"), 0);
}

/// LOGOUT-16: what the browser stored on disk of protected pages is gone as well, though they allowed it.
#[tokio::test]
async fn after_signing_out_the_disk_shows_nothing_protected() {
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    let config = ConfigBuilder::usual(&op, &echo).with("public_url = \"http://localhost:@PUBLIC_PORT@\"");
    let gateway = Gateway::start(config).await;
    // What lives on in memory is another matter: only `no-store` keeps a page out of there.
    let chromium = Chromium::setup().argument("--disable-features=BackForwardCache").start().await;
    html_page_with(&echo, "/home", "max-age=600", FORM);
    html_page_with(&echo, "/next", "max-age=600", "<a href=/home>x</a>");
    let seen = || echo.requests().iter().filter(|seen| seen.target == "/home").count();
    chromium.goto(&gateway.url("/home")).await;
    chromium.goto(&gateway.url("/next")).await;
    chromium.click("a").await;
    chromium.wait_for_url(|url| url == gateway.url("/home")).await;
    assert_eq!(seen(), 1, "it is stored");

    chromium.click("button").await;
    chromium.wait_for_url(|url| url.starts_with(&gateway.url("/oauth2/signed_out"))).await;
    op.script(|script| {
        script.deny("access_denied", "who are you?");
    });
    chromium.client.back().await.unwrap();
    let text = chromium.text().await;
    assert!(text.contains("You were not let in") && !text.contains("Private words"), "{text}");

    let answer = gateway.browser().ask(Ask::form(gateway.url("/oauth2/logout"), &[("rd", "/")])).await;
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
}

/// LOGOUT-17: where the provider has no such endpoint the page says what may remain there; a click, and only that, begins a login.
#[tokio::test]
async fn without_an_end_session_endpoint_the_page_says_what_may_remain() {
    let op = BadOp::start().await;
    op.script(|script| {
        script.discovery(|metadata| {
            metadata.as_object_mut().unwrap().remove("end_session_endpoint");
        });
    });
    let world = World::at(op, Chromium::setup(), |config| config).await;
    let World { op, echo, gateway, chromium, .. } = &world;
    html_page(echo, "/home", FORM);
    world.signed_in("/home").await;
    chromium.click("button").await;
    chromium.wait_for_url(|url| url == gateway.url("/oauth2/signed_out")).await;
    let text = chromium.text().await;
    assert!(text.contains("You are signed out") && text.contains("you may still be signed in there"), "{text}");
    assert_eq!(op.count(Endpoint::Authorize), 1);
    chromium.click("a.button").await;
    chromium.wait_for_url(|url| url == gateway.url("/")).await;
    assert_eq!(op.count(Endpoint::Authorize), 2);
}

/// LOGOUT-02: neither an image nor a form nor a script of another site or of a sibling ends a session; a link leads to a page that asks, and
/// the person's click there does it.
#[tokio::test]
async fn nobody_else_can_sign_a_person_out() {
    let world = World::start().await;
    let World { gateway, chromium, .. } = &world;
    let logout = gateway.url("/oauth2/logout");
    world.signed_in("/home").await;
    for host in [SIBLING, ELSEWHERE] {
        let html = format!(
            "<img src=\"{logout}\"><iframe src=\"{logout}\"></iframe><link rel=prefetch href=\"{logout}\">\
             <form method=post action=\"{logout}\"><input type=hidden name=rd value=/><button>x</button></form>\
             <a href=\"{logout}?rd=/public/bye\">x</a>"
        );
        let page = world.page(host, "/attack", &html);
        chromium.goto(&page).await;
        let send = "await fetch(arguments[0], {method: 'POST', mode: 'no-cors', credentials: 'include'}).catch(() => 0);\
                    await fetch(arguments[0], {mode: 'no-cors', credentials: 'include'}).catch(() => 0)";
        chromium.run(send, vec![logout.as_str().into()]).await;
        assert!(world.session_lives().await, "by the page alone, {host}");
        chromium.click("button").await;
        chromium.wait_for_url(|url| url == logout).await;
        let text = chromium.text().await;
        // A form of another site carries no cookie; one of a sibling does.
        assert!(text.contains("Another site may not do this here"), "{host}: {text}");
        assert!(world.session_lives().await, "by a form, {host}");

        chromium.goto(&page).await;
        chromium.click("a").await;
        chromium.wait_for_url(|url| url.starts_with(&logout)).await;
        assert!(chromium.text().await.contains("Sign out?"), "{host}");
        assert!(world.session_lives().await, "by a link, {host}");
    }
    assert!(chromium.client.find(Locator::Css("form input[name=rd][value='/public/bye']")).await.is_ok());
    chromium.click("form button").await;
    chromium.wait_for_url(|url| url == gateway.url("/public/bye")).await;
    assert!(!world.session_lives().await);
}

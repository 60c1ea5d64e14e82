//! What pages of others can do with a person's session: nothing.

use serde_json::json;

use crate::support::{BadOp, Chromium, Site};
use crate::world::{ELSEWHERE, SIBLING, World, html_page};

/// In a browser that sends third-party cookies where `SameSite` lets it.
async fn world(same_site: &str) -> World {
    let setup = Chromium::setup().with_third_party_cookies();
    let config = format!("session.cookie.same_site = \"{same_site}\"");
    World::at(BadOp::start().await, setup, |builder| builder.with(&config)).await
}

/// CSRF-01: with SameSite out of the way, for a sibling by nature and for another site by configuration, a form and a plain-text fetch are
/// refused before the application sees them; the application's own page goes through.
#[tokio::test]
async fn others_cannot_change_anything_with_a_persons_session() {
    for same_site in ["lax", "none"] {
        let world = world(same_site).await;
        let World { echo, gateway, chromium, .. } = &world;
        world.signed_in("/home").await;
        for host in [SIBLING, ELSEWHERE] {
            let target = gateway.url("/transfer");
            let form = format!(
                "<form method=post enctype=text/plain action=\"{target}\"><input name=to value=mallory><button>x</button></form>"
            );
            chromium.goto(&world.page(host, "/attack", &form)).await;
            chromium.answers().await;
            let send = "const as = {method: 'POST', mode: 'no-cors', credentials: 'include', headers: {'content-type': 'text/plain'}, body: 'x'};\
                        await fetch(arguments[0], as)";
            chromium.run(send, vec![target.as_str().into()]).await;
            chromium.click("button").await;
            chromium.wait_for_url(|url| url == target).await;
            let answers = chromium.answers().await;
            let statuses: Vec<u64> =
                answers.iter().filter(|(url, _)| *url == target).map(|(_, status)| *status).collect();
            // Lax keeps the cookie from another site's request, which is then nobody's.
            let expected = if same_site == "lax" && host == ELSEWHERE { 401 } else { 403 };
            assert_eq!(statuses, [expected, expected], "{host}, {same_site}: {answers:?}");
            assert_eq!(world.seen("/transfer"), 0, "{host}, {same_site}");
        }
        html_page(echo, "/own", "<form method=post action=/transfer><button>x</button></form>");
        chromium.goto(&gateway.url("/own")).await;
        let status =
            chromium.run("return (await fetch('/transfer', {method: 'POST', body: 'x'})).status", vec![]).await;
        assert_eq!(status, 200);
        chromium.click("button").await;
        chromium.wait_for_url(|url| url.ends_with("/transfer")).await;
        assert_eq!(world.seen("/transfer"), 2);
    }
}

/// CSRF-04: a WebSocket opens from our own pages alone.
#[tokio::test]
async fn a_websocket_opens_from_our_own_pages_alone() {
    let world = world("none").await;
    let World { gateway, chromium, .. } = &world;
    world.signed_in("/home").await;
    let socket = gateway.url("/ws").replacen("https", "wss", 1);
    let open = "return new Promise(end => { const socket = new WebSocket(arguments[0]);\
                socket.onopen = () => end('open'); socket.onerror = () => end('refused') })";
    for host in [SIBLING, ELSEWHERE] {
        chromium.goto(&world.page(host, "/attack", "")).await;
        assert_eq!(chromium.run(open, vec![json!(socket)]).await, "refused", "{host}");
        let console = chromium.console().await.join("\n");
        assert!(console.contains("403"), "{host}: {console}");
        assert_eq!(world.seen("/ws"), 0, "{host}");
    }
    chromium.goto(&gateway.url("/home")).await;
    assert_eq!(chromium.run(open, vec![json!(socket)]).await, "open");
    assert_eq!(world.seen("/ws"), 1);
}

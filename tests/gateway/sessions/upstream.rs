//! What the application sees of our cookies, and what it may say about them.

use http::Method;

use crate::login::{SESSION, opens};
use crate::support::client::Ask;
use crate::support::{BadOp, ConfigBuilder, Echo, Gateway, TestCa, codec};
use crate::world::World;

/// SESS-06: a corpus of Cookie lines: ours are taken out in every spelling, the others keep order and bytes.
#[tokio::test]
async fn our_cookies_are_taken_out() {
    let ca = TestCa::new();
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    let config =
        ConfigBuilder::usual(&op, &echo).tls(&ca, "app.example.test").route("upstream = \"app\"\naccess = \"public\"");
    let gateway = Gateway::start(config).await;
    let world = World { op, echo, gateway };
    let mut lines = 0;
    for line in
        include_str!("../../data/cookies.txt").lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
    {
        let (raw, forwarded) = line.split_once(" => ").unwrap();
        let (raw, forwarded) = (unescape(raw), unescape(forwarded));
        let browser = world.gateway.browser().without_cookies();
        browser.ask(Ask::plain(Method::GET, world.url("/")).header("cookie", &raw)).await.expect_status(200);
        let seen = world.echo.last();
        let expected: Vec<String> =
            if forwarded == "nothing" { Vec::new() } else { vec![codec::latin1(forwarded.as_bytes())] };
        assert_eq!(seen.header_all("cookie"), expected, "{line}");
        assert!(!seen.raw_head.contains("SECRET"), "{line}");
        lines += 1;
    }
    assert!(lines > 40);
}

/// SESS-06: the application never sees a live session's cookie or a pending attempt's.
#[tokio::test]
async fn a_live_session_is_not_shown() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let session = browser.cookie(SESSION).unwrap();
    browser.step(world.url("/oauth2/login")).await.expect_status(303);
    let ours = browser.cookies().into_iter().filter(|cookie| cookie.name.starts_with(SESSION));
    let pending: Vec<String> = ours.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    assert!(pending.len() >= 2);
    let line = format!("a=b=c; {}; q=\"x y\"; =empty; {SESSION}x=mine", pending.join("; "));
    for path in ["/", "/optional", "/public"] {
        browser.ask(Ask::fetch(Method::GET, world.url(path)).header("cookie", &line)).await.expect_status(200);
        let seen = world.echo.last();
        assert_eq!(seen.header_all("cookie"), [format!("a=b=c; q=\"x y\"; =empty; {SESSION}x=mine")], "{path}");
        assert!(!seen.raw_head.contains(&session), "{path}");
    }
}

/// SESS-08: an application's lines for our cookies are dropped in every spelling; others pass one by one, in order.
#[tokio::test]
async fn an_application_cannot_set_our_cookies() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let session = browser.cookie(SESSION).unwrap();
    let ours = [
        "vestibule=stolen; Path=/",
        "vestibule=; Max-Age=0; Path=/",
        "vestibule",
        " vestibule =x",
        "\tvestibule=x",
        "vestibule\t=x",
        "VESTIBULE=x",
        "=vestibule=x",
        "vestibule-login-abc=x",
        "vestibule-loop=3",
        "Vestibule-Return=x",
    ];
    let others = [
        "app=1; Path=/; HttpOnly",
        "app=1; Path=/; HttpOnly",
        "vestibules=1",
        "xvestibule=1",
        "b=vestibule=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT",
        "c=\"quoted, comma\"",
    ];
    for path in ["/set-cookie", "/optional/set-cookie", "/public/set-cookie"] {
        let mut lines: Vec<(&str, &str)> = Vec::new();
        for at in 0..ours.len().max(others.len()) {
            lines.extend(ours.get(at).into_iter().chain(others.get(at)).map(|line| ("line", *line)));
        }
        let page = browser.fetch(world.url(&format!("{path}?{}", codec::form(&lines)))).await.expect_status(200);
        assert_eq!(page.set_cookies(), others, "{path}");
        assert_eq!(browser.cookie(SESSION), Some(session.clone()));
    }
    assert!(opens(&world, &session).await);
}

/// SESS-20: 1,000 requests of a session bring no `Set-Cookie` and hardly any writes.
#[tokio::test]
async fn ordinary_answers_set_nothing() {
    let world = World::start().await;
    let browser = world.signed_in().await;
    let commands = || async { world.gateway.metrics().await.sum("vestibule_store_commands_total", &[]) };
    let before = commands().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (browser, url) = (browser.clone(), world.url("/"));
        running.spawn(async move {
            for _ in 0..100 {
                let page = browser.fetch(&url).await.expect_status(200);
                assert!(page.set_cookies().is_empty(), "{page:?}");
            }
        });
    }
    running.join_all().await;
    let after = commands().await;
    // Each request finds the session near, and asks the store nothing; a write for each would be a thousand.
    assert!(after - before < 100.0, "{} commands", after - before);
    assert_eq!(world.echo.count(), 1000);
}

/// Undoes the escapes of the files in `tests/data`.
fn unescape(text: &str) -> String {
    let text = text.replace("\\t", "\t").replace("\\s", " ").replace("\\u{e5}", "å");
    assert!(!text.contains('\\'), "an escape that is not known here: {text}");
    text
}

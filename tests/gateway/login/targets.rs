//! Where a login may end.

use tokio::task::JoinSet;
use url::Url;

use super::{answered, callback, who};
use crate::support::client::Ask;
use crate::support::{Endpoint, codec};
use crate::world::World;

/// LOGIN-06: of a corpus of hostile targets, none leads a browser off the gateway's origin after login.
#[tokio::test]
async fn no_target_leads_away() {
    let world = World::start().await;
    let authority = world.host().to_owned();
    let corpus = include_str!("../../data/redirects.txt");
    let raw = corpus.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(unescape);
    // As they stand, and the same tricks played with our own authority and scheme.
    let targets: Vec<String> =
        raw.flat_map(|raw| [raw.replace("app.example.com", &authority).replace("https:", "http:"), raw]).collect();
    assert!(targets.len() > 300);
    let mut running = JoinSet::new();
    for part in targets.chunks(targets.len().div_ceil(6)) {
        let (part, browser, base) = (part.to_vec(), world.gateway.browser(), world.url(""));
        running.spawn(async move {
            for (at, target) in part.into_iter().enumerate() {
                let browser = browser.stranger();
                let name = if at % 2 == 0 { "rd" } else { "return_to" };
                let start = format!("{base}/oauth2/login?{}", codec::form(&[(name, &target)]));
                let page = browser.step(start).await.expect_status(303);
                let back = answered(&browser, &page).await;
                let page = browser.step(back).await.expect_status(303);
                let location = page.location().unwrap_or_else(|| panic!("{target:?}: {page:?}"));
                let ours = Url::parse(&base).unwrap().origin();
                assert_eq!(location.origin(), ours, "{target:?} leads to {location}");
            }
        });
    }
    running.join_all().await;
}

/// LOGIN-06: good targets stand, and what was put into the browser's keeping cannot be changed there.
#[tokio::test]
async fn good_targets_stand_and_cannot_be_exchanged() {
    let world = World::start().await;
    for (target, lands) in [
        ("/a/b?c=d&e=%20", "/a/b?c=d&e=%20".to_owned()),
        (&world.url("/own?x"), "/own?x".to_owned()),
        (&world.url(""), "/".to_owned()),
        ("/oauth2/logout", "/".to_owned()),
        ("/oauth2/login?rd=/x", "/".to_owned()),
        ("", "/".to_owned()),
    ] {
        let browser = world.gateway.browser();
        let start = world.url(&format!("/oauth2/login?{}", codec::form(&[("rd", target)])));
        let back = answered(&browser, &browser.step(start).await.expect_status(303)).await;
        let page = browser.step(back).await.expect_status(303);
        assert_eq!(page.location().unwrap().as_str(), world.url(&lands), "{target}");
    }

    let grants = world.op.grants("authorization_code");
    let browser = world.gateway.browser();
    // So long that the middle of the cookie is the target.
    let back = callback(&world, &browser, &format!("/{}", "a".repeat(600))).await;
    let attempt = browser.cookies().into_iter().find(|cookie| cookie.name.contains("-login-")).unwrap();
    let (middle, last) = (attempt.value.len() / 2, attempt.value.len() - 1);
    for at in [0, middle, middle + 1, middle + 2, middle + 3, last] {
        let mut value = attempt.value.clone().into_bytes();
        // The next letter: were it text in another coding, it would most often be text again.
        value[at] =
            if value[at].is_ascii_alphanumeric() && !b"Zz9".contains(&value[at]) { value[at] + 1 } else { b'A' };
        let cookie = format!("{}={}", attempt.name, String::from_utf8(value).unwrap());
        let ask = Ask::navigation(back.as_str()).header("cookie", &cookie);
        let page = world.gateway.browser().without_cookies().ask(ask).await;
        assert!(page.set_cookies().iter().all(|line| !line.starts_with("vestibule=")), "{page:?}");
    }
    assert_eq!(world.op.grants("authorization_code"), grants, "nothing was redeemed");
    assert_eq!(world.op.count(Endpoint::Authorize), grants + 1);
    // Nor did it harm the login itself.
    browser.step(back).await.expect_status(303);
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));
}

/// Undoes the escapes of the files in `tests/data`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next() } else { None };
        out.push(match escaped {
            None => c,
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('s') => ' ',
            Some('u') => {
                let code: String = rest.by_ref().skip(1).take_while(|&c| c != '}').collect();
                char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
            }
            Some(other) => other,
        });
    }
    out
}

//! Where a login leads when somebody else has chosen the target: judged by the browser whose opinion counts.

use serde_json::json;

use crate::support::codec::form;
use crate::support::{BadOp, Browser, Chromium, ConfigBuilder, Echo, Gateway, Site, TestCa};

const CORPUS: &str = include_str!("../data/redirects.txt");
const ORIGINS: [&str; 2] = ["https://app.example.com", "https://app.example.com:8443"];

/// LOGIN-06: for every hostile target the login still ends, and where its last answer points is on an origin of ours as Chromium reads it; the
/// liveliest of them are walked in Chromium from the link to the end.
#[tokio::test]
async fn no_return_target_leads_a_browser_away() {
    let ca = TestCa::new();
    let (op, echo) = (BadOp::start().await, Echo::start().await);
    let config = ConfigBuilder::usual(&op, &echo).tls(&ca, "app.example.com");
    let config =
        config.with("public_url = \"https://app.example.com\"\nalso_public = [\"https://app.example.com:8443\"]");
    let gateway = Gateway::start(config).await;
    let rules =
        format!("MAP app.example.com 127.0.0.1:{}, EXCLUDE 127.0.0.1, MAP * 127.0.0.1:1", gateway.address().port());
    let chromium =
        Chromium::setup().argument(&format!("--host-resolver-rules={rules}")).any_certificate().start().await;

    let mut landings = Vec::new();
    for line in lines() {
        let location = ends_at(&gateway.browser(), &gateway, &unescape(line)).await;
        assert!(!location.is_empty(), "{line}: the login does not end");
        landings.push((line, location));
    }
    assert!(landings.len() >= 150, "{}", landings.len());

    chromium.goto(&gateway.url("/oauth2/signed_out")).await;
    let judge = "return arguments[0].map(location => {\
                 try { return new URL(location, 'https://app.example.com/oauth2/callback?code=c').origin } catch { return 'none' } })";
    let locations: Vec<&str> = landings.iter().map(|(_, location)| location.as_str()).collect();
    let judged = chromium.run(judge, vec![json!(locations)]).await;
    for ((line, location), origin) in landings.iter().zip(judged.as_array().unwrap()) {
        assert!(ORIGINS.contains(&origin.as_str().unwrap()), "{line} leads to {location:?} at {origin}");
    }
    let control = chromium.run(judge, vec![json!(["//evil.example", "/\\evil.example", "/\t/evil.example"])]).await;
    assert_eq!(
        control,
        json!(["https://evil.example", "https://evil.example", "https://evil.example"]),
        "Chromium can judge"
    );
    // Not by refusing everything.
    assert!(locations.iter().any(|location| *location != "/"), "{locations:?}");

    // Those that were not simply refused, and a part of the rest.
    let lively = landings.iter().filter(|(_, location)| location != "/");
    let others = landings.iter().filter(|(_, location)| location == "/").step_by(8);
    let mut walked = 0;
    for (line, _) in lively.chain(others) {
        chromium.clear_cookies().await;
        chromium.goto(&login(&gateway, &unescape(line))).await;
        let url = url::Url::parse(&chromium.url().await).unwrap();
        assert!(ORIGINS.contains(&url.origin().ascii_serialization().as_str()), "{line} ended at {url}");
        assert!(!url.path().starts_with("/oauth2/"), "{line} ended at {url}");
        walked += 1;
    }
    assert!(walked >= 30, "{walked}");
    // Nobody asked for a name that is not ours.
    let asked = chromium.answers().await;
    let strange: Vec<_> =
        asked.iter().filter(|(url, _)| url.contains("//evil") || url.contains("chrome-error")).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// The last answer's `Location` after a login that began with that target.
async fn ends_at(browser: &Browser, gateway: &Gateway, target: &str) -> String {
    let mut page = browser.step(login(gateway, target)).await;
    for _ in 0..2 {
        page = browser.step(page.location().unwrap_or_else(|| panic!("{target:?}: {page:?}"))).await;
    }
    assert!(page.url.path().ends_with("/callback"), "{target:?}: {page:?}");
    assert_eq!(page.status, 303, "{target:?}: {page:?}");
    page.header("location").unwrap_or_default().to_owned()
}

fn login(gateway: &Gateway, target: &str) -> String {
    gateway.url(&format!("/oauth2/login?{}", form(&[("rd", target)])))
}

fn lines() -> impl Iterator<Item = &'static str> {
    CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

/// The corpus' escapes: `\t \n \r \s \\ \u{hex}`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('s')) => ' ',
            ('\\', Some('\\')) => '\\',
            ('\\', Some('u')) => {
                let code: String = rest.by_ref().skip(1).take_while(|&c| c != '}').collect();
                char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
            }
            ('\\', other) => panic!("unknown escape {other:?} in {text:?}"),
            (c, _) => c,
        });
    }
    out
}

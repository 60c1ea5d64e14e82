//! `vestibule demo`, as somebody sees it who has just typed it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::look::look;
use crate::support::{Ask, Chromium, Gateway, Process, eventually};
use crate::world::nobody;

struct Demo {
    _process: Process,
    public: String,
    application: String,
    admin: String,
    admin_token: String,
}

impl Demo {
    async fn start() -> Self {
        let mut why = String::new();
        // A port that was free may be taken by the time it is bound.
        for _ in 0..3 {
            let mut command = Gateway::command();
            let mut process = Process::spawn("demo", command.args(["demo", "--listen", "127.0.0.1:0"]));
            match process.line(Duration::from_secs(20), |line| line.contains("Ctrl-C ends it").then_some(())).await {
                Ok(()) => return Self::of(process),
                Err(error) => why = error,
            }
        }
        panic!("{why}");
    }

    /// Where everything is stands in what it printed.
    fn of(process: Process) -> Self {
        let welcome = process.stdout();
        let after = |what: &str| {
            let found = welcome.split_once(what).unwrap_or_else(|| panic!("no {what:?} in\n{welcome}")).1;
            found.trim_start().split([' ', '\n', '\'']).next().unwrap().to_owned()
        };
        let admin = after("curl -X POST ").trim_end_matches("/api/revocations").to_owned();
        let application = welcome.split("curl -i ").nth(2).unwrap().trim().split("/api").next().unwrap().to_owned();
        let public = after("Open ").trim_end_matches('/').to_owned();
        Self { application, admin, admin_token: after("Bearer "), public, _process: process }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public)
    }

    /// At the provider's form, as the one whose address that is.
    async fn sign_in(&self, chromium: &Chromium, email: &str, password: &str) {
        for (field, value) in [("#email", email), ("#password", password)] {
            let script = "document.querySelector(arguments[0]).value = ''";
            chromium.run(script, vec![field.into()]).await;
            chromium.type_into(field, value).await;
        }
        chromium.click("button.go").await;
    }
}

/// Checks the token that the page shows against the published keys, in the browser, without any code of ours.
const VERIFY: &str = "
    const token = document.querySelector('p.token').textContent.replace(/\\s/g, '');
    const [head, claims, signature] = token.split('.');
    const bytes = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
    const read = text => JSON.parse(new TextDecoder().decode(bytes(text)));
    const {keys} = await (await fetch('/oauth2/jwks')).json();
    const jwk = keys.find(key => key.kid === read(head).kid);
    const key = await crypto.subtle.importKey('jwk', jwk, {name: 'ECDSA', namedCurve: 'P-256'}, false, ['verify']);
    const holds = await crypto.subtle.verify({name: 'ECDSA', hash: 'SHA-256'}, key, bytes(signature),
        new TextEncoder().encode(`${head}.${claims}`));
    return {holds, claims: read(claims)}";

/// From the first address to the second person: sign in, see the name and a token that holds, end the session, be refused, sign in as somebody
/// else, be thrown out by the operator.
#[tokio::test]
async fn a_visit_with_two_people_and_two_tabs() {
    let demo = Demo::start().await;
    let chromium = Chromium::start().await;
    chromium.goto(&demo.url("/")).await;
    let provider = chromium.url().await;
    assert!(provider.starts_with("http://127.0.0.1:"), "{provider}");
    assert!(chromium.text().await.contains(demo.public.as_str()), "who asks");
    look(&chromium, "demo-sign-in").await;
    demo.sign_in(&chromium, "ada@example.com", "wrong").await;
    chromium.wait_for_url(|url| url.ends_with("/sign-in")).await;
    assert!(chromium.text().await.contains("do not belong together"));
    look(&chromium, "demo-wrong-password").await;
    demo.sign_in(&chromium, "ada@example.com", "analytical").await;
    chromium.wait_for_url(|url| url == demo.url("/")).await;
    chromium.console().await;

    let text = chromium.text().await;
    for words in ["Hello, Ada Lovelace.", "Signature verified", "ada@example.com", "engineers"] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let checked = chromium.run(VERIFY, vec![]).await;
    assert_eq!(checked["holds"], true);
    let claims = &checked["claims"];
    assert_eq!(
        (&claims["sub"], &claims["name"], &claims["provider"]),
        (&json!("person-1815"), &json!("Ada Lovelace"), &json!("demo"))
    );
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(demo.public), &json!("demo")));
    let whoami = chromium.run("return (await fetch('/api/whoami')).json()", vec![]).await;
    assert_eq!((&whoami["name"], &whoami["token"]["verified"]), (&json!("Ada Lovelace"), &json!(true)));
    assert_eq!(chromium.run("return document.cookie", vec![]).await, "");
    eventually("the stream's clock", Duration::from_secs(5), || async {
        let clock = chromium.run("return document.querySelector('[data-live=clock]').textContent", vec![]).await;
        clock.as_str().is_some_and(|clock| clock.split(':').count() == 3).then_some(())
    })
    .await;
    look(&chromium, "demo-signed-in").await;
    assert_eq!(chromium.console().await, Vec::<String>::new());

    // A second tab; the session ends in the first.
    let first = chromium.client.window().await.unwrap();
    let second = chromium.client.new_window(true).await.unwrap().handle;
    chromium.client.switch_to_window(second.clone()).await.unwrap();
    chromium.size(1280, 800).await;
    chromium.goto(&demo.url("/")).await;
    assert!(chromium.text().await.contains("Hello, Ada Lovelace."));
    chromium.client.switch_to_window(first.clone()).await.unwrap();
    chromium.click(".try button.end").await;
    chromium.wait_for_url(|url| url.starts_with(&demo.url("/oauth2/signed_out"))).await;
    assert!(chromium.text().await.contains("You are signed out"));
    look(&chromium, "demo-signed-out").await;
    chromium.client.switch_to_window(second).await.unwrap();
    eventually("the other tab to notice", Duration::from_secs(10), || async {
        let text = chromium.text().await;
        (text.contains("Your session has ended") && text.contains("now gets 401")).then_some(())
    })
    .await;
    assert_eq!(chromium.run("return (await fetch('/api/whoami')).status", vec![]).await, 401);
    look(&chromium, "demo-ended").await;

    // The next request of the person leads to the provider, which has forgotten Ada as well.
    chromium.goto(&demo.url("/?again=1")).await;
    assert_eq!(origin(&chromium.url().await), origin(&provider));
    demo.sign_in(&chromium, "grace@example.com", "compiler").await;
    chromium.wait_for_url(|url| url == demo.url("/?again=1")).await;
    assert!(chromium.text().await.contains("Hello, Grace Hopper."));
    let checked = chromium.run(VERIFY, vec![]).await;
    assert_eq!((&checked["holds"], &checked["claims"]["sub"]), (&json!(true), &json!("person-1906")));

    // The operator's command from the welcome.
    let ask = Ask::plain(Method::POST, format!("{}/api/revocations", demo.admin)).json(&json!({"all": true}));
    let ask = ask.header("authorization", &format!("Bearer {}", demo.admin_token));
    nobody().ask(ask).await.expect_status(200);
    eventually("the tab to notice", Duration::from_secs(10), || async {
        (chromium.run("return (await fetch('/api/whoami')).status", vec![]).await == 401).then_some(())
    })
    .await;
}

/// What the page says can be tried, tried; and the pages around it.
#[tokio::test]
async fn everything_that_the_page_offers_to_try() {
    let demo = Demo::start().await;
    let chromium = Chromium::start().await;
    chromium.goto(&demo.url("/public")).await;
    let text = chromium.text().await;
    assert!(text.contains("Hello, somebody.") && text.contains("No identity arrived"), "{text}");
    look(&chromium, "demo-public").await;
    chromium.click("a.button").await;

    // One of the people is a button that fills in the form.
    chromium.click("button.person").await;
    let typed = "return [...document.querySelectorAll('#email, #password')].map(input => input.value)";
    assert_eq!(chromium.run(typed, vec![]).await, json!(["ada@example.com", "analytical"]));
    chromium.click("button.go").await;
    chromium.wait_for_url(|url| url == demo.url("/")).await;

    let said = async |id: &str| {
        eventually(id, Duration::from_secs(5), || async {
            let said = chromium.run("return document.getElementById(arguments[0]).textContent", vec![id.into()]).await;
            said.as_str().filter(|said| said.len() > 3).map(str::to_owned)
        })
        .await
    };
    chromium.click("button[data-result=forged]").await;
    let forged = said("forged").await;
    assert_eq!(forged.matches("removed by the gateway").count(), 3, "{forged}");
    assert!(forged.contains("X-Harmless: arrived"), "{forged}");
    chromium.click("button[data-result=whoami]").await;
    let whoami = said("whoami").await;
    assert!(whoami.starts_with("200 application/json") && whoami.contains("Ada Lovelace"), "{whoami}");
    look(&chromium, "demo-tried").await;

    chromium.click("#again a.button").await;
    chromium.wait_for_url(|url| url.contains("before=")).await;
    assert!(chromium.text().await.contains("The same token as before."));
    chromium.goto(&demo.url("/?tampered=1")).await;
    let text = chromium.text().await;
    assert!(text.contains("This token is not believed.") && text.contains("Mallory"), "{text}");
    look(&chromium, "demo-tampered").await;
    chromium.goto(&demo.url("/nothing")).await;
    assert!(chromium.text().await.contains("There is no such page."));
    look(&chromium, "demo-not-found").await;
    chromium.goto(&format!("{}/", demo.application)).await;
    assert!(chromium.text().await.contains("Nobody vouches for you here."));
    look(&chromium, "demo-around").await;

    // At the provider itself, signed in.
    let provider = provider_of(&demo).await;
    chromium.goto(&provider).await;
    assert!(chromium.text().await.contains("Ada Lovelace"));
    look(&chromium, "demo-provider").await;
}

/// The provider, as a login names it.
async fn provider_of(demo: &Demo) -> String {
    let away = nobody().step(demo.url("/")).await.location().unwrap();
    format!("{}/", away.origin().ascii_serialization())
}

fn origin(url: &str) -> Value {
    url::Url::parse(url).unwrap().origin().ascii_serialization().into()
}

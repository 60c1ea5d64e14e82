//! Secrets stay where they belong.

use http::{Method, Request};

use crate::login::{SESSION, answered, callback, param, world_at};
use crate::support::client::Ask;
use crate::support::gateway::{assert_holds_none, leaks};
use crate::support::h2::H2;
use crate::support::{BadOp, Browser, Endpoint, codec};
use crate::world::World;

/// A whole life of a session, errors included; what was secret about it beyond what the provider knows.
async fn life(world: &World, browser: &Browser) -> Vec<String> {
    let mut secrets = Vec::new();
    let keep = |secrets: &mut Vec<String>| secrets.extend(browser.cookies().into_iter().map(|cookie| cookie.value));
    browser.step(world.url("/abandoned?x=canary-query")).await.expect_status(303);
    keep(&mut secrets);
    let back = callback(world, browser, "/target").await;
    keep(&mut secrets);
    secrets.extend([param(&back, "code"), param(&back, "state")]);
    browser.navigate(back.clone()).await.expect_status(200);
    keep(&mut secrets);
    browser.step(back).await;
    let post = |path: &str| Ask::fetch(Method::POST, world.url(path));
    let get = |path: &str| Ask::fetch(Method::GET, world.url(path));
    for ask in [
        get("/"),
        get("/optional"),
        get("/public"),
        get("/oauth2/userinfo"),
        get("/oauth2/session"),
        get("/oauth2/nothing"),
        get("/drop"),
        get("/malformed?kind=status-line"),
        post("/oauth2/session/refresh"),
        post("/oauth2/callback")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("state=x&code=canary-code-by-form"),
        get("/").header("authorization", "Bearer canary-bearer-token-of-somebody"),
        get("/").header("x-api-key", "canary-api-key-of-somebody"),
        get("/oauth2/callback?code=canary-code-from-nowhere&state=canary-state-from-nowhere"),
        get("/../%2e%2e/%00?canary-bad-path-query"),
    ] {
        browser.ask(ask).await;
    }
    world.op.script(|script| {
        script.id_token_claims(|claims| claims["nonce"] = "wrong".into());
    });
    let page = browser.step(world.url("/oauth2/login?login_hint=x")).await;
    browser.step(answered(browser, &page).await).await;
    world.op.behave();
    world.op.script(|script| {
        script.fail(Endpoint::Token, 500);
    });
    browser.ask(post("/oauth2/session/refresh")).await.expect_status(503);
    world.op.behave();
    secrets.extend(
        [
            "canary-query",
            "canary-code-by-form",
            "canary-bearer-token-of-somebody",
            "canary-api-key-of-somebody",
            "canary-code-from-nowhere",
            "canary-state-from-nowhere",
            "canary-bad-path-query",
        ]
        .map(str::to_owned),
    );
    for request in world.op.requests(Endpoint::Authorize) {
        secrets.extend(["state", "nonce"].iter().filter_map(|name| request.param(name).map(str::to_owned)));
    }
    keep(&mut secrets);
    secrets.sort();
    secrets.dedup();
    secrets.retain(|secret| secret.len() >= 12);
    secrets
}

/// SESS-01: of all bytes that a browser receives over a session's whole life none is a token; the ID token alone leaves at the end, as
/// the hint in the redirect to its own issuer.
#[tokio::test]
async fn no_token_gets_to_the_browser() {
    let world = World::with(|config| config.with("providers.corp.userinfo = true")).await;
    let browser = world.gateway.browser();
    life(&world, &browser).await;
    let tokens = world.op.issued_tokens();
    assert!(tokens.len() >= 6);
    assert_holds_none("what the browser received", &browser.received(), &tokens);

    let before = browser.received().len();
    let page = browser.ask(Ask::form(world.url("/oauth2/logout"), &[("rd", "/public")])).await.expect_status(303);
    let hint = param(&page.location().unwrap(), "id_token_hint");
    assert!(page.location().unwrap().as_str().starts_with(world.op.issuer()));
    let rest = String::from_utf8_lossy(&browser.received()[before..]).replacen(&hint, "", 1);
    assert_holds_none("the logout", rest.as_bytes(), &tokens);
    browser.navigate(world.url("/oauth2/signed_out")).await.expect_status(200);
    let opaque: Vec<String> = tokens.into_iter().filter(|token| token.starts_with("canary-")).collect();
    assert_holds_none("everything", &browser.received(), &opaque);
}

/// OPS-01: at trace level, of everything, over a session's whole life by HTTP/1.1 and HTTP/2, no secret is written: tokens, codes,
/// states, verifiers, cookies, client and server secrets, Authorization values, queries.
#[tokio::test]
async fn no_secret_is_written_at_any_level() {
    let world = world_at(BadOp::start().await, |config| {
        config
            .with("telemetry.log = \"trace\"\nproviders.corp.userinfo = true")
            .route("path = \"/\"\nupstream = \"app\"")
            .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"")
            .route("path = \"/optional\"\nupstream = \"app\"\naccess = \"optional\"")
    })
    .await;
    let browser = world.gateway.browser();
    let mut secrets = life(&world, &browser).await;
    let session = browser.cookie(SESSION).unwrap();
    let h2 = H2::connect(world.gateway.address()).await;
    let request = Request::get(world.url("/?canary-h2-query=1"))
        .header("cookie", format!("{SESSION}={session}"))
        .header("x-api-key", "canary-h2-api-key-of-somebody");
    assert_eq!(h2.send(request.body("").unwrap()).await.unwrap().status, 200);
    let identity = world.echo.last().identity_token().unwrap().to_owned();
    world.gateway.admin("GET", "/api/sessions", None).await.expect_status(200);
    world.gateway.admin("GET", "/api/config", None).await.expect_status(200);
    browser.navigate(world.url("/oauth2/signed_out")).await;
    browser.ask(Ask::form(world.url("/oauth2/logout"), &[("rd", "/public")])).await.expect_status(303);
    world.gateway.audit_event("logout").await;
    world.gateway.metrics().await;

    secrets.extend([session, identity, "canary-h2-query".to_owned(), "canary-h2-api-key-of-somebody".to_owned()]);
    secrets.extend(world.op.issued_secrets());
    secrets.extend(world.gateway.secrets());
    let client = world.op.client();
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    secrets.push(codec::b64(format!("{}:{}", encode(&client.id), encode(&client.secret)).as_bytes()));
    assert!(secrets.len() > 25);
    let output = world.gateway.output();
    assert!(output.lines().filter(|line| line.contains("\"TRACE\"")).count() > 0, "nothing is written at trace level");
    assert_holds_none("the log", output.as_bytes(), &secrets);
    // Bytes printed as a list, as `Debug` of a slice does.
    for secret in &secrets {
        let listed = secret.bytes().take(12).map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        assert!(!output.contains(&listed), "the bytes of {}… are listed", &secret[..6]);
    }
    let metrics = browser.ask(Ask::plain(Method::GET, format!("{}/metrics", world.gateway.admin_url()))).await;
    assert_eq!(leaks(&metrics.body, &secrets), Vec::<String>::new());
}

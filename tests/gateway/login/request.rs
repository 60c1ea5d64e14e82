//! What the authorization request says, and where it goes.

use std::collections::HashSet;

use http::Method;
use tokio::task::JoinSet;
use url::Url;

use super::{callback, param, who, with_param, world_at};
use crate::support::client::Ask;
use crate::support::{BadOp, ConfigBuilder, Echo, Endpoint, Gateway, TestCa, codec, sign_in};
use crate::world::World;

/// LOGIN-01: the code flow alone; a callback that brings tokens makes no session and redeems nothing.
#[tokio::test]
async fn tokens_in_the_front_channel_are_refused() {
    let world = World::start().await;
    for (name, keeps_code) in
        [("access_token", true), ("id_token", true), ("access_token", false), ("id_token", false), ("response", true)]
    {
        let browser = world.gateway.browser();
        let page = browser.step(world.url("/")).await;
        assert_eq!(param(&page.location().unwrap(), "response_type"), "code");
        let back = super::answered(&browser, &page).await;
        let back = with_param(&back, name, Some("eyJhbGciOiJub25lIn0.e30."));
        let back = if keeps_code { back } else { with_param(&back, "code", None) };
        let page = browser.step(back).await;
        assert_eq!(page.status, 400, "{name}: {page:?}");
        assert_eq!(browser.cookie(super::SESSION), None, "{name}");
    }
    assert_eq!(world.op.count(Endpoint::Token), 0);
}

/// LOGIN-03: fresh challenges of S256 in 1,000 logins, verifiers that the provider checks, also when its metadata is silent.
#[tokio::test]
async fn every_login_has_its_own_challenge() {
    for (silent, logins) in [(false, 1000), (true, 50)] {
        let op = BadOp::start().await;
        if silent {
            op.script(|script| {
                script.discovery(|metadata| {
                    drop(metadata.as_object_mut().unwrap().remove("code_challenge_methods_supported"));
                });
            });
        }
        let world = world_at(op, |config| config).await;
        let mut starting = JoinSet::new();
        for _ in 0..10 {
            let (browser, url) = (world.gateway.browser(), world.url("/"));
            starting.spawn(async move {
                let mut locations = Vec::new();
                for _ in 0..logins / 10 {
                    locations.push(browser.stranger().step(&url).await.expect_status(303).location().unwrap());
                }
                locations
            });
        }
        let locations: Vec<Url> = starting.join_all().await.into_iter().flatten().collect();
        assert_eq!(locations.len(), logins);
        for name in ["code_challenge", "state", "nonce"] {
            let values: HashSet<String> = locations.iter().map(|url| param(url, name)).collect();
            assert_eq!(values.len(), logins, "{name} repeats");
            assert!(values.iter().all(|value| value.len() >= 43), "{name} is too short for 256 bits");
        }
        assert!(locations.iter().all(|url| param(url, "code_challenge_method") == "S256"));

        // The provider refuses a code whose verifier does not hash to the challenge.
        for _ in 0..5 {
            world.signed_in().await;
        }
        let verifiers: HashSet<String> = world
            .op
            .requests(Endpoint::Token)
            .iter()
            .map(|sent| sent.param("code_verifier").unwrap().to_owned())
            .collect();
        assert_eq!(verifiers.len(), 5);
        assert!(verifiers.iter().all(|verifier| codec::from_b64url(verifier).is_some_and(|bytes| bytes.len() >= 32)));
    }
}

/// LOGIN-13: the redirect URI comes from the configuration, whatever Host and forwarded headers say.
#[tokio::test]
async fn the_redirect_uri_is_configured() {
    let world = World::start().await;
    let browser = world.gateway.browser();
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "8443"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-host", "evil.example"),
    ] {
        let page = browser.ask(Ask::navigation(world.url("/")).header(name, value)).await.expect_status(303);
        assert_eq!(param(&page.location().unwrap(), "redirect_uri"), world.url("/oauth2/callback"), "{name}");
    }
    for host in ["evil.example", "127.0.0.1", "evil.example:80"] {
        let page = browser.ask(Ask::navigation(world.url("/")).header("host", host)).await;
        assert_eq!((page.status, page.location()), (421, None), "{host}");
    }
}

/// LOGIN-14: metadata of another issuer leads nobody anywhere; an issuer's trailing slash is kept and not doubled.
#[tokio::test]
async fn the_metadata_is_the_issuers_own() {
    let op = BadOp::start().await;
    op.script(|script| {
        script.discovery(|metadata| metadata["issuer"] = format!("{}X", metadata["issuer"].as_str().unwrap()).into());
    });
    let world = world_at(op, |config| config).await;
    let page = world.gateway.browser().navigate(world.url("/")).await.expect_status(503);
    assert!(page.header("retry-after").is_some() && page.set_cookies().is_empty(), "{page:?}");
    assert_eq!(world.op.count(Endpoint::Authorize), 0);

    for path in ["/realms/staff/", "/realms/staff", "/"] {
        let world = world_at(BadOp::setup().path(path).start().await, |config| config).await;
        sign_in(&world.gateway.browser(), &world.gateway, "/").await;
        let expected = format!("{}/.well-known/openid-configuration", path.trim_end_matches('/'));
        assert!(world.op.requests(Endpoint::Discovery).iter().all(|asked| asked.target == expected), "{path}");
        assert_eq!(world.op.count(Endpoint::Other), 0, "{path}");
    }
}

/// LOGIN-18: http issuers and public URLs beyond loopback are refused by name at the start, http endpoints in an https
/// issuer's metadata when they are read.
#[tokio::test]
async fn plain_http_is_refused() {
    let echo = Echo::start().await;
    let config = ConfigBuilder::new().upstream("app", &echo.url());
    let issuer = config.clone().provider_at("corp", "http://id.example.com", "me", "a-client-secret");
    let public = config
        .clone()
        .provider_at("corp", "https://id.example.com", "me", "a-client-secret")
        .with("public_url = \"http://app.example.com\"");
    for (config, field) in [(issuer, "providers.corp.issuer"), (public, "public_url")] {
        let why = Gateway::try_start(config).await.err().expect("refused");
        assert!(why.contains(field) && why.contains("http"), "{why}");
    }

    let ca = TestCa::new();
    for member in ["token_endpoint", "authorization_endpoint", "jwks_uri"] {
        let op = BadOp::setup().tls(&ca).start().await;
        op.script(|script| {
            script.discovery(move |metadata| {
                metadata[member] = metadata[member].as_str().unwrap().replace("https://", "http://").into();
            });
        });
        let roots = format!("providers.corp.tls.ca = \"{}\"", ca.path().display());
        let world = world_at(op, |config| config.with(&roots)).await;
        world.gateway.browser().navigate(world.url("/")).await.expect_status(503);
        assert_eq!((world.op.count(Endpoint::Authorize), world.op.count(Endpoint::Token)), (0, 0), "{member}");
    }
}

/// The scope of LOGIN-19: `openid` and the configured scopes are asked for, and nothing else.
#[tokio::test]
async fn only_configured_scopes_are_asked_for() {
    for (toml, expected) in [
        ("", "openid profile email"),
        ("providers.corp.scopes = [\"openid\", \"offline_access\"]", "openid offline_access"),
        ("providers.corp.scopes = [\"email\"]", "openid email"),
    ] {
        let world = World::with(|config| config.with(toml)).await;
        let page = world.gateway.browser().step(world.url("/")).await.expect_status(303);
        assert_eq!(param(&page.location().unwrap(), "scope"), expected, "{toml}");
    }
}

/// LOGIN-22: what is on the list goes into the authorization request; protocol parameters stay ours.
#[tokio::test]
async fn protocol_parameters_cannot_be_given() {
    let world = World::start().await;
    let client = world.op.client().id;
    let redirect_uri = world.url("/oauth2/callback");
    let evil = [
        "redirect_uri",
        "scope",
        "nonce",
        "client_id",
        "response_type",
        "state",
        "response_mode",
        "code_challenge",
        "code_challenge_method",
        "request",
        "request_uri",
        "resource",
        "claims",
        "id_token_hint",
        "display",
    ];
    let asked = [
        ("prompt", "login"),
        ("login_hint", "a b&c=d@example.test"),
        ("acr_values", "gold"),
        ("max_age", "60"),
        ("ui_locales", "sv en"),
    ];
    let query = codec::form(&evil.iter().map(|name| (*name, "evil")).chain(asked).collect::<Vec<_>>());
    for name in ["login", "start", "sign_in"] {
        let page = world.gateway.browser().step(world.url(&format!("/oauth2/{name}?{query}"))).await.expect_status(303);
        let url = page.location().unwrap();
        assert!(url.as_str().starts_with(&format!("{}/authorize?", world.op.issuer())), "{url}");
        for (name, value) in asked {
            assert_eq!(param(&url, name), value);
        }
        for (name, value) in [
            ("client_id", client.as_str()),
            ("redirect_uri", &redirect_uri),
            ("scope", "openid profile email"),
            ("response_type", "code"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(param(&url, name), value);
        }
        assert!(!url.as_str().contains("evil"), "{url}");
    }
    for (query, name) in [("max_age=soon", "max_age"), ("max_age=-1", "max_age"), ("prompt=%0a", "prompt")] {
        let page = world.gateway.browser().step(world.url(&format!("/oauth2/login?{query}"))).await;
        let given = page.location().is_some_and(|url| url.query_pairs().any(|(key, _)| key == name));
        assert!(!given, "{query}: {page:?}");
    }
}

/// LOGIN-17: path and query come back byte for byte, by 303 to a clean URL, from a callback that shows and tells nothing.
#[tokio::test]
async fn deep_links_survive_byte_for_byte() {
    let world =
        World::with(|config| config.route("path = \"/keep\"\nupstream = \"app\"\nencoded_slash = \"keep\"")).await;
    let long = format!("/{}?{}", "p".repeat(1200), "q".repeat(1200));
    for path in [
        "/a;b?x=%20&x=%2F1",
        "/keep/a%2Fb",
        "/keep/a%2F%2Fb?c=%2f",
        "/?",
        "/a/?&&=&?x",
        "/%C3%A5?ä=%22",
        "/p?rd=//x",
        &long,
    ] {
        // Browsers encode what is not ASCII themselves.
        let wanted = Url::parse(&world.url(path)).unwrap();
        let browser = world.gateway.browser();
        let back = callback(&world, &browser, path).await;
        let page = browser.step(back).await.expect_status(303);
        assert_eq!(page.location(), Some(wanted.clone()), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(page.body.is_empty(), "{page:?}");
        browser.step(wanted.clone()).await.expect_status(200);
        assert_eq!(world.echo.last().target, wanted[url::Position::BeforePath..], "{path}");
    }
    // Where it is not kept, an encoded slash is no target at all.
    world.gateway.browser().step(world.url("/a%2Fb")).await.expect_status(400);
    let browser = world.gateway.browser();
    let back = callback(&world, &browser, &format!("/{}", "x".repeat(3000))).await;
    assert_eq!(browser.step(back).await.location().unwrap().as_str(), world.url("/"));
    assert_eq!(who(&world, &browser).await.as_deref(), Some("alice"));
    // The path of a request that started nothing is no deep link either.
    browser.stranger().ask(Ask::fetch(Method::GET, world.url("/a;b"))).await.expect_status(401);
}

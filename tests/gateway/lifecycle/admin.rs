//! The admin listener.

use http::Method;
use serde_json::json;

use crate::support::{Ask, Browser};
use crate::world::{World, cookie_line};

/// OPS-06: health, readiness, metrics and the API are on the admin listener alone, nothing but the token opens the API, and no
/// path or agent opens anything on the public one.
#[tokio::test]
async fn health_and_api_have_their_own_listener() {
    let world = World::start().await;
    let plain = Browser::new();
    for path in ["/livez", "/readyz", "/metrics", "/api/sessions", "/api/config", "/healthz", "/ping"] {
        let answer = world.ask(&format!("GET {path}"), &["User-Agent: kube-probe/1.31"]).await;
        assert_eq!((answer.status, world.echo.count()), (401, 0), "{path} on the public listener");
    }
    let admin = |path: &str| format!("{}{path}", world.gateway.admin_url());
    for (path, status) in
        [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/x", 404), ("/oauth2/login", 404)]
    {
        assert_eq!(plain.fetch(admin(path)).await.status, status, "{path}");
    }
    assert_eq!(plain.ask(Ask::plain(Method::POST, admin("/livez"))).await.status, 405);
    let token = world.gateway.secrets().into_iter().find(|secret| secret.starts_with("canary-admin-token-")).unwrap();
    let (shorter, longer) = (format!("Bearer {}", &token[..token.len() - 1]), format!("Bearer {token}x"));
    let (other, alone) = (format!("Secret {token}"), format!("{token} Bearer"));
    for path in ["/api/sessions", "/api/config", "/api/keys", "/api/x"] {
        for given in ["Bearer wrong", "Bearer ", "Basic eDp5", "", &shorter, &longer, &other, &alone] {
            let page = plain.ask(Ask::plain(Method::GET, admin(path)).header("authorization", given)).await;
            assert_eq!((page.status, page.header("www-authenticate")), (401, Some("Bearer")), "{path} {given:?}");
        }
        assert_eq!(plain.fetch(admin(path)).await.status, 401, "{path}");
    }
    assert_eq!(world.gateway.admin("GET", "/api/sessions", None).await.status, 200);
    let config = world.gateway.admin("GET", "/api/config", None).await.expect_status(200).text();
    crate::support::gateway::assert_holds_none("the configuration", config.as_bytes(), &world.gateway.secrets());
    let metrics = world.gateway.metrics().await;
    assert!(metrics.has("vestibule_requests_total") && metrics.has("vestibule_store_up"), "{:?}", metrics.names());
}

/// OPS-06: without a token in the configuration there is no API.
#[tokio::test]
async fn without_a_token_there_is_no_api() {
    let world = World::with(|config| config.with("public_url = \"http://127.0.0.1:@PUBLIC_PORT@\"")).await;
    let text = std::fs::read_to_string(world.gateway.file()).unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    table["admin"].as_table_mut().unwrap().remove("token");
    table["listeners"][0]["address"] = "127.0.0.1:0".into();
    let open = crate::support::Gateway::start(toml::to_string(&table).unwrap()).await;
    let page = open.admin("GET", "/api/sessions", None).await;
    assert_eq!(page.status, 404);
}

/// Operators list sessions and end one, one person's, or all; the cookie opens nothing from then on, and each action is
/// in the audit log.
#[tokio::test]
async fn operators_end_sessions() {
    let world = World::start().await;
    let [first, second] = [world.signed_in().await, world.signed_in().await];
    world.op.script(|script| _ = script.user("bob"));
    let bob = world.signed_in().await;
    let list = async |query: &str| {
        let page = world.gateway.admin("GET", &format!("/api/sessions{query}"), None).await.expect_status(200);
        page.json()["sessions"].as_array().unwrap().clone()
    };
    let status = async |browser: &Browser| world.ask("GET /x", &[&cookie_line(browser)]).await.status;
    assert_eq!(list("").await.len(), 3);
    let alices = list("?provider=corp&sub=alice").await;
    assert_eq!(alices.len(), 2);
    for session in &alices {
        for name in ["sid", "provider", "sub", "created", "last_seen", "expires", "address", "agent"] {
            assert!(!session[name].is_null(), "{name}: {session}");
        }
    }
    let all = serde_json::to_string(&list("").await).unwrap();
    for browser in [&first, &second, &bob] {
        assert!(!all.contains(&browser.cookie("vestibule").unwrap()), "no cookie is listed");
    }

    let mine = world.ask("GET /oauth2/session", &[&cookie_line(&first)]).await.json();
    let sid = mine["sid"].as_str().unwrap();
    assert_eq!(world.gateway.admin("DELETE", &format!("/api/sessions/{sid}"), None).await.status, 204);
    assert_eq!((status(&first).await, status(&second).await), (401, 200));
    for gone in [sid, "AAAA", "x/y", ""] {
        assert_eq!(world.gateway.admin("DELETE", &format!("/api/sessions/{gone}"), None).await.status, 404, "{gone}");
    }

    for (body, expected) in [
        (json!({"provider": "corp"}), 400),
        (json!({"sub": "alice"}), 400),
        (json!({"all": false}), 400),
        (json!({"all": true, "provider": "corp", "sub": "alice"}), 400),
        (json!({"everybody": true}), 400),
        (json!({"provider": "none", "sub": "alice"}), 404),
    ] {
        assert_eq!(world.gateway.admin("POST", "/api/revocations", Some(&body)).await.status, expected, "{body}");
    }
    assert_eq!((status(&second).await, status(&bob).await), (200, 200), "what was refused ended nothing");
    let page =
        world.gateway.admin("POST", "/api/revocations", Some(&json!({"provider": "corp", "sub": "alice"}))).await;
    assert_eq!((page.status, page.json()), (200, json!({"revoked": 1})));
    assert_eq!((status(&second).await, status(&bob).await), (401, 200));
    let page = world.gateway.admin("POST", "/api/revocations", Some(&json!({"all": true}))).await.expect_status(200);
    assert!(page.json()["revoked"].is_u64());
    assert_eq!(status(&bob).await, 401);
    let dead = world.ask("GET /x", &[&cookie_line(&bob)]).await;
    assert!(dead.header_all("set-cookie").iter().any(|line| line.starts_with("vestibule=;")), "{dead:?}");
    assert_eq!(list("").await.len(), 0);
    // Who signs in afterwards is in.
    assert_eq!(status(&world.signed_in().await).await, 200);
    let done = world.gateway.audit_events();
    assert_eq!(done.iter().filter(|event| event["event"] == "admin_action").count(), 3, "{done:?}");
}

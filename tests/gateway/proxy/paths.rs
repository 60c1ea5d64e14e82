//! The path that is decided on is the path that is forwarded.

use crate::support::{ConfigBuilder, Echo, Gateway, Raw};
use crate::world::World;

const CORPUS: &str = include_str!("../../data/paths.txt");

/// Raw and canonical form, `None` for refused. Only what can be a path in a request line: no query, and no escape of ours.
fn corpus() -> Vec<(String, Option<&'static str>)> {
    let lines = CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let pairs = lines.map(|line| line.split_once(" => ").unwrap_or_else(|| panic!("no arrow: {line}")));
    pairs.map(|(raw, form)| (unescaped(raw), (form != "refused").then_some(form))).collect()
}

fn unescaped(text: &str) -> String {
    let (mut out, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        out.push(match letter {
            '\\' => match letters.next().unwrap() {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                's' => ' ',
                '\\' => '\\',
                'u' => {
                    let hex: String = letters.by_ref().take_while(|&c| c != '}').filter(|&c| c != '{').collect();
                    char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap()
                }
                other => panic!("no escape: {other}"),
            },
            other => other,
        });
    }
    out
}

/// HTTP-06: every refused spelling is refused before anything is asked of the upstream; every other arrives in the one form
/// that was decided on; an encoded slash only where the route keeps it.
#[tokio::test]
async fn the_decided_path_is_the_forwarded_path() {
    for keep in [false, true] {
        let keeps = if keep { "\nencoded_slash = \"keep\"" } else { "" };
        let echo = Echo::start().await;
        let route = format!("upstream = \"app\"\naccess = \"public\"{keeps}");
        let gateway = Gateway::start(ConfigBuilder::new().upstream("app", &echo.url()).route(&route)).await;
        let (mut refused, mut passed) = (0, 0);
        for (raw, form) in corpus() {
            // With a query the line says something else, and it is told elsewhere.
            if raw.contains('?') {
                continue;
            }
            let form = form.filter(|form| keep || !form.contains("%2F"));
            echo.forget();
            let mut client = Raw::connect(gateway.address()).await;
            client.send(format!("GET {raw} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address())).await;
            let answer = client.answer().await.unwrap();
            if let Some(form) = form {
                assert_eq!(answer.status, 200, "{raw:?}: {}", answer.text());
                assert_eq!(echo.last().target, form, "{raw:?}");
                passed += 1;
            } else {
                assert!(matches!(answer.status, 400 | 404 | 421), "{raw:?}: {answer:?}");
                assert_eq!(echo.count(), 0, "{raw:?}");
                refused += 1;
            }
        }
        assert!(refused > 80 && passed > 40, "{refused} refused, {passed} passed");
    }
}

/// HTTP-07: what is public is found by the path alone, whole segments of it, and the method.
#[tokio::test]
async fn nothing_but_the_path_makes_a_request_public() {
    let world = World::with(|config| {
        config
            .route("path = \"/files\"\nupstream = \"app\"\naccess = \"public\"\nmethods = [\"GET\", \"HEAD\"]")
            .route("path = \"=/exact\"\nupstream = \"app\"\naccess = \"public\"")
    })
    .await;
    for start in [
        "GET /admin?x=/public",
        "GET /admin?/public",
        "GET /admin;/public",
        "GET /publicadmin",
        "GET /adminpublic",
        "GET /public/../admin",
        "GET /public/%2e%2e/admin",
        "GET /public/./../admin",
        "GET /PUBLIC",
        "GET /Public/x",
        "GET /x/public",
        "GET /exact/",
        "GET /exact/x",
        "GET /exactly",
    ] {
        let answer = world.ask(start, &["X-Requested-With: x"]).await;
        assert_eq!((answer.status, world.echo.count()), (401, 0), "{start}: {}", answer.text());
    }
    // Where the path fits and the method does not, there is nothing, not the route above it.
    for start in ["POST /files", "DELETE /files/x", "FILES /files"] {
        assert_eq!((world.ask(start, &[]).await.status, world.echo.count()), (404, 0), "{start}");
    }
    for start in ["GET /public", "GET /public/x?y", "POST /public/", "GET /%70ublic", "HEAD /files/x", "GET /exact"] {
        let answer = world.ask(start, &[]).await;
        assert_eq!(answer.status, 200, "{start}");
    }
}

/// HTTP-08: what a client says about path and method beside the request line changes nothing and goes nowhere.
#[tokio::test]
async fn other_places_for_path_and_method_say_nothing() {
    let world = World::start().await;
    let claims = [
        "X-Forwarded-Uri: /public",
        "X-Original-URL: /public",
        "X-Original-Uri: /public",
        "X-Original-Path: /public",
        "X_Original_URL: /public",
        "X-Rewrite-URL: /public",
        "x-rewrite_url: /public",
        "X-Forwarded-Method: OPTIONS",
        "X-Original-Method: OPTIONS",
        "X-Forwarded-Path: /public",
        "X-Forwarded-Prefix: /public",
        "X-HTTP-Method-Override: OPTIONS",
        "X-HTTP-Method: OPTIONS",
        "X-Method-Override: OPTIONS",
        "X-Auth-Request-User: root",
    ];
    for claim in claims {
        let answer = world.ask("GET /admin", &[claim]).await;
        assert_eq!((answer.status, world.echo.count()), (401, 0), "{claim}");
    }
    for agent in ["kube-probe/1.31", "ELB-HealthChecker/2.0", "GoogleHC/1.0", "Consul Health Check"] {
        let answer = world.ask("GET /ping", &[&format!("User-Agent: {agent}")]).await;
        assert_eq!((answer.status, world.echo.count()), (401, 0), "{agent}");
    }
    let seen = world.seen("GET /public", &claims).await;
    for claim in claims {
        let name = claim.split(':').next().unwrap();
        assert!(seen.cgi_variable(name).is_empty(), "{name}: {seen:?}");
    }
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/public"));
}

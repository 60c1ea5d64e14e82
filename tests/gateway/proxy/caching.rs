//! What caches on the way may keep.

use crate::support::Answer;
use crate::world::World;

/// Whether a shared cache may store this answer to a GET without `Authorization` (RFC 9111, section 3), or serve it unasked.
fn shared_cache_may_store(answer: &Answer) -> bool {
    let fields = answer.header_all("cache-control").join(",").to_lowercase();
    let delivery = answer.headers.iter().any(|(name, _)| {
        let name = name.to_lowercase();
        name.ends_with("cdn-cache-control") || name == "surrogate-control" || name == "x-accel-expires"
    });
    let closed = fields.split(',').map(str::trim).any(|part| part == "private" || part == "no-store");
    let opened = fields.split(',').map(str::trim).any(|part| part == "public" || part.starts_with("s-maxage"));
    delivery || !closed || opened
}

fn varies_by_cookie(answer: &Answer) -> bool {
    answer.header_all("vary").join(",").to_lowercase().split(',').any(|name| matches!(name.trim(), "cookie" | "*"))
}

/// CACHE-01, CACHE-02, CACHE-06: what was answered to a session is nothing that a shared cache may keep, whatever the
/// application says and whatever the path looks like; what the application closes stays closed.
#[tokio::test]
async fn personal_answers_are_private() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    for (upstream, told) in [
        ("", "private"),
        ("Cache-Control=public,%20max-age=600", "private, max-age=600"),
        ("Cache-Control=public,%20s-maxage=600", "private"),
        ("Cache-Control=max-age=60", "private, max-age=60"),
        ("Cache-Control=no-store", "no-store"),
        ("Cache-Control=no-cache", "private, no-cache"),
        ("CDN-Cache-Control=max-age=60&Surrogate-Control=max-age=60&X-Accel-Expires=60", "private"),
        ("Expires=Thu,%2001%20Jan%202099%2000:00:00%20GMT", "private"),
        ("Cache-Control=public&Cache-Control=max-age=5", "private, max-age=5"),
    ] {
        for path in ["/account", "/account/x.css", "/account;x.js", "/account/logo.png", "/optional/x"] {
            let answer = world.ask(&format!("GET {path}/header?{upstream}"), &[&cookie]).await;
            assert_eq!((answer.status, answer.header_all("cache-control")), (200, vec![told]), "{path} {upstream}");
            assert!(!shared_cache_may_store(&answer), "{path} {upstream}: {answer:?}");
            assert!(varies_by_cookie(&answer), "{path} {upstream}: {answer:?}");
        }
    }
    // What answers for every address answers for one that ends like a file's too.
    for path in
        ["/account/x.css", "/account;x.js", "/account/logo.png", "/account/x.woff2", "/static/app.js", "/a.css/b"]
    {
        for (said, told) in [("", "private"), ("Cache-Control: public, max-age=600\r\n", "private, max-age=600")] {
            world.echo.answer_raw(path, format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\nhi"));
            let answer = world.ask(&format!("GET {path}"), &[&cookie]).await;
            assert_eq!((answer.status, answer.header_all("cache-control")), (200, vec![told]), "{path} {said}");
            assert!(varies_by_cookie(&answer), "{path} {said}: {answer:?}");
        }
    }
}

/// CACHE-02: where the route says so, and where nobody's session is looked at, the application's word stands.
#[tokio::test]
async fn shareable_routes_are_left_alone() {
    let world =
        World::with(|config| config.route("path = \"/assets\"\nupstream = \"app\"\ncache = \"upstream\"")).await;
    let cookie = world.cookie().await;
    let open = "header?Cache-Control=public,%20s-maxage=600&CDN-Cache-Control=max-age=1&Vary=Accept";
    for path in ["/assets", "/public"] {
        let answer = world.ask(&format!("GET {path}/{open}"), &[&cookie]).await;
        assert_eq!(answer.header_all("cache-control"), ["public, s-maxage=600"], "{path}");
        assert_eq!(
            (answer.header("cdn-cache-control"), answer.header_all("vary")),
            (Some("max-age=1"), vec!["Accept"])
        );
        let answer = world.ask(&format!("GET {path}/header?X=1"), &[&cookie]).await;
        assert_eq!(answer.header("cache-control"), None, "{path}");
    }
    assert_eq!(world.ask("GET /assets/x", &[]).await.status, 401, "shareable is not public");
}

/// A shared cache between everybody and the gateway, as RFC 9111 has it: it keeps what it may, and serves it to whoever asks the same with
/// the same values of the fields that `Vary` names.
#[derive(Default)]
struct SharedCache {
    kept: Vec<(String, Vec<String>, Answer)>,
}

impl SharedCache {
    async fn get(&mut self, world: &World, target: &str, lines: &[&str]) -> Answer {
        let said = |answer: &Answer| {
            let names = answer.header_all("vary").join(",").to_lowercase();
            let line = |name: &str| lines.iter().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
            names.split(',').map(|name| line(name.trim()).map_or_else(String::new, |it| (*it).to_owned())).collect()
        };
        let found = self.kept.iter().find(|(kept, fields, answer)| kept == target && *fields == said(answer));
        if let Some((_, _, answer)) = found {
            return answer.clone();
        }
        let answer = world.ask(&format!("GET {target}"), lines).await;
        if shared_cache_may_store(&answer) && answer.header("vary") != Some("*") {
            self.kept.push((target.to_owned(), said(&answer), answer.clone()));
        }
        answer
    }
}

/// CACHE-01, CACHE-05: behind a shared cache nobody gets what was answered to somebody else, and where one URL has a public and a personal
/// form everybody gets their own; what is nobody's in particular is kept.
#[tokio::test]
async fn nobody_gets_what_is_somebody_elses() {
    let world = World::start().await;
    let alice = world.cookie().await;
    world.op.script(|script| {
        script.user("bob");
    });
    let bob = world.cookie().await;
    let mut cache = SharedCache::default();
    for target in ["/x?", "/account/x.css?", "/optional/x?", "/x/header?Cache-Control=public,%20max-age=60&"] {
        for _ in 0..2 {
            for (cookie, sub) in [(Some(&alice), "alice"), (Some(&bob), "bob"), (None, "")] {
                world.echo.forget();
                let lines: Vec<&str> = cookie.into_iter().map(String::as_str).collect();
                let answer = cache.get(&world, target, &lines).await;
                if cookie.is_some() {
                    assert_eq!((answer.status, world.echo.count()), (200, 1), "{sub} {target}");
                    assert_eq!(world.echo.last().identity().unwrap()["sub"], sub, "{target}");
                } else if target.starts_with("/optional") {
                    let seen = answer.json();
                    assert!(answer.status == 200 && !seen.to_string().contains("x-vestibule-identity"), "{seen}");
                } else {
                    assert_eq!((answer.status, world.echo.count()), (401, 0), "{target}");
                }
            }
        }
    }
    // The cache is one: a public answer is served again without anybody being asked.
    for count in [1, 1] {
        cache.get(&world, "/public/once?Cache-Control=public", &[]).await;
        assert_eq!(world.echo.requests().iter().filter(|seen| seen.target.contains("once")).count(), count);
    }
}

/// LOGOUT-16, CACHE-02: a route whose pages nobody may store, the browser neither, whatever the application says; there is then nothing that
/// going back could show.
#[tokio::test]
async fn a_route_can_forbid_storing() {
    let world = World::with(|config| {
        config
            .route("path = \"/strict\"\nupstream = \"app\"\ncache = \"no-store\"")
            .route("path = \"/strict/both\"\nupstream = \"app\"\naccess = \"optional\"\ncache = \"no-store\"")
    })
    .await;
    let cookie = world.cookie().await;
    for upstream in [
        "X-A=1",
        "Cache-Control=private",
        "Cache-Control=public,%20max-age=600&CDN-Cache-Control=max-age=60",
        "Cache-Control=no-store,%20must-understand",
        "Cache-Control=no-cache&Cache-Control=max-age=5",
        "Expires=Thu,%2001%20Jan%202099%2000:00:00%20GMT",
    ] {
        for path in ["/strict", "/strict/x.css", "/strict/both"] {
            let answer = world.ask(&format!("GET {path}/header?{upstream}"), &[&cookie]).await;
            assert_eq!(
                (answer.status, answer.header_all("cache-control")),
                (200, vec!["no-store"]),
                "{path} {upstream}"
            );
            assert_eq!(
                (answer.header("expires"), answer.header("cdn-cache-control")),
                (None, None),
                "{path} {upstream}"
            );
            assert!(varies_by_cookie(&answer) && !shared_cache_may_store(&answer), "{path} {upstream}");
        }
    }
    let nobody = world.ask("GET /strict/both/header?Cache-Control=public", &[]).await;
    assert_eq!((nobody.header("cache-control"), varies_by_cookie(&nobody)), (Some("public"), true));
}

/// CACHE-03: everything that the gateway says itself is `no-store`.
#[tokio::test]
async fn our_own_answers_are_not_kept() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    let page = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Accept: text/html"];
    // One that goes on as long as the session, so that its head alone is looked at.
    let mut stream = world.raw().await;
    stream.send(world.head("GET /oauth2/session/events", &[&cookie])).await;
    let head = stream.head().await.expect("an answer");
    assert_eq!((head.status, head.header_all("cache-control")), (200, vec!["no-store"]));
    for (start, lines, status) in [
        ("GET /x", &page[..], 303),
        ("GET /x", &[], 401),
        ("GET /oauth2/login", &page, 303),
        ("GET /oauth2/callback?code=a&state=b", &page, 303),
        ("GET /oauth2/userinfo", &[&*cookie], 200),
        ("GET /oauth2/session", &[&*cookie], 200),
        ("GET /oauth2/userinfo", &[], 401),
        ("GET /oauth2/signed_out", &[], 200),
        ("GET /oauth2/unknown", &[], 404),
        ("POST /x", &[&*cookie, "Origin: null", "Content-Length: 0"], 403),
        ("GET /a%2f..%2fb", &[], 400),
        ("GET /public/drop", &[], 502),
        ("TRACE /x", &[], 405),
        ("GET /oauth2/sessions", &[&*cookie], 200),
        ("POST /oauth2/session/refresh", &[&*cookie, "Content-Length: 0", "X-Requested-With: x"], 200),
        ("GET /oauth2/session/refresh", &[&*cookie], 405),
        ("POST /oauth2/sessions/revoke", &["Content-Length: 0", "X-Requested-With: x"], 401),
        ("POST /oauth2/logout/backchannel", &["Content-Length: 0"], 400),
        ("GET /oauth2/logout/frontchannel?iss=x&sid=y", &[], 400),
        ("GET /oauth2/logout", &[&*cookie, "Accept: text/html"], 200),
        ("POST /oauth2/logout", &[&*cookie, "Content-Length: 0", "X-Requested-With: x"], 200),
    ] {
        let answer = world.ask(start, lines).await;
        assert_eq!(
            (answer.status, answer.header_all("cache-control")),
            (status, vec!["no-store"]),
            "{start}: {answer:?}"
        );
    }
}

/// CACHE-04: who calls is decided before conditions and ranges: a stranger learns of no entity.
#[tokio::test]
async fn strangers_get_neither_304_nor_206() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    world.echo.answer_raw("/doc", "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
    let conditions = [
        "If-None-Match: \"v1\"",
        "If-Modified-Since: Sat, 21 Nov 2026 00:00:00 GMT",
        "Range: bytes=0-1",
        "If-Match: \"v2\"",
    ];
    assert_eq!(world.ask("GET /doc", &[&cookie, conditions[0]]).await.status, 304);
    world.echo.forget();
    for condition in conditions {
        for start in ["GET /doc", "HEAD /doc"] {
            let answer = world.ask(start, &[condition]).await;
            assert_eq!(
                (answer.status, answer.header("etag"), world.echo.count()),
                (401, None, 0),
                "{start} {condition}"
            );
        }
    }
}

/// CACHE-05: one URL with a personal and a public form: the personal one is private, the other tells caches what it hangs on,
/// and the application's own `Vary` stays.
#[tokio::test]
async fn optional_routes_vary_by_cookie() {
    let world = World::start().await;
    let cookie = world.cookie().await;
    let target = "GET /optional/header?Cache-Control=public,%20max-age=60&Vary=Accept-Language";
    let nobody = world.ask(target, &[]).await;
    assert_eq!(nobody.header_all("cache-control"), ["public, max-age=60"]);
    assert!(varies_by_cookie(&nobody) && nobody.header_all("vary").join(",").contains("Accept-Language"), "{nobody:?}");
    let person = world.ask(target, &[&cookie]).await;
    assert!(!shared_cache_may_store(&person) && varies_by_cookie(&person), "{person:?}");
    assert!(person.header_all("vary").join(",").contains("Accept-Language"));
}

//! Which other origins may read, and what preflights get.

use http::Method;

use crate::support::client::{Ask, Browser, Page};
use crate::world::{World, cookie_line};

const SPA: &str = "https://spa.example.com";

async fn world() -> World {
    World::with(|config| {
        config.route("path = \"/api\"\nupstream = \"app\"\ncors = { origins = [\"https://spa.example.com\"] }")
    })
    .await
}

/// As a browser does it: with an origin, without credentials.
async fn preflight(world: &World, path: &str, origin: &str, method: &str) -> Page {
    let ask = Ask::plain(Method::OPTIONS, world.url(path))
        .without_cookies()
        .header("origin", origin)
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-dest", "empty")
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "content-type,x-custom");
    Browser::new().ask(ask).await
}

fn reader(page: &Page) -> (Vec<String>, Option<&str>) {
    let readers = page.header_all("access-control-allow-origin");
    assert!(page.header_all("vary").iter().any(|line| line.to_lowercase().contains("origin")), "{page:?}");
    (readers, page.header("access-control-allow-credentials"))
}

const OTHERS: [&str; 9] = [
    "null",
    "https://evil.example",
    "https://spa.example.com.evil.example",
    "https://evil.example/https://spa.example.com",
    "http://spa.example.com",
    "https://spa.example.com:8443",
    "https://SPA.example.com",
    "https://spa.example.com/",
    "*",
];

/// API-12: preflights pass without credentials, answered by policy; only the exact origin is told that it may go on.
#[tokio::test]
async fn preflights_need_no_session() {
    let world = world().await;
    for method in ["GET", "PUT", "DELETE"] {
        let page = preflight(&world, "/api/things", SPA, method).await.expect_status(204);
        assert_eq!(reader(&page), (vec![SPA.to_owned()], Some("true")));
        assert_eq!(page.header("access-control-allow-methods"), Some(method));
        assert_eq!(page.header("access-control-allow-headers"), Some("content-type,x-custom"));
    }
    for origin in OTHERS {
        let page = preflight(&world, "/api/things", origin, "PUT").await.expect_status(204);
        assert_eq!(reader(&page), (Vec::new(), None), "{origin}");
        assert_eq!((page.header("access-control-allow-methods"), page.set_cookies().len()), (None, 0));
    }
    // A route without a list: neither a challenge nor a login, and nobody may read.
    for origin in [SPA, "null"] {
        let page = preflight(&world, "/private", origin, "PUT").await.expect_status(204);
        assert_eq!((page.header("access-control-allow-origin"), page.location()), (None, None));
    }
    assert_eq!(world.echo.count(), 0, "no application was asked");
    // A public application answers its own.
    preflight(&world, "/public/things", SPA, "PUT").await;
    assert_eq!(world.echo.last().method, "OPTIONS");
}

/// API-12: every answer of the route says who may read it, our own 401 too, whatever the application says of that; an asterisk never.
#[tokio::test]
async fn only_the_listed_origin_may_read() {
    let world = world().await;
    let browser = world.signed_in().await;
    let line = cookie_line(&browser)["Cookie: ".len()..].to_owned();
    world.echo.answer_raw(
        "/api/open",
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nContent-Length: 2\r\n\r\nok",
    );
    let ask = async |method: Method, path: &str, origin: &str, cookie: bool| {
        let mut ask = Ask::plain(method, world.url(path))
            .header("accept", "*/*")
            .header("origin", origin)
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-dest", "empty");
        if cookie {
            ask = ask.header("cookie", &line);
        }
        Browser::new().ask(ask).await
    };
    for (method, cookie, status) in [(Method::GET, false, 401), (Method::GET, true, 200), (Method::POST, true, 403)] {
        let page = ask(method.clone(), "/api/open", SPA, cookie).await.expect_status(status);
        assert_eq!(reader(&page), (vec![SPA.to_owned()], Some("true")), "{method} {cookie}");
    }
    for origin in OTHERS {
        for cookie in [false, true] {
            let page = ask(Method::GET, "/api/open", origin, cookie).await;
            assert_eq!(reader(&page), (Vec::new(), None), "{origin} {cookie}");
            assert_eq!(page.location(), None);
        }
    }
    // Where nothing is listed nothing is added.
    let page = ask(Method::GET, "/private", SPA, false).await.expect_status(401);
    assert_eq!(page.header("access-control-allow-origin"), None);
}

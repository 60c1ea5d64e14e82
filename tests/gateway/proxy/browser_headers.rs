//! What browsers are told to beware of, where an application says nothing.

use crate::world::World;

const ADDED: &str = "security_headers = { Content-Security-Policy = \"frame-ancestors 'self'\", X-Content-Type-Options = \"nosniff\", \
    X-Frame-Options = \"SAMEORIGIN\" }";

/// CSRF-09: what is configured is added to answers that lack it, errors of the application included; what the application says itself is
/// unchanged, and where nothing is configured nothing is added.
#[tokio::test]
async fn security_headers_are_added_where_they_lack() {
    let world = World::with(|config| {
        config
            .route(&format!("path = \"/framed\"\nupstream = \"app\"\n{ADDED}"))
            .route(&format!("path = \"/open\"\nupstream = \"app\"\naccess = \"public\"\n{ADDED}"))
    })
    .await;
    let cookie = world.cookie().await;
    let names = ["content-security-policy", "x-content-type-options", "x-frame-options"];
    let added = [vec!["frame-ancestors 'self'"], vec!["nosniff"], vec!["SAMEORIGIN"]];
    for path in ["/framed", "/open"] {
        for target in ["header?X-A=1", "status?code=404", "status?code=500", "status?code=204"] {
            let answer = world.ask(&format!("GET {path}/{target}"), &[&cookie]).await;
            assert_eq!(names.map(|name| answer.header_all(name)), added, "{path}/{target}");
        }
        let own = "header?content-security-policy=script-src%20'self'&Content-Security-Policy=img-src%20x&X-FRAME-OPTIONS=DENY";
        let answer = world.ask(&format!("GET {path}/{own}"), &[&cookie]).await;
        let said = [vec!["script-src 'self'", "img-src x"], vec!["nosniff"], vec!["DENY"]];
        assert_eq!(names.map(|name| answer.header_all(name)), said, "{path}");
        // A browser would write them into the answer that it keeps, which may have had its own.
        world.echo.answer_raw(&format!("{path}/kept"), "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
        let answer = world.ask(&format!("GET {path}/kept"), &[&cookie, "If-None-Match: \"v1\""]).await;
        assert_eq!((answer.status, names.map(|name| answer.header_all(name).len())), (304, [0; 3]), "{path}");
    }
    for path in ["/x", "/public/x"] {
        let answer = world.ask(&format!("GET {path}/header?X-A=1"), &[&cookie]).await;
        assert_eq!((answer.status, names.map(|name| answer.header_all(name).len())), (200, [0; 3]), "{path}");
    }
}

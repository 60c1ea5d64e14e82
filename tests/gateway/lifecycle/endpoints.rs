//! The reserved prefix.

use crate::support::ConfigBuilder;
use crate::world::World;

/// A world in which everything is public but the gateway's own.
async fn open(prefix: &str) -> World {
    let prefix = prefix.to_owned();
    World::with(move |config: ConfigBuilder| {
        config
            .with(&format!("endpoints = \"{prefix}\""))
            .route(
                "host = \"127.0.0.1\"\npath = \"/\"\nupstream = \"app\"\naccess = \"public\"\nencoded_slash = \"keep\"",
            )
            .route(&format!("host = \"127.0.0.1\"\npath = \"{prefix}x\"\nupstream = \"app\"\naccess = \"public\""))
    })
    .await
}

/// OPS-10: nothing below the prefix reaches an application, known or not, in any method and spelling; what only looks like it
/// is the application's.
#[tokio::test]
async fn the_prefix_is_ours() {
    for prefix in ["/oauth2", "/.auth"] {
        let world = open(prefix).await;
        let first = prefix.as_bytes()[1];
        let encoded = format!("/%{first:02x}{}", &prefix[2..]);
        for path in [
            prefix.to_owned(),
            format!("{prefix}/"),
            format!("{prefix}/unknown"),
            format!("{prefix}/login/x"),
            format!("{prefix}/userinfo/"),
            format!("{encoded}/unknown"),
            format!("{encoded}/userinfo"),
            format!("{prefix}/%75serinfo"),
            format!("/a/..{prefix}/unknown"),
            format!("/%2e{prefix}/unknown"),
            format!("/./{}/unknown", &prefix[1..]),
            format!("{prefix}/../{}/unknown", &prefix[1..]),
            format!("{prefix}%2funknown"),
            format!("{prefix};x/unknown"),
            format!("/{prefix}/unknown"),
            format!("{prefix}%5cunknown"),
        ] {
            for method in ["GET", "HEAD", "POST", "DELETE", "PROPFIND"] {
                let answer = world.ask(&format!("{method} {path}"), &["Content-Length: 0"]).await;
                // `%2f` and `;x` make it another first segment, where the route keeps them: not ours, and nothing of ours answers.
                let other = path.contains("%2f") || path.contains(';');
                assert!(other || answer.status >= 400, "{method} {path}: {answer:?}");
                assert!(other || world.echo.count() == 0, "{method} {path}");
                world.echo.forget();
            }
        }
        for path in [
            prefix.to_uppercase(),
            format!("{}/login", prefix.to_uppercase()),
            format!("{prefix}x/login"),
            format!("{prefix}-login"),
            format!("/a{prefix}/login"),
        ] {
            assert_eq!(world.seen(&format!("GET {path}"), &[]).await.target, path);
        }
    }
}

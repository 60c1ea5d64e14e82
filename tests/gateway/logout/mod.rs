//! Logouts that the provider begins: by a signed token, and by a frame.

mod backchannel;
mod frontchannel;
mod races;
mod tokens;

use crate::login::{SESSION, world_at};
use crate::support::client::Page;
use crate::support::{BadOp, Browser};
use crate::world::World;

/// Where logout tokens go.
pub(crate) const BACK: &str = "/oauth2/logout/backchannel";

/// Posts a logout token of the world's provider.
pub(crate) async fn send(world: &World, token: &str) -> Page {
    world.op.send_logout(&world.gateway.browser(), &world.url(BACK), token).await
}

/// A session of that user, in a browser of its own: its cookie and its name at the provider.
pub(crate) async fn session_of(world: &World, user: &str) -> (String, String) {
    world.op.script(|script| {
        script.user(user);
    });
    (world.signed_in().await.cookie(SESSION).unwrap(), world.op.last_sid())
}

/// A world with a second provider, whose people sign in by `/other`.
pub(crate) async fn two_providers() -> (World, BadOp) {
    let other = BadOp::start().await;
    let world = world_at(BadOp::start().await, |config| {
        config
            .provider("other", &other)
            .route("path = \"/\"\nupstream = \"app\"\nprovider = \"corp\"")
            .route("path = \"/other\"\nupstream = \"app\"\nprovider = \"other\"")
    })
    .await;
    (world, other)
}

/// A session by the second provider in that browser.
pub(crate) async fn session_at_other(world: &World, browser: &Browser) -> String {
    browser.navigate(world.url("/other")).await.expect_status(200);
    browser.cookie(SESSION).unwrap()
}

//! From request to decision: what did it carry, who is that, may they pass. The part to audit.
//!
//! Nothing is forwarded without a [`Permit`], and only this module can make one. Nothing here answers a client or speaks
//! to an upstream.

use std::sync::Arc;

use crate::base::Timestamp;
use crate::route::Route;
use crate::session::{Sessions, StoreError};
use crate::web::client::ClientRequest;

mod caller;
mod credential;
mod decision;

pub use caller::{Caller, identify};
pub use credential::Credential;
pub use decision::{Decision, Permit, Refusal};

/// Decides what becomes of a request to `route`.
///
/// A request that is let through counts as activity of its session, unless the route is passive or the browser only
/// fetched ahead of a click.
///
/// # Errors
///
/// When the store cannot say who is calling: that is neither "nobody" nor "let them in".
pub async fn authorize(
    route: &Arc<Route>,
    client: &ClientRequest,
    sessions: &Sessions,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    if let Some(permit) = decision::permit_public(route, client) {
        return Ok(Decision::Forward(permit));
    }
    let credential = Credential::read(client, route.access);
    if let Some(refused) = decision::refused_by_credential(&credential) {
        return Ok(refused);
    }
    let caller = identify(credential, sessions, client, now).await?;
    let decision = decision::decide(route, caller, client, now);
    if let Decision::Forward(permit) = &decision
        && let Some(live) = permit.session()
        && !route.passive
        && !client.fetch.is_prefetch()
    {
        sessions.touch(live, now);
    }
    Ok(decision)
}

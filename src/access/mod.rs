//! From request to decision: what did it carry, who is that, may they pass. The part to audit.
//!
//! Nothing is forwarded without a [`Permit`], and only this module can make one. Nothing here answers a client or speaks
//! to an upstream.

use std::sync::Arc;

use tokio::time::Instant;

use crate::base::Timestamp;
use crate::route::Route;
use crate::session::{LiveSession, Sessions, StoreError};
use crate::web::{ClientRequest, Connection};

mod caller;
mod credential;
mod decision;
mod refresh;
mod take_back;

pub use caller::{Caller, identify};
pub use credential::Credential;
pub use decision::{Decision, Permit, Refusal};
pub use refresh::{Due, Refreshed, Refresher};
pub use take_back::{TakeBack, take_back, tokens};

/// Decides what becomes of requests.
#[derive(Clone, Debug)]
pub struct Access {
    /// The session service.
    pub sessions: Arc<Sessions>,
    /// Keeps tokens fresh.
    pub refresher: Arc<Refresher>,
}

/// Why nobody can say whether a request may pass: neither "nobody" nor "let them in".
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    /// The store cannot say who is calling.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session's tokens are over, and the provider does not answer.
    #[error("the session's tokens are over and the provider does not answer")]
    Provider,
}

impl Access {
    /// Decides what becomes of a request to `route`.
    ///
    /// `now` and `began` are the moment in which it came, by the clock on the wall and by the one that nobody sets.
    ///
    /// A request that is let through counts as activity of its session, unless the route is passive or the browser only
    /// fetched ahead of a click.
    ///
    /// # Errors
    ///
    /// When store or provider would have to answer first, and do not.
    pub async fn authorize(
        &self,
        route: &Arc<Route>,
        client: &ClientRequest,
        connection: &Connection,
        now: Timestamp,
        began: Instant,
    ) -> Result<Decision, Undecided> {
        if let Some(permit) = decision::permit_public(route, client) {
            return Ok(Decision::Forward(permit));
        }
        let credential = Credential::read(client, route.access, connection);
        if let Some(refused) = decision::refused_by_credential(&credential) {
            return Ok(refused);
        }
        let caller = identify(credential, &self.sessions, client, now, began).await?;
        let caller = match caller {
            Caller::Person(live) => self.still_good(live, client, now).await?,
            anonymous @ Caller::Anonymous { .. } => anonymous,
        };
        let decision = decision::decide(route, caller, client, now);
        if let Decision::Forward(permit) = &decision
            && let Some(live) = permit.session()
            && !route.passive
            && !client.fetch.is_prefetch()
        {
            self.sessions.touch(live, now);
        }
        Ok(decision)
    }

    /// Tokens that are over are renewed first; those that soon will be are renewed behind the request's back.
    async fn still_good(
        &self,
        live: Arc<LiveSession>,
        client: &ClientRequest,
        now: Timestamp,
    ) -> Result<Caller, Undecided> {
        match self.refresher.due(&live, now) {
            Due::No => Ok(Caller::Person(live)),
            Due::Soon => {
                self.refresher.refresh_behind(&live, client);
                Ok(Caller::Person(live))
            }
            Due::Now => match Box::pin(self.refresher.refresh(&live, client)).await {
                Refreshed::Fresh(live) => Ok(Caller::Person(live)),
                Refreshed::Ended => Ok(Caller::Anonymous { dead_cookie: true }),
                Refreshed::ProviderAway => Err(Undecided::Provider),
                Refreshed::StoreAway(error) => Err(Undecided::Store(error)),
            },
        }
    }
}

//! May they pass?

use std::sync::Arc;
use std::time::Duration;

use super::{Caller, Credential};
use crate::base::Timestamp;
use crate::route::{AccessMode, CrossSite, Route, SignedOut};
use crate::session::LiveSession;
use crate::web::{AuthorizationHeader, ClientRequest, Verdict, cross_site};

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// To the upstream.
    Forward(Permit),
    /// The browser is sent to sign in.
    Login,
    /// The session is too weak or too old for the route: sign in again, more strongly.
    StepUp {
        /// Any one of these `acr`.
        acr: Vec<String>,
        /// No longer ago than this.
        max_age: Option<Duration>,
        /// Whether the browser may be sent there; else it is told.
        navigation: bool,
    },
    /// 401, with the login's address.
    Challenge {
        /// A bearer token came along that this route does not take.
        bearer: bool,
        /// The cookie that came along opens nothing: it may be deleted.
        dead_cookie: bool,
    },
    /// Not allowed.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// Whose request it was, where that is certain.
        session: Option<Arc<LiveSession>>,
    },
}

/// Why a request is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400 (SESS-09).
    #[error("the request carries several session cookies")]
    SeveralCookies,
    /// 403 (CSRF-01..04).
    #[error("a request from another site may not do this: {0}")]
    CrossSite(String),
    /// 403.
    #[error("the claim {claim} does not have a value that routes[{route}] requires")]
    Claims {
        /// Which claim.
        claim: String,
        /// Which route.
        route: usize,
    },
}

/// Proof that a decision said "forward". Only this module can make one.
#[derive(Debug)]
pub struct Permit {
    route: Arc<Route>,
    caller: Caller,
    authorization: AuthorizationHeader,
}

impl Permit {
    /// Where it may go.
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Whose identity goes along; none on public routes.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        self.caller.session()
    }

    /// The client's own `Authorization`, where it may travel on: only without an identity of ours (ID-10).
    #[must_use]
    pub fn authorization(&self) -> Option<&http::HeaderValue> {
        match (&self.authorization, &self.caller) {
            (AuthorizationHeader::One(value), Caller::Anonymous { .. }) => Some(value),
            _ => None,
        }
    }
}

/// The permit for a public route: nobody is looked up, no identity goes along.
#[must_use]
pub(super) fn permit_public(route: &Arc<Route>, client: &ClientRequest) -> Option<Permit> {
    (route.access == AccessMode::Public).then(|| Permit {
        route: Arc::clone(route),
        caller: Caller::Anonymous { dead_cookie: false },
        authorization: client.authorization.clone(),
    })
}

/// What the credential alone already decides.
pub(super) fn refused_by_credential(credential: &Credential) -> Option<Decision> {
    match credential {
        Credential::Several => Some(Decision::Refuse { refusal: Refusal::SeveralCookies, session: None }),
        Credential::Bearer => Some(Decision::Challenge { bearer: true, dead_cookie: false }),
        Credential::Nothing | Credential::Session(_) | Credential::Foreign => None,
    }
}

/// Decides, for a route that is not public.
#[must_use]
pub(super) fn decide(route: &Arc<Route>, caller: Caller, client: &ClientRequest, now: Timestamp) -> Decision {
    match (&caller, route.access) {
        (Caller::Anonymous { dead_cookie }, AccessMode::Session) => {
            return signed_out(route, client, *dead_cookie);
        }
        (Caller::Person(live), _) => {
            // The cookie gave this request its authority, so ask first whether the person meant to send it.
            if let Verdict::Refuse(reason) = judge_site(route, client) {
                return Decision::Refuse {
                    refusal: Refusal::CrossSite(reason.to_string()),
                    session: Some(Arc::clone(live)),
                };
            }
            if let Some(decision) = not_enough(route, client, live, now) {
                return decision;
            }
        }
        (Caller::Anonymous { .. }, _) => {}
    }
    Decision::Forward(Permit { route: Arc::clone(route), caller, authorization: client.authorization.clone() })
}

fn signed_out(route: &Route, client: &ClientRequest, dead_cookie: bool) -> Decision {
    if may_be_sent(route, client) { Decision::Login } else { Decision::Challenge { bearer: false, dead_cookie } }
}

/// Whether the route and the kind of request let the browser be sent to sign in.
fn may_be_sent(route: &Route, client: &ClientRequest) -> bool {
    match route.signed_out {
        SignedOut::Auto => client.fetch.may_start_login(&client.method),
        SignedOut::Redirect => {
            matches!(client.method, http::Method::GET | http::Method::HEAD) && !client.fetch.is_prefetch()
        }
        SignedOut::Unauthorized => false,
    }
}

fn judge_site(route: &Route, client: &ClientRequest) -> Verdict {
    let mut allowed: &[String] = match &route.cross_site {
        CrossSite::Allow => return Verdict::Allow,
        CrossSite::Refuse => &[],
        // A browser's handshake cannot carry it; that goes by its `Origin` alone, as everywhere.
        CrossSite::Header if client.upgrade.is_none() && !client.fetch.is_custom() => {
            return Verdict::Refuse(cross_site::Reason::NoHeader);
        }
        // To send the header from elsewhere takes a preflight, and those are answered by `cors`.
        CrossSite::Header => &route.cors,
        CrossSite::Origins(origins) => origins,
    };
    // Who may read across origins may send what only reads.
    let reads = matches!(client.method, http::Method::GET | http::Method::HEAD) && client.upgrade.is_none();
    if reads && !route.cors.is_empty() && allowed.is_empty() {
        allowed = &route.cors;
    }
    client.fetch.judge(&client.method, client.upgrade.is_some(), allowed, &client.origin)
}

/// What the route asks beyond a session: claims, strength, freshness.
fn not_enough(route: &Route, client: &ClientRequest, live: &Arc<LiveSession>, now: Timestamp) -> Option<Decision> {
    let session = live.session();
    let strong = route.acr.is_empty() || session.acr.as_ref().is_some_and(|acr| route.acr.contains(acr));
    // A provider that does not say when the person signed in has not said that it was lately.
    let fresh = route.max_age.is_none_or(|age| session.auth_time.is_some_and(|at| now.since(at) <= age));
    if !strong || !fresh {
        return Some(Decision::StepUp {
            acr: if strong { Vec::new() } else { route.acr.clone() },
            max_age: if fresh { None } else { route.max_age },
            navigation: may_be_sent(route, client),
        });
    }
    route.policy.permits(&session.claims, session.scope.as_deref()).err().map(|missing| Decision::Refuse {
        refusal: Refusal::Claims { claim: missing.claim, route: route.index },
        session: Some(Arc::clone(live)),
    })
}

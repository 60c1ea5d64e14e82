//! The identity tokens of one session, where they are at hand: on the session itself.
//!
//! The mint keeps all tokens and looks one up by everything that names its subject. What lies here was looked up so once, for this very
//! reading of the session's record, and lies nowhere else: it needs no second look at whose it is.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::base::Timestamp;
use crate::identity::{Identity, IdentityToken};
use crate::session::LiveSession;

/// For each upstream the last token. Held weakly: how much memory tokens take is the mint's to bound.
#[derive(Default)]
struct Tokens(Mutex<Vec<(Arc<str>, Weak<IdentityToken>)>>);

/// The token of `live` for `upstream`, if there is one that still serves.
pub(super) fn at_hand(
    live: &LiveSession,
    upstream: &Arc<str>,
    identity: &Identity,
    now: Timestamp,
) -> Option<Arc<IdentityToken>> {
    let Tokens(tokens) = live.attached(Tokens::default);
    let tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, token) = tokens.iter().find(|(of, _)| is_same(of, upstream))?;
    token.upgrade().filter(|token| identity.still_serves(token, live.session().expires, now))
}

/// Keeps a token where [`at_hand`] finds it.
pub(super) fn keep(live: &LiveSession, upstream: &Arc<str>, token: &Arc<IdentityToken>) {
    let Tokens(tokens) = live.attached(Tokens::default);
    let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
    // One for each upstream, and those are as many as are configured.
    tokens.retain(|(of, _)| !is_same(of, upstream));
    tokens.push((Arc::clone(upstream), Arc::downgrade(token)));
}

fn is_same(one: &Arc<str>, other: &Arc<str>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

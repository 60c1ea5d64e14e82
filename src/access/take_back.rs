//! Tokens of sessions that somebody else ended are taken back at their provider (RFC 7009), as far as this process still knows them:
//! nobody but the browser's cookie could open the record (LOGOUT-14, REF-10).
//!
//! Nothing depends on it, so nothing waits for it: what does not fit into the queue is left to the tokens' own end.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use crate::base::Secret;
use crate::oidc::{Provider, ProviderError, TokenKind};
use crate::session::{Happening, LiveSession, Tokens, Witness};

/// Takes tokens back.
#[derive(Debug)]
pub struct TakeBack(mpsc::Sender<Arc<LiveSession>>);

impl TakeBack {
    /// Has to be called within a Tokio runtime, on which it keeps one task.
    #[must_use]
    pub fn start(providers: Arc<BTreeMap<Arc<str>, Provider>>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let queue =
                futures_util::stream::unfold(receiver, |mut queue| async { Some((queue.recv().await?, queue)) });
            queue.for_each_concurrent(AT_ONCE, |live: Arc<LiveSession>| take_back_all(&providers, live)).await;
        });
        Self(sender)
    }
}

impl Witness for TakeBack {
    fn saw(&self, _: &Happening) {}

    fn left_behind(&self, live: &Arc<LiveSession>) {
        if self.0.try_send(Arc::clone(live)).is_err() {
            tracing::debug!("too many sessions ended at once: the tokens of one are left to their own end");
        }
    }
}

async fn take_back_all(providers: &BTreeMap<Arc<str>, Provider>, live: Arc<LiveSession>) {
    let Some(provider) = providers.get(&live.session().provider) else { return };
    for (token, kind) in tokens(&live.session().tokens) {
        let _ = take_back(provider, token, kind).await;
    }
}

/// What can be taken back, in that order: without a refresh token there will be no new access token.
pub fn tokens(tokens: &Tokens) -> impl Iterator<Item = (&Secret<String>, TokenKind)> {
    let refresh = tokens.refresh_token.as_ref().map(|token| (token, TokenKind::Refresh));
    refresh.into_iter().chain([(&tokens.access_token, TokenKind::Access)])
}

/// Takes one back. A failure is logged.
///
/// # Errors
/// As [`Provider::revoke`].
pub async fn take_back(provider: &Provider, token: &Secret<String>, kind: TokenKind) -> Result<bool, ProviderError> {
    let done = provider.revoke(token, kind).await;
    if let Err(error) = &done {
        tracing::warn!(provider = &**provider.name(), %error, "a token was not revoked at the provider");
    }
    done
}

/// How many sessions may wait for it.
const QUEUE: usize = 1024;
/// And how many are under way.
const AT_ONCE: usize = 8;

//! A provider's keys: asked for again when a token names one that is not known, and kept past every failure.
//!
//! Never lets strangers' tokens decide how often the provider is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Inner;
use super::cached::{self, Cached, Fetched, Kept};
use super::client::Wanted;
use super::error::{Endpoint, Nonsense, ProviderError};
use crate::base::{Clock, Timestamp};
use crate::jose::{self, Expect, KeySet, Verified, VerifyError};

/// The cache of one provider's JWK Set.
#[derive(Debug)]
pub(super) struct Keys {
    cached: Arc<Cached<KeySet>>,
    clock: Arc<dyn Clock>,
    missed: Arc<Mutex<Option<Timestamp>>>,
}

impl Keys {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { cached: Cached::new(Arc::clone(&clock)), clock, missed: Arc::default() }
    }

    pub(super) fn cached(&self) -> &Arc<Cached<KeySet>> {
        &self.cached
    }

    fn missed(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A set newer than `seen`, because a token's key is not in that one. `None` while the last look for a missing key is too
    /// recent: until the pause is over, every key that is not in the set is known to be missing.
    async fn look_again<F>(
        &self,
        seen: &Arc<Kept<KeySet>>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Kept<KeySet>>>, ProviderError>
    where
        F: Future<Output = Fetched<KeySet>> + Send + 'static,
    {
        if let Some(newer) = self.cached.last_good().filter(|good| !Arc::ptr_eq(good, seen)) {
            return Ok(Some(newer));
        }
        let now = self.clock.now();
        if self.missed().is_some_and(|at| now >= at && now.since(at) < PAUSE) {
            return Ok(None);
        }
        let missed = Arc::clone(&self.missed);
        let newer = self.cached.newer_than(Some(Arc::clone(seen)), || {
            // The pause begins with the question, so that nobody slips in between answer and verdict; whoever is right takes it
            // back. Those who join this flight share its answer.
            *missed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            let work = fetch();
            async move {
                let fetched = work.await;
                if fetched.is_err() {
                    // No answer is no miss: how soon to try again is then the cache's business.
                    *missed.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                fetched
            }
        });
        newer.await.map(Some)
    }
}

impl Inner {
    /// Verifies a token with the provider's keys; one whose key is not known leads to one more look at them.
    ///
    /// # Errors
    /// Outside: the keys cannot be had. Inside: the token does not hold.
    pub(super) async fn verified<C: DeserializeOwned>(
        self: &Arc<Self>,
        token: &str,
        expect: &Expect<'_>,
    ) -> Result<Result<Verified<C>, VerifyError>, ProviderError> {
        let fetch = || {
            let inner = Arc::clone(self);
            async move { inner.fetch_keys().await }
        };
        let known = self.keys.cached.current(fetch).await?;
        match jose::verify(token, &known.value, expect) {
            Err(VerifyError::UnknownKey { kid }) => match self.keys.look_again(&known, fetch).await? {
                None => Ok(Err(VerifyError::UnknownKey { kid })),
                Some(newer) => {
                    let verdict = jose::verify(token, &newer.value, expect);
                    if !matches!(verdict, Err(VerifyError::UnknownKey { .. })) {
                        // The look was worth it: the next rotation is looked at as promptly.
                        *self.keys.missed() = None;
                    }
                    Ok(verdict)
                }
            },
            verdict => Ok(verdict),
        }
    }

    /// Asks the provider for its keys.
    pub(super) async fn fetch_keys(self: Arc<Self>) -> Fetched<KeySet> {
        let metadata = self.metadata().await?;
        let answer = self.client.get(Endpoint::Keys, &metadata.value.jwks_uri, Wanted::Json).await?;
        let unusable = |what| ProviderError::Answer { endpoint: Endpoint::Keys, nonsense: Nonsense::Shape(what) };
        let set = KeySet::parse(answer.body.expose()).map_err(|_| unusable("not a JWK Set"))?;
        // A set without a single usable key would only take away the good ones that are held.
        if set.is_empty() {
            return Err(unusable("a JWK Set without a usable key"));
        }
        tracing::info!(
            provider = &*self.settings.name,
            keys = set.len(),
            skipped = set.skipped(),
            "provider's keys read"
        );
        Ok((set, cached::lifetime(answer.cache_control.as_deref())))
    }
}

/// After a look that did not find the key: no other for so long.
const PAUSE: Duration = Duration::from_secs(30);

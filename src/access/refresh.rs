//! Keeps a session's tokens fresh: only when due, only by use, and one refresh at a time among all replicas.
//!
//! Lock, then look again: one flight in this process, a lease in the store, load again, still due? ask the provider, **store the
//! rotated token before anything else can fail**, then judge the ID token that came along. A refresh token is presented by one
//! flight at a time, and a late writer never brings a session back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::base::{Clock, Random, Secret, SingleFlight, Timestamp};
use crate::oidc::{IdToken, Original, Provider, ProviderError, TokenAnswer, TokenKind};
use crate::session::{Ended, LiveSession, Lookup, Replaced, Session, SessionKey, Sessions, StoreError, Tokens};
use crate::telemetry::Metrics;
use crate::telemetry::audit::{self, Event, Record};
use crate::telemetry::metrics::Word;
use crate::web::{ClientRequest, RequestId};

/// How long a lease is held at most without being renewed. Longer than any one step, so that only a dead holder loses it.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is renewed while the provider is waited for.
const RENEW: Duration = Duration::from_secs(3);
/// So long does a request wait for a flight, and a flight for a neighbour's lease. The provider's own deadline is shorter.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long is a rotated token held for a store that does not answer.
const HOLD: Duration = Duration::from_secs(5 * 60);
/// Between two looks at what a neighbour is doing.
const LOOK: Duration = Duration::from_millis(50);

/// How a refresh ended.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// These are the session's tokens now, whoever fetched them.
    Fresh(Arc<LiveSession>),
    /// Nothing is known: the provider is away. The session and its old tokens stay.
    ProviderAway,
    /// The session has ended.
    Ended,
    /// The store cannot say.
    StoreAway(StoreError),
}

/// Refreshes sessions.
#[derive(Debug)]
pub struct Refresher {
    sessions: Arc<Sessions>,
    providers: Arc<BTreeMap<Arc<str>, Provider>>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    flights: SingleFlight<SessionKey, Refreshed>,
}

/// Whether and how urgently a session's tokens want renewing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Not yet, or never: there is no refresh token.
    No,
    /// The access token still lives: the request may go on with it.
    Soon,
    /// The access token is over: the request has to wait.
    Now,
}

impl Refresher {
    /// A refresher for sessions of these providers.
    #[must_use]
    pub fn new(
        sessions: Arc<Sessions>,
        providers: Arc<BTreeMap<Arc<str>, Provider>>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Arc<Self> {
        Arc::new(Self { sessions, providers, metrics, clock, random, flights: SingleFlight::default() })
    }

    /// Whether the session's tokens want renewing.
    #[must_use]
    pub fn due(&self, live: &LiveSession, now: Timestamp) -> Due {
        let session = live.session();
        let Some(provider) = self.providers.get(&session.provider) else { return Due::No };
        due(&session.tokens, provider.settings().refresh_ahead, live.key(), now)
    }

    /// Renews the tokens for the request that wants them, or waits for whoever is doing so already.
    pub async fn refresh(self: &Arc<Self>, live: &Arc<LiveSession>, client: &ClientRequest) -> Refreshed {
        self.refresh_for(live, Asker::of(client)).await
    }

    async fn refresh_for(self: &Arc<Self>, live: &Arc<LiveSession>, asker: Asker) -> Refreshed {
        let key = *live.key();
        let (refresher, session) = (Arc::clone(self), Arc::clone(live));
        let flight = move || -> Pin<Box<dyn Future<Output = Refreshed> + Send>> {
            Box::pin(async move {
                let done = refresher.fly(&session, &asker).await;
                refresher.count(&done);
                done
            })
        };
        // A flight that takes too long goes on without us, and one that panicked says nothing about the session.
        timeout(PATIENCE, self.flights.run(key, flight)).await.ok().flatten().unwrap_or(Refreshed::ProviderAway)
    }

    /// Starts a refresh that nobody waits for, if there is none.
    pub fn refresh_behind(self: &Arc<Self>, live: &Arc<LiveSession>, client: &ClientRequest) {
        if self.flights.is_under_way(live.key()) {
            return;
        }
        let (refresher, live, asker) = (Arc::clone(self), Arc::clone(live), Asker::of(client));
        tokio::spawn(async move { refresher.refresh_for(&live, asker).await });
    }

    async fn fly(&self, live: &Arc<LiveSession>, asker: &Asker) -> Refreshed {
        let lease = Lease { name: live.key().to_string(), owner: self.random.token::<16>() };
        match self.acquire(live, &lease).await {
            Ok(Acquired::Ours) => {}
            Ok(Acquired::Done(done)) => return done,
            Err(error) => return Refreshed::StoreAway(error),
        }
        // A lease that is lost all the same stops nothing: the token is presented already, and what came back has to be stored.
        // The compare-and-set keeps it from overwriting a neighbour's.
        let done = tokio::select! {
            done = self.under_lease(live, asker) => done,
            never = self.keep(&lease) => match never {},
        };
        if let Err(error) = self.sessions.release_lease(&lease.name, &lease.owner).await {
            tracing::debug!(%error, "the lease ends by itself");
        }
        done
    }

    /// Takes the lease, or waits until whoever has it is done.
    async fn acquire(&self, live: &Arc<LiveSession>, lease: &Lease) -> Result<Acquired, StoreError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if Instant::now() >= give_up {
                return Ok(Acquired::Done(Refreshed::ProviderAway));
            }
            if self.sessions.acquire_lease(&lease.name, &lease.owner, LEASE).await? {
                return Ok(Acquired::Ours);
            }
            sleep(LOOK).await;
            match self.sessions.load(live.token(), self.clock.now()).await? {
                Lookup::Absent(_) => return Ok(Acquired::Done(Refreshed::Ended)),
                Lookup::Found(found) if found.version() != live.version() => {
                    return Ok(Acquired::Done(Refreshed::Fresh(found)));
                }
                Lookup::Found(_) => {}
            }
        }
    }

    /// Renews the lease for as long as the flight lasts.
    async fn keep(&self, lease: &Lease) -> std::convert::Infallible {
        loop {
            sleep(RENEW).await;
            match self.sessions.renew_lease(&lease.name, &lease.owner, LEASE).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!(lease = lease.name, "the lease of a refresh was lost"),
                Err(error) => tracing::warn!(lease = lease.name, %error, "the lease of a refresh could not be renewed"),
            }
        }
    }

    async fn under_lease(&self, before: &Arc<LiveSession>, asker: &Asker) -> Refreshed {
        // Look again: a neighbour may have been faster than our lease.
        let live = match self.sessions.load(before.token(), self.clock.now()).await {
            Ok(Lookup::Found(live)) => live,
            Ok(Lookup::Absent(_)) => return Refreshed::Ended,
            Err(error) => return Refreshed::StoreAway(error),
        };
        if live.version() != before.version() {
            return Refreshed::Fresh(live);
        }
        let session = live.session();
        let (Some(provider), Some(token)) =
            (self.providers.get(&session.provider), session.tokens.refresh_token.as_ref())
        else {
            return Refreshed::Fresh(live);
        };
        match provider.refresh(token).await {
            Ok(answer) => self.keep_answer(provider, &live, answer, asker).await,
            Err(error) if error.is_invalid_grant() => self.refused(&live, asker).await,
            Err(error) => {
                tracing::warn!(provider = &**provider.name(), sid = session.sid.as_str(), %error, "tokens could not be renewed");
                Refreshed::ProviderAway
            }
        }
    }

    /// The provider gave tokens: first they are stored, then they are judged.
    async fn keep_answer(
        &self,
        provider: &Provider,
        live: &Arc<LiveSession>,
        answer: TokenAnswer,
        asker: &Asker,
    ) -> Refreshed {
        let now = self.clock.now();
        let mut session = live.session().clone();
        session.tokens = Tokens {
            access_token: answer.access_token.clone(),
            access_token_obtained: now,
            access_token_expires: now + answer.expires_in,
            refresh_token: answer.refresh_token.clone().or(session.tokens.refresh_token),
            ..session.tokens
        };
        if answer.scope.is_some() {
            session.scope.clone_from(&answer.scope);
        }
        let stored = match self.store(live, session).await {
            Err(error) => return Refreshed::StoreAway(error),
            Ok(Replaced::Replaced(stored)) => stored,
            // It may be our own write, whose answer was lost: then what came is judged all the same.
            Ok(Replaced::Conflict) => match self.look(live).await {
                Refreshed::Fresh(found)
                    if found.session().tokens.access_token.expose() == answer.access_token.expose() =>
                {
                    found
                }
                other => return other,
            },
            Ok(Replaced::Gone) => {
                // The person signed out meanwhile. What just came belongs to nobody (REF-05).
                self.discard(provider, &answer).await;
                return Refreshed::Ended;
            }
        };
        let original = Original { sub: &live.session().subject, auth_time: live.session().auth_time };
        let nonce = live.session().tokens.nonce.as_ref();
        match provider.verify_refreshed(&answer, original, nonce, now).await {
            Ok(id_token) => self.take_claims(provider, &stored, &answer, id_token, asker).await,
            // Keys that cannot be fetched are the provider's trouble: the old claims stay.
            Err(error) if !error.is_verdict() => unjudged(provider, stored, &error),
            Err(error) => {
                self.discard(provider, &answer).await;
                self.end(&stored, &format!("the refreshed ID token does not hold: {error}"), asker).await
            }
        }
    }

    /// Claims are taken anew, so that a group that was taken away is gone here too (REF-11).
    async fn take_claims(
        &self,
        provider: &Provider,
        stored: &Arc<LiveSession>,
        answer: &TokenAnswer,
        id_token: Option<IdToken>,
        asker: &Asker,
    ) -> Refreshed {
        let before = stored.session();
        let renewed =
            provider.refreshed_claims(id_token.as_ref(), &before.subject, &answer.access_token, &before.claims).await;
        let claims = match renewed {
            Ok(claims) => claims,
            Err(error) if !error.is_verdict() => return unjudged(provider, Arc::clone(stored), &error),
            Err(error) => return self.end(stored, &format!("the refreshed claims do not hold: {error}"), asker).await,
        };
        if claims == before.claims && answer.id_token.is_none() {
            return Refreshed::Fresh(Arc::clone(stored));
        }
        let mut session = before.clone();
        session.claims = claims;
        if let Some(token) = &answer.id_token {
            session.tokens.id_token = token.clone();
        }
        match self.store(stored, session).await {
            Ok(Replaced::Replaced(live)) => Refreshed::Fresh(live),
            Ok(Replaced::Conflict) => self.look(stored).await,
            Ok(Replaced::Gone) => Refreshed::Ended,
            Err(error) => Refreshed::StoreAway(error),
        }
    }

    /// Writes, and does not give up soon: a rotated token that is not stored is lost.
    async fn store(&self, live: &LiveSession, session: Session) -> Result<Replaced, StoreError> {
        let give_up = Instant::now() + HOLD;
        let mut pause = Duration::from_millis(20);
        loop {
            match self.sessions.replace(live, session.clone(), self.clock.now()).await {
                Ok(done) => return Ok(done),
                Err(error) if Instant::now() >= give_up => return Err(error),
                Err(error) => {
                    tracing::warn!(sid = live.session().sid.as_str(), %error, "renewed tokens are not stored yet");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
            }
        }
    }

    /// `invalid_grant`: a neighbour may have won; else the provider has ended it.
    async fn refused(&self, live: &Arc<LiveSession>, asker: &Asker) -> Refreshed {
        match self.sessions.load(live.token(), self.clock.now()).await {
            Ok(Lookup::Found(found)) if found.version() != live.version() => Refreshed::Fresh(found),
            Ok(Lookup::Found(found)) => self.end(&found, "the provider no longer takes the refresh token", asker).await,
            Ok(Lookup::Absent(_)) => Refreshed::Ended,
            Err(error) => Refreshed::StoreAway(error),
        }
    }

    async fn look(&self, live: &LiveSession) -> Refreshed {
        match self.sessions.load(live.token(), self.clock.now()).await {
            Ok(Lookup::Found(found)) => Refreshed::Fresh(found),
            Ok(Lookup::Absent(_)) => Refreshed::Ended,
            Err(error) => Refreshed::StoreAway(error),
        }
    }

    async fn end(&self, live: &LiveSession, reason: &str, asker: &Asker) -> Refreshed {
        if let Err(error) = self.sessions.end(live, Ended::Provider).await {
            return Refreshed::StoreAway(error);
        }
        let session = live.session();
        audit::write(
            Event::RefreshFailed,
            Record {
                request_id: Some(&asker.request_id),
                address: Some(&asker.address),
                provider: Some(&session.provider),
                issuer: Some(&session.issuer),
                subject: Some(&session.subject),
                sid: Some(session.sid.as_str()),
                reason: Some(reason),
                ..Record::default()
            },
        );
        self.metrics.sessions_ended.get_or_create(&Word { kind: "provider" }).inc();
        Refreshed::Ended
    }

    async fn discard(&self, provider: &Provider, answer: &TokenAnswer) {
        let (token, kind): (&Secret<String>, _) = match &answer.refresh_token {
            Some(token) => (token, TokenKind::Refresh),
            None => (&answer.access_token, TokenKind::Access),
        };
        if let Err(error) = provider.revoke(token, kind).await {
            tracing::warn!(provider = &**provider.name(), %error, "tokens of an ended session were not revoked");
        }
    }

    fn count(&self, done: &Refreshed) {
        let kind = match done {
            Refreshed::Fresh(_) => "fresh",
            Refreshed::ProviderAway => "provider_away",
            Refreshed::Ended => "ended",
            Refreshed::StoreAway(_) => "store_away",
        };
        self.metrics.refreshes.get_or_create(&Word { kind }).inc();
    }
}

/// The request that made a flight begin; others only wait for it.
struct Asker {
    request_id: RequestId,
    address: IpAddr,
}

impl Asker {
    fn of(client: &ClientRequest) -> Self {
        Self { request_id: client.request_id.clone(), address: client.address }
    }
}

/// The new tokens are stored, and what they say cannot be learned now: the session goes on with its old claims.
fn unjudged(provider: &Provider, stored: Arc<LiveSession>, error: &ProviderError) -> Refreshed {
    let sid = stored.session().sid.as_str();
    tracing::warn!(provider = &**provider.name(), sid, %error, "tokens were renewed, claims were not");
    Refreshed::Fresh(stored)
}

struct Lease {
    name: String,
    owner: String,
}

enum Acquired {
    Ours,
    Done(Refreshed),
}

/// Due when less than `ahead` is left, never more than half of the token's life; spread by a tenth of that, so that sessions
/// that began together do not all come at once (REF-09). Different replicas agree on the spread: it comes from the key.
fn due(tokens: &Tokens, ahead: Duration, key: &SessionKey, now: Timestamp) -> Due {
    if tokens.refresh_token.is_none() {
        return Due::No;
    }
    if now >= tokens.access_token_expires {
        return Due::Now;
    }
    let life = tokens.access_token_expires.since(tokens.access_token_obtained);
    let ahead = ahead.min(life / 2);
    let spread = ahead / 10 * u32::from(key.as_bytes().first().copied().unwrap_or_default()) / 255;
    if tokens.access_token_expires.since(now) <= ahead - spread { Due::Soon } else { Due::No }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionToken;
    use crate::testing::SeededRandom;

    fn tokens(life: u64, refreshable: bool) -> Tokens {
        let obtained = Timestamp::from_unix_seconds(1000);
        Tokens {
            access_token: Secret::new("a".into()),
            access_token_obtained: obtained,
            access_token_expires: obtained + Duration::from_secs(life),
            refresh_token: refreshable.then(|| Secret::new("r".into())),
            id_token: Secret::new("i".into()),
            nonce: None,
        }
    }

    /// REF-09: ahead of the end, spread, never before half of the token's life, and never without a refresh token.
    #[test]
    fn due_ahead_of_the_end_and_not_before_half_of_the_life() {
        let ahead = Duration::from_secs(60);
        for seed in 0..50 {
            let random: &dyn Random = &SeededRandom::new(seed);
            let key = *SessionToken::parse(&random.token::<32>()).unwrap().key();
            let at =
                |life, second: i64| due(&tokens(life, true), ahead, &key, Timestamp::from_unix_seconds(1000 + second));
            assert_eq!(at(300, 239), Due::No);
            assert_eq!(at(300, 246), Due::Soon);
            assert_eq!(at(300, 300), Due::Now);
            assert_eq!(at(20, 9), Due::No);
            assert_eq!(at(20, 11), Due::Soon);
            let never = due(&tokens(300, false), ahead, &key, Timestamp::from_unix_seconds(5000));
            assert_eq!(never, Due::No);
        }
    }
}

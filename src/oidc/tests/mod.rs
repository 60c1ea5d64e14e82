//! A whole provider on loopback, and everything that goes back and forth between it and the gateway.
//!
//! Never sleeps for time to pass: the clock is a manual one.

mod client_key;
mod flow;
mod keys;
mod limits;
mod logout;
mod outage;
mod provider;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::*;
use crate::base::{Secret, SystemRandom};
use crate::testing::ManualClock;
use provider::TestProvider;

/// Settings for a client at `issuer`; http is allowed where the issuer uses it.
pub(super) fn settings(issuer: &str) -> ProviderSettings {
    ProviderSettings {
        name: "corp".into(),
        issuer: issuer.to_owned(),
        allow_http: issuer.starts_with("http:"),
        ca: None,
        client_id: "portal".to_owned(),
        credential: ClientCredential::Secret(Secret::new("s3cr3t".to_owned())),
        client_auth: ClientAuth::Auto,
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        response_mode: ResponseMode::Query,
        userinfo: false,
        claims: BTreeMap::new(),
        authorize_params: BTreeMap::new(),
        resource: None,
        refresh_ahead: Duration::from_secs(60),
        access_token_lifetime: Duration::from_secs(300),
        clock_skew: Duration::from_secs(60),
        logout: LogoutSettings::default(),
        redirect_uri: Url::parse("https://app.example.com/oauth2/callback").unwrap(),
    }
}

/// A gateway's side of one provider.
struct Bench {
    op: TestProvider,
    provider: Provider,
    clock: ManualClock,
}

impl Bench {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut ProviderSettings)) -> Self {
        let op = TestProvider::start().await;
        let clock = ManualClock::default();
        let mut settings = settings(&op.issuer());
        adjust(&mut settings);
        let provider = client_of(settings, &clock);
        Self { op, provider, clock }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn attempt(&self) -> LoginAttempt {
        self.provider.begin("/".to_owned(), Asked::default(), self.now())
    }

    /// The good ID token for `attempt`.
    fn id_claims(&self, attempt: &LoginAttempt) -> serde_json::Value {
        self.op.id_claims(attempt.nonce.expose(), self.now())
    }

    /// Redeems a code and verifies the ID token that comes with it.
    async fn sign_in(&self, attempt: &LoginAttempt) -> Result<(TokenAnswer, IdToken), ProviderError> {
        let answer = self.provider.exchange(&Secret::new("the-code".to_owned()), attempt).await?;
        let id_token = self.provider.verify_id_token(&answer, attempt, self.now()).await?;
        Ok((answer, id_token))
    }

    /// A login whose ID token has these claims.
    async fn sign_in_as(&self, attempt: &LoginAttempt, claims: &serde_json::Value) -> Result<IdToken, ProviderError> {
        self.op.answer_tokens(claims);
        self.sign_in(attempt).await.map(|(_, id_token)| id_token)
    }
}

fn client_of(settings: ProviderSettings, clock: &ManualClock) -> Provider {
    Provider::new(settings, Arc::new(clock.clone()), Arc::new(SystemRandom)).unwrap()
}

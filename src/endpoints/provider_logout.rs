//! `POST logout/backchannel` and `GET logout/frontchannel`: the provider ends a session.
//!
//! Neither needs a cookie, and neither is a request of the person's: the one is proven by a signed logout token, the other can
//! only end the session whose name at the provider it knows.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{Counted, Endpoints, form};
use crate::base::Timestamp;
use crate::oidc::{LogoutToken, Provider};
use crate::session::StoreError;
use crate::telemetry::audit::{self, Event, Record};
use crate::telemetry::metrics::Word;
use crate::web::{self, Body, ClientRequest, Page};

/// A replayed logout token is remembered for a little longer than it could be accepted.
const BEYOND: Duration = Duration::from_secs(5 * 60);

impl Endpoints {
    /// OpenID Connect Back-Channel Logout 1.0 section 2.5: 200 when the token is valid, also when there was nothing to end.
    pub(super) async fn backchannel_logout(
        &self,
        client: &ClientRequest,
        body: Body,
        now: Timestamp,
    ) -> Response<Body> {
        if let Some(refused) =
            self.held_back(Counted::FailedLogoutToken, "Too many logout tokens that do not hold", client, now)
        {
            return refused;
        }
        // What holds is never counted: a provider may have thousands to sign out at once.
        let invalid = |description| {
            // Nothing left already: requests at the same moment, which were let in before.
            let _ = self.rate.count(Counted::FailedLogoutToken, client.address, now);
            invalid(description)
        };
        let Some(fields) = form::read(client, body).await else {
            return invalid("the request is no form");
        };
        let mut tokens = fields.into_iter().filter(|(name, _)| name == "logout_token").map(|(_, token)| token);
        let (Some(token), None) = (tokens.next(), tokens.next()) else {
            return invalid("there has to be exactly one logout_token");
        };
        let Some(provider) = self.issuer_of(&token).filter(|provider| provider.settings().logout.back_channel) else {
            return invalid("the logout token is of no provider that may send one here");
        };
        let logout = match provider.verify_logout_token(&token, now).await {
            Ok(logout) => logout,
            Err(error) => {
                tracing::warn!(request_id = %client.request_id, provider = &**provider.name(), %error, "a logout token was refused");
                return if error.is_temporary() {
                    super::provider_away(client)
                } else {
                    invalid("the logout token does not hold")
                };
            }
        };
        match self.end_at(provider, &logout, now).await {
            Ok(None) => {}
            Ok(Some(count)) => self.record_logout(client, provider, &logout, count),
            Err(error) => return super::store_away(&error, client),
        }
        web::json(StatusCode::OK, &json!({}))
    }

    /// Ends what the token names. `None` when it was seen before: a session that began since is not its business (LOGOUT-11).
    async fn end_at(
        &self,
        provider: &Provider,
        logout: &LogoutToken,
        now: Timestamp,
    ) -> Result<Option<usize>, StoreError> {
        let issuer = &provider.settings().issuer;
        let mark = format!("logout {issuer} {}", logout.jti);
        // Before the look: where the same token does its work elsewhere at this moment, and the person signs in again as soon as that
        // was answered, their login is younger than this turn.
        let turn = self.sessions.take_turn().await?;
        if self.sessions.is_burnt(&mark).await? {
            return Ok(None);
        }
        let count = match (&logout.sid, &logout.sub) {
            (Some(sid), _) => self.sessions.log_out_provider_sid(issuer, sid).await?,
            (None, Some(sub)) => self.sessions.log_out_user(issuer, sub, turn).await?,
            (None, None) => 0,
        };
        // Last: a token whose revocation does not stand may come again.
        self.sessions.burn(&mark, logout.exp.since(now) + provider.settings().clock_skew + BEYOND).await?;
        Ok(Some(count))
    }

    fn record_logout(&self, client: &ClientRequest, provider: &Provider, logout: &LogoutToken, count: usize) {
        audit::write(
            Event::Revoked,
            Record {
                request_id: Some(&client.request_id),
                provider: Some(provider.name()),
                issuer: Some(&provider.settings().issuer),
                subject: logout.sub.as_deref(),
                address: Some(&client.address),
                reason: Some("the provider signed the person out"),
                count: Some(count),
                ..Record::default()
            },
        );
        let ended = self.metrics.sessions_ended.get_or_create(&Word { kind: "provider" });
        ended.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// OpenID Connect Front-Channel Logout 1.0 section 3: by `iss` and `sid` alone, shown in a frame of the provider's.
    pub(super) async fn frontchannel_logout(&self, client: &ClientRequest) -> Response<Body> {
        let (mut issuer, mut sid) = (None, None);
        for (name, value) in url::form_urlencoded::parse(client.query().unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "iss" => issuer = Some(value),
                "sid" => sid = Some(value),
                _ => {}
            }
        }
        let (Some(issuer), Some(sid)) = (issuer, sid) else { return invalid("iss and sid have to be there") };
        let provider = self.providers.values().find(|one| one.settings().issuer == *issuer);
        let Some(provider) = provider.filter(|one| one.settings().logout.front_channel) else {
            return invalid("there is no such issuer");
        };
        // Anybody can ask for this, so nothing is written for a session that is not there.
        let ended = match self.sessions.end_provider_sid(&issuer, &sid).await {
            Ok(ended) => ended,
            Err(error) => return super::store_away(&error, client),
        };
        if ended > 0 {
            audit::write(
                Event::Revoked,
                Record {
                    request_id: Some(&client.request_id),
                    provider: Some(provider.name()),
                    issuer: Some(&issuer),
                    address: Some(&client.address),
                    reason: Some("the provider signed the person out, by a frame"),
                    count: Some(ended),
                    ..Record::default()
                },
            );
        }
        let page = Page::new(StatusCode::OK, "Signed out", maud::html! { p { "The session here has ended." } });
        match Url::parse(&issuer) {
            Ok(url) => page.framed_by(&url.origin().ascii_serialization()).answer(),
            Err(_) => page.answer(),
        }
    }

    /// Whose token it says to be. Only to choose the keys: the provider then verifies all of it.
    fn issuer_of(&self, token: &str) -> Option<&Provider> {
        let payload = token.split('.').nth(1)?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let issuer = claims.get("iss")?.as_str()?;
        self.providers.values().find(|provider| provider.settings().issuer == issuer)
    }
}

/// 400, in the form of RFC 6749 section 5.2.
fn invalid(description: &str) -> Response<Body> {
    web::json(StatusCode::BAD_REQUEST, &json!({ "error": "invalid_request", "error_description": description }))
}

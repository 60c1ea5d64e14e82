//! The way to one receiver: attempts, pauses between them, and the end of patience.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::message::Message;
use super::{Counters, WebhookSettings};
use crate::base::trust::{self, TrustError};
use crate::base::{Clock, Random, SystemRandom};

pub(super) struct Delivery {
    settings: WebhookSettings,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
}

/// How one attempt ended.
enum Attempt {
    Taken,
    /// The receiver wants no more of it (410).
    Unwanted,
    /// Why it may be taken later, in our words.
    Failed(String),
}

impl Delivery {
    pub(super) fn new(
        settings: WebhookSettings,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Result<Self, TrustError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIME));
        connector.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new().with_tls_config(trust::client(settings.ca.as_deref())?);
        // The configuration says which URLs may be http.
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .build(connector);
        Ok(Self { settings, http, clock, counters })
    }

    /// Tries until it is taken, or it has been tried for long enough.
    pub(super) async fn deliver(&self, message: Message) {
        let name = &*self.settings.name;
        for attempt in 0.. {
            match self.attempt(&message).await {
                Attempt::Taken => {
                    self.counters.delivered.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Attempt::Unwanted => {
                    tracing::warn!(
                        webhook = name,
                        id = message.id,
                        "webhook: the receiver wants no more of this (410)"
                    );
                    self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Attempt::Failed(why) => {
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    let pause = pause(attempt);
                    if self.clock.now().since(message.since) + pause > self.settings.give_up {
                        tracing::warn!(webhook = name, id = message.id, why, "webhook: given up");
                        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    tracing::debug!(webhook = name, id = message.id, why, "webhook: not taken, and tried again later");
                    tokio::time::sleep(pause).await;
                }
            }
        }
        self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    async fn attempt(&self, message: &Message) -> Attempt {
        let at = self.clock.now().unix_seconds();
        let request = Request::post(self.settings.url.as_str())
            .header(USER_AGENT, HeaderValue::from_static(concat!("vestibule/", env!("CARGO_PKG_VERSION"))))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", message.signature(&self.settings.secret, at))
            .body(Full::new(message.body.clone()));
        let Ok(request) = request else { return Attempt::Failed("the request cannot be built".to_owned()) };
        match tokio::time::timeout(CALL_TIME, self.exchange(request)).await {
            Ok(Ok(status)) if status.is_success() => Attempt::Taken,
            Ok(Ok(StatusCode::GONE)) => Attempt::Unwanted,
            Ok(Ok(status)) => Attempt::Failed(format!("status {}", status.as_u16())),
            Ok(Err(error)) => {
                Attempt::Failed(if error.is_connect() { "cannot connect" } else { "the connection broke" }.to_owned())
            }
            Err(_) => Attempt::Failed("no answer in time".to_owned()),
        }
    }

    /// The body says nothing to us; a short one is read so that the connection can be used again.
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, hyper_util::client::legacy::Error> {
        let answer = self.http.request(request).await?;
        let status = answer.status();
        #[allow(clippy::disallowed_methods, reason = "it is limited")]
        let _ = Limited::new(answer.into_body(), BODY_BYTES).collect().await;
        Ok(status)
    }
}

/// Doubles from a second to five minutes, and varies by half, so that replicas do not knock in step.
fn pause(attempt: u32) -> Duration {
    let whole = Duration::from_secs(1 << attempt.min(9)).min(LONGEST);
    let [share] = (&SystemRandom as &dyn Random).bytes::<1>();
    whole / 2 + whole / 2 * u32::from(share) / 255
}

const CONNECT_TIME: Duration = Duration::from_secs(5);
const CALL_TIME: Duration = Duration::from_secs(10);
const IDLE_TIME: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(300);
const BODY_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        for (attempt, longest) in [(0, 1), (1, 2), (5, 32), (8, 256), (9, 300), (40, 300)] {
            let longest = Duration::from_secs(longest);
            for _ in 0..20 {
                let pause = pause(attempt);
                assert!(longest / 2 <= pause && pause <= longest, "{attempt}: {pause:?}");
            }
        }
    }
}

//! `[webhooks.*]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::upstream::TrustFile;
use crate::config::value::{SecretSource, Span};

/// Another system that is told when sessions begin and end, by signed requests as in Standard Webhooks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFile {
    /// **Required.** Where events are sent to by POST. `http://` as for `public_url`.
    #[schemars(extend("examples" = ["https://siem.example.com/vestibule"]))]
    pub url: Option<String>,
    /// Which roots its certificate may come from.
    pub tls: Option<TrustFile>,
    /// **Required.** What events are signed with (HMAC-SHA256), 24 to 64 bytes: `whsec_` and base64, or the bytes themselves.
    #[schemars(extend("examples" = [{"file": "/run/secrets/siem"}]))]
    pub secret: Option<SecretSource>,
    /// What it is told.
    #[schemars(extend("default" = ["session.ended"]))]
    pub events: Option<Vec<EventName>>,
    /// How many events may wait for a receiver that is away. What does not fit is dropped, and counted.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 10_000))]
    pub queue: Option<u64>,
    /// How long an event is tried again, with pauses from a second to five minutes.
    #[schemars(extend("default" = "1h"))]
    pub give_up: Option<Span>,
}

/// What a webhook may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum EventName {
    /// Somebody signed in.
    #[serde(rename = "session.started")]
    Started,
    /// A session ended: by a logout, a revocation, its provider, for want of room, or because it was found expired.
    #[serde(rename = "session.ended")]
    Ended,
}

//! What is told, and its signature (Standard Webhooks 1.0, "Webhook structure" and "Signature scheme").

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use crate::base::{Random, Secret, Timestamp};
use crate::session::{Happening, What};

/// One event, as it is sent however often.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Receivers know a repeated event by it.
    pub(super) id: String,
    /// When it was made.
    pub(super) since: Timestamp,
    /// JSON.
    pub(super) body: Bytes,
}

impl Message {
    pub(super) fn new(happening: &Happening, now: Timestamp, random: &dyn Random) -> Self {
        let (kind, reason) = match happening.what {
            What::Started => ("session.started", None),
            What::Ended(why) => ("session.ended", Some(why.as_str())),
        };
        let mut data = json!({
            "sid": happening.sid,
            "provider": happening.provider,
            "issuer": happening.issuer,
            "sub": happening.subject,
            "created": happening.created.rfc3339(),
            "expires": happening.expires.rfc3339(),
        });
        if let (Some(data), Some(reason)) = (data.as_object_mut(), reason) {
            data.insert("reason".to_owned(), reason.into());
        }
        let body = json!({ "type": kind, "timestamp": happening.at.rfc3339(), "data": data });
        Self { id: format!("msg_{}", random.token::<16>()), since: now, body: body.to_string().into() }
    }

    /// The value of `webhook-signature` for an attempt at `at`, in Unix seconds.
    pub(super) fn signature(&self, secret: &Secret<Vec<u8>>, at: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let mut signing = hmac::Context::with_key(&key);
        signing.update(format!("{}.{at}.", self.id).as_bytes());
        signing.update(&self.body);
        format!("v1,{}", STANDARD.encode(signing.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks' own libraries.
    #[test]
    fn it_is_signed_as_the_standard_says() {
        let message = Message {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            since: Timestamp::from_unix_seconds(0),
            body: Bytes::from_static(br#"{"test": 2432232314}"#),
        };
        let secret = Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(message.signature(&secret, 1_614_265_330), expected);
        assert_ne!(message.signature(&secret, 1_614_265_331), expected);
    }
}

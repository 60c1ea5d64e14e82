//! A stream of server-sent events: a clock. It is here to be cut off when the session ends.
//!
//! Never ends it by itself when the session does: this application knows nothing of sessions. The gateway does that.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use crate::base::Clock;
use crate::demo::answer::{self, Answer};

/// The time, every second, for an hour at most.
pub fn clock(clock: Arc<dyn Clock>) -> Answer {
    let ticks = futures_util::stream::unfold(0_u32, move |tick| {
        let clock = Arc::clone(&clock);
        async move {
            if tick > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let event = format!("event: tick\nid: {tick}\ndata: {{\"at\":\"{}\"}}\n\n", clock.now().rfc3339());
            (tick < MOST_TICKS).then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from(event))), tick + 1))
        }
    });
    let mut answer = answer::text(StatusCode::OK, "").map(|_| StreamBody::new(ticks).boxed_unsync());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

const MOST_TICKS: u32 = 3600;

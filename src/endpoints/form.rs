//! Reads a small form from a request's body.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};

use crate::web::{Body, ClientRequest};

/// More than any form of ours needs: a code, a logout token.
const MOST_BYTES: usize = 64 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// The fields in their order, or `None`: not a form, too long, too slow, cut off.
pub(super) async fn read(client: &ClientRequest, body: Body) -> Option<Vec<(String, String)>> {
    let kind = client.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    Some(url::form_urlencoded::parse(&bytes(body).await?).into_owned().collect())
}

#[allow(clippy::disallowed_methods, reason = "limited in bytes and time right here")]
async fn bytes(body: Body) -> Option<Bytes> {
    let whole = Limited::new(body, MOST_BYTES).collect();
    Some(tokio::time::timeout(DEADLINE, whole).await.ok()?.ok()?.to_bytes())
}

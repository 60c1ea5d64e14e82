//! The gateway's public keys, fetched from where it publishes them and kept as long as it says.
//!
//! Never takes a key from anywhere else, and never asks more often than once in a while because a stranger's token names an odd key.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::base::{Blame, Blamed, SingleFlight, Timestamp};
use crate::jose::KeySet;

/// Where the keys are.
#[derive(Clone, Debug)]
pub struct KeysAt {
    /// The gateway's socket.
    pub address: SocketAddr,
    /// The host that it answers to, with the port.
    pub authority: String,
    /// Path of the JWKS.
    pub path: &'static str,
}

impl KeysAt {
    /// As a person would write it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }
}

/// The keys, as last seen.
#[derive(Debug)]
pub struct Keys {
    at: KeysAt,
    seen: Mutex<Option<Seen>>,
    flights: SingleFlight<(), Result<(Arc<KeySet>, Duration), FetchError>>,
}

#[derive(Clone, Debug)]
struct Seen {
    keys: Arc<KeySet>,
    fetched: Timestamp,
    expires: Timestamp,
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The gateway did not answer in time, or broke off.
    #[error("the gateway does not answer")]
    Away,
    /// It answered with another status.
    #[error("the gateway does not publish its keys there")]
    Status,
    /// What it sent is no JWKS.
    #[error("what the gateway publishes there is no key set")]
    NotKeys,
}

impl Blamed for FetchError {
    fn blame(&self) -> Blame {
        Blame::Upstream
    }
}

impl Keys {
    /// Nothing is fetched yet.
    #[must_use]
    pub fn new(at: KeysAt) -> Self {
        Self { at, seen: Mutex::default(), flights: SingleFlight::default() }
    }

    /// As a person would write it.
    #[must_use]
    pub fn url(&self) -> String {
        self.at.url()
    }

    /// The keys; `newer` asks for a look even though the last ones are still good, because a token names one that is not among them.
    ///
    /// # Errors
    /// When they could not be fetched and there are none from before.
    pub async fn current(&self, newer: bool, now: Timestamp) -> Result<Arc<KeySet>, FetchError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(seen) = &seen {
            let pause = now.since(seen.fetched) < PAUSE;
            if pause || (now < seen.expires && !newer) {
                return Ok(Arc::clone(&seen.keys));
            }
        }
        let at = self.at.clone();
        let fetched = self.flights.run((), || fetch(at)).await.unwrap_or(Err(FetchError::Away));
        match (fetched, seen) {
            (Ok((keys, life)), _) => {
                let seen = Seen { keys: Arc::clone(&keys), fetched: now, expires: now + life };
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
                Ok(keys)
            }
            // Old keys still tell a good signature from a bad one.
            (Err(error), Some(seen)) => {
                tracing::warn!(%error, "the demo application goes on with the keys it has");
                Ok(seen.keys)
            }
            (Err(error), None) => Err(error),
        }
    }
}

async fn fetch(at: KeysAt) -> Result<(Arc<KeySet>, Duration), FetchError> {
    let exchange = async {
        let stream = TcpStream::connect(at.address).await.map_err(|_| FetchError::Away)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| FetchError::Away)?;
        let connection = tokio::spawn(connection);
        let request = Request::get(at.path)
            .header(header::HOST, &at.authority)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Away)?;
        let response = sender.send_request(request).await.map_err(|_| FetchError::Away)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status);
        }
        let life = life(response.headers());
        let body = Limited::new(response.into_body(), MOST_BYTES);
        #[allow(clippy::disallowed_methods, reason = "the body is `Limited`")]
        let body = body.collect().await.map_err(|_| FetchError::Away)?.to_bytes();
        connection.abort();
        let keys = KeySet::parse(&body).map_err(|_| FetchError::NotKeys)?;
        Ok((Arc::new(keys), life))
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(FetchError::Away))
}

/// `max-age`, within a floor and a ceiling.
fn life(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(header::CACHE_CONTROL)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(',').find_map(|part| part.trim().strip_prefix("max-age=")))
        .and_then(|seconds| seconds.parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or(60).clamp(10, 3600))
}

/// Between two looks at the keys.
const PAUSE: Duration = Duration::from_secs(2);
/// For one look.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of a key set.
const MOST_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_live_as_long_as_the_gateway_says_within_reason() {
        for (value, seconds) in
            [("public, max-age=300", 300), ("max-age=0", 10), ("max-age=999999999", 3600), ("no-store", 60)]
        {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, value.parse().unwrap())]);
            assert_eq!(life(&headers), Duration::from_secs(seconds), "{value}");
        }
    }
}

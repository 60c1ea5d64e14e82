//! The WebSocket handshake with an application (RFC 6455 section 4): a tunnel only after a valid 101.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::answer::{flaw, pass_on, pass_on_shared};
use super::error::UpstreamError;
use super::lease::{Channel, Failure, Lease};
use super::multiplex::Stream;
use super::request::UpstreamRequest;
use super::send::{Answer, Upstream};
use super::tunnel::Wire;
use crate::base::{Random, SystemRandom};
use crate::web::body::Body;
use crate::web::client::Upgrade;
use crate::web::headers;

impl Upstream {
    /// Asks for a WebSocket over whichever version the upstream speaks, HTTP/1.1 if it can, whichever the client speaks (RFC 8441
    /// section 5).
    pub(super) async fn switch(&self, mut request: UpstreamRequest) -> Result<Answer, UpstreamError> {
        let over_http2 = request.upgrade() == Some(Upgrade::WebSocketHttp2);
        // What comes on the stream of an extended CONNECT is the tunnel's.
        request.body = Body::empty();
        if over_http2 {
            request.headers_mut().insert(SEC_WEBSOCKET_KEY, nonce());
            request.headers_mut().entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
        }
        let expected =
            request.headers_mut().get(SEC_WEBSOCKET_KEY).map(|key| accept(key.as_bytes())).unwrap_or_default();

        match self.pool.tunnel().await? {
            Channel::Own(lease) => self.switch_http1(request, lease, over_http2, expected).await,
            Channel::Shared(stream) => self.switch_http2(request, stream, over_http2, expected).await,
        }
    }

    async fn switch_http1(
        &self,
        request: UpstreamRequest,
        mut lease: Box<Lease>,
        over_http2: bool,
        expected: String,
    ) -> Result<Answer, UpstreamError> {
        let begun = Instant::now();
        self.begin(&mut lease, request);
        let mut answer = match lease.exchange(None, begun, self.patience(), true).await {
            Ok(answer) => answer,
            Err(failure) => return Err(self.lost(self.ended(failure)?)),
        };
        let status = answer.head.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            // A 2xx would be the tunnel that there is not.
            if over_http2 && status.is_success() {
                return Err(self.malformed(NOT_SWITCHED.to_owned()));
            }
            return Ok(Answer::Response(pass_on(answer, lease, true, self.reader(), begun)));
        }
        if !is_valid(answer.head.headers(), &expected) {
            return Err(self.malformed("its 101 does not fit the request".to_owned()));
        }
        let fields = std::mem::take(answer.head.headers_mut());
        self.take_over(fields, Wire::http1(*lease), (!over_http2).then_some(expected))
    }

    async fn switch_http2(
        &self,
        request: UpstreamRequest,
        mut stream: Stream,
        over_http2: bool,
        expected: String,
    ) -> Result<Answer, UpstreamError> {
        let (message, _) = self.message(request)?;
        let mut head = match stream.exchange(message, None, self.patience()).await {
            Ok(head) => head,
            Err(Failure::TimedOut) => return Err(self.response_timeout()),
            Err(Failure::Connection(error)) => return Err(self.failed(error.into_error())),
        };
        if head.status() != StatusCode::OK {
            flaw(head.headers()).map_err(|why| self.malformed(why.to_owned()))?;
            if head.status().is_success() {
                return Err(self.malformed(NOT_SWITCHED.to_owned()));
            }
            return Ok(Answer::Response(pass_on_shared(head, stream, self.reader())));
        }
        let io = match timeout(self.patience(), hyper::upgrade::on(&mut head)).await {
            Ok(Ok(upgraded)) => TokioIo::new(upgraded),
            Ok(Err(error)) => return Err(self.failed(error)),
            Err(_) => return Err(self.response_timeout()),
        };
        let fields = std::mem::take(head.headers_mut());
        // A client that speaks HTTP/1.1 waits for the proof that HTTP/2 does not have.
        self.take_over(fields, Wire::http2(io, stream), (!over_http2).then_some(expected))
    }

    fn take_over(&self, fields: HeaderMap, io: Wire, proof: Option<String>) -> Result<Answer, UpstreamError> {
        let mut head = Response::new(());
        *head.headers_mut() = fields;
        let fields = head.headers_mut();
        headers::remove_hop_by_hop(fields);
        fields.remove(CONTENT_LENGTH);
        fields.remove(SEC_WEBSOCKET_ACCEPT);
        if let Some(proof) = proof {
            let proof = HeaderValue::try_from(proof).map_err(|error| self.malformed(error.to_string()))?;
            fields.insert(SEC_WEBSOCKET_ACCEPT, proof);
            fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
            *head.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        Ok(Answer::Switched { response: head, io })
    }
}

fn is_valid(fields: &HeaderMap, expected: &str) -> bool {
    let has = |name, token: &str| {
        fields.get_all(name).iter().any(|value: &HeaderValue| {
            value
                .as_bytes()
                .split(|&byte| byte == b',')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    };
    let mut accepts = fields.get_all(SEC_WEBSOCKET_ACCEPT).iter();
    has(UPGRADE, "websocket")
        && has(CONNECTION, "upgrade")
        && accepts.next().is_some_and(|value| value.as_bytes() == expected.as_bytes())
        && accepts.next().is_none()
}

/// RFC 6455 section 4.2.2: proof that the upstream read the key, nothing more; SHA-1 is what it asks for.
fn accept(key: &[u8]) -> String {
    let mut text = key.to_vec();
    text.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

fn nonce() -> HeaderValue {
    let random: &dyn Random = &SystemRandom;
    HeaderValue::try_from(STANDARD.encode(random.bytes::<16>())).unwrap_or_else(|_| HeaderValue::from_static(""))
}

const NOT_SWITCHED: &str = "it did not switch to WebSocket";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_that_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(nonce().len(), 24);
    }
}

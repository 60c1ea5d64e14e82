//! What an application is sent. A client's copies of our fields are gone by construction: there is no other way to make one.

use std::sync::Arc;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, TE,
    UPGRADE,
};
use http::{Method, Request, Uri, Version};
use http_body::Body as _;
use hyper::ext::Protocol;

use super::http1::{Sending, is_of_the_connection};
use super::outgoing::{Outgoing, Progress};
use crate::web::body::Body;
use crate::web::client::{ClientRequest, Upgrade};
use crate::web::owned::Owned;

/// A request for an upstream, complete but for what depends on which one it is.
pub struct UpstreamRequest {
    /// The client's, left where it was read: it is large, and handed on many times. Method, path, fields and upgrade go on of it.
    client: Box<ClientRequest>,
    /// Ours, under names that no field of a client's has any more.
    ours: Vec<(HeaderName, HeaderValue)>,
    /// The identity's, shared by all requests that carry the same token.
    identity: Option<Arc<[(HeaderName, HeaderValue)]>>,
    pub(super) body: Body,
}

/// What is sent again over HTTP/2 when the connection turns out to have been closed: only what cannot have done harm.
pub(super) struct Again {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl UpstreamRequest {
    /// The request of `client` with its own cookies, `authorization` and `identity`, and what we know of the client.
    ///
    /// `client.headers` holds end-to-end fields only, without any that carries identity or forwarding. `Expect` was
    /// answered by us: the body is read, and so asked for, only when the upstream takes it.
    #[must_use]
    pub fn new(
        mut client: Box<ClientRequest>,
        body: Body,
        identity: Option<Arc<[(HeaderName, HeaderValue)]>>,
        authorization: Option<HeaderValue>,
    ) -> Self {
        let proto = HeaderValue::from_static(if client.origin.https { "https" } else { "http" });
        let mut ours = Vec::with_capacity(MOST);
        ours.push((X_FORWARDED_FOR, client.forwarded_for_value()));
        ours.push((X_FORWARDED_PROTO, proto));
        ours.push((X_FORWARDED_HOST, client.authority.clone()));
        ours.extend(client.cookies.forward.take().map(|cookies| (COOKIE, cookies)));
        ours.extend(authorization.map(|authorization| (AUTHORIZATION, authorization)));
        if client.takes_trailers {
            ours.push((TE, HeaderValue::from_static("trailers")));
        }
        if body.is_end_stream() && matches!(client.method, Method::POST | Method::PUT | Method::PATCH) {
            // RFC 9110 section 8.6: methods that mean a body say so when there is none.
            ours.push((CONTENT_LENGTH, HeaderValue::from_static("0")));
        }
        Self { client, ours, identity, body }
    }

    /// The protocol that the client wants to change to.
    pub(super) fn upgrade(&self) -> Option<Upgrade> {
        self.client.upgrade
    }

    /// The authority that the browser sees.
    pub(super) fn public(&self) -> &HeaderValue {
        &self.client.authority
    }

    /// The client's fields that go on.
    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.client.headers
    }

    /// Our fields, those of the identity among them.
    fn fields(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.identity.as_deref().unwrap_or_default().iter().chain(&self.ours)
    }

    /// Whether credentials are for the connection that they come on, which then is nobody else's.
    pub(super) fn binds_its_connection(&self) -> bool {
        self.fields().any(|(name, value)| *name == AUTHORIZATION && is_of_the_connection(value))
    }

    /// Whether it may be sent twice (RFC 9110 section 9.2.2): idempotent, and nothing of a body to lose.
    pub(super) fn is_repeatable(&self) -> bool {
        self.body.is_end_stream()
            && matches!(self.client.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
    }

    /// As HTTP/1.1 writes it, into `buffer`: the target in origin form and a `Host`.
    pub(super) fn into_http1(
        mut self,
        host: &HeaderValue,
        buffer: Vec<u8>,
        owned: &Arc<Owned>,
    ) -> (Sending, Option<Arc<Progress>>) {
        if self.client.upgrade.is_some() {
            self.ours.push((CONNECTION, HeaderValue::from_static("upgrade")));
            self.ours.push((UPGRADE, HeaderValue::from_static("websocket")));
        } else if self.ours.iter().any(|(name, _)| *name == TE) {
            // RFC 9110 section 10.1.4: `TE` is for the next hop.
            self.ours.push((CONNECTION, HeaderValue::from_static("te")));
        }
        let (body, progress) = if self.body.is_end_stream() {
            (None, None)
        } else {
            let (body, progress) = Outgoing::new(std::mem::take(&mut self.body), owned);
            (Some(body), progress)
        };
        let ClientRequest { method, path, headers, .. } = &*self.client;
        (Sending::new(buffer, method, path.target(), host, headers, self.fields(), body), progress)
    }

    /// As HTTP/2 has it: the authority in the target, and no `Host`.
    pub(super) fn into_http2(
        self,
        host: &HeaderValue,
        https: bool,
        wrap: impl FnOnce(Body) -> Outgoing,
    ) -> Result<Request<Outgoing>, http::Error> {
        let ClientRequest { method, path, mut headers, upgrade, .. } = *self.client;
        headers.remove(CONTENT_LENGTH);
        let identity = self.identity.as_deref().unwrap_or_default();
        for (name, _) in identity.iter().chain(&self.ours) {
            headers.remove(name);
        }
        for (name, value) in identity.iter().cloned().chain(self.ours) {
            headers.append(name, value);
        }
        let scheme = if https { "https" } else { "http" };
        let target = path.target().clone();
        let uri = Uri::builder().scheme(scheme).authority(host.as_bytes()).path_and_query(target).build()?;
        let mut request = assemble(method, uri, headers, wrap(self.body));
        if upgrade.is_some() {
            // RFC 8441 section 5: the pseudo-fields say what key and `Upgrade` say over HTTP/1.1.
            *request.method_mut() = Method::CONNECT;
            request.headers_mut().remove(SEC_WEBSOCKET_KEY);
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        Ok(request)
    }
}

impl std::fmt::Debug for UpstreamRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamRequest").field("method", &self.client.method).finish_non_exhaustive()
    }
}

impl Again {
    pub(super) fn of(request: &Request<Outgoing>) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone() }
    }

    pub(super) fn into_request(self, empty: Outgoing) -> Request<Outgoing> {
        assemble(self.method, self.uri, self.headers, empty)
    }
}

fn assemble(method: Method, uri: Uri, headers: HeaderMap, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.version_mut() = Version::HTTP_2;
    request
}

/// Of our fields, beside those of the identity.
const MOST: usize = 8;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

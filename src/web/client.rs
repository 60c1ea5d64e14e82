//! One reading of a request: who asks, at which origin, for which path, and with which cookies.
//!
//! Every later step looks at this and at nothing else of the request's head.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONNECTION, COOKIE, EXPECT, HOST, ORIGIN, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use hyper::ext::Protocol;

use super::accept::Format;
use super::authority::{self, Authority};
use super::cookie::Cookies;
use super::fetch::Fetch;
use super::forwarded::{self, Chain};
use super::headers;
pub use super::network::Network;
use super::network::peer_address;
use super::path::CanonicalPath;
use super::present::Present;
use super::rejected::{Rejected, RequestError};
pub use super::request_id::RequestId;
use super::settings::PublicOrigin;
use crate::base::Shelf;

/// What is known about the connection that a request came by.
#[derive(Debug)]
pub struct Connection {
    /// The other end; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether we ended TLS.
    pub tls: bool,
    shelf: Shelf,
}

impl Connection {
    /// One that has just begun.
    #[must_use]
    pub fn new(peer: Option<SocketAddr>, tls: bool) -> Self {
        Self { peer, tls, shelf: Shelf::default() }
    }

    /// One thing of each type that another layer keeps with the connection, made at the first call.
    pub fn attached<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> &T {
        self.shelf.get_or_put(make)
    }
}

/// A protocol that the client wants to change to. WebSocket is the only one that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// RFC 6455: answered by 101. The `Sec-WebSocket-*` fields are in `headers`.
    WebSocket,
    /// RFC 8441, an extended CONNECT: answered by 200. There is no `Sec-WebSocket-Key`.
    WebSocketHttp2,
}

/// The client's `Authorization`, taken out of the headers: the route decides whether it goes on.
#[derive(Clone, Default)]
pub enum AuthorizationHeader {
    /// There is none.
    #[default]
    None,
    /// One field.
    One(HeaderValue),
    /// Several: which is meant cannot be known.
    Several,
}

impl fmt::Debug for AuthorizationHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::One(_) => "One([secret])",
            Self::Several => "Several",
        })
    }
}

/// A request that was read.
pub struct ClientRequest {
    /// Its method. A WebSocket over HTTP/2 counts as the GET that it is over HTTP/1.1.
    pub method: Method,
    /// The protocol's version.
    pub version: Version,
    /// The public origin that the browser sees.
    pub origin: Arc<PublicOrigin>,
    /// What that origin is called in a `Host` field.
    pub authority: HeaderValue,
    /// The path for deciding and forwarding; it carries the query along.
    pub path: CanonicalPath,
    /// End-to-end fields only: without the hop-by-hop ones, those that only the gateway may send, `Host`, `Cookie`,
    /// `Authorization` and `Expect`.
    pub headers: HeaderMap,
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
    /// The client, as far as trusted proxies say so; else the peer.
    pub address: IpAddr,
    /// Addresses that trusted proxies vouch for, client first, without the peer.
    pub forwarded_for: Vec<IpAddr>,
    /// The forwarding fields of a trusted peer as they came, for forward-auth alone; `None` from anybody else.
    pub described: Option<Box<HeaderMap>>,
    /// Ours, and what is left for the application.
    pub cookies: Cookies,
    /// The client's `Authorization`.
    pub authorization: AuthorizationHeader,
    /// What the browser says about the request.
    pub fetch: Fetch,
    /// A protocol to change to.
    pub upgrade: Option<Upgrade>,
    /// Whether the client waits for a 100 before it sends the body.
    pub expects_continue: bool,
    /// Whether the client takes trailers (`TE: trailers`).
    pub takes_trailers: bool,
    /// Whether it is a CORS preflight, which never carries credentials.
    pub preflight: bool,
    /// Its name.
    pub request_id: RequestId,
    /// What the HTTP library knows besides, such as how to take over the connection of an upgrade.
    pub extensions: Extensions,
}

impl ClientRequest {
    /// Reads a request's head.
    ///
    /// # Errors
    ///
    /// When it could be understood in more than one way, or not at all (RFC 9112 section 3, RFC 9113 section 8.3).
    pub fn read(
        parts: Parts,
        connection: &Connection,
        network: &Network,
        request_id: RequestId,
    ) -> Result<Self, Rejected> {
        Self::read_boxed(parts, connection, network, request_id).map(|client| *client)
    }

    /// The same, for whoever passes it through many hands: each would keep room for all of it while an answer is waited for.
    ///
    /// # Errors
    ///
    /// As [`ClientRequest::read`].
    pub fn read_boxed(
        mut parts: Parts,
        connection: &Connection,
        network: &Network,
        request_id: RequestId,
    ) -> Result<Box<Self>, Rejected> {
        Self::read_parts(&mut parts, connection, network, &request_id).map_err(|error| {
            tracing::debug!(%request_id, %error, "request rejected");
            Rejected { error, format: Format::of(&parts.headers), request_id, https: network.is_https(connection) }
        })
    }

    /// The query, without `?`, bytes unchanged.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path.query()
    }

    /// Path and query, as they are forwarded.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        self.path.target()
    }

    /// How an answer of ours is written.
    #[must_use]
    pub fn format(&self) -> Format {
        Format::of(&self.headers)
    }

    /// `X-Forwarded-For` towards the upstream: what trusted proxies vouch for, then the peer.
    #[must_use]
    pub fn forwarded_for_value(&self) -> HeaderValue {
        forwarded::forwarded_for(&self.forwarded_for, self.peer)
    }

    /// Takes the headers out of `parts` only when nothing can fail any more.
    fn read_parts(
        parts: &mut Parts,
        connection: &Connection,
        network: &Network,
        request_id: &RequestId,
    ) -> Result<Box<Self>, RequestError> {
        let (version, headers) = (parts.version, &parts.headers);
        let present = Present::among(headers);
        let (method, upgrade) = read_method(parts, present)?;
        check_framing(version, headers, present)?;
        let expects_continue = present.expect && read_expectation(version, headers)?;
        let path = read_target(&parts.uri, version)?;

        let peer = peer_address(connection);
        let trusted = network.trusts(peer);
        let chain = if trusted {
            forwarded::read(headers, peer, |address| network.trusts(address))
        } else {
            Chain { client: peer, hops: Vec::new(), host: None }
        };
        let own = authority::of_request(&parts.uri, version, headers)?;
        let origin = find_origin(&own, &chain, trusted, &path, headers, network)?;

        let fetch = Fetch::read(headers, upgrade.is_some());
        let cookies = Cookies::read(headers, network.cookies());
        let authorization = read_authorization(headers, present);
        let takes_trailers = present.te && headers::hop_by_hop(headers).trailers;
        let preflight = method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);

        let described = trusted.then(|| described_by(headers)).flatten();
        let named = if present.connection { headers::named_by_connection(headers) } else { Vec::new() };
        let mut headers = std::mem::take(&mut parts.headers);
        // Nearly every request has one.
        headers.remove(HOST);
        headers::remove(&mut headers, |name| {
            *name == COOKIE
                || *name == AUTHORIZATION
                || *name == EXPECT
                || headers::is_hop_by_hop(name)
                || network.owned().owns(name)
                || named.contains(name)
        });

        Ok(Box::new(Self {
            method,
            version,
            authority: network.authority_of(&origin),
            origin,
            path,
            headers,
            peer,
            address: chain.client,
            forwarded_for: chain.hops,
            described,
            cookies,
            authorization,
            fetch,
            upgrade,
            expects_continue,
            takes_trailers,
            preflight,
            request_id: request_id.clone(),
            extensions: std::mem::take(&mut parts.extensions),
        }))
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("request_id", &self.request_id)
            .field("method", &self.method)
            .field("origin", &self.origin)
            .field("path", &self.path)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// CONNECT is for WebSocket over HTTP/2 alone, TRACE for nothing. Upgrades that are not listed are no upgrades.
fn read_method(parts: &Parts, present: Present) -> Result<(Method, Option<Upgrade>), RequestError> {
    let Parts { method, version, headers, extensions, .. } = parts;
    if *method == Method::TRACE {
        return Err(RequestError::Method);
    }
    if *method == Method::CONNECT {
        let websocket = extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
        return if *version == Version::HTTP_2 && websocket {
            Ok((Method::GET, Some(Upgrade::WebSocketHttp2)))
        } else {
            Err(RequestError::Method)
        };
    }
    let wanted = *method == Method::GET
        && *version == Version::HTTP_11
        && present.upgrade
        && headers::has_token(headers, &UPGRADE, "websocket")
        && headers::has_token(headers, &CONNECTION, "upgrade");
    if !wanted {
        return Ok((method.clone(), None));
    }
    // RFC 6455 section 4.2.1: a nonce of 16 bytes, in base64, once. Versions are the application's affair.
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let one = keys.next().is_some_and(|key| key.len() == 24 && key.as_bytes().ends_with(b"=="));
    if one && keys.next().is_none() && headers.contains_key(SEC_WEBSOCKET_VERSION) {
        Ok((Method::GET, Some(Upgrade::WebSocket)))
    } else {
        Err(RequestError::Handshake)
    }
}

/// `chunked`, once, in HTTP/1.1, is the only transfer coding there is: any other would be lost on the way.
fn check_framing(version: Version, headers: &HeaderMap, present: Present) -> Result<(), RequestError> {
    if present.framing_underscored {
        // Over HTTP/1 that never gets here; no reader over HTTP/2 minds, and the application behind may be the one who does.
        return Err(RequestError::FramingField);
    }
    if version >= Version::HTTP_2 {
        // RFC 9113 section 8.2.2; the library refuses them too.
        let forbidden = present.connection || present.transfer_encoding || present.upgrade || present.keeping;
        return if forbidden { Err(RequestError::ConnectionField) } else { Ok(()) };
    }
    if !present.transfer_encoding {
        return Ok(());
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (Some(coding), None) if version == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(())
        }
        _ => Err(RequestError::TransferCoding),
    }
}

/// Whether `Expect: 100-continue` was sent; HTTP/1.0 cannot mean it. Every other expectation is refused.
fn read_expectation(version: Version, headers: &HeaderMap) -> Result<bool, RequestError> {
    let mut expected = false;
    for field in headers.get_all(EXPECT) {
        if !field.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(RequestError::Expectation);
        }
        expected = version >= Version::HTTP_11;
    }
    Ok(expected)
}

/// Origin-form, or the absolute form of http and https.
fn read_target(uri: &Uri, version: Version) -> Result<CanonicalPath, RequestError> {
    let web = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    // Authority-form is CONNECT's alone.
    let complete = version >= Version::HTTP_2 || uri.authority().is_some() == uri.scheme().is_some();
    let target = uri.path_and_query().filter(|_| web && complete).ok_or(RequestError::TargetForm)?;
    if !target.as_str().is_ascii() {
        return Err(RequestError::NonAsciiTarget);
    }
    if target.path() == "*" {
        return Err(RequestError::TargetForm);
    }
    Ok(CanonicalPath::of(target)?)
}

/// The origin that the browser sees: what the trusted proxy was asked for, else what we were.
fn find_origin(
    own: &Authority<'_>,
    chain: &Chain,
    trusted: bool,
    path: &CanonicalPath,
    headers: &HeaderMap,
    network: &Network,
) -> Result<Arc<PublicOrigin>, RequestError> {
    let forwarded = match chain.host.as_deref() {
        Some(host) => Some(Authority::parse(host).ok_or(RequestError::InvalidHost)?),
        None => None,
    };
    if let Some(origin) = network.origin_at(forwarded.as_ref().unwrap_or(own)) {
        return Ok(Arc::clone(origin));
    }
    // A proxy that asks for forward-auth by our inner name tells the outer one in the URL that it describes.
    if trusted && forwarded.is_none() && path.is_below(network.endpoints()) {
        let described = headers.get(X_ORIGINAL_URL).and_then(|url| url.to_str().ok()?.parse::<Uri>().ok());
        if let Some(origin) = described
            .as_ref()
            .and_then(Uri::authority)
            .and_then(|host| network.origin_at(&Authority::parse(host.as_str())?))
        {
            return Ok(Arc::clone(origin));
        }
    }
    Err(RequestError::UnknownHost)
}

fn read_authorization(headers: &HeaderMap, present: Present) -> AuthorizationHeader {
    if !present.authorization {
        return AuthorizationHeader::None;
    }
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (None, _) => AuthorizationHeader::None,
        (Some(one), None) => {
            let mut one = one.clone();
            one.set_sensitive(true);
            AuthorizationHeader::One(one)
        }
        _ => AuthorizationHeader::Several,
    }
}

/// The fields by which proxies describe the request that they hold.
fn described_by(headers: &HeaderMap) -> Option<Box<HeaderMap>> {
    let mut described = HeaderMap::new();
    for &name in DESCRIBING {
        for value in headers.get_all(name) {
            described.append(HeaderName::from_static(name), value.clone());
        }
    }
    (!described.is_empty()).then(|| Box::new(described))
}

const SEC_WEBSOCKET_KEY: &str = "sec-websocket-key";
const SEC_WEBSOCKET_VERSION: &str = "sec-websocket-version";
const X_ORIGINAL_URL: &str = "x-original-url";
const DESCRIBING: &[&str] = &[
    "x-auth-request-redirect",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-uri",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
];

#[cfg(test)]
#[path = "client_tests.rs"]
pub(crate) mod tests;

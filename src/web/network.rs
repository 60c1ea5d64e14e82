//! The network and cookie settings, compiled for the hot path.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderValue;
use ipnet::IpNet;

use super::authority::Authority;
use super::client::Connection;
use super::owned::Owned;
use super::settings::{CookieSettings, NetworkSettings, PublicOrigin};

/// Who may say what about a request, and under which names.
#[derive(Clone, Debug)]
pub struct Network {
    public: Vec<Arc<PublicOrigin>>,
    /// What each of them is called in a `Host` field.
    authorities: Vec<HeaderValue>,
    trusted: Vec<IpNet>,
    endpoints: String,
    owned: Owned,
    hsts: Option<HeaderValue>,
    cookies: CookieSettings,
}

impl Network {
    /// Compiles the settings. An `hsts` that is no field value counts as none.
    #[must_use]
    pub fn new(network: NetworkSettings, cookies: CookieSettings) -> Self {
        Self {
            owned: Owned::new(network.identity_headers.iter().map(String::as_str)),
            hsts: network.hsts.and_then(|value| HeaderValue::try_from(value).ok()),
            authorities: network.public.iter().map(|origin| authority_value(origin)).collect(),
            public: network.public,
            trusted: network.trusted_proxies,
            endpoints: network.endpoints,
            cookies,
        }
    }

    /// `public_url` first, then the others.
    #[must_use]
    pub fn public(&self) -> &[Arc<PublicOrigin>] {
        &self.public
    }

    /// The origin of `public_url`, where providers send people back to.
    #[must_use]
    pub fn first(&self) -> Option<&Arc<PublicOrigin>> {
        self.public.first()
    }

    /// Whether this is that origin.
    #[must_use]
    pub fn is_first(&self, origin: &PublicOrigin) -> bool {
        self.first().is_some_and(|first| **first == *origin)
    }

    /// The public origin that an authority names. Its scheme comes from the configuration, never from the request.
    #[must_use]
    pub fn origin_at(&self, authority: &Authority<'_>) -> Option<&Arc<PublicOrigin>> {
        self.public.iter().find(|origin| origin.is_at(authority))
    }

    /// The authority of a public origin as a field value.
    #[must_use]
    pub fn authority_of(&self, origin: &Arc<PublicOrigin>) -> HeaderValue {
        let known = self.public.iter().position(|one| Arc::ptr_eq(one, origin));
        known.and_then(|at| self.authorities.get(at)).cloned().unwrap_or_else(|| authority_value(origin))
    }

    /// Prefix of our endpoints, such as `/oauth2`.
    #[must_use]
    pub fn endpoints(&self) -> &str {
        &self.endpoints
    }

    /// The names that only the gateway may speak under.
    #[must_use]
    pub fn owned(&self) -> &Owned {
        &self.owned
    }

    /// How our cookies are named and marked.
    #[must_use]
    pub fn cookies(&self) -> &CookieSettings {
        &self.cookies
    }

    /// `Strict-Transport-Security`, if it is sent.
    #[must_use]
    pub fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_ref()
    }

    /// Whether this address may speak of others. An IPv4 address in IPv6 clothes counts as itself.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        !self.trusted.is_empty() && {
            let address = address.to_canonical();
            self.trusted.iter().any(|net| net.contains(&address))
        }
    }

    /// Whether browsers reach us by https, as far as can be told without knowing which host was meant.
    pub(crate) fn is_https(&self, connection: &Connection) -> bool {
        connection.tls || self.trusts(peer_address(connection)) && self.public.iter().all(|origin| origin.https)
    }
}

fn authority_value(origin: &PublicOrigin) -> HeaderValue {
    HeaderValue::try_from(origin.authority()).unwrap_or(HeaderValue::from_static("invalid"))
}

/// Who is at the other end. A Unix socket's peer has no address: it is this machine, and counts as 127.0.0.1.
pub(crate) fn peer_address(connection: &Connection) -> IpAddr {
    connection.peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip().to_canonical())
}

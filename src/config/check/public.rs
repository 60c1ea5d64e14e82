//! What browsers see: origins, the cookie's marks, the endpoints' prefix, HSTS, and who may speak for a client.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Check;
use crate::config::file::{FileConfig, SameSiteName};
use crate::config::value::{Span, Switch};
use crate::identity::{TokenHeader, UpstreamIdentitySettings};
use crate::web::{CanonicalPath, CookieSettings, NetworkSettings, PublicOrigin, SameSite};

impl Check<'_> {
    /// `public_url` and `also_public`.
    pub(super) fn public(&mut self, file: &FileConfig, development: bool) -> Option<Vec<Arc<PublicOrigin>>> {
        let Some(text) = &file.public_url else {
            self.missing("public_url", "Write the origin that browsers see, such as \"https://app.example.com\".");
            return None;
        };
        let first = match PublicOrigin::parse(text) {
            Ok(origin) => origin,
            Err(error) => {
                self.problem(
                    "public_url",
                    format!("This is not an origin: {error}."),
                    "Write it like \"https://app.example.com\".",
                );
                return None;
            }
        };
        if !first.https && !first.is_loopback() && !development {
            let fix = "Use https://, or set `development = true` for a network that only you can reach.";
            self.problem("public_url", format!("{first} is not https, and the host is not loopback."), fix);
        } else if !first.https {
            self.warn("public_url", "The public URL is http: the session cookie has no `Secure` and no `__Host-`.");
        }
        let mut public = vec![Arc::new(first)];
        for (index, text) in file.also_public.iter().flatten().enumerate() {
            let key = format!("also_public[{index}]");
            match PublicOrigin::parse(text) {
                Err(error) => self.problem(
                    &key,
                    format!("This is not an origin: {error}."),
                    "Write it like \"https://app.example.com:8443\".",
                ),
                Ok(origin) if public.iter().any(|known| **known == origin) => {
                    self.problem(&key, format!("{origin} is a public origin already."), "Take it out.");
                }
                // Cookies do not know ports: there one session serves both origins. Any other host would need a cookie of its
                // own, and so a way to carry the session there.
                Ok(origin)
                    if public.first().is_some_and(|first| first.host == origin.host && first.https == origin.https) =>
                {
                    public.push(Arc::new(origin));
                }
                Ok(origin) if public.first().is_some_and(|first| first.host == origin.host) => {
                    let what = format!(
                        "{origin} is the host of public_url under another scheme: its cookies would not be sent there."
                    );
                    self.problem(
                        &key,
                        what,
                        "Use the scheme of `public_url`; a listener with redirect = \"https\" serves http.",
                    );
                }
                Ok(_) => {
                    let what = "Not supported yet: another host than that of `public_url`, to which a session has to be handed over.";
                    self.problem(&key, what, "Take it out, or run a second Vestibule for that host.");
                }
            }
        }
        Some(public)
    }

    /// `[session.cookie]`; without a public URL it is judged as for https.
    pub(super) fn cookie(&mut self, file: &FileConfig, origin: Option<&Arc<PublicOrigin>>) -> CookieSettings {
        let written = file.session.as_ref().and_then(|session| session.cookie.clone()).unwrap_or_default();
        let secure = origin.is_none_or(|origin| origin.https);
        let name = written.name.unwrap_or_else(|| if secure { "__Host-vestibule" } else { "vestibule" }.to_owned());
        let key = "session.cookie.name";
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let prefixed =
            ["__host-", "__secure-", "__http-"].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
        if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
            self.problem(
                key,
                "This is not a name that a cookie can have.",
                "Use up to 64 letters, digits, hyphens and underscores.",
            );
        } else if !secure && prefixed {
            let what = "Browsers refuse a cookie with this prefix over http, and `public_url` is http.";
            self.problem(key, what, "Take the prefix off, or use https://.");
        } else if secure && (!name.starts_with("__Host-") || name == "__Host-") {
            let what =
                "On https the name has to begin with \"__Host-\": only then can no other host plant such a cookie.";
            self.problem(key, what, "Write \"__Host-\" and a name.");
        }
        let same_site = match written.same_site {
            Some(SameSiteName::Strict) => SameSite::Strict,
            Some(SameSiteName::None) => SameSite::None,
            Some(SameSiteName::Lax) | None => SameSite::Lax,
        };
        let partitioned = written.partitioned.unwrap_or(false);
        if same_site == SameSite::None && !secure {
            self.problem(
                "session.cookie.same_site",
                "\"none\" needs `Secure`, and `public_url` is http.",
                "Use https://, or \"lax\".",
            );
        }
        if partitioned && !secure {
            self.problem(
                "session.cookie.partitioned",
                "This needs `Secure`, and `public_url` is http.",
                "Use https://, or take it out.",
            );
        }
        CookieSettings { name, same_site, partitioned, secure }
    }

    /// The endpoints' prefix.
    pub(super) fn endpoints(&mut self, file: &FileConfig) -> String {
        let prefix = file.endpoints.clone().unwrap_or_else(|| DEFAULT_ENDPOINTS.to_owned());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        let canonical = CanonicalPath::parse(&prefix).is_ok_and(|path| path.as_str() == prefix);
        let reserved = prefix == "/.well-known" || prefix.starts_with("/.well-known/");
        if !canonical || !prefix.bytes().all(plain) || prefix.ends_with('/') || reserved {
            let what = "This cannot be the prefix of the endpoints.";
            self.problem("endpoints", what, "Write a path without a slash at its end, such as \"/oauth2\".");
            return DEFAULT_ENDPOINTS.to_owned();
        }
        prefix
    }

    /// The whole header value.
    pub(super) fn hsts(&mut self, file: &FileConfig) -> Option<String> {
        let age = match file.hsts {
            Some(Switch::Off(_)) => return None,
            Some(Switch::On(age)) => Some(age),
            None => None,
        };
        let age = self.span("hsts", age, super::YEAR, 10 * super::YEAR);
        Some(format!("max-age={}", age.as_secs()))
    }

    /// Puts the web rules' settings together.
    pub(super) fn network(
        &mut self,
        file: &FileConfig,
        public: Vec<Arc<PublicOrigin>>,
        endpoints: String,
        upstreams: &[UpstreamIdentitySettings],
        hsts: Option<String>,
    ) -> NetworkSettings {
        let mut trusted_proxies = Vec::new();
        for (index, text) in
            file.network.iter().flat_map(|network| network.trusted_proxies.iter().flatten()).enumerate()
        {
            let key = format!("network.trusted_proxies[{index}]");
            match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => {
                    if network.prefix_len() == 0 {
                        self.warn(&key, "Everybody may say who the client is, and under which origin it came.");
                    }
                    trusted_proxies.push(network.trunc());
                }
                Err(_) => self.problem(
                    &key,
                    "This is not an address or a network.",
                    "Write it like \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.7\".",
                ),
            }
        }
        // Ours is removed even where no upstream gets it: an application may come to trust it before the configuration does.
        let mut identity_headers = vec!["x-vestibule-identity".to_owned()];
        for upstream in upstreams {
            let token = match &upstream.header {
                TokenHeader::Named(name) => name.as_str().to_owned(),
                TokenHeader::Authorization => "authorization".to_owned(),
            };
            let plain = upstream.headers.keys().map(|name| name.to_ascii_lowercase());
            for name in std::iter::once(token).chain(plain) {
                if !identity_headers.contains(&name) {
                    identity_headers.push(name);
                }
            }
        }
        NetworkSettings { public, trusted_proxies, endpoints, identity_headers, hsts }
    }
}

/// How a header value of [`NetworkSettings::hsts`] was written.
pub(in crate::config) fn written_hsts(hsts: Option<&str>) -> String {
    let seconds = hsts.and_then(|hsts| hsts.strip_prefix("max-age=")).and_then(|seconds| seconds.parse().ok());
    seconds.map_or_else(|| "off".to_owned(), |seconds| Span::write(std::time::Duration::from_secs(seconds)))
}

const DEFAULT_ENDPOINTS: &str = "/oauth2";

//! `[upstreams.*]`: where applications are, and what they learn.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use http::HeaderName;
use url::Url;

use super::listener::collide;
use super::{Check, DAY, HOUR, SECOND, is_loopback};
use crate::config::document::quoted;
use crate::config::file::{CertificateFile, FileConfig, UpstreamFile, UpstreamIdentityFile};
use crate::config::value::Limit;
use crate::identity::{RESERVED_CLAIMS, TokenHeader, UpstreamIdentitySettings};
use crate::server::{ListenAddress, ListenerSettings};
use crate::upstream::{ClientCertificate, HostHeader, Target, UpstreamSettings};
use crate::web::PublicOrigin;

impl Check<'_> {
    pub(super) fn upstreams(
        &mut self,
        file: &FileConfig,
        listeners: &[ListenerSettings],
    ) -> (Vec<UpstreamSettings>, Vec<UpstreamIdentitySettings>) {
        let (mut upstreams, mut identities) = (Vec::new(), Vec::new());
        for (name, written) in file.upstreams.iter().flatten() {
            let key = format!("upstreams.{}", quoted(name));
            self.name(&key, name);
            upstreams.extend(self.upstream(&key, name, written, listeners));
            let identity = written.identity.clone().unwrap_or_default();
            identities.extend(self.upstream_identity(&format!("{key}.identity"), name, &identity));
            if !file.routes.iter().flatten().any(|route| route.upstream.as_ref() == Some(name)) {
                self.warn(&key, "No route leads to this upstream.");
            }
        }
        (upstreams, identities)
    }

    fn upstream(
        &mut self,
        key: &str,
        name: &str,
        written: &UpstreamFile,
        listeners: &[ListenerSettings],
    ) -> Option<UpstreamSettings> {
        let target = self.target(&format!("{key}.url"), written.url.as_deref(), listeners);
        let tls = written.tls.clone().unwrap_or_default();
        let ca = tls.ca.as_ref().map(|ca| self.path(ca));
        if let Some(ca) = &ca {
            self.roots(&format!("{key}.tls.ca"), ca);
        }
        let own = CertificateFile { certificate: tls.certificate, key: tls.key };
        let own = (own.certificate.is_some() || own.key.is_some())
            .then(|| self.certificate(&format!("{key}.tls"), &own))
            .flatten();
        let encrypted = !matches!(target, Some(Target::Http { .. } | Target::H2c { .. } | Target::Unix(_)));
        for (name, written) in [("ca", ca.is_some()), ("certificate", own.is_some())] {
            if written && !encrypted {
                self.warn(&format!("{key}.tls.{name}"), "This has no effect: the URL is not https.");
            }
        }
        let host_header = match written.host_header.as_deref() {
            None | Some("preserve") => HostHeader::Preserve,
            Some("upstream") => HostHeader::Upstream,
            Some(name) => {
                if !PublicOrigin::parse(&format!("http://{name}")).is_ok_and(|origin| name.starts_with(&origin.host)) {
                    let fix =
                        "Write \"preserve\", \"upstream\", or a host name in small letters, with a port if need be.";
                    self.problem(&format!("{key}.host_header"), "This is not a host.", fix);
                }
                HostHeader::Named(name.to_owned())
            }
        };
        let timeouts = written.timeouts.clone().unwrap_or_default();
        let connect = self.span(&format!("{key}.timeouts.connect"), timeouts.connect, 5 * SECOND, 300 * SECOND);
        let response = self.span(&format!("{key}.timeouts.response"), timeouts.response, 60 * SECOND, DAY);
        let idle = timeouts
            .idle
            .and_then(Limit::value)
            .map(|idle| self.span(&format!("{key}.timeouts.idle"), Some(idle), HOUR, DAY));
        let connections = usize::try_from(written.connections.unwrap_or(4_096)).unwrap_or(usize::MAX);
        Some(UpstreamSettings {
            name: name.into(),
            target: target?,
            host_header,
            ca,
            client_certificate: own.map(|own| ClientCertificate { certificate: own.certificate, key: own.key }),
            connect,
            response,
            idle,
            connections,
        })
    }

    /// HTTP-12: where connections may go stands here and nowhere else.
    fn target(&mut self, key: &str, written: Option<&str>, listeners: &[ListenerSettings]) -> Option<Target> {
        const FIX: &str = "Write http://host:port, https://host:port, h2c://host:port or unix:/path.";
        let Some(text) = written else {
            self.missing(key, FIX);
            return None;
        };
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') || path.starts_with("//") || path.contains('\0') {
                self.problem(
                    key,
                    "This is not the absolute path of a Unix socket.",
                    "Write it like \"unix:/run/portal.sock\".",
                );
                return None;
            }
            return Some(Target::Unix(PathBuf::from(path)));
        }
        // An unknown scheme would not get its host and port read as those of HTTP are.
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let Some(url) =
            matches!(scheme, "http" | "https" | "h2c").then(|| Url::parse(&format!("http://{rest}")).ok()).flatten()
        else {
            self.problem(key, "This is not the URL of an application.", FIX);
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.problem(key, "A user name or password is not sent to upstreams.", FIX);
        } else if rest.trim_end_matches('/').contains(['/', '?', '#', '\\']) {
            self.problem(key, "An upstream has no path of its own: requests keep theirs.", FIX);
        }
        let default = if scheme == "https" { 443 } else { 80 };
        let given = rest.trim_end_matches('/').rsplit_once(':').is_some_and(|(_, port)| port == "80");
        let (host, port) = (url.host_str()?.to_owned(), url.port().unwrap_or(if given { 80 } else { default }));
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let own = literal.unwrap_or_else(|| std::net::Ipv4Addr::LOCALHOST.into());
        let own = ListenAddress::Tcp(SocketAddr::new(own, port));
        if port == 0 {
            self.problem(key, "Port 0 is not a port.", FIX);
        } else if is_loopback(&host)
            && let Some(index) = listeners.iter().position(|listener| collide(&listener.address, &own))
        {
            let what = format!("This is the address of listeners[{index}]: requests would come back for ever.");
            self.problem(key, what, "Give the application and the listener ports of their own.");
        }
        Some(match scheme {
            "https" => Target::Https { host, port },
            "h2c" => Target::H2c { host, port },
            _ => Target::Http { host, port },
        })
    }

    fn upstream_identity(
        &mut self,
        key: &str,
        name: &str,
        written: &UpstreamIdentityFile,
    ) -> Option<UpstreamIdentitySettings> {
        let audience = written.audience.clone().unwrap_or_else(|| name.to_owned());
        if audience.is_empty() || audience.chars().any(char::is_control) {
            self.problem(
                &format!("{key}.audience"),
                "An audience has a name.",
                "Take it out: the default is the upstream's name.",
            );
        }
        let header_key = format!("{key}.header");
        let header = match written.header.as_deref().unwrap_or("X-Vestibule-Identity") {
            name if name.eq_ignore_ascii_case("authorization") => Some(TokenHeader::Authorization),
            name => self.header_name(&header_key, name).map(TokenHeader::Named),
        };
        for (index, claim) in written.claims.iter().flatten().enumerate() {
            let key = format!("{key}.claims[{index}]");
            if RESERVED_CLAIMS.contains(&claim.as_str()) {
                let what = format!("`{claim}` is one of Vestibule's own claims.");
                self.problem(&key, what, "Take it out: the token says it wherever it is known.");
            } else if claim.is_empty() || claim.chars().any(char::is_control) {
                self.problem(&key, "A claim has a name.", "Take it out.");
            }
        }
        let headers = self.plain_headers(key, written.headers.as_ref(), header.as_ref());
        let mut claims = written.claims.clone().unwrap_or_default();
        claims.sort_unstable();
        claims.dedup();
        Some(UpstreamIdentitySettings { upstream: name.into(), audience, header: header?, claims, headers })
    }

    fn plain_headers(
        &mut self,
        key: &str,
        written: Option<&BTreeMap<String, String>>,
        token: Option<&TokenHeader>,
    ) -> BTreeMap<String, String> {
        let mut taken: Vec<String> = Vec::new();
        for (name, claim) in written.into_iter().flatten() {
            let key = format!("{key}.headers.{}", quoted(name));
            // Applications that read headers as CGI does cannot tell a hyphen from an underscore.
            let spelling = name.to_ascii_lowercase().replace('_', "-");
            if name.eq_ignore_ascii_case("authorization") {
                self.problem(
                    &key,
                    "`Authorization` cannot carry a plain claim.",
                    "Choose a header such as \"X-Forwarded-User\".",
                );
            } else if let Some(parsed) = self.header_name(&key, name) {
                if matches!(token, Some(TokenHeader::Named(token)) if *token == parsed) {
                    self.problem(&key, "This header carries the token already.", "Choose another header.");
                } else if taken.contains(&spelling) {
                    self.problem(&key, "This header is there already in another spelling.", "Take one of the two out.");
                }
            }
            taken.push(spelling);
            if claim.is_empty() {
                self.problem(&key, "A claim has a name.", "Write the claim's name, such as \"email\".");
            }
        }
        written.cloned().unwrap_or_default()
    }

    fn header_name(&mut self, key: &str, text: &str) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            self.problem(key, "This is not the name of a header.", "Use letters, digits and hyphens.");
            return None;
        };
        let lower = name.as_str();
        if RESERVED.contains(&lower) || RESERVED_FAMILIES.iter().any(|family| lower.starts_with(family)) {
            let what = format!("`{text}` has a meaning of its own in HTTP.");
            self.problem(key, what, "Choose another header, such as \"X-Forwarded-User\".");
            return None;
        }
        Some(name)
    }
}

/// Headers that say how a message travels, or that browsers and proxies read.
const RESERVED: [&str; 36] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "host",
    "cookie",
    "set-cookie",
    "authorization",
    "www-authenticate",
    "expect",
    "forwarded",
    "via",
    "date",
    "range",
    "origin",
    "referer",
    "location",
    "max-forwards",
    "user-agent",
    "cache-control",
    "pragma",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-request-id",
    "x-original-url",
];

/// Families of such headers.
const RESERVED_FAMILIES: [&str; 7] =
    ["content-", "accept", "access-control-", "if-", "sec-", "x-original-", "x-http-method"];

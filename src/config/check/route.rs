//! `[[routes]]`: names that exist, hosts that are public, and access that means what it says.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};

use super::{Check, YEAR};
use crate::config::document::{listed, quoted};
use crate::config::file::{
    AccessName, CacheName, CrossSiteFile, CrossSiteName, EncodedSlashName, FileConfig, RouteFile, SignedOutName,
};
use crate::route::{
    AccessMode, CachePolicy, CrossSite, EncodedSlash, HostPattern, PathPattern, Policy, Route, SignedOut, Table,
    TableError,
};
use crate::web::PublicOrigin;

impl Check<'_> {
    pub(super) fn routes(
        &mut self,
        file: &FileConfig,
        public: Option<&[Arc<PublicOrigin>]>,
        endpoints: &str,
        body_bytes: Option<u64>,
    ) -> Vec<Route> {
        let written = file.routes.as_deref().unwrap_or_default();
        if written.is_empty() {
            self.missing(
                "routes",
                "Without a route nothing is served. Write [[routes]] and upstream = \"…\" below it.",
            );
        }
        let routes: Vec<Route> = written
            .iter()
            .enumerate()
            .filter_map(|(index, written)| self.route(file, index, written, public, endpoints, body_bytes))
            .collect();
        self.duplicates(&routes);
        routes
    }

    fn route(
        &mut self,
        file: &FileConfig,
        index: usize,
        written: &RouteFile,
        public: Option<&[Arc<PublicOrigin>]>,
        endpoints: &str,
        body_bytes: Option<u64>,
    ) -> Option<Route> {
        let key = format!("routes[{index}]");
        let host = self.host(&format!("{key}.host"), written.host.as_deref(), public);
        let path = self.path_pattern(&format!("{key}.path"), written.path.as_deref().unwrap_or("/"), endpoints);
        let methods = self.methods(&format!("{key}.methods"), written.methods.as_deref());
        let access = match written.access {
            Some(AccessName::Public) => AccessMode::Public,
            Some(AccessName::Optional) => AccessMode::Optional,
            Some(AccessName::Session) | None => AccessMode::Session,
        };
        let upstream = self.upstream_name(&format!("{key}.upstream"), written.upstream.as_deref(), file);
        let provider = if self.places.is_broken(&format!("{key}.access")) {
            None
        } else {
            self.provider_name(&key, written.provider.as_deref(), access, file)
        };
        let policy = self.policy(&format!("{key}.require"), written, access);
        let cross_site = match &written.cross_site {
            None | Some(CrossSiteFile::Word(CrossSiteName::Refuse)) => CrossSite::Refuse,
            Some(CrossSiteFile::Word(CrossSiteName::Allow)) => CrossSite::Allow,
            Some(CrossSiteFile::Word(CrossSiteName::Header)) => CrossSite::Header,
            Some(CrossSiteFile::Origins(origins)) => {
                CrossSite::Origins(self.origins(&format!("{key}.cross_site"), origins))
            }
        };
        let cors = written.cors.as_ref().and_then(|cors| cors.origins.as_deref()).unwrap_or_default();
        let cors = self.origins(&format!("{key}.cors.origins"), cors);
        let max_age = written.max_age.map(|age| self.span(&format!("{key}.max_age"), Some(age), YEAR, YEAR));
        if written.cache == Some(CacheName::NoStore) && access == AccessMode::Public {
            self.warn(&format!("{key}.cache"), "This has no effect: nobody is signed in on a public route.");
        }
        let security_headers = self.security_headers(&format!("{key}.security_headers"), written);
        Some(Route {
            index,
            host: host?,
            path: path?,
            methods,
            upstream: upstream?,
            access,
            provider,
            policy,
            acr: written.acr.clone().unwrap_or_default(),
            max_age,
            signed_out: match written.signed_out {
                Some(SignedOutName::Redirect) => SignedOut::Redirect,
                Some(SignedOutName::Unauthorized) => SignedOut::Unauthorized,
                Some(SignedOutName::Auto) | None => SignedOut::Auto,
            },
            cross_site,
            cors,
            passive: written.passive.unwrap_or(false),
            cache: match written.cache {
                Some(CacheName::Upstream) => CachePolicy::Upstream,
                Some(CacheName::NoStore) => CachePolicy::NoStore,
                Some(CacheName::Private) | None => CachePolicy::Private,
            },
            security_headers,
            encoded_slash: match written.encoded_slash {
                Some(EncodedSlashName::Keep) => EncodedSlash::Keep,
                Some(EncodedSlashName::Refuse) | None => EncodedSlash::Refuse,
            },
            body_bytes: written.body_bytes.map_or(body_bytes, |limit| limit.value().map(|size| size.0)),
        })
    }

    fn host(&mut self, key: &str, written: Option<&str>, public: Option<&[Arc<PublicOrigin>]>) -> Option<HostPattern> {
        let pattern = match HostPattern::parse(written) {
            Ok(pattern) => pattern,
            Err(error) => {
                self.problem(
                    key,
                    format!("{error}."),
                    "Write a host name such as \"app.example.com\", or \"*.example.com\".",
                );
                return None;
            }
        };
        if let Some(public) = public
            && !public.iter().any(|origin| pattern.matches(&origin.host))
        {
            let hosts = listed(public.iter().map(|origin| origin.host.as_str()));
            let what = "No request can have this host: it is not public.";
            self.problem(key, what, format!("Public is {hosts}; see `public_url`."));
        }
        Some(pattern)
    }

    fn path_pattern(&mut self, key: &str, text: &str, endpoints: &str) -> Option<PathPattern> {
        let pattern = match PathPattern::parse(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                self.problem(key, format!("{error}."), "Write it like \"/api\", or \"=/status\" for that path alone.");
                return None;
            }
        };
        // OPS-10: the prefix is never shadowed, so such a route would never be reached.
        let path = text.strip_prefix('=').unwrap_or(text);
        let below = path.strip_prefix(endpoints).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below || path == "/.well-known/jwks.json" {
            self.problem(
                key,
                "This path is one of Vestibule's own endpoints.",
                "Choose another path, or move `endpoints`.",
            );
        }
        Some(pattern)
    }

    fn methods(&mut self, key: &str, written: Option<&[String]>) -> Option<Vec<Method>> {
        let written = written?;
        if written.is_empty() {
            self.problem(
                key,
                "No request can have none of no methods.",
                "Name the methods, or take the key out for all of them.",
            );
        }
        let mut methods = Vec::new();
        for (index, text) in written.iter().enumerate() {
            let key = format!("{key}[{index}]");
            match Method::from_bytes(text.as_bytes()) {
                Ok(Method::CONNECT | Method::TRACE) => {
                    self.problem(&key, format!("{text} is never forwarded."), "Take it out.")
                }
                Ok(method) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                    let fix = format!("Write {:?}: the case of letters matters.", method.as_str().to_ascii_uppercase());
                    self.problem(&key, "Methods are written in capital letters.", fix);
                }
                Ok(method) if methods.contains(&method) => {
                    self.problem(&key, format!("{text} is there already."), "Take it out.")
                }
                Ok(method) => methods.push(method),
                Err(_) => self.problem(&key, "This is not a method.", "Write it like \"GET\"."),
            }
        }
        Some(methods)
    }

    fn upstream_name(&mut self, key: &str, written: Option<&str>, file: &FileConfig) -> Option<Arc<str>> {
        let Some(name) = written else {
            self.missing(key, "Write the name of an upstream.");
            return None;
        };
        let known = file.upstreams.iter().flatten().map(|(name, _)| name.as_str());
        if !known.clone().any(|known| known == name) && !self.places.is_broken("upstreams") {
            self.unknown_name(key, "upstream", name, known);
        }
        Some(name.into())
    }

    /// The provider to sign in at: the one that is named, or the only one.
    fn provider_name(
        &mut self,
        route: &str,
        written: Option<&str>,
        access: AccessMode,
        file: &FileConfig,
    ) -> Option<Arc<str>> {
        let key = format!("{route}.provider");
        let mut known = file.providers.iter().flatten().map(|(name, _)| name.as_str());
        match written {
            Some(_) if access == AccessMode::Public => {
                self.problem(&key, "Nobody signs in on a public route.", "Take it out, or change `access`.");
                None
            }
            _ if access == AccessMode::Public || self.places.is_broken("providers") || self.places.is_broken(&key) => {
                None
            }
            Some(name) => {
                if !known.clone().any(|known| known == name) {
                    self.unknown_name(&key, "provider", name, known);
                }
                Some(name.into())
            }
            None => match (known.next(), known.next()) {
                (Some(only), None) => Some(only.into()),
                (None, _) => {
                    let what = "There is no provider, and not every route is public.";
                    self.problem("providers", what, "Write [providers.name] with issuer, client_id and client_secret.");
                    None
                }
                (Some(_), Some(_)) => {
                    let names = listed(file.providers.iter().flatten().map(|(name, _)| name.as_str()));
                    let what = format!("There are several providers, {names}: this route has to name one.");
                    self.problem(&key, what, "Write provider = \"…\".");
                    None
                }
            },
        }
    }

    fn policy(&mut self, key: &str, written: &RouteFile, access: AccessMode) -> Policy {
        let require = written.require.clone().unwrap_or_default();
        if !require.is_empty() && access != AccessMode::Session && !self.places.is_broken(key) {
            let what = "Requirements hold for signed-in people, and this route lets everybody pass.";
            self.problem(key, what, "Write access = \"session\", or take it out.");
        }
        for (claim, values) in &require {
            let key = format!("{key}.{}", quoted(claim));
            if claim.is_empty() {
                self.problem(&key, "A claim has a name.", "Write the claim's name, such as `groups`.");
            }
            if values.is_empty() {
                self.problem(&key, "Nobody can have one of no values.", "Name the values, or take the claim out.");
            }
        }
        Policy { require }
    }

    /// CSRF-09: only what tells browsers to be careful. Everything else that an answer says is its application's to say.
    fn security_headers(&mut self, key: &str, written: &RouteFile) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (name, value) in written.security_headers.iter().flatten() {
            let key = format!("{key}.{}", quoted(name));
            let lower = name.to_ascii_lowercase();
            let Some(header) = SECURITY_HEADERS.iter().find(|known| **known == lower) else {
                let fix = if lower == "strict-transport-security" {
                    "It is `hsts`, at the top of the file.".to_owned()
                } else {
                    format!("It can be {}.", listed(SECURITY_HEADERS.iter().copied()))
                };
                self.problem(&key, "This is not a browser security header that can be added.", fix);
                continue;
            };
            let header = HeaderName::from_static(header);
            match HeaderValue::from_str(value) {
                _ if headers.iter().any(|(known, _)| *known == header) => {
                    self.problem(&key, "This header is there already in another spelling.", "Take one of the two out.");
                }
                Ok(value) if !value.is_empty() => headers.push((header, value)),
                _ => self.problem(&key, "This cannot be the value of a header.", "Write it in one line of ASCII."),
            }
        }
        headers
    }

    /// The table itself says what it cannot tell apart; it names one pair at a time.
    fn duplicates(&mut self, routes: &[Route]) {
        let mut left = routes.to_vec();
        while let Err(error) = Table::new(left.clone()) {
            let TableError::Duplicate { second, .. } = &error;
            self.problem(&format!("routes[{second}]"), format!("{error}."), "Take one of the two out.");
            left.retain(|route| route.index != *second);
        }
    }
}

/// What browsers read to protect the page that they show, or others from it.
const SECURITY_HEADERS: [&str; 14] = [
    "content-security-policy",
    "content-security-policy-report-only",
    "cross-origin-embedder-policy",
    "cross-origin-embedder-policy-report-only",
    "cross-origin-opener-policy",
    "cross-origin-opener-policy-report-only",
    "cross-origin-resource-policy",
    "origin-agent-cluster",
    "permissions-policy",
    "referrer-policy",
    "reporting-endpoints",
    "x-content-type-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
];

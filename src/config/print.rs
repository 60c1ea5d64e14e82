//! A checked configuration in the words of the file, defaults filled in: what `check --print` and the admin API show.
//!
//! Every secret is `[secret]`, whatever it was read from; of the store's URL only scheme, host, port and path are shown.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use toml::{Table, Value};
use url::Url;

use super::Config;
use super::check::written_hsts;
use super::value::{Size, Span};
use crate::identity::{KeySource, TokenHeader, UpstreamIdentitySettings};
use crate::oidc::{ClientAuth, ClientCredential, ProviderSettings, ResponseMode};
use crate::route::{AccessMode, CachePolicy, CrossSite, EncodedSlash, HostPattern, Route, SignedOut};
use crate::server::{ListenAddress, ListenerSettings};
use crate::session::StoreSettings;
use crate::telemetry::LogFormat;
use crate::upstream::{HostHeader, Target, UpstreamSettings};
use crate::web::SameSite;
use crate::webhook::WebhookSettings;

impl Config {
    /// Everything that is in force, as TOML, without secrets.
    #[must_use]
    pub fn redacted(&self) -> String {
        toml::to_string(&self.table()).unwrap_or_default()
    }

    fn table(&self) -> Table {
        let also_public = self.network.public.iter().skip(1).map(ToString::to_string);
        table([
            ("public_url", Some(text(&self.public_url))),
            ("development", Some(self.development.into())),
            ("also_public", Some(list(also_public))),
            ("endpoints", Some(text(&self.network.endpoints))),
            ("hsts", Some(written_hsts(self.network.hsts.as_deref()).into())),
            ("listeners", Some(Value::Array(self.listeners.iter().map(listener).collect()))),
            ("network", Some(Value::Table(table([("trusted_proxies", Some(list(&self.network.trusted_proxies)))])))),
            ("limits", Some(self.limits())),
            ("admin", Some(self.admin())),
            ("session", Some(self.session())),
            ("identity", Some(self.identity())),
            ("providers", Some(named(self.providers.iter().map(|one| (&*one.name, provider(one)))))),
            ("upstreams", Some(named(self.upstreams.iter().map(|one| (&*one.name, self.upstream(one)))))),
            ("routes", Some(Value::Array(self.routes.iter().map(route).collect()))),
            ("webhooks", Some(named(self.webhooks.iter().map(|one| (&*one.name, webhook(one)))))),
            ("telemetry", Some(self.telemetry())),
        ])
    }

    fn limits(&self) -> Value {
        let limits = &self.limits;
        Value::Table(table([
            ("header_bytes", Some(Size::write(limits.header_bytes as u64).into())),
            ("header_count", Some(number(limits.header_count))),
            ("header_time", Some(span(limits.header_time))),
            ("handshake_time", Some(span(limits.handshake_time))),
            ("idle_time", Some(span(limits.idle_time))),
            ("body_idle_time", Some(span(limits.body_idle_time))),
            ("drain_time", Some(span(limits.drain_time))),
            ("streams_per_connection", Some(limits.streams_per_connection.into())),
            ("body_bytes", Some(body_bytes(limits.body_bytes))),
            ("connections", Some(number(limits.connections))),
            ("requests_in_flight", Some(number(limits.requests_in_flight))),
            ("logins_per_minute", Some(limits.logins_per_minute.map_or_else(unlimited, Value::from))),
        ]))
    }

    fn admin(&self) -> Value {
        Value::Table(table([
            ("address", Some(text(self.admin.address))),
            ("token", self.admin.token.as_ref().map(|_| secret())),
            ("ready_without_store", Some(self.admin.ready_without_store.into())),
        ]))
    }

    fn session(&self) -> Value {
        let session = &self.session;
        let near_cache = table([
            ("sessions", Some(number(session.near_cache.sessions))),
            ("staleness", Some(span(session.near_cache.staleness))),
            ("streams", Some(span(session.near_cache.streams))),
            ("replicas", Some(session.near_cache.replicas.into())),
        ]);
        let same_site = match self.cookie.same_site {
            SameSite::Strict => "strict",
            SameSite::Lax => "lax",
            SameSite::None => "none",
        };
        let cookie = table([
            ("name", Some(text(&self.cookie.name))),
            ("same_site", Some(same_site.into())),
            ("partitioned", Some(self.cookie.partitioned.into())),
        ]);
        let store = match &session.store {
            StoreSettings::Memory => "memory".to_owned(),
            StoreSettings::Redis(url) => without_secrets(url.expose()),
        };
        Value::Table(table([
            ("store", Some(store.into())),
            ("secrets", Some(Value::Array(session.secrets.iter().map(|_| secret()).collect()))),
            ("idle", Some(span(session.idle))),
            ("lifetime", Some(span(session.lifetime))),
            ("per_user", Some(session.per_user.map_or_else(unlimited, Value::from))),
            ("deadline", Some(span(session.deadline))),
            ("near_cache", Some(Value::Table(near_cache))),
            ("cookie", Some(Value::Table(cookie))),
        ]))
    }

    fn identity(&self) -> Value {
        let (keys, rotate_every) = match &self.identity.keys {
            KeySource::Managed { rotate_every } => (text("managed"), Some(span(*rotate_every))),
            KeySource::Files(paths) => {
                let file = |path: &std::path::PathBuf| Value::Table(table([("file", Some(text(path.display())))]));
                (Value::Array(paths.iter().map(file).collect()), None)
            }
            KeySource::Shared(keys) => (Value::Array(keys.iter().map(|_| secret()).collect()), None),
        };
        Value::Table(table([
            ("issuer", Some(text(&self.identity.issuer))),
            ("algorithm", Some(self.identity.algorithm.as_str().into())),
            ("lifetime", Some(span(self.identity.lifetime))),
            ("keys", Some(keys)),
            ("rotate_every", rotate_every),
        ]))
    }

    fn upstream(&self, upstream: &UpstreamSettings) -> Value {
        let url = match &upstream.target {
            Target::Http { host, port } => format!("http://{host}:{port}"),
            Target::Https { host, port } => format!("https://{host}:{port}"),
            Target::H2c { host, port } => format!("h2c://{host}:{port}"),
            Target::Unix(path) => format!("unix:{}", path.display()),
        };
        let timeouts = table([
            ("connect", Some(span(upstream.connect))),
            ("response", Some(span(upstream.response))),
            ("idle", Some(upstream.idle.map_or_else(unlimited, span))),
        ]);
        let host_header = match &upstream.host_header {
            HostHeader::Preserve => "preserve",
            HostHeader::Upstream => "upstream",
            HostHeader::Named(name) => name,
        };
        let identity = self.upstream_identity.iter().find(|identity| identity.upstream == upstream.name);
        Value::Table(table([
            ("url", Some(url.into())),
            ("host_header", Some(host_header.into())),
            ("tls", upstream_tls(upstream)),
            ("timeouts", Some(Value::Table(timeouts))),
            ("connections", Some(number(upstream.connections))),
            ("identity", identity.map(upstream_identity)),
        ]))
    }

    fn telemetry(&self) -> Value {
        let format = match self.telemetry.format {
            LogFormat::Auto => "auto",
            LogFormat::Pretty => "pretty",
            LogFormat::Json => "json",
        };
        Value::Table(table([
            ("log", Some(text(&self.telemetry.log))),
            ("format", Some(format.into())),
            ("access_log", Some(self.telemetry.access_log.into())),
            ("audit", Some(list(self.telemetry.audit.then_some("log")))),
        ]))
    }
}

fn webhook(webhook: &WebhookSettings) -> Value {
    let events = [(webhook.started, "session.started"), (webhook.ended, "session.ended")];
    Value::Table(table([
        // Paths and queries of such URLs often hold a secret.
        ("url", Some(text(webhook.url.origin().ascii_serialization()))),
        ("tls", trust(webhook.ca.as_deref())),
        ("secret", Some(secret())),
        ("events", Some(list(events.iter().filter(|(told, _)| *told).map(|(_, name)| name)))),
        ("queue", Some(number(webhook.queue))),
        ("give_up", Some(span(webhook.give_up))),
    ]))
}

fn route(route: &Route) -> Value {
    let access = match route.access {
        AccessMode::Public => "public",
        AccessMode::Optional => "optional",
        AccessMode::Session => "session",
    };
    let signed_out = match route.signed_out {
        SignedOut::Auto => "auto",
        SignedOut::Redirect => "redirect",
        SignedOut::Unauthorized => "unauthorized",
    };
    let cross_site = match &route.cross_site {
        CrossSite::Refuse => text("refuse"),
        CrossSite::Allow => text("allow"),
        CrossSite::Header => text("header"),
        CrossSite::Origins(origins) => list(origins),
    };
    let cache = match route.cache {
        CachePolicy::Private => "private",
        CachePolicy::NoStore => "no-store",
        CachePolicy::Upstream => "upstream",
    };
    let security_headers =
        route.security_headers.iter().map(|(name, value)| (name.as_str(), text(value.to_str().unwrap_or_default())));
    let require = route.policy.require.iter().map(|(claim, values)| (claim.as_str(), list(values)));
    Value::Table(table([
        ("host", (route.host != HostPattern::Any).then(|| text(&route.host))),
        ("path", Some(text(&route.path))),
        ("encoded_slash", Some(text(if route.encoded_slash == EncodedSlash::Keep { "keep" } else { "refuse" }))),
        ("methods", route.methods.as_ref().map(list)),
        ("upstream", Some(text(&route.upstream))),
        ("access", Some(access.into())),
        ("provider", route.provider.as_ref().map(text)),
        ("require", Some(named(require))),
        ("acr", Some(list(&route.acr))),
        ("max_age", route.max_age.map(span)),
        ("signed_out", Some(signed_out.into())),
        ("cross_site", Some(cross_site)),
        ("cors", Some(Value::Table(table([("origins", Some(list(&route.cors)))])))),
        ("passive", Some(route.passive.into())),
        ("cache", Some(cache.into())),
        ("security_headers", Some(named(security_headers))),
        ("body_bytes", Some(body_bytes(route.body_bytes))),
    ]))
}

fn listener(listener: &ListenerSettings) -> Value {
    let address = match &listener.address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    };
    let pairs = listener.certificates.iter().map(|pair| {
        Value::Table(table([
            ("certificate", Some(text(pair.certificate.display()))),
            ("key", Some(text(pair.key.display()))),
        ]))
    });
    Value::Table(table([
        ("address", Some(address.into())),
        ("certificates", Some(Value::Array(pairs.collect()))),
        ("redirect", listener.redirect_to_https.then(|| text("https"))),
    ]))
}

fn provider(provider: &ProviderSettings) -> Value {
    let client_auth = match provider.client_auth {
        ClientAuth::Auto => "auto",
        ClientAuth::SecretBasic => "client_secret_basic",
        ClientAuth::SecretPost => "client_secret_post",
        ClientAuth::PrivateKeyJwt => "private_key_jwt",
    };
    let credential = match provider.credential {
        ClientCredential::Secret(_) => "client_secret",
        ClientCredential::Key(_) => "client_key",
    };
    let logout = table([
        ("rp_initiated", Some(provider.logout.rp_initiated.into())),
        ("back_channel", Some(provider.logout.back_channel.into())),
        ("front_channel", Some(provider.logout.front_channel.into())),
        ("return_to", provider.logout.return_to.as_ref().map(text)),
    ]);
    Value::Table(table([
        ("issuer", Some(text(&provider.issuer))),
        ("tls", trust(provider.ca.as_deref())),
        ("client_id", Some(text(&provider.client_id))),
        (credential, Some(secret())),
        ("client_auth", Some(client_auth.into())),
        ("scopes", Some(list(&provider.scopes))),
        (
            "response_mode",
            Some(text(if provider.response_mode == ResponseMode::FormPost { "form_post" } else { "query" })),
        ),
        ("userinfo", Some(provider.userinfo.into())),
        ("claims", Some(texts(&provider.claims))),
        ("authorize_params", Some(texts(&provider.authorize_params))),
        ("resource", provider.resource.as_ref().map(text)),
        ("refresh_ahead", Some(span(provider.refresh_ahead))),
        ("access_token_lifetime", Some(span(provider.access_token_lifetime))),
        ("clock_skew", Some(span(provider.clock_skew))),
        ("logout", Some(Value::Table(logout))),
    ]))
}

fn upstream_tls(upstream: &UpstreamSettings) -> Option<Value> {
    let own = upstream.client_certificate.as_ref();
    let written = table([
        ("ca", upstream.ca.as_ref().map(|ca| text(ca.display()))),
        ("certificate", own.map(|own| text(own.certificate.display()))),
        ("key", own.map(|own| text(own.key.display()))),
    ]);
    (!written.is_empty()).then_some(Value::Table(written))
}

fn upstream_identity(identity: &UpstreamIdentitySettings) -> Value {
    let header = match &identity.header {
        TokenHeader::Named(name) => name.as_str(),
        TokenHeader::Authorization => "authorization",
    };
    Value::Table(table([
        ("audience", Some(text(&identity.audience))),
        ("header", Some(header.into())),
        ("claims", Some(list(&identity.claims))),
        ("headers", Some(texts(&identity.headers))),
    ]))
}

/// Scheme, host, port and path. Parameters may hold a Sentinel's password, the rest a user's.
fn without_secrets(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return SECRET.to_owned() };
    let hidden =
        !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some();
    url.set_query(None);
    url.set_fragment(None);
    if hidden
        && !url.host_str().unwrap_or_default().is_empty()
        && (url.set_password(None).is_err() || url.set_username("").is_err())
    {
        return SECRET.to_owned();
    }
    url.to_string()
}

fn table<const N: usize>(members: [(&str, Option<Value>); N]) -> Table {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn named<'a>(members: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Table(members.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn texts(members: &BTreeMap<String, String>) -> Value {
    named(members.iter().map(|(name, value)| (name.as_str(), text(value))))
}

fn list(items: impl IntoIterator<Item = impl Display>) -> Value {
    Value::Array(items.into_iter().map(text).collect())
}

fn text(value: impl Display) -> Value {
    Value::String(value.to_string())
}

fn number(value: usize) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn span(duration: Duration) -> Value {
    Span::write(duration).into()
}

fn body_bytes(limit: Option<u64>) -> Value {
    limit.map_or_else(unlimited, |bytes| Size::write(bytes).into())
}

fn unlimited() -> Value {
    text("unlimited")
}

fn secret() -> Value {
    text(SECRET)
}

fn trust(ca: Option<&std::path::Path>) -> Option<Value> {
    ca.map(|ca| Value::Table(table([("ca", Some(text(ca.display())))])))
}

const SECRET: &str = "[secret]";

//! Making identity tokens, and keeping each for as long as it may be used again.
//!
//! Never gives one subject's token to another: a hit is compared with everything that names the subject.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use serde_json::Value;

use super::claims::{Kind, Occasion, Payload, SCOPE, Subject, TYP};
use super::error::IdentityError;
use super::headers::header_value;
use super::settings::{IdentitySettings, TokenHeader, UpstreamIdentitySettings};
use crate::base::{Random, Timestamp};
use crate::jose::{self, SigningKey};

/// A token for one upstream, in the headers that carry it.
pub struct IdentityToken {
    /// Ready to insert: the token's header (marked sensitive) first, then the plain ones.
    pub headers: Arc<[(HeaderName, HeaderValue)]>,
    /// When the token ends; no later than the session.
    pub expires: Timestamp,
    /// From when it is no longer reused.
    pub renew_at: Timestamp,
    issued: Timestamp,
    kid: Box<str>,
    version: u64,
    kind: Kind,
    /// Provider, issuer, sub and client, to compare with.
    whose: [Box<str>; 4],
}

impl IdentityToken {
    fn whose<'a>(subject: &Subject<'a>) -> [&'a str; 4] {
        [subject.provider, subject.issuer, subject.sub, subject.client_id.unwrap_or_default()]
    }

    /// Whether it may stand for this subject now. `issued` is looked at because clocks can be set back.
    fn serves(&self, subject: &Subject<'_>, kid: &str, now: Timestamp) -> bool {
        self.version == subject.version
            && self.kind == subject.kind
            && self.whose.iter().zip(Self::whose(subject)).all(|(held, asked)| **held == *asked)
            && self.is_current(kid, subject.session_expires, now)
    }

    /// The same for one that certainly is this subject's.
    pub(super) fn is_current(&self, kid: &str, session_expires: Timestamp, now: Timestamp) -> bool {
        self.issued <= now && now < self.renew_at && self.expires <= session_expires && *self.kid == *kid
    }

    fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| header_bytes(name, value)).sum::<usize>();
        headers + self.whose.iter().map(|text| text.len()).sum::<usize>() + ENTRY_BYTES
    }
}

impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let mut shown = f.debug_struct("IdentityToken");
        shown.field("headers", &names).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Makes and keeps tokens.
pub(super) struct Mint {
    issuer: String,
    lifetime: Duration,
    upstreams: HashMap<Arc<str>, Upstream>,
    tokens: Cache<Key, Arc<IdentityToken>, ByBytes>,
}

struct Upstream {
    name: Arc<str>,
    audience: String,
    header: TokenHeader,
    claims: Vec<String>,
    headers: Vec<(HeaderName, String)>,
}

impl Mint {
    pub(super) fn new(
        settings: &IdentitySettings,
        upstreams: Vec<UpstreamIdentitySettings>,
    ) -> Result<Self, IdentityError> {
        let upstreams =
            upstreams.into_iter().map(|upstream| Ok((Arc::clone(&upstream.upstream), Upstream::new(upstream)?)));
        Ok(Self {
            issuer: settings.issuer.clone(),
            lifetime: settings.lifetime.min(MAX_LIFETIME),
            upstreams: upstreams.collect::<Result<_, IdentityError>>()?,
            tokens: Cache::with_weighter(CACHE_TOKENS, CACHE_BYTES, ByBytes),
        })
    }

    /// One lookup by borrowed parts: a hit allocates nothing.
    pub(super) fn cached(
        &self,
        upstream: &str,
        subject: &Subject<'_>,
        kid: &str,
        now: Timestamp,
    ) -> Option<Arc<IdentityToken>> {
        let token = self.tokens.get(&Lookup { sid: subject.sid, upstream })?;
        token.serves(subject, kid, now).then_some(token)
    }

    pub(super) fn make(
        &self,
        upstream: &str,
        subject: &Subject<'_>,
        key: &SigningKey,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Arc<IdentityToken>, IdentityError> {
        let upstream =
            self.upstreams.get(upstream).ok_or_else(|| IdentityError::UnknownUpstream(upstream.to_owned()))?;
        // In whole seconds, as the token says it: rounding must not carry it past the session's end.
        let issued = Timestamp::from_unix_seconds(now.unix_seconds());
        let ends = (issued + self.lifetime).min(subject.session_expires);
        let expires = Timestamp::from_unix_seconds(ends.unix_seconds());
        if expires <= issued {
            return Err(IdentityError::SessionOver);
        }
        let occasion =
            Occasion { issuer: &self.issuer, audience: &upstream.audience, issued, expires, jti: random.token::<16>() };
        let plain = upstream.plain_headers(subject)?;
        let signed = jose::sign(key, TYP, &Payload::new(subject, occasion, &upstream.claims))?;
        let mut headers = vec![upstream.token_header(&signed)?];
        headers.extend(plain);
        let bytes = headers.iter().map(|(name, value)| header_bytes(name, value)).sum();
        if bytes > HEADER_BYTES {
            return Err(upstream.too_large(subject, bytes));
        }
        let token = Arc::new(IdentityToken {
            headers: headers.into(),
            expires,
            renew_at: issued + expires.since(issued) / 2,
            issued,
            kid: key.kid().into(),
            version: subject.version,
            kind: subject.kind,
            whose: IdentityToken::whose(subject).map(Into::into),
        });
        // Without a reference there is nothing to tell two subjects' entries apart by.
        if !subject.sid.is_empty() {
            let key = Key { sid: subject.sid.into(), upstream: Arc::clone(&upstream.name) };
            self.tokens.insert(key, Arc::clone(&token));
        }
        Ok(token)
    }

    pub(super) fn cache_size(&self) -> (usize, u64) {
        (self.tokens.len(), self.tokens.weight())
    }
}

impl Upstream {
    fn new(settings: UpstreamIdentitySettings) -> Result<Self, IdentityError> {
        let upstream = &settings.upstream;
        let headers = settings.headers.iter().map(|(header, claim)| {
            let name = HeaderName::from_bytes(header.as_bytes())
                .map_err(|_| IdentityError::HeaderName { upstream: Arc::clone(upstream), header: header.clone() })?;
            Ok((name, claim.clone()))
        });
        Ok(Self {
            headers: headers.collect::<Result<_, IdentityError>>()?,
            name: settings.upstream,
            audience: settings.audience,
            header: settings.header,
            claims: settings.claims,
        })
    }

    fn token_header(&self, token: &str) -> Result<(HeaderName, HeaderValue), IdentityError> {
        let (name, value) = match &self.header {
            TokenHeader::Named(name) => (name.clone(), HeaderValue::from_str(token)),
            TokenHeader::Authorization => (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}"))),
        };
        let mut value = value.map_err(|_| IdentityError::Settings("the token is no header value"))?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    fn plain_headers(&self, subject: &Subject<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, IdentityError> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, claim) in &self.headers {
            let value = match claim.as_str() {
                "sub" => header_value(&Value::from(subject.sub)),
                SCOPE => subject.scope.map_or(Ok(None), |scope| header_value(&scope.into())),
                other => subject.claims.get(other).map_or(Ok(None), header_value),
            };
            let value = value.map_err(|why| IdentityError::HeaderValue {
                upstream: Arc::clone(&self.name),
                header: name.to_string(),
                claim: claim.clone(),
                why,
            })?;
            headers.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(headers)
    }

    /// Names the claims that are to blame, by size.
    fn too_large(&self, subject: &Subject<'_>, bytes: usize) -> IdentityError {
        let sent = self.claims.iter().chain(self.headers.iter().map(|(_, claim)| claim));
        let mut sizes: Vec<_> = sent
            .filter_map(|name| Some((subject.claims.get(name)?.to_string().len(), name.as_str())))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .rev()
            .map(|(size, name)| format!("{name} ({size} bytes)"))
            .collect();
        sizes.truncate(3);
        IdentityError::TooLarge {
            upstream: Arc::clone(&self.name),
            bytes,
            limit: HEADER_BYTES,
            largest: sizes.join(", "),
        }
    }
}

/// Name, value, and the four bytes around them in HTTP/1.1.
fn header_bytes(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + 4
}

/// One session at one upstream.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    sid: Box<str>,
    upstream: Arc<str>,
}

/// The same, borrowed. Must hash as [`Key`] does.
struct Lookup<'a> {
    sid: &'a str,
    upstream: &'a str,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Lookup { sid: &self.sid, upstream: &self.upstream }.hash(state);
    }
}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sid.hash(state);
        self.upstream.hash(state);
    }
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *key.sid == *self.sid && *key.upstream == *self.upstream
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<IdentityToken>> for ByBytes {
    fn weight(&self, key: &Key, token: &Arc<IdentityToken>) -> u64 {
        u64::try_from(key.sid.len() + token.weight()).unwrap_or(u64::MAX)
    }
}

/// Whatever the settings say.
const MAX_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// All identity headers of one request together: most servers take 8 to 32 KiB of head.
const HEADER_BYTES: usize = 16 * 1024;
/// Tokens held for reuse: 128 MiB at most, about 100 000 of them.
const CACHE_BYTES: u64 = 128 * 1024 * 1024;
const CACHE_TOKENS: usize = 100_000;
/// What an entry costs beside its texts.
const ENTRY_BYTES: usize = 384;

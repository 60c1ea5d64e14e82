//! The gateway that the fuzzed bytes come to: its configuration, made the ordinary way, and how bytes become a request's parts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::base::Secret;
use crate::config::Config;
use crate::route::Table;
use crate::web::{Network, PublicOrigin};

/// Public under two ports; 10.0.0.0/8 is trusted; `X-Identity` and `X-User.Name` are ours; `/admin` and its kind are protected.
pub(super) const CONFIGURATION: &str = r#"
public_url = "https://app.example.com"
also_public = ["https://app.example.com:8443"]

[network]
trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"]

[session]
store = "memory"
secrets = [{ env = "SECRET" }]

[providers.corp]
issuer = "https://id.example.com"
client_id = "portal"
client_secret = { env = "CLIENT_SECRET" }

[upstreams.portal]
url = "http://portal:3000"
identity = { headers = { "X-Identity" = "sub", "X-User_Name" = "name" } }

[[routes]]
upstream = "portal"
access = "public"
encoded_slash = "keep"

[[routes]]
upstream = "portal"
path = "/admin"

[[routes]]
upstream = "portal"
path = "/admin/api"
methods = ["GET", "HEAD"]

[[routes]]
upstream = "portal"
path = "=/admin/login"
access = "public"

[[routes]]
upstream = "portal"
path = "/caf%C3%A9/%5Bx%5D"

[[routes]]
upstream = "portal"
path = "/a@b"

[[routes]]
upstream = "portal"
host = "app.example.com"
path = "/admin/api"
access = "public"
methods = ["POST"]
"#;

/// The secrets that [`CONFIGURATION`] names.
pub(super) fn environment() -> BTreeMap<&'static str, Secret<String>> {
    let canary = |name: &str| Secret::new(format!("canary-{name}-of-more-than-32-bytes"));
    BTreeMap::from([("SECRET", canary("secret")), ("CLIENT_SECRET", canary("client"))])
}

pub(super) static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    Config::parse(CONFIGURATION, Path::new("fuzzed.toml"), &environment())
        .unwrap_or_else(|problems| panic!("the fixture's configuration: {problems}"))
});

/// Of that configuration, and public under another host too.
pub(super) static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let mut network = CONFIG.network.clone();
    let other = PublicOrigin::parse("https://other.app.example.com:8443").expect("an origin");
    network.public.push(Arc::new(other));
    Network::new(network, CONFIG.cookie.clone())
});

pub(super) static TABLE: LazyLock<Table> =
    LazyLock::new(|| Table::new(CONFIG.routes.clone()).expect("the fixture's routes"));

/// One field a line, `name: value`, as far as they can be fields at all. The library has lower-cased the names then.
pub(super) fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

pub(super) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == b'\n')
}

/// Decodes every escape that is one, and leaves the others.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let value = (byte == b'%')
            .then(|| u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok().filter(|_| bytes[at + 1] != b'+'))
            .flatten();
        out.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}

/// The path of a reference that begins with a slash, as browsers resolve it (WHATWG URL, "path state"); escapes are left as they are.
///
/// Not by the URL library: that takes `x:` for a drive in every scheme.
pub(super) fn resolved_by_browsers(text: &str) -> String {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            dots @ ("." | "..") => {
                if dots == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

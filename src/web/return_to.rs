//! Where a browser goes after login or logout: proven to be ours before it is kept.

use std::borrow::Cow;
use std::sync::Arc;

use url::Url;

use super::authority::Authority;
use super::client::ClientRequest;
use super::network::Network;
use super::path::{CanonicalPath, without_parameters};
use super::settings::PublicOrigin;

/// A path with query and fragment on the current origin, or a URL of another public origin.
///
/// It is judged as a browser would read it (WHATWG URL), and kept byte for byte. It can be written (into a sealed cookie),
/// but reading it again goes through [`ReturnTo::parse`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct ReturnTo(Box<str>);

impl ReturnTo {
    /// Longer targets become `/`: they have to fit into a cookie.
    pub const MAX_BYTES: usize = 2560;

    /// `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The request's own path and query.
    #[must_use]
    pub fn of(request: &ClientRequest, network: &Network) -> Self {
        let target = request.target().as_str();
        // A canonical path begins with exactly one slash: no browser takes it for an authority.
        if target.len() > Self::MAX_BYTES || leads_back(&request.path, network.endpoints()) {
            Self::root()
        } else {
            Self(target.into())
        }
    }

    /// Reads a target that somebody named, at `current`, which is one of our public origins.
    ///
    /// `None` when a browser could be led away by it. One that is too long, or that would lead back into a login or a
    /// logout, becomes `/`.
    #[must_use]
    pub fn parse(raw: &str, current: &PublicOrigin, network: &Network) -> Option<Self> {
        if raw.len() > Self::MAX_BYTES {
            return Some(Self::root());
        }
        if raw.contains(|c: char| c.is_control() || c == '\\') {
            return None;
        }
        let raw = encode_forgotten(raw);
        let (origin, path) = split(&raw, current, network.public())?;
        // `//` begins an authority wherever a path is expected.
        if path.starts_with("//") {
            return None;
        }
        let there = origin.as_deref().unwrap_or(current);
        let base = Url::parse(&format!("{there}/")).ok()?;
        let target = base.join(&path).ok()?;
        if target.origin() != base.origin() || !target.username().is_empty() || target.password().is_some() {
            return None;
        }
        // The library takes `x:` for a drive that no `..` leaves, in every scheme; browsers do so in files alone.
        let bare = path.split(['?', '#']).next().unwrap_or_default();
        let undriven = base.join(&bare.replace(':', "%3A")).ok()?;
        // Dot segments could have hidden a `//`; and what we would answer with 400 is no place to return to.
        let read = [CanonicalPath::parse(target.path()).ok()?, CanonicalPath::parse(undriven.path()).ok()?];
        let path =
            if read.iter().any(|path| leads_back(path, network.endpoints())) { Cow::Borrowed("/") } else { path };
        let target = match origin {
            Some(origin) => format!("{origin}{path}"),
            None => path.into_owned(),
        };
        // What was encoded has grown by up to three times.
        Some(if target.len() > Self::MAX_BYTES { Self::root() } else { Self(target.into()) })
    }

    /// The same target with the origin in front, for a browser that comes by it from another origin. `origin` is where it was read.
    #[must_use]
    pub fn written_out(&self, origin: &PublicOrigin) -> Self {
        if !self.0.starts_with('/') {
            return self.clone();
        }
        let whole = format!("{origin}{}", self.0);
        if whole.len() > Self::MAX_BYTES { Self(format!("{origin}/").into()) } else { Self(whole.into()) }
    }

    /// Its text, fit for `Location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The origin, if it is another one than the current, and the rest from the path on.
///
/// Only two beginnings are understood, so that nothing depends on what a browser makes of others: a slash, and a public
/// origin written out.
fn split<'a>(
    raw: &'a str,
    current: &PublicOrigin,
    public: &[Arc<PublicOrigin>],
) -> Option<(Option<Arc<PublicOrigin>>, Cow<'a, str>)> {
    if raw.starts_with('/') {
        return Some((None, Cow::Borrowed(raw)));
    }
    let (scheme, rest) = raw.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) };
    let authority = Authority::parse(authority)?;
    let is = |origin: &PublicOrigin| scheme.eq_ignore_ascii_case(origin.scheme()) && origin.is_at(&authority);
    if is(current) {
        return Some((None, path));
    }
    public.iter().find(|origin| is(origin)).map(|origin| (Some(Arc::clone(origin)), path))
}

/// Encodes what a sender forgot to, as a browser would: blanks and non-ASCII. `Location` must be ASCII.
fn encode_forgotten(raw: &str) -> Cow<'_, str> {
    if raw.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() * 2);
    for byte in raw.bytes() {
        use std::fmt::Write as _;
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Cow::Owned(out)
}

/// Whether it is an endpoint of ours that starts or ends something, also for whoever drops parameters.
fn leads_back(path: &CanonicalPath, endpoints: &str) -> bool {
    without_parameters(path.as_str())
        .strip_prefix(endpoints)
        .and_then(|rest| rest.strip_prefix('/')?.split('/').next())
        .is_some_and(|name| STARTING_OR_ENDING.contains(&name))
}

const STARTING_OR_ENDING: &[&str] = &["callback", "login", "logout", "sign_in", "sign_out", "start"];

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::web::client::tests::network;

    /// Undoes the escapes of the files in tests/data: `\t \n \r \\ \s` and `\u{hex}`.
    pub(crate) fn unescape(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            out.push(match (c, if c == '\\' { rest.next() } else { None }) {
                ('\\', Some('t')) => '\t',
                ('\\', Some('n')) => '\n',
                ('\\', Some('r')) => '\r',
                ('\\', Some('s')) => ' ',
                ('\\', Some('\\')) => '\\',
                ('\\', Some('u')) => {
                    let code: String = rest.by_ref().skip(1).take_while(|&c| c != '}').collect();
                    char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
                }
                ('\\', other) => panic!("unknown escape {other:?} in {text:?}"),
                (c, _) => c,
            });
        }
        out
    }

    fn parse(raw: &str) -> Option<String> {
        let network = network(&[]);
        ReturnTo::parse(raw, &network.public()[0], &network).map(|target| target.as_str().to_owned())
    }

    /// Where a browser on the current origin ends up.
    fn lands_on(location: &str) -> url::Origin {
        Url::parse("https://app.example.com/oauth2/callback?code=x").unwrap().join(location).unwrap().origin()
    }

    fn ours() -> [url::Origin; 2] {
        ["https://app.example.com", "https://app.example.org:8443"].map(|text| Url::parse(text).unwrap().origin())
    }

    /// LOGIN-06: of a corpus of hostile spellings none leads a browser away.
    #[test]
    fn corpus() {
        let mut cases = 0;
        let mut refused = 0;
        for line in include_str!("../../tests/data/redirects.txt").lines() {
            if line.is_empty() || line.starts_with("# ") {
                continue;
            }
            let raw = unescape(line);
            cases += 1;
            match parse(&raw) {
                Some(target) => assert!(ours().contains(&lands_on(&target)), "{raw:?} became {target:?}"),
                None => refused += 1,
            }
        }
        assert!(cases >= 120, "{cases}");
        // Were everything let through to be judged by luck, this would not hold.
        assert!(refused * 10 > cases * 7, "{refused} of {cases}");
    }

    /// LOGIN-17: a deep link arrives byte for byte.
    #[test]
    fn deep_links_keep_their_bytes() {
        for raw in [
            "/",
            "/a;b?x=%20&x=%2F1",
            "/a%2Fb",
            "/a?b=//evil.example&c=https://evil.example",
            "/a#frag/ment?x",
            "/?",
            "/a%7eb",
            "/oauth2/userinfo",
            "/oauth2/handoff?to=https%3A%2F%2Fapp.example.org%2F",
            "/login",
            "/a@b:c",
            "/a|b^c",
            "/a?it='s'&x=\"y\"",
        ] {
            assert_eq!(parse(raw).as_deref(), Some(raw));
        }
        for (raw, kept) in [
            ("https://app.example.com/a?b#c", "/a?b#c"),
            ("HTTPS://APP.example.com:443/a", "/a"),
            ("https://app.example.com", "/"),
            ("https://app.example.com?a", "/?a"),
            ("https://app.example.org:8443/a;b?x=%2F1", "https://app.example.org:8443/a;b?x=%2F1"),
            ("/å b", "/%C3%A5%20b"),
        ] {
            assert_eq!(parse(raw).as_deref(), Some(kept), "{raw}");
        }
    }

    #[test]
    fn too_long_or_leading_back_becomes_the_root() {
        let long = format!("/{}", "a".repeat(ReturnTo::MAX_BYTES));
        assert_eq!(parse(&long).as_deref(), Some("/"));
        // Short enough as it came, too long as it would be kept.
        let grows = format!("/{}", "å".repeat(ReturnTo::MAX_BYTES / 2 - 1));
        assert_eq!(parse(&grows).as_deref(), Some("/"));
        let longest = format!("/{}", "a".repeat(ReturnTo::MAX_BYTES - 1));
        assert_eq!(parse(&longest), Some(longest));
        for raw in [
            "/oauth2/login",
            "/oauth2/login?rd=/",
            "/oauth2/start",
            "/oauth2/sign_in",
            "/oauth2/callback?code=x",
            "/oauth2/logout",
            "/oauth2/logout/frontchannel",
            "/oauth2/sign_out#a",
            "/x/../oauth2/login",
            "/%6fauth2/login",
            "/oauth2/./login",
            "/oauth2/login;x",
            "/x:/../oauth2/login",
        ] {
            assert_eq!(parse(raw).as_deref(), Some("/"), "{raw}");
        }
    }

    #[test]
    fn written_as_its_text() {
        let target = ReturnTo::root();
        assert_eq!(serde_json::to_string(&target).unwrap(), "\"/\"");
        assert_eq!(target.to_string(), "/");
    }

    proptest! {
        /// LOGIN-06: whatever the text, a browser stays with us.
        #[test]
        fn a_browser_is_never_led_away(raw in "(/|//|\\\\|https?:|app\\.example\\.(com|org)|:8443|@|evil|[.;?#%]|%2f|%5c|%09|\t|\n| |\\.\\.|å){0,8}") {
            if let Some(target) = parse(&raw) {
                prop_assert!(ours().contains(&lands_on(&target)), "{:?} became {:?}", raw, target);
                prop_assert!(target.is_ascii());
                // What was kept is kept again.
                prop_assert_eq!(parse(&target), Some(target.clone()));
            }
        }

        /// LOGIN-06: the same for arbitrary text.
        #[test]
        fn any_text_is_survived(raw in "\\PC{0,30}") {
            if let Some(target) = parse(&raw) {
                prop_assert!(ours().contains(&lands_on(&target)), "{:?} became {:?}", raw, target);
            }
        }
    }
}

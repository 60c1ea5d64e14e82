//! What kind of request a browser says it is making: Fetch metadata, and what older browsers let one guess.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::{HeaderName as Name, Method};

use super::accept::prefers_html;

/// Where a request comes from, as `Sec-Fetch-Site` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The very same origin.
    SameOrigin,
    /// Another origin of the same registrable domain: as hostile as any (CSRF-02).
    SameSite,
    /// Anywhere else.
    CrossSite,
    /// From the person: typed, a bookmark.
    None,
    /// A word that we do not know. Judged as the worst.
    Unknown,
}

/// What the `Origin` field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// No field.
    Absent,
    /// An origin, to be compared exactly.
    Origin(HeaderValue),
    /// `null`, several fields, or no text: nobody in particular.
    Opaque,
}

/// A request as its browser describes it.
#[derive(Clone, Debug)]
pub struct Fetch {
    site: Option<Site>,
    navigation: bool,
    top_level: bool,
    embedded: bool,
    plain: bool,
    prefetch: bool,
    custom: bool,
    source: Source,
}

impl Fetch {
    /// Reads the fields of a request, before any is removed.
    #[must_use]
    pub fn read(headers: &HeaderMap, upgrade: bool) -> Self {
        let custom = headers.contains_key(X_REQUESTED_WITH) || headers.contains_key(X_VESTIBULE_CSRF);
        let dest = text(headers, &SEC_FETCH_DEST);
        let navigation = match text(headers, &SEC_FETCH_MODE) {
            _ if upgrade => false,
            Some(mode) => mode == "navigate",
            // No Fetch metadata: only a browser that opens a page asks for HTML by name.
            None => dest.is_none() && !custom && !is_grpc(headers) && prefers_html(headers),
        };
        let site = text(headers, &SEC_FETCH_SITE);
        Self {
            plain: !upgrade
                && !custom
                && dest.is_none()
                && site.is_none()
                && !headers.contains_key(&SEC_FETCH_MODE)
                && !is_grpc(headers),
            site: site.map(|site| match site {
                "same-origin" => Site::SameOrigin,
                "same-site" => Site::SameSite,
                "cross-site" => Site::CrossSite,
                "none" => Site::None,
                _ => Site::Unknown,
            }),
            navigation,
            top_level: matches!(dest, None | Some("document")),
            embedded: matches!(dest, Some("object" | "embed")),
            prefetch: is_prefetch(headers),
            custom,
            source: source(headers),
        }
    }

    /// `Sec-Fetch-Site`, if the browser sent it.
    #[must_use]
    pub fn site(&self) -> Option<Site> {
        self.site
    }

    /// The `Origin` field.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether a person is opening a page in a tab or window of its own, not in a frame.
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        self.navigation && self.top_level
    }

    /// Whether a person is opening a page from one of our own pages: not led there from anywhere else.
    #[must_use]
    pub fn is_own_navigation(&self) -> bool {
        self.is_navigation() && !self.prefetch && self.site == Some(Site::SameOrigin)
    }

    /// Whether nothing shows that a page's script is asking: no Fetch metadata, no `X-Requested-With`, no gRPC, no upgrade.
    /// Programs ask like this, and old browsers.
    #[must_use]
    pub fn is_plain_request(&self) -> bool {
        self.plain && !self.prefetch
    }

    /// Whether a document is being loaded, in a frame too, but not by `<object>` or `<embed>`.
    #[must_use]
    pub fn is_document(&self) -> bool {
        self.navigation && !self.embedded
    }

    /// Whether the browser is loading ahead of a person who may never come.
    #[must_use]
    pub fn is_prefetch(&self) -> bool {
        self.prefetch
    }

    /// Whether it carries a field that a page elsewhere can only send after a CORS preflight:
    /// `X-Requested-With` or `X-Vestibule-Csrf`.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.custom
    }

    /// Whether an answer may send the browser to log in: a top-level GET or HEAD navigation by a person.
    #[must_use]
    pub fn may_start_login(&self, method: &Method) -> bool {
        (*method == Method::GET || *method == Method::HEAD) && self.is_navigation() && !self.prefetch
    }
}

/// Whether the content is gRPC, whose clients cannot follow a redirect.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    })
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, word: &str| {
        headers.get_all(name).iter().any(|value| {
            value.to_str().is_ok_and(|value| value.split([';', ',']).any(|part| part.trim().eq_ignore_ascii_case(word)))
        })
    };
    says(&SEC_PURPOSE, "prefetch")
        || says(&SEC_PURPOSE, "prerender")
        || says(&PURPOSE, "prefetch")
        || says(&X_PURPOSE, "preview")
        || says(&X_MOZ, "prefetch")
}

fn source(headers: &HeaderMap) -> Source {
    let mut fields = headers.get_all(ORIGIN).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Source::Absent,
        (Some(one), None) if one != "null" && one.to_str().is_ok() => Source::Origin(one.clone()),
        _ => Source::Opaque,
    }
}

/// The one value of a field; several, or no text, is a value that means nothing.
fn text<'a>(headers: &'a HeaderMap, name: &Name) -> Option<&'a str> {
    let mut fields = headers.get_all(name).iter();
    let field = fields.next()?;
    if fields.next().is_some() {
        return Some("");
    }
    Some(field.to_str().unwrap_or_default())
}

static SEC_FETCH_SITE: Name = Name::from_static("sec-fetch-site");
static SEC_FETCH_MODE: Name = Name::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: Name = Name::from_static("sec-fetch-dest");
static SEC_PURPOSE: Name = Name::from_static("sec-purpose");
static PURPOSE: Name = Name::from_static("purpose");
static X_PURPOSE: Name = Name::from_static("x-purpose");
static X_MOZ: Name = Name::from_static("x-moz");
const X_REQUESTED_WITH: &str = "x-requested-with";
const X_VESTIBULE_CSRF: &str = "x-vestibule-csrf";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn fetch(fields: &[(&str, &str)]) -> Fetch {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(Name::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Fetch::read(&headers, false)
    }

    const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");

    /// LOGIN-08, LOGIN-10, LOGIN-24, CSRF-10: only a person who opens a page is sent to log in.
    #[test]
    fn only_navigations_start_a_login() {
        for (fields, starts) in [
            (&[NAVIGATE, ("sec-fetch-dest", "document"), HTML][..], true),
            (&[NAVIGATE, ("sec-fetch-dest", "document")], true),
            (&[NAVIGATE], true),
            (&[NAVIGATE, ("sec-fetch-dest", "iframe"), HTML], false),
            (&[NAVIGATE, ("sec-fetch-dest", "frame")], false),
            (&[NAVIGATE, ("sec-fetch-dest", "embed")], false),
            (&[NAVIGATE, ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch")], false),
            (&[NAVIGATE, ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")], false),
            (&[NAVIGATE, ("sec-fetch-dest", "document"), ("purpose", "prefetch")], false),
            (&[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), HTML], false),
            (&[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image"), ("accept", "image/avif,*/*")], false),
            (&[("sec-fetch-mode", "websocket"), ("sec-fetch-dest", "websocket")], false),
            (&[NAVIGATE, NAVIGATE], false),
            // Older engines name no destination.
            (&[("sec-fetch-mode", "cors"), HTML], false),
            (&[("sec-fetch-mode", "no-cors"), HTML], false),
            // Without Fetch metadata.
            (&[HTML], true),
            (&[("accept", "*/*")], false),
            (&[("accept", "application/json")], false),
            (&[("accept", "text/event-stream")], false),
            (&[], false),
            (&[HTML, ("x-requested-with", "XMLHttpRequest")], false),
            (&[HTML, ("content-type", "application/grpc+proto")], false),
            (&[HTML, ("x-moz", "prefetch")], false),
        ] {
            assert_eq!(fetch(fields).may_start_login(&Method::GET), starts, "{fields:?}");
            assert_eq!(fetch(fields).may_start_login(&Method::HEAD), starts, "{fields:?}");
            for method in [Method::POST, Method::PUT, Method::OPTIONS, Method::DELETE] {
                assert!(!fetch(fields).may_start_login(&method), "{fields:?} {method}");
            }
        }
        for (fields, own, plain) in [
            (&[NAVIGATE, ("sec-fetch-site", "same-origin")][..], true, false),
            // A link in a mail program comes like this too.
            (&[NAVIGATE, ("sec-fetch-site", "none")], false, false),
            (&[NAVIGATE, ("sec-fetch-site", "same-site")], false, false),
            (&[NAVIGATE, ("sec-fetch-site", "cross-site")], false, false),
            (&[HTML], false, true),
            (&[], false, true),
            (&[("x-requested-with", "x")], false, false),
        ] {
            assert_eq!(fetch(fields).is_own_navigation(), own, "{fields:?}");
            assert_eq!(fetch(fields).is_plain_request(), plain, "{fields:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("text/html"));
        assert!(!Fetch::read(&headers, true).may_start_login(&Method::GET), "an upgrade is no navigation");
    }
}

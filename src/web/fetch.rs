//! What kind of request a browser says it is making: Fetch metadata, and what older browsers let one guess.

use http::Method;
use http::header::{HeaderMap, HeaderValue};

use super::accept::Accept;

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

/// Whether a page is being opened.
#[derive(Clone, Debug)]
enum Navigation {
    Yes,
    No,
    /// Older browsers do not say it; that they want HTML does.
    IfHtml(Accept),
}

/// A request as its browser describes it.
#[derive(Clone, Debug)]
pub struct Fetch {
    site: Option<Site>,
    navigation: Navigation,
    top_level: bool,
    embedded: bool,
    plain: bool,
    prefetch: bool,
    custom: bool,
    source: Source,
}

impl Fetch {
    /// Reads the fields of a request, before any is removed. Once through all of them: most that could be there are not.
    #[must_use]
    pub fn read(headers: &HeaderMap, upgrade: bool) -> Self {
        let (mut site, mut mode, mut dest) = (Only::default(), Only::default(), Only::default());
        let (mut custom, mut prefetch, mut content, mut source) = (false, false, None, Source::Absent);
        for (name, value) in headers {
            match name.as_str() {
                "sec-fetch-site" => site.add(value),
                "sec-fetch-mode" => mode.add(value),
                "sec-fetch-dest" => dest.add(value),
                "x-requested-with" | "x-vestibule-csrf" => custom = true,
                "sec-purpose" => prefetch |= says(value, "prefetch") || says(value, "prerender"),
                "purpose" | "x-moz" => prefetch |= says(value, "prefetch"),
                "x-purpose" => prefetch |= says(value, "preview"),
                "content-type" => content = content.or(Some(value)),
                "origin" => source = source.and(value),
                _ => {}
            }
        }
        let grpc = content.is_some_and(is_grpc_type);
        let (site, mode, dest) = (site.0, mode.0, dest.0);
        let bare = !upgrade && !custom && !grpc && dest.is_none() && mode.is_none();
        Self {
            navigation: match mode {
                // No Fetch metadata: only a browser that opens a page asks for HTML by name.
                None if bare => Navigation::IfHtml(Accept::of(headers)),
                Some("navigate") if !upgrade => Navigation::Yes,
                _ => Navigation::No,
            },
            plain: bare && site.is_none(),
            site: site.map(|site| match site {
                "same-origin" => Site::SameOrigin,
                "same-site" => Site::SameSite,
                "cross-site" => Site::CrossSite,
                "none" => Site::None,
                _ => Site::Unknown,
            }),
            top_level: matches!(dest, None | Some("document")),
            embedded: matches!(dest, Some("object" | "embed")),
            prefetch,
            custom,
            source,
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
        self.navigates() && self.top_level
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
        self.navigates() && !self.embedded
    }

    fn navigates(&self) -> bool {
        match &self.navigation {
            Navigation::Yes => true,
            Navigation::No => false,
            Navigation::IfHtml(accept) => accept.prefers_html(),
        }
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

/// The one value of a field; several, or no text, is a value that means nothing.
#[derive(Default)]
struct Only<'a>(Option<&'a str>);

impl<'a> Only<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        self.0 = Some(if self.0.is_some() { "" } else { value.to_str().unwrap_or_default() });
    }
}

impl Source {
    fn and(self, value: &HeaderValue) -> Self {
        if self == Self::Absent && value != "null" && value.to_str().is_ok() {
            Self::Origin(value.clone())
        } else {
            Self::Opaque
        }
    }
}

/// Whether the content is gRPC, whose clients cannot follow a redirect.
fn is_grpc_type(value: &HeaderValue) -> bool {
    value.as_bytes().get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

fn says(value: &HeaderValue, word: &str) -> bool {
    value.to_str().is_ok_and(|value| value.split([';', ',']).any(|part| part.trim().eq_ignore_ascii_case(word)))
}

#[cfg(test)]
pub(crate) mod tests {
    use http::HeaderName as Name;

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

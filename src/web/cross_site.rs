//! Whether a request that rides on a cookie was meant by the person: the defence besides `SameSite`.

use http::Method;

use super::fetch::{Fetch, Site, Source};
use super::settings::PublicOrigin;

/// What is found about a request that carries the session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It comes from our own pages, from the person, or from where the route allows.
    Allow,
    /// It does not, or cannot show that it does: 403.
    Refuse(Reason),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `Sec-Fetch-Site` says that it comes from elsewhere.
    CrossSite,
    /// `Origin` names another origin.
    ForeignOrigin,
    /// `Origin` is `null` or no origin.
    OpaqueOrigin,
    /// Nothing says where it comes from.
    NoEvidence,
    /// The route asks for a header that it lacks (CSRF-07).
    NoHeader,
}

impl Reason {
    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrossSite => "cross_site",
            Self::ForeignOrigin => "foreign_origin",
            Self::OpaqueOrigin => "opaque_origin",
            Self::NoEvidence => "no_evidence",
            Self::NoHeader => "no_header",
        }
    }
}

/// The sentence in the answer.
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CrossSite | Self::ForeignOrigin => "It came from another site.",
            Self::OpaqueOrigin => "It does not say which site it came from.",
            Self::NoHeader => "It lacks the header X-Requested-With or X-Vestibule-Csrf, which requests here need.",
            Self::NoEvidence => {
                "It does not say which site it came from. Programs that use a session cookie can send the header X-Requested-With."
            }
        })
    }
}

impl Fetch {
    /// Judges a request that carries the session cookie, for our origin `own`. `allowed` are other origins that may
    /// send it; a route that lets everybody does not ask.
    ///
    /// | | unsafe method | safe, a document | safe, anything else |
    /// |---|---|---|---|
    /// | `Sec-Fetch-Site: same-origin`, `none` | allow | allow | allow |
    /// | `same-site`, `cross-site`, unknown | by `Origin` | allow | by `Origin` |
    /// | no metadata, `Origin` there | by `Origin` | by `Origin` | by `Origin` |
    /// | neither | custom header | allow | allow |
    ///
    /// WebSocket handshakes are unsafe whatever their method, and go by `Origin` alone, which every browser sends.
    #[must_use]
    pub fn judge(&self, method: &Method, upgrade: bool, allowed: &[String], own: &PublicOrigin) -> Verdict {
        let safe = !upgrade && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let named = match self.source() {
            Source::Origin(origin) => origin.to_str().ok(),
            Source::Absent | Source::Opaque => None,
        };
        if named.is_some_and(|named| allowed.iter().any(|allowed| allowed == named)) {
            return Verdict::Allow;
        }
        if !upgrade {
            match self.site() {
                Some(Site::SameOrigin | Site::None) => return Verdict::Allow,
                Some(_) if safe && self.is_document() => return Verdict::Allow,
                Some(_) => return Verdict::Refuse(Reason::CrossSite),
                None => {}
            }
        }
        match self.source() {
            Source::Origin(_) if named.is_some_and(|origin| own.is_origin(origin)) => Verdict::Allow,
            Source::Origin(_) => Verdict::Refuse(Reason::ForeignOrigin),
            Source::Opaque => Verdict::Refuse(Reason::OpaqueOrigin),
            Source::Absent if safe || self.is_custom() => Verdict::Allow,
            Source::Absent => Verdict::Refuse(Reason::NoEvidence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::fetch::tests::fetch;

    const OWN: &str = "https://app.example.com";
    const SPA: &str = "https://spa.example.com";

    fn judge(method: &Method, upgrade: bool, fields: &[(&str, &str)]) -> Verdict {
        fetch(fields).judge(method, upgrade, &[SPA.to_owned()], &PublicOrigin::parse(OWN).unwrap())
    }

    /// CSRF-01, CSRF-02: the whole matrix of site, mode, destination and method.
    #[test]
    fn fetch_metadata_decides() {
        for site in ["same-origin", "same-site", "cross-site", "none", "new-word", "", "SAME-ORIGIN"] {
            for (mode, dest) in [
                ("navigate", "document"),
                ("navigate", "iframe"),
                ("navigate", "object"),
                ("cors", "empty"),
                ("no-cors", "image"),
                ("no-cors", "empty"),
                ("same-origin", "empty"),
            ] {
                for method in [
                    Method::GET,
                    Method::HEAD,
                    Method::OPTIONS,
                    Method::POST,
                    Method::PUT,
                    Method::DELETE,
                    Method::TRACE,
                ] {
                    let friendly = matches!(site, "same-origin" | "none");
                    let safe = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
                    let allow = friendly || safe && mode == "navigate" && dest != "object";
                    let fields = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
                    assert_eq!(judge(&method, false, &fields) == Verdict::Allow, allow, "{method} {fields:?}");
                }
            }
            // Of several none is believed.
            let twice = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", site)];
            assert_eq!(judge(&Method::POST, false, &twice), Verdict::Refuse(Reason::CrossSite), "{twice:?}");
        }
    }

    /// CSRF-02: a listed origin may, and only exactly that one.
    #[test]
    fn listed_origins_may() {
        let cross = ("sec-fetch-site", "same-site");
        assert_eq!(judge(&Method::POST, false, &[cross, ("origin", SPA)]), Verdict::Allow);
        for other in [
            "https://spa.example.com:444",
            "http://spa.example.com",
            "https://SPA.example.com",
            "null",
            "https://spa.example.com.evil",
        ] {
            assert_eq!(
                judge(&Method::POST, false, &[cross, ("origin", other)]),
                Verdict::Refuse(Reason::CrossSite),
                "{other}"
            );
        }
        // A cross-site page cannot claim our own origin; were it so, the metadata win.
        assert_eq!(judge(&Method::POST, false, &[cross, ("origin", OWN)]), Verdict::Refuse(Reason::CrossSite));
    }

    /// CSRF-03: without Fetch metadata an exact `Origin`; `null` refused; with neither, a custom header.
    #[test]
    fn older_browsers_go_by_origin() {
        for (fields, verdict) in [
            (&[("origin", OWN)][..], Verdict::Allow),
            (&[("origin", SPA)], Verdict::Allow),
            (&[("origin", "https://evil.example")], Verdict::Refuse(Reason::ForeignOrigin)),
            (&[("origin", "http://app.example.com")], Verdict::Refuse(Reason::ForeignOrigin)),
            (&[("origin", "https://app.example.com.evil.example")], Verdict::Refuse(Reason::ForeignOrigin)),
            (&[("origin", "https://evil.example"), ("x-requested-with", "x")], Verdict::Refuse(Reason::ForeignOrigin)),
            (&[("origin", "null")], Verdict::Refuse(Reason::OpaqueOrigin)),
            (&[("origin", "null"), ("x-requested-with", "x")], Verdict::Refuse(Reason::OpaqueOrigin)),
            (&[("origin", OWN), ("origin", "https://evil.example")], Verdict::Refuse(Reason::OpaqueOrigin)),
            (&[], Verdict::Refuse(Reason::NoEvidence)),
            (&[("referer", "https://app.example.com/")], Verdict::Refuse(Reason::NoEvidence)),
            (&[("x-requested-with", "XMLHttpRequest")], Verdict::Allow),
            (&[("x-vestibule-csrf", "1")], Verdict::Allow),
        ] {
            assert_eq!(judge(&Method::POST, false, fields), verdict, "{fields:?}");
        }
        assert_eq!(judge(&Method::GET, false, &[]), Verdict::Allow);
        assert_eq!(
            judge(&Method::GET, false, &[("origin", "https://evil.example")]),
            Verdict::Refuse(Reason::ForeignOrigin)
        );
    }

    /// CSRF-04: WebSocket handshakes go by `Origin`, in HTTP/1.1 and HTTP/2 alike.
    #[test]
    fn websockets_go_by_origin() {
        for (fields, verdict) in [
            (&[("origin", OWN), ("sec-fetch-site", "same-origin")][..], Verdict::Allow),
            (&[("origin", SPA), ("sec-fetch-site", "same-site")], Verdict::Allow),
            (
                &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
                Verdict::Refuse(Reason::ForeignOrigin),
            ),
            (
                &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
                Verdict::Refuse(Reason::ForeignOrigin),
            ),
            (&[("origin", "null")], Verdict::Refuse(Reason::OpaqueOrigin)),
            (&[], Verdict::Refuse(Reason::NoEvidence)),
        ] {
            assert_eq!(judge(&Method::GET, true, fields), verdict, "{fields:?}");
        }
    }
}

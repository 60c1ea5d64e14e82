//! The one layout of all pages: no script, no image, nothing loaded from anywhere.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use http::{Response, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::answer::response;
use super::body::Body;
use super::request_id::RequestId;

/// A page under construction.
#[derive(Clone, Debug)]
pub struct Page {
    status: StatusCode,
    title: String,
    body: Markup,
    reference: Option<String>,
    forms: Option<String>,
    framed_by: Option<String>,
    goes_on_to: Option<String>,
    asks_for: Option<String>,
}

/// A page in the shared layout.
#[must_use]
pub fn page(status: StatusCode, title: &str, body: Markup) -> Response<Body> {
    Page::new(status, title, body).answer()
}

impl Page {
    /// A page with a heading. In `body`, `a.button` and `button` are buttons, `.quiet` is small print, `ul.choices` a list of
    /// large links.
    #[must_use]
    pub fn new(status: StatusCode, title: &str, body: Markup) -> Self {
        Self {
            status,
            title: title.to_owned(),
            body,
            reference: None,
            forms: None,
            framed_by: None,
            goes_on_to: None,
            asks_for: None,
        }
    }

    /// Names the request at the foot of the page.
    #[must_use]
    pub fn reference(mut self, request_id: &RequestId) -> Self {
        self.reference = Some(request_id.to_string());
        self
    }

    /// The page has a form: our own origin learns where it was sent from, other origins learn nothing.
    #[must_use]
    pub fn with_form(mut self) -> Self {
        self.forms.get_or_insert_default();
        self
    }

    /// The page has a form, and sending it may end at `origin` (`https://id.example.com`) by way of a redirect: browsers
    /// apply `form-action` to redirects as well.
    #[must_use]
    pub fn form_goes_to(mut self, origin: &str) -> Self {
        let forms = self.forms.get_or_insert_default();
        forms.push(' ');
        forms.push_str(origin);
        self
    }

    /// Only this origin may show the page in a frame; else nobody may.
    #[must_use]
    pub fn framed_by(mut self, origin: &str) -> Self {
        self.framed_by = Some(origin.to_owned());
        self
    }

    /// The browser goes on to this path of ours by itself: a navigation that our own page begins, unlike a redirect.
    #[must_use]
    pub fn goes_on_to(mut self, path: &str) -> Self {
        self.goes_on_to = Some(path.to_owned());
        self
    }

    /// Once it is shown the page asks for this URL of ours and for nothing else, as for a picture that nobody sees: what counts is the
    /// answer's head.
    #[must_use]
    pub fn asks_for(mut self, url: String) -> Self {
        self.asks_for = Some(url);
        self
    }

    /// The answer.
    #[must_use]
    pub fn answer(self) -> Response<Body> {
        let policy = self.policy();
        let has_form = self.forms.is_some();
        let status = self.status;
        let mut answer = response(status, Body::full(self.markup().into_string()), Some("text/html; charset=utf-8"));
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        if has_form {
            // Under `no-referrer` a browser without Fetch metadata sends `Origin: null` with the form, which we refuse.
            answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        }
        answer
    }

    fn policy(&self) -> HeaderValue {
        if self.forms.is_none() && self.framed_by.is_none() && self.asks_for.is_none() {
            return POLICY.clone();
        }
        let mut policy =
            policy(self.forms.as_deref().unwrap_or_default(), self.framed_by.as_deref().unwrap_or("'none'"));
        if let Some(url) = &self.asks_for {
            policy.push_str("; img-src ");
            policy.push_str(url);
        }
        HeaderValue::try_from(policy).unwrap_or_else(|_| POLICY.clone())
    }

    fn markup(self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    @if let Some(path) = &self.goes_on_to { meta http-equiv="refresh" content={ "0; url=" (path) }; }
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        (wordmark())
                        h1 { (self.title) }
                        (self.body)
                        @if let Some(url) = &self.asks_for { img src=(url) alt="" hidden; }
                    }
                    @if let Some(reference) = &self.reference {
                        footer { "Reference " code { (reference) } }
                    }
                }
            }
        }
    }
}

/// A door within a door, and the name.
fn wordmark() -> Markup {
    html! {
        div.mark {
            svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false" {
                path d="M2.5 28.5h27M5 28.5V13a11 11 0 0 1 22 0v15.5M17.4 21.6v.6" {}
                path.door d="M11.5 28.5V15a4.5 4.5 0 0 1 9 0v13.5" {}
            }
            span { "Vestibule" }
        }
    }
}

fn policy(forms: &str, framed_by: &str) -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; frame-ancestors {framed_by}; base-uri 'none'; form-action 'self'{forms}",
        *STYLE_HASH
    )
}

static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes())));

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    HeaderValue::try_from(policy("", "'none'")).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::answer::tests::{request_id, text};

    fn csp(answer: &Response<Body>) -> &str {
        answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap()
    }

    /// CSRF-08: nothing may be loaded, framed, rebased or run; the one style is known by its hash.
    #[tokio::test]
    async fn pages_can_do_nothing() {
        let answer = Page::new(StatusCode::OK, "A <b>", html! { p { "x" } }).reference(&request_id()).answer();
        let policy = csp(&answer).to_owned();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.split("; ").any(|found| found == part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");

        let page = text(answer).await;
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes()));
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
        assert!(page.contains("<h1>A &lt;b&gt;</h1>"));
        for active in ["<script", "onclick", "javascript:", " style=", "<img", "@import", "url("] {
            assert!(!page.contains(active), "{active}");
        }
    }

    #[test]
    fn forms_and_frames_open_only_what_they_name() {
        let form = Page::new(StatusCode::OK, "Sign out?", html! {}).form_goes_to("https://id.example.com").answer();
        assert!(csp(&form).ends_with("form-action 'self' https://id.example.com"));
        assert!(csp(&form).contains("frame-ancestors 'none'"));
        assert_eq!(form.headers()[REFERRER_POLICY], "same-origin");

        let own = Page::new(StatusCode::OK, "Sign out?", html! {}).with_form().answer();
        assert!(csp(&own).ends_with("form-action 'self'"));
        assert_eq!(own.headers()[REFERRER_POLICY], "same-origin");

        let framed = Page::new(StatusCode::OK, "Signed out", html! {}).framed_by("https://id.example.com").answer();
        assert!(csp(&framed).contains("frame-ancestors https://id.example.com;"));
        assert!(csp(&framed).ends_with("form-action 'self'"));

        let forged = Page::new(StatusCode::OK, "x", html! {}).framed_by("a\r\nb").answer();
        assert!(csp(&forged).contains("frame-ancestors 'none'"));
    }
}

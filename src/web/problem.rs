//! What went wrong, told to people as a page and to programs as RFC 9457 has it. Never why in detail: that is for the log.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use maud::html;

use super::accept::Format;
use super::answer::{response, status_of};
use super::body::Body;
use super::page::Page;
use super::request_id::RequestId;
use crate::base::Blame;

/// An error answer under construction.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    kind: Option<&'static str>,
    title: Cow<'static, str>,
    detail: Option<Cow<'static, str>>,
    login: Option<String>,
    retry_after: Option<Duration>,
    actions: Vec<(Cow<'static, str>, String)>,
}

impl Problem {
    /// A problem and its heading, which is the same for every occurrence.
    #[must_use]
    pub fn new(status: StatusCode, title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            kind: None,
            title: title.into(),
            detail: None,
            login: None,
            retry_after: None,
            actions: Vec::new(),
        }
    }

    /// The general answer to somebody's fault, with `Retry-After` where it passes by itself.
    #[must_use]
    pub fn of(blame: Blame) -> Self {
        let (title, wait) = match blame {
            Blame::Client => ("This request makes no sense", None),
            Blame::Provider => ("Signing in is not possible right now", Some(5)),
            Blame::Upstream => ("The application does not answer", None),
            Blame::Store => ("Sessions cannot be checked right now", Some(1)),
            Blame::Overload => ("Too much is going on", Some(1)),
            Blame::Bug => ("Something went wrong here", None),
        };
        let problem = Self::new(status_of(blame), title);
        match wait {
            Some(seconds) => problem.retry_after(Duration::from_secs(seconds)),
            None => problem,
        }
    }

    /// Names the kind of problem for programs: `type` becomes `urn:vestibule:problem:<word>`.
    #[must_use]
    pub fn kind(mut self, word: &'static str) -> Self {
        self.kind = Some(word);
        self
    }

    /// What it means here, and what one can do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Where one signs in: the member `login`, and a button.
    #[must_use]
    pub fn login(mut self, url: impl Into<String>) -> Self {
        self.login = Some(url.into());
        self
    }

    /// When to try again; in whole seconds, one at least.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// A further link on the page.
    #[must_use]
    pub fn action(mut self, label: impl Into<Cow<'static, str>>, href: impl Into<String>) -> Self {
        self.actions.push((label.into(), href.into()));
        self
    }

    /// The answer. `request_id` is what a person can quote to whoever runs the site.
    #[must_use]
    pub fn answer(self, format: Format, request_id: &RequestId) -> Response<Body> {
        let mut answer = match format {
            Format::Html => self.page(request_id),
            Format::Problem => self.document(request_id),
        };
        if let Some(wait) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        answer
    }

    fn document(&self, request_id: &RequestId) -> Response<Body> {
        let kind =
            self.kind.map_or(Cow::Borrowed("about:blank"), |word| Cow::Owned(format!("urn:vestibule:problem:{word}")));
        let document = Document {
            kind: &kind,
            title: &self.title,
            status: self.status.as_u16(),
            detail: self.detail.as_deref().unwrap_or(&self.title),
            request_id,
            login: self.login.as_deref(),
        };
        // Strings and a number: there is nothing in it that cannot be written.
        let text = serde_json::to_vec(&document).unwrap_or_default();
        response(self.status, Body::full(text), Some("application/problem+json"))
    }

    fn page(&self, request_id: &RequestId) -> Response<Body> {
        let body = html! {
            @if let Some(detail) = &self.detail { p { (detail) } }
            @if self.login.is_some() || !self.actions.is_empty() {
                p.actions {
                    @if let Some(login) = &self.login { a.button href=(login) { "Sign in" } }
                    @for (label, href) in &self.actions { a href=(href) { (label) } }
                }
            }
        };
        Page::new(self.status, &self.title, body).reference(request_id).answer()
    }
}

#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::answer::tests::{request_id, text};

    fn problem() -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "Sign in first")
            .detail("No <session>.")
            .login("/oauth2/login?rd=%2Fa&b=c")
    }

    /// API-17: the members of RFC 9457 and ours, and no others.
    #[tokio::test]
    async fn programs_get_a_document() {
        let answer = problem().answer(Format::Problem, &request_id());
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let expected = format!(
            r#"{{"type":"about:blank","title":"Sign in first","status":401,"detail":"No <session>.","request_id":"{}","login":"/oauth2/login?rd=%2Fa&b=c"}}"#,
            request_id()
        );
        assert_eq!(text(answer).await, expected);
        let answer =
            Problem::new(StatusCode::BAD_REQUEST, "No").kind("several-cookies").answer(Format::Problem, &request_id());
        let document: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(document["type"], "urn:vestibule:problem:several-cookies");
        assert_eq!(document["detail"], "No");
        assert!(document.get("login").is_none());
    }

    /// CSRF-08: what is shown is escaped, and names the request.
    #[tokio::test]
    async fn people_get_a_page() {
        let answer = problem().action("Home", "/?a=\"><script>").answer(Format::Html, &request_id());
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let page = text(answer).await;
        assert!(page.contains("No &lt;session&gt;."));
        assert!(page.contains("href=\"/oauth2/login?rd=%2Fa&amp;b=c\""));
        assert!(page.contains(&request_id().to_string()));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn faults_have_their_status_and_pass_when_they_can() {
        for (blame, status, wait) in [
            (Blame::Client, 400, None),
            (Blame::Provider, 503, Some("5")),
            (Blame::Upstream, 502, None),
            (Blame::Store, 503, Some("1")),
            (Blame::Overload, 503, Some("1")),
            (Blame::Bug, 500, None),
        ] {
            let answer = Problem::of(blame).answer(Format::Problem, &request_id());
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), wait);
        }
        let soon =
            Problem::of(Blame::Store).retry_after(Duration::from_millis(5)).answer(Format::Problem, &request_id());
        assert_eq!(soon.headers()[RETRY_AFTER], "1");
    }
}

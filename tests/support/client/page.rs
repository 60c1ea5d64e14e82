//! What came back.
//!
//! Must never hide bytes: the body is as it was received.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::form::Form;

/// One step on the way to a page.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where.
    pub url: Url,
    /// What it answered.
    pub status: u16,
    /// With these headers.
    pub headers: HeaderMap,
}

/// An answer, and how it was reached.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it was found.
    pub url: Url,
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers, if any came.
    pub trailers: Option<HeaderMap>,
    /// Whether the body ended as its framing promised.
    pub complete: bool,
    /// The redirects before it, oldest first.
    pub trail: Vec<Step>,
}

impl Page {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All headers of that name.
    pub fn header_all(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    /// The `Set-Cookie` lines.
    pub fn set_cookies(&self) -> Vec<String> {
        self.header_all("set-cookie")
    }

    /// Where a redirect points, resolved.
    pub fn location(&self) -> Option<Url> {
        self.url.join(self.header("location")?).ok()
    }

    /// Whether a browser would go on to [`Page::location`].
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308) && self.location().is_some()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The forms in it.
    pub fn forms(&self) -> Vec<Form> {
        Form::all(self)
    }

    /// The same page, when it has that status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "at {}: {:?}\n{}", self.url, self.headers, self.text());
        self
    }

    /// Its status as a type.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap()
    }
}

//! One request as a browser makes it, with the Fetch metadata that belong to it.
//!
//! Must never invent a header that the kind of request does not have.

use http::Method;
use url::{Host, Url};

use crate::support::codec;

/// Who caused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A person: typed or from a bookmark (`Sec-Fetch-Site: none`).
    User,
    /// A page of this origin.
    Page(Url),
}

/// A request to be made by a [`super::Browser`].
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) from: From,
    pub(super) mode: &'static str,
    pub(super) dest: &'static str,
    pub(super) user_activated: bool,
    pub(super) metadata: bool,
    pub(super) credentials: bool,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
}

impl Ask {
    /// A top-level navigation that the person typed.
    pub fn navigation(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            from: From::User,
            mode: "navigate",
            dest: "document",
            user_activated: true,
            metadata: true,
            credentials: true,
            headers: Vec::new(),
            body: None,
        }
    }

    /// A script's `fetch(url, {method})`, by default from the URL's own origin.
    pub fn fetch(method: Method, url: impl Into<String>) -> Self {
        let url = url.into();
        let from = Url::parse(&url).map_or(From::User, |url| From::Page(origin_of(&url)));
        let ask = Self { method, from, mode: "cors", dest: "empty", user_activated: false, ..Self::navigation(url) };
        ask.header("accept", "*/*")
    }

    /// A form that a page of the URL's own origin posts as a navigation.
    pub fn form<K: AsRef<str>, V: AsRef<str>>(url: impl Into<String>, fields: &[(K, V)]) -> Self {
        let url = url.into();
        let from = Url::parse(&url).map_or(From::User, |url| From::Page(origin_of(&url)));
        Self { method: Method::POST, from, ..Self::navigation(url) }
            .header("content-type", "application/x-www-form-urlencoded")
            .body(codec::form(fields))
    }

    /// An `<img>` in a page.
    pub fn image(url: impl Into<String>) -> Self {
        Self { mode: "no-cors", dest: "image", user_activated: false, ..Self::navigation(url) }
            .header("accept", "image/avif,image/webp,image/*,*/*;q=0.8")
    }

    /// An `<iframe>` in a page.
    pub fn frame(url: impl Into<String>) -> Self {
        Self { dest: "iframe", user_activated: false, ..Self::navigation(url) }
    }

    /// A bare HTTP client: no Fetch metadata, no `Accept` unless given.
    pub fn plain(method: Method, url: impl Into<String>) -> Self {
        Self { method, metadata: false, mode: "plain", ..Self::navigation(url) }
    }

    /// Caused by a page of that origin.
    ///
    /// # Panics
    /// When `origin` is no URL.
    #[must_use]
    pub fn caused_by(mut self, origin: &str) -> Self {
        self.from = From::Page(Url::parse(origin).expect("an origin"));
        self
    }

    /// With this header, in the place of one that would be sent by itself.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With this JSON body.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// As old browsers do: no `Sec-Fetch-*`.
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        self.metadata = false;
        self
    }

    /// `credentials: "omit"`.
    #[must_use]
    pub fn without_cookies(mut self) -> Self {
        self.credentials = false;
        self
    }

    pub(super) fn is_navigation(&self) -> bool {
        self.mode == "navigate"
    }

    pub(super) fn is_top_level(&self) -> bool {
        self.mode == "navigate" && self.dest == "document"
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name))
    }
}

/// `Sec-Fetch-Site` for a request by `from` that visited all of `urls` (the last is where it goes now).
pub(super) fn fetch_site(from: &From, urls: &[Url]) -> &'static str {
    let From::Page(page) = from else { return "none" };
    let mut site = "same-origin";
    for url in urls {
        if page.origin() == url.origin() {
            continue;
        }
        if !same_site(page, url) {
            return "cross-site";
        }
        site = "same-site";
    }
    site
}

/// Schemeful same-site. The registrable domain is taken to be the last two labels: test names have no longer suffix.
pub(super) fn same_site(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && registrable(a) == registrable(b)
}

pub(super) fn origin_of(url: &Url) -> Url {
    Url::parse(&url.origin().ascii_serialization()).unwrap_or_else(|_| url.clone())
}

fn registrable(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => {
            let labels: Vec<&str> = name.rsplit('.').take(2).collect();
            labels.into_iter().rev().collect::<Vec<_>>().join(".")
        }
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

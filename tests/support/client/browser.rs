//! The browser.
//!
//! Must never follow a redirect that was not asked for: [`Browser::ask`] makes one request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::ask::{Ask, From, fetch_site, origin_of, same_site};
use super::connection::{Io, Recorded};
use super::jar::{Cookie, Jar};
use super::page::{Page, Step};
use crate::support::gateway::Site;
use crate::support::tls::TestCa;

const LIMIT: Duration = Duration::from_secs(30);
const ACCEPT_PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// A browser: clones share the jar and the record, so that several tabs can work at once.
#[derive(Clone)]
pub struct Browser {
    jar: Arc<Mutex<Jar>>,
    received: Arc<Mutex<Vec<u8>>>,
    addresses: HashMap<String, SocketAddr>,
    tls: Option<Arc<rustls::ClientConfig>>,
    cookies_on: bool,
}

impl Browser {
    /// With an empty jar, without TLS.
    pub fn new() -> Self {
        Self { jar: Arc::default(), received: Arc::default(), addresses: HashMap::new(), tls: None, cookies_on: true }
    }

    /// One that trusts that authority.
    pub fn trusting(ca: &TestCa) -> Self {
        Self { tls: Some(ca.client_config(&["http/1.1"])), ..Self::new() }
    }

    /// Sends everything for `host` (`"app.example.com"`, `"127.0.0.1:8080"`, or `"*"`) to `address`.
    #[must_use]
    pub fn resolve(mut self, host: &str, address: SocketAddr) -> Self {
        self.addresses.insert(host.to_owned(), address);
        self
    }

    /// One that keeps no cookie.
    #[must_use]
    pub fn without_cookies(mut self) -> Self {
        self.cookies_on = false;
        self
    }

    /// Another person at another machine: same addresses and roots, empty jar and record.
    #[must_use]
    pub fn stranger(&self) -> Self {
        Self { jar: Arc::default(), received: Arc::default(), ..self.clone() }
    }

    /// The jar, to look into or change.
    pub fn jar<T>(&self, look: impl FnOnce(&mut Jar) -> T) -> T {
        look(&mut self.jar.lock().unwrap())
    }

    /// All living cookies.
    pub fn cookies(&self) -> Vec<Cookie> {
        self.jar(|jar| jar.all())
    }

    /// The value of the cookie of that name.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar(|jar| jar.named(name)).map(|cookie| cookie.value)
    }

    /// Every byte received so far, heads and framing included.
    pub fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }

    /// Types a URL and follows redirects and pages that submit themselves, as a browser does.
    pub async fn navigate(&self, url: impl Into<String>) -> Page {
        self.follow(Ask::navigation(url)).await
    }

    /// Types a URL and stops at the first answer.
    pub async fn step(&self, url: impl Into<String>) -> Page {
        self.ask(Ask::navigation(url)).await
    }

    /// A script's GET from the URL's own origin.
    pub async fn fetch(&self, url: impl Into<String>) -> Page {
        self.ask(Ask::fetch(Method::GET, url)).await
    }

    /// A form post from the URL's own origin, redirects followed.
    pub async fn submit<K: AsRef<str>, V: AsRef<str>>(&self, url: impl Into<String>, fields: &[(K, V)]) -> Page {
        self.follow(Ask::form(url, fields)).await
    }

    /// Makes one request.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn ask(&self, ask: Ask) -> Page {
        let url = Url::parse(&ask.url).unwrap_or_else(|error| panic!("{}: {error}", ask.url));
        self.try_ask(&ask, std::slice::from_ref(&url)).await.unwrap_or_else(|why| panic!("{url}: {why}"))
    }

    /// Makes one request that may get no answer.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn attempt(&self, ask: Ask) -> Result<Page, String> {
        let url = Url::parse(&ask.url).map_err(|error| error.to_string())?;
        self.try_ask(&ask, &[url]).await
    }

    /// Follows redirects from `ask` on, at most 20.
    ///
    /// # Panics
    /// When there are more.
    pub async fn follow(&self, mut ask: Ask) -> Page {
        let mut urls = vec![Url::parse(&ask.url).unwrap_or_else(|error| panic!("{}: {error}", ask.url))];
        let mut trail = Vec::new();
        loop {
            let mut page =
                self.try_ask(&ask, &urls).await.unwrap_or_else(|why| panic!("{}: {why}", urls[urls.len() - 1]));
            assert!(trail.len() <= 20, "more than 20 redirects: {trail:?}");
            let next = if page.is_redirect() { page.location() } else { None };
            let form = page.forms().into_iter().find(|form| form.submits_itself && ask.is_navigation());
            if next.is_none() && form.is_none() {
                page.trail = trail;
                return page;
            }
            trail.push(Step { url: page.url.clone(), status: page.status, headers: page.headers.clone() });
            if let Some(next) = next {
                let becomes_get = page.status == 303 && ask.method != Method::HEAD
                    || matches!(page.status, 301 | 302) && ask.method == Method::POST;
                if becomes_get {
                    ask.method = Method::GET;
                    ask.body = None;
                    ask.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                }
                urls.push(next);
            } else if let Some(form) = form {
                // A new navigation, caused by the page that holds the form.
                ask = if form.method == "post" {
                    Ask::form(form.action.as_str(), &form.fields)
                } else {
                    let mut action = form.action.clone();
                    action.query_pairs_mut().clear().extend_pairs(&form.fields);
                    Ask::navigation(action)
                };
                ask.from = From::Page(origin_of(&page.url));
                ask.user_activated = false;
                urls = vec![Url::parse(&ask.url).unwrap()];
            }
        }
    }

    async fn try_ask(&self, ask: &Ask, urls: &[Url]) -> Result<Page, String> {
        let url = &urls[urls.len() - 1];
        let request = self.request(ask, urls);
        let io = tokio::time::timeout(LIMIT, self.connect(url)).await.map_err(|_| "connecting takes too long")?;
        let io = io.map_err(|error| format!("cannot connect: {error}"))?;
        let io = Recorded { io, log: Arc::clone(&self.received) };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
            .await
            .map_err(|error| format!("no connection: {error}"))?;
        let driver = tokio::spawn(connection);
        let answer = tokio::time::timeout(LIMIT, sender.send_request(request)).await;
        let answer = answer.map_err(|_| "no answer in time")?.map_err(|error| format!("no answer: {error:?}"))?;
        let (head, mut body) = answer.into_parts();
        if self.cookies_on && ask.credentials {
            let cross_site = !ask.is_top_level() && fetch_site(&ask.from, urls) == "cross-site";
            let mut jar = self.jar.lock().unwrap();
            for line in head.headers.get_all("set-cookie") {
                jar.store(url, &String::from_utf8_lossy(line.as_bytes()), cross_site);
            }
        }
        let (mut bytes, mut trailers, mut complete) = (BytesMut::new(), None, true);
        while let Some(frame) = tokio::time::timeout(LIMIT, body.frame()).await.map_err(|_| "the body stalls")? {
            match frame {
                Err(_) => {
                    complete = false;
                    break;
                }
                Ok(frame) => match frame.into_data() {
                    Ok(data) => bytes.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        }
        driver.abort();
        Ok(Page {
            url: url.clone(),
            status: head.status.as_u16(),
            headers: head.headers,
            body: bytes.freeze(),
            trailers,
            complete,
            trail: Vec::new(),
        })
    }

    fn request(&self, ask: &Ask, urls: &[Url]) -> Request<Full<Bytes>> {
        let url = &urls[urls.len() - 1];
        let site = fetch_site(&ask.from, urls);
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::new(Full::new(Bytes::from(ask.body.clone().unwrap_or_default())));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = target.parse().unwrap_or_else(|error| panic!("{target}: {error}"));
        let mut set = |name: &'static str, value: &str| {
            if !ask.has(name) {
                request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
            }
        };
        set("host", &url[url::Position::BeforeHost..url::Position::AfterPort]);
        if ask.mode != "plain" {
            set("user-agent", "Mozilla/5.0 (X11; Linux x86_64) VestibuleTest/1.0");
            set("accept", ACCEPT_PAGE);
            set("accept-language", "en");
        }
        let secure = url.scheme() == "https" || matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if ask.metadata && secure {
            set("sec-fetch-site", site);
            set("sec-fetch-mode", ask.mode);
            set("sec-fetch-dest", ask.dest);
            if ask.is_navigation() && ask.user_activated {
                set("sec-fetch-user", "?1");
            }
        }
        if let From::Page(page) = &ask.from {
            let cors = ask.mode == "cors" && site != "same-origin";
            if cors || !matches!(ask.method, Method::GET | Method::HEAD) {
                // A cross-origin redirect taints the origin.
                let tainted = urls.iter().take(urls.len() - 1).any(|passed| passed.origin() != page.origin())
                    && url.origin() != page.origin();
                let origin = page.origin().ascii_serialization();
                set("origin", if tainted { "null" } else { &origin });
            }
        }
        if self.cookies_on && ask.credentials {
            // A page of another site sends Strict cookies never, Lax ones only with a safe top-level navigation.
            let foreign = matches!(&ask.from, From::Page(page) if !same_site(page, url));
            let safe = matches!(ask.method, Method::GET | Method::HEAD) && ask.is_top_level();
            let jar = self.jar.lock().unwrap();
            let cookies = jar.header(url, |cookie| match cookie.same_site.as_deref() {
                Some("none") => true,
                Some("strict") => !foreign,
                _ => !foreign || safe,
            });
            if let Some(cookies) = cookies {
                set("cookie", &cookies);
            }
        }
        for (name, value) in &ask.headers {
            let name = http::HeaderName::try_from(name.as_str()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request
    }

    async fn connect(&self, url: &Url) -> std::io::Result<Box<dyn Io>> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let fixed = [format!("{host}:{port}"), host.to_owned(), "*".to_owned()];
        let tcp = match fixed.iter().find_map(|name| self.addresses.get(name)) {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect((host.trim_matches(['[', ']']), port)).await?,
        };
        tcp.set_nodelay(true)?;
        if url.scheme() != "https" {
            return Ok(Box::new(tcp));
        }
        let config = self.tls.clone().expect("a browser for https is made by `Browser::trusting`");
        let name = rustls_pki_types::ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(std::io::Error::other)?;
        Ok(Box::new(TlsConnector::from(config).connect(name, tcp).await?))
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

/// Signs in through a provider that approves by itself, and lands on `path`.
///
/// # Panics
/// When it does not land there with 200.
pub async fn sign_in(browser: &Browser, gateway: &impl Site, path: &str) -> Page {
    let wanted = gateway.url(path);
    let page = browser.navigate(wanted.clone()).await.expect_status(200);
    assert_eq!(page.url.as_str(), wanted, "landed elsewhere, by {:?}", page.trail);
    page
}

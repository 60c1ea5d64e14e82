//! Sends a browser to sign in: `login`, and every navigation to a protected page without a session.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{Response, StatusCode};

use super::{Counted, Endpoints, attempt, form, loop_breaker, too_many};
use crate::access::Caller;
use crate::base::{Blamed, Timestamp};
use crate::oidc::{Asked, Provider, ProviderError};
use crate::route::Route;
use crate::telemetry::metrics::Word;
use crate::web::{Body, CanonicalPath, ClientRequest, Format, Problem, ReturnTo, page, redirect_303};

/// What a login is started with.
#[derive(Debug)]
pub struct Start {
    /// Where the person lands afterwards.
    pub return_to: ReturnTo,
    /// Name of the provider, where it is known already.
    pub provider: Option<Arc<str>>,
    /// What the login asks beyond the configuration.
    pub asked: Asked,
    /// This login takes the place of one whose callback came without its cookie.
    pub again: bool,
    /// The person asked for this login and has a session already: whatever they do, they are not going round in circles.
    pub settled: bool,
}

impl Endpoints {
    /// `GET login`: only what is on the list goes into the authorization request (LOGIN-22).
    pub(super) async fn login(&self, client: &ClientRequest, now: Timestamp) -> Response<Body> {
        if !client.fetch.may_start_login(&client.method) && !asked_by_a_program(client) {
            return self.challenge(client, false);
        }
        let (mut return_to, mut provider, mut issuer) = (None, None, None);
        let query = || url::form_urlencoded::parse(client.query().unwrap_or_default().as_bytes());
        for (name, value) in query() {
            match name.as_ref() {
                "rd" | "return_to" | "target_link_uri" => return_to = Some(value),
                "provider" => provider = Some(value),
                "iss" => issuer = Some(value),
                _ => {}
            }
        }
        let asked = Asked::from_parameters(query());
        let return_to = return_to.and_then(|raw| self.return_to(&raw, client)).unwrap_or_else(ReturnTo::root);
        let Ok(provider) = self.named_provider(provider.as_deref(), issuer.as_deref()) else {
            return Problem::new(StatusCode::BAD_REQUEST, "There is no such provider")
                .detail("The login names a provider that is not configured here.")
                .answer(client.format(), &client.request_id);
        };
        // Asked of the store only where the count says that it matters.
        let settled = loop_breaker::is_looping(client, &self.cookie)
            && matches!(self.caller(client, now).await, Ok(Caller::Person(_)));
        self.start(client, Start { return_to, provider, asked, again: false, settled }, now).await
    }

    /// `POST login`: another party asks for a login here (OpenID Connect Core 1.0 section 4). Sent on as the GET that it may also
    /// be, so that one set of rules judges both.
    pub(super) async fn initiated_login(&self, client: &ClientRequest, body: Body) -> Response<Body> {
        let fields = form::read(client, body).await.unwrap_or_default();
        if !fields.iter().any(|(name, _)| name == "iss") {
            return Problem::new(StatusCode::BAD_REQUEST, "This asks for no login")
                .detail("A login that another party asks for names its provider as iss.")
                .answer(client.format(), &client.request_id);
        }
        let known = fields.iter().filter(|(name, _)| matches!(&**name, "iss" | "target_link_uri" | "login_hint"));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(known).finish();
        redirect_303(&format!("{}?{query}", self.own_path("login")))
    }

    /// The configured provider that is named, by its name here or by its issuer (LOGIN-23); they may not differ.
    fn named_provider(&self, name: Option<&str>, issuer: Option<&str>) -> Result<Option<Arc<str>>, NoSuchProvider> {
        if name.is_none() && issuer.is_none() {
            return Ok(None);
        }
        self.providers
            .iter()
            .find(|(known, provider)| {
                name.is_none_or(|name| &***known == name)
                    && issuer.is_none_or(|issuer| provider.settings().issuer == issuer)
            })
            .map(|(known, _)| Some(Arc::clone(known)))
            .ok_or(NoSuchProvider)
    }

    /// A navigation to a protected page without a session, or with one that is not enough for it.
    pub async fn login_for(
        &self,
        client: &ClientRequest,
        route: &Route,
        asked: Asked,
        now: Timestamp,
    ) -> Response<Body> {
        let return_to = ReturnTo::of(client, &self.network);
        let start = Start { return_to, provider: route.provider.clone(), asked, again: false, settled: false };
        self.start(client, start, now).await
    }

    /// Remembers the attempt in the browser and sends it to the provider.
    pub(super) async fn start(&self, client: &ClientRequest, start: Start, now: Timestamp) -> Response<Body> {
        if let Err(wait) = self.rate.count(Counted::Login, client.address, now) {
            self.metrics.limited.get_or_create(&Word { kind: Counted::Login.as_str() }).inc();
            return too_many("Too many logins from your network", wait, client);
        }
        if !start.settled && loop_breaker::is_looping(client, &self.cookie) {
            self.metrics.logins.get_or_create(&Word { kind: "looping" }).inc();
            let mut answer = loop_breaker::page(client, self.own_path("login"));
            answer.headers_mut().extend(loop_breaker::forget(client, &self.cookie).map(|line| (SET_COOKIE, line)));
            return answer;
        }
        let Some(provider) = start
            .provider
            .as_deref()
            .or(self.provider_for(client, &start.return_to).as_deref())
            .and_then(|name| self.providers.get(name))
        else {
            return self.choose_provider(client, &start.return_to);
        };
        // The provider sends everybody back to `public_url`: from there a path alone would lead to that origin's pages.
        let return_to = if self.network.is_first(&client.origin) {
            start.return_to
        } else {
            start.return_to.written_out(&client.origin)
        };
        let mut attempt = provider.begin(return_to.as_str().to_owned(), start.asked, now);
        if start.again {
            attempt.state = loop_breaker::mark(attempt.state.expose()).into();
        }
        let location = match provider.authorization_url(&attempt).await {
            Ok(url) => url,
            Err(error) => return self.provider_trouble(client, provider, &error),
        };
        let lines = attempt::remember(
            &attempt,
            provider.settings().response_mode,
            client,
            &self.cookie,
            self.sessions.ring(),
            &*self.random,
        );
        let mut answer = redirect_303(location.as_str());
        for line in lines {
            answer.headers_mut().append(SET_COOKIE, line);
        }
        answer
    }

    /// The provider of the route that the target belongs to; the only one there is, where that says nothing.
    fn provider_for(&self, client: &ClientRequest, target: &ReturnTo) -> Option<Arc<str>> {
        if let (1, Some(only)) = (self.providers.len(), self.providers.keys().next()) {
            return Some(Arc::clone(only));
        }
        let path = target.as_str().split(['?', '#']).next().unwrap_or("/");
        let path = CanonicalPath::parse(path).ok()?;
        self.routes.find(&client.origin.host, &path, &http::Method::GET)?.provider.clone()
    }

    /// A page with one link a provider, where nothing says which.
    fn choose_provider(&self, client: &ClientRequest, target: &ReturnTo) -> Response<Body> {
        let login = self.own_path("login");
        let links: Vec<(String, &str)> = self
            .providers
            .keys()
            .map(|name| {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("provider", name)
                    .append_pair("rd", target.as_str())
                    .finish();
                (format!("{login}?{query}"), &**name)
            })
            .collect();
        if client.format() == Format::Problem {
            return Problem::new(StatusCode::BAD_REQUEST, "Which provider?")
                .detail("Several providers are configured. Name one: login?provider=…")
                .answer(client.format(), &client.request_id);
        }
        page(
            StatusCode::OK,
            "Sign in",
            maud::html! {
                p { "Where do you want to sign in?" }
                ul class="choices" {
                    @for (href, name) in &links { li { a href=(href) { (name) } } }
                }
            },
        )
    }

    /// The provider is away or answered nonsense before anybody was sent there: 503, whatever the log says.
    pub(super) fn provider_trouble(
        &self,
        client: &ClientRequest,
        provider: &Provider,
        error: &ProviderError,
    ) -> Response<Body> {
        tracing::warn!(
            request_id = %client.request_id,
            provider = &**provider.name(),
            blame = error.blame().as_str(),
            %error,
            "nobody can sign in at this provider now"
        );
        self.metrics.logins.get_or_create(&Word { kind: "provider_unavailable" }).inc();
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Signing in is not possible right now")
            .detail("The sign-in service does not answer as it should. Who is signed in already stays signed in. Try again in a moment.")
            .retry_after(std::time::Duration::from_secs(5))
            .answer(client.format(), &client.request_id)
    }
}

/// A login names a provider that is not configured.
struct NoSuchProvider;

/// Whether a program follows the link of its own accord, as `curl` does: nothing says that a page's script is asking, and it does
/// not ask for JSON.
fn asked_by_a_program(client: &ClientRequest) -> bool {
    let json = client
        .headers
        .get_all(http::header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|it| it.contains("json")));
    client.fetch.is_plain_request() && !json
}

/// 303 to a target that is proven safe, telling nobody where the browser comes from (LOGIN-17).
pub(super) fn land(target: &ReturnTo) -> Response<Body> {
    redirect_303(target.as_str())
}

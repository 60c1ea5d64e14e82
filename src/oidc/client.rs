//! The only place that speaks HTTP to a provider.
//!
//! Never follows a redirect, keeps a cookie, asks for compression, reads without a limit, or lets a body into an error or a log.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error as TransportError, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;
use url::Url;

use super::error::{Endpoint, Nonsense, Outage, ProviderError, registered_code};
use super::settings::ProviderSettings;
use crate::base::{Secret, trust};

/// What a call may come back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `application/json`, or a type with a `+json` suffix.
    Json,
    /// JSON, or a signed answer as `application/jwt` (OpenID Connect Core section 5.3.2).
    JsonOrJwt,
    /// Whether it worked: the body says nothing.
    Status,
}

/// A 2xx answer of an accepted type within the limits.
pub(super) struct Answer {
    /// The whole body.
    pub(super) body: Secret<Vec<u8>>,
    /// Whether it is `application/jwt`.
    pub(super) is_jwt: bool,
    /// The joined `Cache-Control` fields.
    pub(super) cache_control: Option<String>,
}

/// Calls one provider.
#[derive(Debug)]
pub(super) struct ProviderClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    allow_http: bool,
}

impl ProviderClient {
    /// Opens nothing; reads the trusted roots.
    ///
    /// # Errors
    /// When the configured `ca` file cannot be used.
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, ProviderError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIME));
        connector.set_nodelay(true);
        let tls = trust::client(settings.ca.as_deref());
        let tls = tls.map_err(|error| ProviderError::Settings(error.to_string().into()))?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let builder = if settings.allow_http { builder.https_or_http() } else { builder.https_only() };
        // HTTP/1.1 only: calls are few, and a connection that died silently then costs one call instead of all that share it.
        let connector = builder.enable_http1().wrap_connector(connector);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Ok(Self { http, allow_http: settings.allow_http })
    }

    /// Fetches `url`.
    pub(super) async fn get(&self, endpoint: Endpoint, url: &Url, wanted: Wanted) -> Result<Answer, ProviderError> {
        self.call(endpoint, url, Request::new(Vec::new()), wanted).await
    }

    /// Sends `request` to `url`, whatever URL stands in it: only this one has been checked.
    pub(super) async fn call(
        &self,
        endpoint: Endpoint,
        url: &Url,
        mut request: Request<Vec<u8>>,
        wanted: Wanted,
    ) -> Result<Answer, ProviderError> {
        if url.scheme() != "https" && !(url.scheme() == "http" && self.allow_http) {
            return Err(ProviderError::EndpointUrl(endpoint.as_str()));
        }
        *request.uri_mut() = url.as_str().parse().map_err(|_| ProviderError::EndpointUrl(endpoint.as_str()))?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("vestibule/", env!("CARGO_PKG_VERSION"))));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static(match wanted {
                Wanted::JsonOrJwt => "application/json, application/jwt",
                Wanted::Json | Wanted::Status => "application/json",
            }),
        );
        let started = Instant::now();
        let answer = tokio::time::timeout(CALL_TIME, self.exchange(endpoint, request, wanted))
            .await
            .unwrap_or(Err(ProviderError::Unavailable { endpoint, outage: Outage::Timeout }));
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &answer {
            Ok((status, _)) => {
                tracing::debug!(
                    endpoint = endpoint.as_str(),
                    status = status.as_u16(),
                    milliseconds,
                    "provider answered"
                );
            }
            Err(error) => tracing::debug!(endpoint = endpoint.as_str(), %error, milliseconds, "provider call failed"),
        }
        answer.map(|(_, answer)| answer)
    }

    async fn exchange(
        &self,
        endpoint: Endpoint,
        request: Request<Vec<u8>>,
        wanted: Wanted,
    ) -> Result<(StatusCode, Answer), ProviderError> {
        let unavailable = |outage| ProviderError::Unavailable { endpoint, outage };
        let nonsense = |nonsense| ProviderError::Answer { endpoint, nonsense };
        let response = self
            .http
            .request(request.map(|body| Full::new(Bytes::from(body))))
            .await
            .map_err(|error| unavailable(transport_outage(&error)))?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(unavailable(Outage::Status(status.as_u16())));
        }
        if status.is_redirection() {
            return Err(nonsense(Nonsense::Redirect(status.as_u16())));
        }
        let media = Media::of(response.headers());
        if status.is_success() {
            if response.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
                return Err(nonsense(Nonsense::ContentEncoding));
            }
            match (wanted, media) {
                (Wanted::Status, _)
                | (Wanted::Json | Wanted::JsonOrJwt, Media::Json)
                | (Wanted::JsonOrJwt, Media::Jwt) => {}
                _ => return Err(nonsense(Nonsense::ContentType)),
            }
            let cache_control = joined(response.headers());
            // A body that says nothing is read all the same, or the connection could not be used again.
            let body = Secret::new(read(endpoint, response).await?);
            return Ok((status, Answer { body, is_jwt: media == Media::Jwt, cache_control }));
        }
        if !status.is_client_error() || media != Media::Json {
            return Err(nonsense(Nonsense::Status(status.as_u16())));
        }
        let body = Secret::new(read(endpoint, response).await?);
        match serde_json::from_slice::<OAuthError<'_>>(body.expose()) {
            Ok(error) => Err(ProviderError::Refused { endpoint, code: registered_code(&error.error) }),
            Err(_) => Err(nonsense(Nonsense::Status(status.as_u16()))),
        }
    }
}

/// RFC 6749 section 5.2. Description and URI are the provider's own words and stay unread.
#[derive(serde::Deserialize)]
struct OAuthError<'a> {
    #[serde(borrow)]
    error: std::borrow::Cow<'a, str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Jwt,
    Other,
}

impl Media {
    fn of(headers: &HeaderMap) -> Self {
        let mut fields = headers.get_all(CONTENT_TYPE).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return Self::Other };
        let essence =
            field.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Self::Json,
            "application/jwt" => Self::Jwt,
            other if other.starts_with("application/") && other.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

fn joined(headers: &HeaderMap) -> Option<String> {
    let fields: Vec<&str> = headers.get_all(CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok()).collect();
    (!fields.is_empty()).then(|| fields.join(","))
}

async fn read(endpoint: Endpoint, response: Response<Incoming>) -> Result<Vec<u8>, ProviderError> {
    let mut body = response.into_body();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ProviderError::Unavailable { endpoint, outage: Outage::Interrupted })?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len() + data.len() > BODY_BYTES {
            return Err(ProviderError::Answer { endpoint, nonsense: Nonsense::TooLarge });
        }
        whole.extend_from_slice(data);
    }
    Ok(whole)
}

/// The innermost cause is what an operator needs ("Connection refused", "UnknownIssuer"). Only a failure to connect may tell
/// it: after that, bytes of the provider could be in it.
fn transport_outage(error: &TransportError) -> Outage {
    if !error.is_connect() {
        return Outage::Interrupted;
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Outage::Connect(cause.to_string().chars().take(CAUSE_CHARS).collect::<String>().into())
}

const CONNECT_TIME: Duration = Duration::from_secs(5);
const CALL_TIME: Duration = Duration::from_secs(10);
/// Shorter than what load balancers allow: a token request must not meet a connection that is just being closed.
const IDLE_TIME: Duration = Duration::from_secs(15);
/// As many logins at once find a connection that is open already.
const IDLE_CONNECTIONS: usize = 32;
const BODY_BYTES: usize = 1 << 20;
const CAUSE_CHARS: usize = 200;

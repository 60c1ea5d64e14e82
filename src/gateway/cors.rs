//! Cross-origin reads that a route allows: preflights are answered here, and every answer of the route says who may read it, our
//! own 401 and 503 included.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::route::Route;
use crate::web::fetch::Source;
use crate::web::{Body, ClientRequest, caching};

/// The origin that asks, if the route lets it read. Compared exactly; `null` is nobody (API-12).
pub(super) fn reader(route: &Route, client: &ClientRequest) -> Option<HeaderValue> {
    let Source::Origin(origin) = client.fetch.source() else { return None };
    route.cors.iter().any(|one| one.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// The method that a preflight asks about.
pub(super) fn asked_method(client: &ClientRequest) -> Option<Method> {
    client.headers.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| Method::from_bytes(method.as_bytes()).ok())
}

/// A preflight's answer by policy: no credential was looked at, and no application was asked.
pub(super) fn preflight(reader: Option<&HeaderValue>, client: &ClientRequest) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    if reader.is_some() {
        if let Some(method) = client.headers.get(ACCESS_CONTROL_REQUEST_METHOD) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        }
        if let Some(names) = client.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    allow(headers, reader);
    answer
}

/// Says who may read the answer. What the application said of that counts no more on such a route.
pub(super) fn allow(headers: &mut HeaderMap, reader: Option<&HeaderValue>) {
    for name in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS] {
        headers.remove(name);
    }
    caching::add_vary(headers, "origin");
    if let Some(origin) = reader {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers
            .entry(ACCESS_CONTROL_EXPOSE_HEADERS)
            .or_insert(HeaderValue::from_static("retry-after, www-authenticate"));
    }
}

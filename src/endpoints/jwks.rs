//! `GET jwks`: the public keys that upstreams check identity tokens with.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Response, StatusCode};

use super::Endpoints;
use crate::web::{Body, ClientRequest, Problem};

impl Endpoints {
    pub(super) fn jwks(&self, client: &ClientRequest) -> Response<Body> {
        if !self.identity.ready() {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "There are no signing keys yet")
                .detail("The keys lie in the store, which has not answered since the start.")
                .retry_after(std::time::Duration::from_secs(1))
                .answer(client.format(), &client.request_id);
        }
        let jwks = self.identity.jwks();
        let fresh = client.headers.get_all(IF_NONE_MATCH).iter().any(|tags| {
            tags.to_str()
                .is_ok_and(|tags| tags.split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim() == jwks.etag))
        });
        let mut answer = if fresh {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        } else {
            Response::new(Body::full(jwks.body.clone()))
        };
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        if let Ok(etag) = HeaderValue::from_str(&jwks.etag) {
            headers.insert(ETAG, etag);
        }
        if let Ok(caching) = HeaderValue::from_str(&format!("public, max-age={}", jwks.max_age.as_secs())) {
            headers.insert(CACHE_CONTROL, caching);
        }
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        answer
    }
}

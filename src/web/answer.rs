//! Every answer that the gateway makes itself: none is ever stored by a cache, none says more than it must.

use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use serde::Serialize;

pub use super::accept::Format;
use super::body::Body;
pub use super::page::{Page, page};
pub use super::problem::Problem;
use crate::base::Blame;

/// An answer in JSON; 500 with an empty body where the value cannot be written.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => response(status, Body::full(text), Some(JSON)),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            response(StatusCode::INTERNAL_SERVER_ERROR, Body::empty(), None)
        }
    }
}

/// 303 to `location`, without a body: the browser goes there by GET and does not say where it comes from.
///
/// A location that no field may hold becomes `/`.
#[must_use]
pub fn redirect_303(location: &str) -> Response<Body> {
    let mut answer = response(StatusCode::SEE_OTHER, Body::empty(), None);
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// The status that says whose fault it was.
#[must_use]
pub const fn status_of(blame: Blame) -> StatusCode {
    match blame {
        Blame::Client => StatusCode::BAD_REQUEST,
        Blame::Provider | Blame::Store | Blame::Overload => StatusCode::SERVICE_UNAVAILABLE,
        Blame::Upstream => StatusCode::BAD_GATEWAY,
        Blame::Bug => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A response with the fields that all of ours have.
pub(crate) fn response(status: StatusCode, body: Body, content_type: Option<&'static str>) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    mark(headers);
    response
}

/// What every answer of ours says to caches and browsers.
pub(crate) fn mark(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
}

const JSON: &str = "application/json";
const CROSS_ORIGIN_OPENER_POLICY: &str = "cross-origin-opener-policy";

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt as _, Limited};

    use super::*;
    use crate::testing::SeededRandom;
    use crate::web::RequestId;

    pub(crate) fn request_id() -> RequestId {
        RequestId::new(&SeededRandom::new(7))
    }

    #[allow(clippy::disallowed_methods, reason = "limited right here")]
    pub(crate) async fn text(answer: Response<Body>) -> String {
        let bytes = Limited::new(answer.into_body(), 1 << 20).collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn every_kind() -> Vec<Response<Body>> {
        let problem = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Busy").retry_after(Duration::from_secs(1));
        vec![
            json(StatusCode::OK, &serde_json::json!({ "a": 1 })),
            redirect_303("/a"),
            page(StatusCode::OK, "Signed out", maud::html! { p { "Bye." } }),
            Page::new(StatusCode::OK, "Sign out?", maud::html! { form {} })
                .form_goes_to("https://id.example.com")
                .answer(),
            problem().answer(Format::Html, &request_id()),
            problem().answer(Format::Problem, &request_id()),
        ]
    }

    /// CACHE-03: every answer of ours is `no-store`; CSRF-08: and none is sniffed, none tells a referrer, none is opened.
    #[test]
    fn every_answer_is_marked() {
        for answer in every_kind() {
            let headers = answer.headers();
            assert_eq!(headers[CACHE_CONTROL], "no-store");
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert!(headers.contains_key(REFERRER_POLICY));
            assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        }
    }

    #[tokio::test]
    async fn redirects_are_303_without_a_body() {
        let answer = redirect_303("https://id.example.com/authorize?a=b");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()[LOCATION], "https://id.example.com/authorize?a=b");
        assert_eq!(answer.headers()[REFERRER_POLICY], "no-referrer");
        assert_eq!(text(answer).await, "");
        assert_eq!(redirect_303("/a\r\nSet-Cookie: b=c").headers()[LOCATION], "/");
    }

    #[tokio::test]
    async fn json_is_json() {
        let answer = json(StatusCode::CONFLICT, &serde_json::json!({ "a": 1 }));
        assert_eq!(
            (answer.status(), &answer.headers()[CONTENT_TYPE]),
            (StatusCode::CONFLICT, &HeaderValue::from_static(JSON))
        );
        assert_eq!(text(answer).await, r#"{"a":1}"#);
    }
}

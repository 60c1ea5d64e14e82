//! What a plain listener does that only sends browsers to the public URL (TLS-03).

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::Front;
use crate::server::Service;
use crate::web::{Body, ClientRequest, Connection, Problem, RequestId};

/// Redirects GET and HEAD for a public host, refuses everything else. Nothing is forwarded and no cookie is set.
#[derive(Debug)]
pub struct ToHttps(pub Arc<Front>);

impl Service for ToHttps {
    async fn call(&self, request: Request<Incoming>, connection: &Arc<Connection>) -> Response<Body> {
        let gateway = self.0.current();
        let (parts, _body) = request.into_parts();
        let (authorization, cookie) = (parts.headers.contains_key(AUTHORIZATION), parts.headers.contains_key(COOKIE));
        let method = parts.method.clone();
        let client = match ClientRequest::read(parts, connection, &gateway.network, RequestId::new(&*gateway.random)) {
            Ok(client) => client,
            Err(rejected) => return rejected.answer(),
        };
        // Whoever sends a program or a credential here has to be told, or it goes over the wire in clear for ever.
        let reading = matches!(method, Method::GET | Method::HEAD);
        // A person who follows an old link sends cookies without wanting to; nobody sends credentials so.
        if !reading || authorization || (cookie && !client.fetch.is_navigation()) {
            return Problem::new(StatusCode::FORBIDDEN, "This is the way without encryption")
                .detail(format!(
                    "Use {} instead. What this request carried may have been read on its way.",
                    client.origin
                ))
                .answer(client.format(), &client.request_id);
        }
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
        if let Ok(location) = HeaderValue::from_str(&format!("{}{}", client.origin, client.target())) {
            answer.headers_mut().insert(LOCATION, location);
        }
        answer
    }
}

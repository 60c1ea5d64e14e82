//! The life of one request, read from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::story::{Story, UnderWay};
use super::{Gateway, cors, forward};
use crate::access::{Decision, Refusal, Undecided};
use crate::base::Timestamp;
use crate::endpoints;
use crate::oidc::Asked;
use crate::route::{AccessMode, EncodedSlash, Route};
use crate::session::LiveSession;
use crate::telemetry::access_log::Outcome;
use crate::telemetry::audit::{self, Event, Record};
use crate::telemetry::metrics::Word;
use crate::web::{Body, ClientRequest, Connection, Problem, Rejected, caching};

pub(super) async fn handle(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    connection: &Connection,
) -> Response<Body> {
    let gateway = &gateway;
    let now = gateway.clock.now();
    let (under_way, others) = UnderWay::begin(&gateway.metrics.in_flight);
    let admitted = others < gateway.limits.requests_in_flight;
    let mut story = Story::begin(gateway, connection, under_way);
    let Arrived { method, client, body, upgrade } = read(request, connection, gateway, &story);
    let mut answer = match client {
        Ok(client) => run(gateway, client, body, upgrade, admitted, &mut story, now).await,
        Err(rejected) => {
            story.https |= rejected.https;
            story.ends(Outcome::Refused, rejected.error.to_string());
            rejected.answer()
        }
    };
    caching::add_hsts(answer.headers_mut(), &gateway.network, story.https);
    story.tell(gateway, &method, answer.status().as_u16());
    answer
}

/// A request, taken apart.
struct Arrived {
    method: Method,
    client: Result<Box<ClientRequest>, Rejected>,
    body: Incoming,
    upgrade: OnUpgrade,
}

fn read(mut request: Request<Incoming>, connection: &Connection, gateway: &Gateway, story: &Story<'_>) -> Arrived {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let method = parts.method.clone();
    let client = ClientRequest::read_boxed(parts, connection, &gateway.network, story.request_id.clone());
    Arrived { method, client, body, upgrade }
}

async fn run(
    gateway: &Arc<Gateway>,
    client: Box<ClientRequest>,
    body: Incoming,
    upgrade: OnUpgrade,
    admitted: bool,
    story: &mut Story<'_>,
    now: Timestamp,
) -> Response<Body> {
    story.is_from(&client);
    if !admitted {
        gateway.metrics.limited.get_or_create(&Word { kind: "requests_in_flight" }).inc();
        story.ends(Outcome::Unavailable, "limits.requests_in_flight is reached");
        return overload(&client);
    }

    if let Some(endpoint) = gateway.endpoints.find(client.path.as_str()) {
        story.is(Outcome::Endpoint);
        // Boxed, as all that a forwarded request does not come to: each connection keeps room for the largest of what is not.
        return Box::pin(gateway.endpoints.serve(endpoint, &client, Body::incoming(body), now)).await;
    }

    // A preflight asks for another request; it belongs to that one's route.
    let asked = client.preflight.then(|| cors::asked_method(&client)).flatten();
    let method = asked.as_ref().unwrap_or(&client.method);
    let Some(route) = gateway.routes.find(&client.origin.host, &client.path, method) else {
        story.ends(Outcome::Refused, "no route");
        return Problem::new(StatusCode::NOT_FOUND, "There is nothing here")
            .detail("No application is known at this address.")
            .answer(client.format(), &client.request_id);
    };
    story.route = Some(route.index);
    if let Some(refused) = refused_by_form(gateway, route, &client, story) {
        return refused;
    }

    if route.cors.is_empty() && !(client.preflight && route.access == AccessMode::Session) {
        return decide(gateway, route, client, body, upgrade, story, now).await;
    }
    let reader = cors::reader(route, &client);
    if client.preflight {
        story.is(Outcome::Endpoint);
        return cors::preflight(reader.as_ref(), &client);
    }
    let mut answer = decide(gateway, route, client, body, upgrade, story, now).await;
    cors::allow(answer.headers_mut(), reader.as_ref());
    answer
}

/// From a route to its answer.
async fn decide(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    client: Box<ClientRequest>,
    body: Incoming,
    upgrade: OnUpgrade,
    story: &mut Story<'_>,
    now: Timestamp,
) -> Response<Body> {
    let decision = match gateway.access.authorize(route, &client, story.connection, now, story.began).await {
        Ok(decision) => decision,
        Err(undecided) => {
            story.ends(Outcome::Unavailable, undecided.to_string());
            return match undecided {
                Undecided::Store(error) => endpoints::store_away(&error, &client),
                Undecided::Provider => endpoints::provider_away(&client),
            };
        }
    };
    match decision {
        Decision::Forward(permit) => forward::forward(gateway, permit, client, body, upgrade, story, now).await,
        Decision::Login => {
            story.is(Outcome::Login);
            Box::pin(gateway.endpoints.login_for(&client, route, Asked::default(), now)).await
        }
        Decision::StepUp { acr, max_age, navigation: true } => {
            story.ends(Outcome::Login, "the session is too weak or too old");
            let max_age = max_age.map(|age| age.as_secs());
            let asked = Asked { acr_values: acr, max_age, ..Asked::default() };
            Box::pin(gateway.endpoints.login_for(&client, route, asked, now)).await
        }
        Decision::StepUp { acr, max_age, navigation: false } => {
            story.ends(Outcome::Challenged, "the session is too weak or too old");
            let login = format!("{}{}", client.origin, gateway.endpoints.own_path("login"));
            endpoints::step_up(&client, login, &acr, max_age)
        }
        Decision::Challenge { bearer, dead_cookie } => {
            story.ends(
                Outcome::Challenged,
                if bearer { "a bearer token, which this route does not take" } else { "no session" },
            );
            if bearer {
                gateway.endpoints.refuse_bearer(&client, now)
            } else {
                gateway.endpoints.challenge(&client, dead_cookie)
            }
        }
        Decision::Refuse { refusal, session } => {
            let sign_out = gateway.endpoints.own_path("logout");
            refuse(&client, &refusal, session.as_deref(), sign_out, story)
        }
    }
}

/// What the route does not take, whoever asks.
fn refused_by_form(
    gateway: &Gateway,
    route: &Route,
    client: &ClientRequest,
    story: &mut Story<'_>,
) -> Option<Response<Body>> {
    if client.path.has_encoded_slash() && route.encoded_slash == EncodedSlash::Refuse {
        story.ends(Outcome::Refused, "the path holds an encoded slash");
        return Some(
            Problem::new(StatusCode::BAD_REQUEST, "This address is ambiguous")
                .detail("The path holds an encoded slash (%2F).")
                .answer(client.format(), &client.request_id),
        );
    }
    let most = route.body_bytes?;
    let announced = client.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok()?;
    (announced > most).then(|| {
        gateway.metrics.limited.get_or_create(&Word { kind: "body_bytes" }).inc();
        story.ends(Outcome::Refused, "limits.body_bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large")
            .detail(format!("At most {most} bytes are taken here."))
            .answer(client.format(), &client.request_id)
    })
}

fn refuse(
    client: &ClientRequest,
    refusal: &Refusal,
    live: Option<&LiveSession>,
    sign_out: String,
    story: &mut Story<'_>,
) -> Response<Body> {
    story.ends(Outcome::Refused, refusal.to_string());
    let problem = match refusal {
        Refusal::SeveralCookies => return endpoints::several_cookies(client.format(), client),
        Refusal::CrossSite(reason) => {
            Problem::new(StatusCode::FORBIDDEN, "Another site may not do this here").detail(reason.clone())
        }
        Refusal::Claims { .. } => Problem::new(StatusCode::FORBIDDEN, "You may not see this")
            .detail("You are signed in, but this part is for others.")
            .action("Sign out and come as somebody else", sign_out),
    };
    let session = live.map(LiveSession::session);
    story.sid = session.map(|session| session.sid.clone());
    audit::write(
        Event::AccessDenied,
        Record {
            request_id: Some(&client.request_id),
            provider: session.map(|session| &*session.provider),
            issuer: session.map(|session| session.issuer.as_str()),
            subject: session.map(|session| session.subject.as_str()),
            sid: session.map(|session| session.sid.as_str()),
            address: Some(&client.address),
            reason: Some(story.reason()),
            ..Record::default()
        },
    );
    problem.answer(client.format(), &client.request_id)
}

fn overload(client: &ClientRequest) -> Response<Body> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many requests at once")
        .detail("Try again in a moment.")
        .retry_after(Duration::from_secs(1))
        .answer(client.format(), &client.request_id)
}

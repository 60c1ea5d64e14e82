//! From a permit to the upstream's answer.

use std::sync::Arc;

use http::{Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::story::Story;
use super::{Gateway, stream, tokens};
use crate::access::Permit;
use crate::base::{Blame, Blamed, Timestamp};
use crate::identity::{IdentityError, IdentityToken, Kind, Subject};
use crate::route::{AccessMode, CachePolicy};
use crate::server::body::{self, BodyError};
use crate::session::LiveSession;
use crate::telemetry::access_log::Outcome;
use crate::upstream::{Answer, CloseCode, UpstreamError, UpstreamRequest, tunnel};
use crate::web::{Accept, Body, ClientRequest, Format, Problem, RequestId, caching, headers};

/// Nothing gets here without a permit, and a permit is spent here.
pub(super) async fn forward(
    gateway: &Arc<Gateway>,
    permit: Permit,
    client: Box<ClientRequest>,
    body: Incoming,
    upgrade: OnUpgrade,
    story: &mut Story<'_>,
    now: Timestamp,
) -> Response<Body> {
    let route = permit.route();
    let (accept, request_id) = (Accept::of(&client.headers), client.request_id.clone());
    let Some(upstream) = gateway.upstreams.get(&route.upstream) else {
        // The configuration was checked; should it happen all the same, nothing is forwarded.
        story.ends(Outcome::Failed, "the route names no upstream");
        return bug(accept.format(), &request_id);
    };
    let identity = match permit.session().map(|live| mint(gateway, &route.upstream, live, now)).transpose() {
        Ok(identity) => identity,
        Err(error) => {
            if error.blame() == Blame::Client {
                story.ends(Outcome::Challenged, error.to_string());
                return gateway.endpoints.challenge(&client, true);
            }
            tracing::error!(request_id = %request_id, upstream = &*route.upstream, %error, "no identity token, nothing is forwarded");
            if error.blame() == Blame::Store {
                story.ends(Outcome::Unavailable, error.to_string());
                return trouble(StatusCode::SERVICE_UNAVAILABLE, accept.format(), &request_id);
            }
            story.ends(Outcome::Failed, error.to_string());
            return bug(accept.format(), &request_id);
        }
    };
    if story.log
        && let Some(live) = permit.session()
    {
        story.sid = Some(live.session().sid.clone());
    }
    // A handshake has no body, and what follows it belongs to the tunnel.
    let body = if client.upgrade.is_some() {
        Body::empty()
    } else {
        body::limited(body, route.body_bytes, gateway.limits.body_idle_time)
    };
    let uploads = permit.session().filter(|_| !body.is_end_stream());
    let login = uploads.map(|_| gateway.endpoints.login_url(&client));
    let body = match uploads {
        Some(live) => {
            let (sessions, live) = (Arc::clone(&gateway.sessions), Arc::clone(live));
            stream::upload(body, move || sessions.watch(&live))
        }
        None => body,
    };
    let wants_upgrade = client.upgrade.is_some();
    let headers = identity.map(|token| Arc::clone(&token.headers));
    let request = UpstreamRequest::new(client, body, headers, permit.authorization().cloned());

    let mut answer = match upstream.send(request).await {
        Ok(Answer::Response(answer)) => answer,
        Ok(Answer::Switched { response, io }) if wants_upgrade => {
            let (closing, idle) = (gateway.closing.clone(), upstream.idle());
            let watch = permit.session().map(|live| gateway.sessions.watch(live));
            gateway.tunnels.spawn(async move {
                let ended = async {
                    match watch {
                        Some(watch) => drop(watch.ended().await),
                        None => std::future::pending().await,
                    }
                };
                let end = async {
                    tokio::select! {
                        () = closing.cancelled() => CloseCode::GoingAway,
                        () = ended => CloseCode::PolicyViolation,
                    }
                };
                tunnel(upgrade, io, idle, end).await;
            });
            response.map(|()| Body::empty())
        }
        Ok(Answer::Switched { .. }) => {
            story.ends(Outcome::Unavailable, "the upstream switched protocols, and nobody asked");
            return trouble(StatusCode::BAD_GATEWAY, accept.format(), &request_id);
        }
        Err(error) if stream::broke_off(&error) => {
            story.ends(Outcome::Challenged, "the session ended before its request did");
            return gateway.endpoints.sign_in_first(login.unwrap_or_default(), accept.format(), &request_id, true);
        }
        Err(error) => {
            return failed(&error, &route.upstream, accept.format(), &request_id, story);
        }
    };
    story.is(Outcome::Forwarded);
    if let Some(live) = permit.session()
        && stream::may_run(answer.body())
    {
        let watch = gateway.sessions.watch(live);
        answer = answer.map(|body| stream::until_ended(body, watch));
    }
    headers::strip_our_cookies(answer.headers_mut(), &gateway.cookie);
    headers::add_absent(&mut answer, &route.security_headers);
    let signed_in = permit.session().is_some();
    match route.cache {
        CachePolicy::Private if route.access != AccessMode::Public => {
            caching::make_private(answer.headers_mut(), signed_in);
        }
        CachePolicy::NoStore if route.access != AccessMode::Public => {
            caching::forbid_storing(answer.headers_mut(), signed_in);
        }
        _ => {}
    }
    answer
}

/// The token for this upstream, usually minted before.
fn mint(
    gateway: &Gateway,
    upstream: &Arc<str>,
    live: &LiveSession,
    now: Timestamp,
) -> Result<Arc<IdentityToken>, IdentityError> {
    if let Some(token) = tokens::at_hand(live, upstream, &gateway.identity, now) {
        return Ok(token);
    }
    let session = live.session();
    let token = gateway.identity.mint(
        upstream,
        &Subject {
            kind: Kind::User,
            provider: &session.provider,
            issuer: &session.issuer,
            sub: &session.subject,
            sid: session.sid.as_str(),
            version: live.version(),
            auth_time: session.auth_time,
            acr: session.acr.as_deref(),
            amr: &session.amr,
            claims: &session.claims,
            scope: session.scope.as_deref(),
            session_expires: session.expires,
            client_id: None,
        },
        now,
    )?;
    tokens::keep(live, upstream, &token);
    Ok(token)
}

fn failed(
    error: &UpstreamError,
    upstream: &str,
    format: Format,
    request_id: &RequestId,
    story: &mut Story<'_>,
) -> Response<Body> {
    let status = match error {
        UpstreamError::Request { .. } => BodyError::find(error).map_or(StatusCode::BAD_REQUEST, BodyError::status),
        _ => error.status(),
    };
    tracing::warn!(request_id = %request_id, upstream, blame = error.blame().as_str(), %error, "the upstream did not answer");
    let outcome = if status.is_server_error() { Outcome::Unavailable } else { Outcome::Refused };
    story.ends(outcome, error.to_string());
    trouble(status, format, request_id)
}

/// Never says where the upstream is.
fn trouble(status: StatusCode, format: Format, request_id: &RequestId) -> Response<Body> {
    let (title, detail) = match status {
        StatusCode::GATEWAY_TIMEOUT => {
            ("The application takes too long", "It did not answer in time. Try again in a moment.")
        }
        StatusCode::SERVICE_UNAVAILABLE => ("The application is busy", "Try again in a moment."),
        StatusCode::PAYLOAD_TOO_LARGE => ("The request is too large", "This application takes smaller ones."),
        StatusCode::REQUEST_TIMEOUT => ("The request took too long", "Its body stopped coming."),
        StatusCode::BAD_REQUEST => ("The request broke off", "Its body did not come whole."),
        _ => (
            "The application does not answer",
            "It is away, or answered in a way that makes no sense. Try again in a moment.",
        ),
    };
    let mut problem = Problem::new(status, title).detail(detail);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        problem = problem.retry_after(std::time::Duration::from_secs(1));
    }
    problem.answer(format, request_id)
}

fn bug(format: Format, request_id: &RequestId) -> Response<Body> {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here")
        .detail("The request was not passed on.")
        .answer(format, request_id)
}

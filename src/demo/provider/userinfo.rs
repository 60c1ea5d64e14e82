//! What access tokens open, and how tokens are given back (RFC 7009).
//!
//! Never shows a claim whose scope was not granted.

use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::Provider;
use super::memory::Grant;
use super::token::{error, invalid_client};
use crate::demo::answer::{self, Answer};
use crate::demo::form::{FormBody, Parameters};
use crate::demo::shelf::Digest;

/// What is said of a person, by scope.
#[derive(Serialize)]
pub struct PersonClaims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a [&'a str]>,
}

impl PersonClaims<'_> {
    /// The claims that a grant allows.
    #[must_use]
    pub fn of(grant: &Grant) -> Self {
        let person = grant.session.person;
        let (profile, email) = (grant.has("profile"), grant.has("email"));
        Self {
            sub: person.sub,
            name: profile.then_some(person.name),
            preferred_username: profile.then(|| person.email.split('@').next().unwrap_or_default()),
            email: email.then_some(person.email),
            email_verified: email.then_some(true),
            // Part of the profile: asking for `groups` by name is not something that every client knows.
            groups: (profile || grant.has("groups")).then_some(person.groups),
        }
    }
}

impl Provider {
    pub(super) fn userinfo(&self, headers: &HeaderMap) -> Answer {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map(|(_, token)| Digest::of(token.trim()));
        let now = self.clock.now();
        let mut memory = self.memory();
        let grant = token.and_then(|token| memory.access_tokens.find(token, now).copied());
        match grant.and_then(|grant| memory.grants.find(grant, now)) {
            Some(grant) => answer::json(StatusCode::OK, &PersonClaims::of(grant)),
            None => {
                let mut answer = answer::json(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_token" }));
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                answer
            }
        }
    }

    /// RFC 7009: a refresh token takes its whole grant along, an access token only itself.
    pub(super) async fn revoke<B: FormBody>(&self, request: Request<B>) -> Answer {
        if !self.is_client(request.headers()) {
            return invalid_client();
        }
        let Ok(parameters) = Parameters::read(request).await else {
            return error("invalid_request", "malformed or ambiguous parameters");
        };
        let Some(token) = parameters.get("token") else { return error("invalid_request", "token is missing") };
        let (token, now) = (Digest::of(token), self.clock.now());
        let mut memory = self.memory();
        if let Some(refresh) = memory.refresh_tokens.take(token, now) {
            memory.grants.take(refresh.grant, now);
        }
        memory.access_tokens.take(token, now);
        answer::text(StatusCode::OK, "")
    }
}

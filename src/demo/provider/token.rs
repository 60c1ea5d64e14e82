//! The token endpoint: codes and refresh tokens, each good for one use.
//!
//! Never answers a client that has not proven its secret, and never forgives a second use.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use url::form_urlencoded;

use super::Provider;
use super::memory::{ACCESS_TOKEN_LIFE, Grant, RefreshToken};
use super::userinfo::PersonClaims;
use crate::base::Timestamp;
use crate::demo::answer::{self, Answer};
use crate::demo::form::{FormBody, Parameters};
use crate::demo::shelf::Digest;
use crate::jose::{Algorithm, at_hash, sign};

impl Provider {
    pub(super) async fn token<B: FormBody>(&self, request: Request<B>) -> Answer {
        if !self.is_client(request.headers()) {
            return invalid_client();
        }
        let Ok(parameters) = Parameters::read(request).await else {
            return error("invalid_request", "malformed or ambiguous parameters");
        };
        // One way to authenticate a request, not two (RFC 6749 section 2.3).
        if parameters.get("client_secret").is_some() {
            return error("invalid_request", "the client authenticates by client_secret_basic only");
        }
        match parameters.get("grant_type") {
            Some("authorization_code") => self.redeem(&parameters),
            Some("refresh_token") => self.refresh(&parameters),
            _ => error("unsupported_grant_type", "authorization_code or refresh_token"),
        }
    }

    fn redeem(&self, parameters: &Parameters) -> Answer {
        let now = self.clock.now();
        let mut memory = self.memory();
        let name = Digest::of(parameters.get("code").unwrap_or_default());
        let Some(code) = memory.codes.find(name, now) else {
            return error("invalid_grant", "the code is unknown or expired");
        };
        if let Some(grant) = code.redeemed {
            // Somebody has a copy: what the first redemption gave is worth nothing from now on (RFC 6749 section 4.1.2).
            memory.grants.take(grant, now);
            return error("invalid_grant", "the code was used before");
        }
        let grant_name = Digest::of(&self.random.token::<32>());
        code.redeemed = Some(grant_name);
        let code = code.clone();
        if parameters.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
            return error("invalid_grant", "the redirect_uri is not the one of the authorization request");
        }
        if !parameters.get("code_verifier").is_some_and(|verifier| answers(verifier, &code.challenge)) {
            return error("invalid_grant", "the code_verifier does not answer the code_challenge");
        }
        memory.grants.put_as(grant_name, code.grant.clone(), now);
        self.tokens(&mut memory, grant_name, &code.grant, code.nonce.as_deref(), now)
    }

    fn refresh(&self, parameters: &Parameters) -> Answer {
        let now = self.clock.now();
        let mut memory = self.memory();
        let name = Digest::of(parameters.get("refresh_token").unwrap_or_default());
        let Some(token) = memory.refresh_tokens.find(name, now) else {
            return error("invalid_grant", "the refresh token is unknown or expired");
        };
        let grant_name = token.grant;
        if std::mem::replace(&mut token.used, true) {
            tracing::warn!(event = "demo_refresh_token_reused", "a refresh token was used twice: its grant ends");
            memory.grants.take(grant_name, now);
            return error("invalid_grant", "the refresh token was used before");
        }
        let Some(grant) = memory.grants.find(grant_name, now).cloned() else {
            return error("invalid_grant", "the grant has ended");
        };
        self.tokens(&mut memory, grant_name, &grant, None, now)
    }

    fn tokens(
        &self,
        memory: &mut super::memory::Memory,
        name: Digest,
        grant: &Grant,
        nonce: Option<&str>,
        now: Timestamp,
    ) -> Answer {
        let access_token = memory.access_token(name, self.random.as_ref(), now);
        let refresh_token = grant
            .has("offline_access")
            .then(|| memory.refresh_tokens.put(RefreshToken { grant: name, used: false }, self.random.as_ref(), now));
        let Ok(id_token) = sign(&self.key, "JWT", &self.id_token(grant, &access_token, nonce, now)) else {
            return answer::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "server_error" }));
        };
        let mut tokens = json!({
            "token_type": "Bearer",
            "access_token": access_token,
            "expires_in": ACCESS_TOKEN_LIFE.as_secs(),
            "id_token": id_token,
            "scope": grant.scope.join(" "),
        });
        if let (Some(tokens), Some(refresh_token)) = (tokens.as_object_mut(), refresh_token) {
            tokens.insert("refresh_token".to_owned(), refresh_token.into());
        }
        answer::json(StatusCode::OK, &tokens)
    }

    fn id_token<'a>(
        &'a self,
        grant: &'a Grant,
        access_token: &str,
        nonce: Option<&'a str>,
        now: Timestamp,
    ) -> IdToken<'a> {
        IdToken {
            iss: &self.issuer,
            aud: &self.client.id,
            iat: now.unix_seconds(),
            exp: (now + ACCESS_TOKEN_LIFE).unix_seconds(),
            auth_time: grant.session.auth_time.unix_seconds(),
            nonce,
            acr: ACR,
            amr: ["pwd"],
            sid: &grant.session.sid,
            at_hash: at_hash(Algorithm::Es256, access_token),
            person: PersonClaims::of(grant),
        }
    }

    /// Whether a request proves the client's secret by `client_secret_basic` (RFC 6749 section 2.3.1).
    pub(super) fn is_client(&self, headers: &HeaderMap) -> bool {
        let credentials = || {
            let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            let (scheme, encoded) = value.split_once(' ')?;
            let decoded =
                scheme.eq_ignore_ascii_case("Basic").then(|| STANDARD.decode(encoded.trim()).ok()).flatten()?;
            let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
            Some((form_decoded(id), form_decoded(secret)))
        };
        credentials().is_some_and(|(id, secret)| {
            let right = aws_lc_rs::constant_time::verify_slices_are_equal(
                secret.as_bytes(),
                self.client.secret.expose().as_bytes(),
            );
            id == self.client.id && right.is_ok()
        })
    }
}

/// The ID token (OpenID Connect Core section 2).
#[derive(Serialize)]
struct IdToken<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    acr: &'static str,
    amr: [&'static str; 1],
    sid: &'a str,
    at_hash: String,
    #[serde(flatten)]
    person: PersonClaims<'a>,
}

/// The answer to a client that has not proven who it is.
pub(super) fn invalid_client() -> Answer {
    let mut answer = answer::json(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"provider\""));
    answer
}

/// An error of the token endpoint (RFC 6749 section 5.2).
pub(super) fn error(code: &str, description: &str) -> Answer {
    answer::json(StatusCode::BAD_REQUEST, &json!({ "error": code, "error_description": description }))
}

/// RFC 7636 section 4.6.
fn answers(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let answer = URL_SAFE_NO_PAD.encode(digest);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && aws_lc_rs::constant_time::verify_slices_are_equal(answer.as_bytes(), challenge.as_bytes()).is_ok()
}

fn form_decoded(text: &str) -> String {
    // The parser splits at `&` and `=`, neither of which a form-encoded text contains.
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// The only strength there is: a password.
pub const ACR: &str = "urn:vestibule:demo:password";

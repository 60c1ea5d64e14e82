//! How we prove who we are at the token and revocation endpoints (RFC 6749 section 2.3, RFC 7523 section 3, OpenID Connect Core section 9).
//!
//! Never authenticates in two ways at once, and never sends an assertion twice.

use std::time::Duration;

use oauth2::{AuthType, ClientId, ClientSecret};
use serde::Serialize;

use super::Inner;
use super::discovery::Metadata;
use super::error::ProviderError;
use super::grant::OAuthClient;
use super::settings::{ClientAuth, ClientCredential, ProviderSettings};
use crate::base::{Random, Timestamp};
use crate::jose::{SigningKey, sign};

/// For one request: the client that makes it, and what it has to carry in addition.
pub(super) struct Proof {
    pub(super) client: OAuthClient,
    pub(super) parameters: Vec<(&'static str, String)>,
}

impl Inner {
    /// Proves in the one way that is configured, checked against the metadata.
    pub(super) fn authenticate(&self, metadata: &Metadata) -> Result<Proof, ProviderError> {
        let client = OAuthClient::new(ClientId::new(self.settings.client_id.clone()));
        match &self.settings.credential {
            ClientCredential::Secret(secret) => Ok(Proof {
                client: client
                    .set_client_secret(ClientSecret::new(secret.expose().clone()))
                    .set_auth_type(secret_method(self.settings.client_auth, metadata)?),
                parameters: Vec::new(),
            }),
            ClientCredential::Key(keys) => {
                let key = signing_key(keys, metadata)?;
                let assertion = assertion(key, &self.settings, self.clock.now(), &*self.random)?;
                Ok(Proof {
                    // Without a secret this is the `client_id` alone, which has to be the assertion's subject (RFC 7521 section 4.2).
                    client: client.set_auth_type(AuthType::RequestBody),
                    parameters: vec![
                        ("client_assertion_type", ASSERTION_TYPE.to_owned()),
                        ("client_assertion", assertion),
                    ],
                })
            }
        }
    }
}

/// CLI-01: there are credentials, and the configured method is one for them.
pub(super) fn check(settings: &ProviderSettings) -> Result<(), ProviderError> {
    let wrong = match (&settings.credential, settings.client_auth) {
        (ClientCredential::Secret(secret), _) if secret.expose().is_empty() => {
            "`client_secret` must not be empty: the gateway is a confidential client"
        }
        (ClientCredential::Key(keys), _) if keys.is_empty() => "`client_key` holds no key",
        (ClientCredential::Secret(_), ClientAuth::PrivateKeyJwt) => "`private_key_jwt` needs `client_key`",
        (ClientCredential::Key(_), ClientAuth::SecretBasic | ClientAuth::SecretPost) => {
            "this `client_auth` needs `client_secret`"
        }
        _ => return Ok(()),
    };
    Err(ProviderError::Settings(wrong.into()))
}

fn offers(metadata: &Metadata, method: &str) -> bool {
    // RFC 8414 section 2: silence means `client_secret_basic`. An operator who names a method knows better than silence.
    metadata.client_auth_methods.as_ref().is_none_or(|methods| methods.iter().any(|one| one == method))
}

fn secret_method(configured: ClientAuth, metadata: &Metadata) -> Result<AuthType, ProviderError> {
    let unsupported = match configured {
        ClientAuth::Auto | ClientAuth::SecretBasic if offers(metadata, "client_secret_basic") => {
            return Ok(AuthType::BasicAuth);
        }
        ClientAuth::Auto | ClientAuth::SecretPost if offers(metadata, "client_secret_post") => {
            return Ok(AuthType::RequestBody);
        }
        ClientAuth::Auto => "client_secret_basic or client_secret_post",
        ClientAuth::SecretBasic => "client_secret_basic, which is configured",
        ClientAuth::SecretPost => "client_secret_post, which is configured",
        ClientAuth::PrivateKeyJwt => return Err(ProviderError::Bug("private_key_jwt without a key")),
    };
    Err(ProviderError::Unsupported(unsupported))
}

/// The key with the best algorithm that the provider announces; with the most widespread one where it announces none.
fn signing_key<'k>(keys: &'k [SigningKey], metadata: &Metadata) -> Result<&'k SigningKey, ProviderError> {
    if !offers(metadata, "private_key_jwt") {
        return Err(ProviderError::Unsupported("private_key_jwt, which is configured by `client_key`"));
    }
    let key = match &metadata.client_auth_algorithms {
        Some(names) => keys.iter().find(|key| names.iter().any(|name| name == key.algorithm().as_str())),
        None => keys.last(),
    };
    key.ok_or(ProviderError::Unsupported(
        "a signature that `client_key` can make (`token_endpoint_auth_signing_alg_values_supported`)",
    ))
}

/// CLI-02: addressed to the issuer alone: one that several would accept could be passed on by the first of them.
fn assertion(
    key: &SigningKey,
    settings: &ProviderSettings,
    now: Timestamp,
    random: &dyn Random,
) -> Result<String, ProviderError> {
    let claims = Claims {
        iss: &settings.client_id,
        sub: &settings.client_id,
        aud: &settings.issuer,
        jti: random.token::<16>(),
        iat: now.unix_seconds(),
        exp: (now + ASSERTION_LIFE).unix_seconds(),
    };
    sign(key, "JWT", &claims).map_err(|_| ProviderError::Bug("the client key does not sign"))
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longer than a request takes, together with clocks that differ a little.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);

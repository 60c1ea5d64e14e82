//! What a provider says about itself (OpenID Connect Discovery 1.0).
//!
//! Never goes on with the metadata of another issuer, nor with an endpoint that is not https outside development.

use serde::Deserialize;
use url::Url;

use super::Inner;
use super::cached::{self, Fetched};
use super::client::Wanted;
use super::error::{Endpoint, Nonsense, ProviderError};
use crate::jose::Algorithm;

/// Checked metadata.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Where people sign in.
    pub authorization_endpoint: Url,
    /// Where codes and refresh tokens are redeemed.
    pub token_endpoint: Url,
    /// Where its keys are.
    pub jwks_uri: Url,
    /// Where claims are, if it has such a place.
    pub userinfo_endpoint: Option<Url>,
    /// Where people sign out, if it has such a place.
    pub end_session_endpoint: Option<Url>,
    /// Where tokens are revoked, if it has such a place.
    pub revocation_endpoint: Option<Url>,
    /// Whether every authorization response carries `iss` (RFC 9207).
    pub announces_iss: bool,
    /// With which algorithms its ID tokens may be signed: its own list without `none` and shared keys.
    pub algorithms: Vec<Algorithm>,
    /// How clients may authenticate at the token endpoint; `None` when it does not say (then `client_secret_basic`).
    pub client_auth_methods: Option<Vec<String>>,
    /// With which algorithms clients may sign their assertions there; `None` when it does not say.
    pub client_auth_algorithms: Option<Vec<String>>,
    /// Whether it sends logout tokens.
    pub back_channel_logout: bool,
    /// Whether it ends sessions by framed pages.
    pub front_channel_logout: bool,
}

impl Metadata {
    /// Reads a metadata document.
    ///
    /// # Errors
    /// When it is of another issuer, lacks what is needed, or has an endpoint that must not be used.
    pub fn parse(json: &[u8], issuer: &str, allow_http: bool) -> Result<Self, ProviderError> {
        let document: Document = serde_json::from_slice(json).map_err(|_| ProviderError::Answer {
            endpoint: Endpoint::Discovery,
            nonsense: Nonsense::Shape("not the metadata of an OpenID provider"),
        })?;
        // Discovery section 4.3: byte for byte, before anything else is believed.
        if document.issuer != issuer {
            return Err(ProviderError::Issuer);
        }
        let url = |name, text: &str| endpoint_url(name, text, allow_http);
        let optional = |name, text: Option<String>| text.map(|text| url(name, &text)).transpose();
        if document.response_types_supported.is_some_and(|types| !types.iter().any(|one| one == "code")) {
            return Err(ProviderError::Unsupported("the code flow (`response_types_supported`)"));
        }
        Ok(Self {
            authorization_endpoint: url("authorization_endpoint", &document.authorization_endpoint)?,
            token_endpoint: url("token_endpoint", &document.token_endpoint)?,
            jwks_uri: url("jwks_uri", &document.jwks_uri)?,
            userinfo_endpoint: optional("userinfo_endpoint", document.userinfo_endpoint)?,
            end_session_endpoint: optional("end_session_endpoint", document.end_session_endpoint)?,
            revocation_endpoint: optional("revocation_endpoint", document.revocation_endpoint)?,
            announces_iss: document.authorization_response_iss_parameter_supported.unwrap_or(false),
            algorithms: algorithms(document.id_token_signing_alg_values_supported.as_deref())?,
            client_auth_methods: document.token_endpoint_auth_methods_supported,
            client_auth_algorithms: document.token_endpoint_auth_signing_alg_values_supported,
            back_channel_logout: document.backchannel_logout_supported.unwrap_or(false),
            front_channel_logout: document.frontchannel_logout_supported.unwrap_or(false),
        })
    }
}

impl Inner {
    /// Asks the provider for its metadata.
    pub(super) async fn fetch_metadata(&self) -> Fetched<Metadata> {
        let answer = self.client.get(Endpoint::Discovery, &self.discovery, Wanted::Json).await?;
        let metadata = Metadata::parse(answer.body.expose(), &self.settings.issuer, self.settings.allow_http)?;
        tracing::info!(provider = &*self.settings.name, "provider's metadata read");
        Ok((metadata, cached::lifetime(answer.cache_control.as_deref())))
    }
}

/// Where the metadata of `issuer` is (Discovery section 4.1): a slash at its end is not doubled.
///
/// # Errors
/// When the issuer is no acceptable URL.
pub(super) fn document_url(issuer: &str, allow_http: bool) -> Result<Url, ProviderError> {
    let base = endpoint_url("issuer", issuer, allow_http)?;
    if base.query().is_some() {
        return Err(ProviderError::EndpointUrl("issuer"));
    }
    let stem = issuer.strip_suffix('/').unwrap_or(issuer);
    endpoint_url("issuer", &format!("{stem}/.well-known/openid-configuration"), allow_http)
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    backchannel_logout_supported: Option<bool>,
    frontchannel_logout_supported: Option<bool>,
}

/// An endpoint that may be used: absolute, https (or http where that is allowed), nothing in it that credentials could leak by.
fn endpoint_url(name: &'static str, text: &str, allow_http: bool) -> Result<Url, ProviderError> {
    let url = Url::parse(text).map_err(|_| ProviderError::EndpointUrl(name))?;
    let scheme = url.scheme() == "https" || (allow_http && url.scheme() == "http");
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if scheme && bare && url.has_host() { Ok(url) } else { Err(ProviderError::EndpointUrl(name)) }
}

fn algorithms(announced: Option<&[String]>) -> Result<Vec<Algorithm>, ProviderError> {
    let Some(names) = announced else { return Ok(WHEN_SILENT.to_vec()) };
    let known: Vec<Algorithm> = names
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(|algorithm: &Algorithm| !algorithm.is_symmetric())
        .collect();
    if known.is_empty() {
        return Err(ProviderError::Unsupported(
            "an ID token signature that can be verified (`id_token_signing_alg_values_supported`)",
        ));
    }
    Ok(known)
}

/// The member is REQUIRED, so silence is a mistake; RS256 is what every provider must be able to do.
const WHEN_SILENT: [Algorithm; 4] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ps256, Algorithm::EdDsa];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.example.com/realms/a";

    fn parse(changes: Value, allow_http: bool) -> Result<Metadata, ProviderError> {
        let mut document = json!({
            "issuer": ISSUER, "authorization_endpoint": "https://id.example.com/authorize",
            "token_endpoint": "https://id.example.com/token", "jwks_uri": "https://id.example.com/jwks",
            "response_types_supported": ["code", "id_token"], "id_token_signing_alg_values_supported": ["RS256"],
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(document.as_object_mut().unwrap().remove(name)),
                value => document[name] = value.clone(),
            }
        }
        Metadata::parse(document.to_string().as_bytes(), ISSUER, allow_http)
    }

    /// LOGIN-14: a slash at the issuer's end is not doubled, and its path stays.
    #[test]
    fn the_document_is_relative_to_the_issuer() {
        for (issuer, expected) in [
            ("https://id.example.com", "https://id.example.com/.well-known/openid-configuration"),
            ("https://id.example.com/", "https://id.example.com/.well-known/openid-configuration"),
            (ISSUER, "https://id.example.com/realms/a/.well-known/openid-configuration"),
            ("https://id.example.com/a/", "https://id.example.com/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(document_url(issuer, false).unwrap().as_str(), expected);
        }
    }

    /// LOGIN-18: no http outside development, and nothing odd in either case.
    #[test]
    fn issuers_and_endpoints_are_https() {
        for (issuer, allow_http, good) in [
            ("http://127.0.0.1:9000", true, true),
            ("http://127.0.0.1:9000", false, false),
            ("ftp://id.example.com", true, false),
            ("https://user:pass@id.example.com", true, false),
            ("https://id.example.com?tenant=1", true, false),
            ("https://id.example.com#x", true, false),
            ("id.example.com", true, false),
        ] {
            assert_eq!(document_url(issuer, allow_http).is_ok(), good, "{issuer}");
        }
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "end_session_endpoint",
            "revocation_endpoint",
        ] {
            let http = json!({ name: "http://id.example.com/x" });
            assert!(
                matches!(parse(http.clone(), false), Err(ProviderError::EndpointUrl(found)) if found == name),
                "{name}"
            );
            assert!(parse(http, true).is_ok(), "{name}");
            for odd in ["javascript:alert(1)", "/relative", "https://a:b@id.example.com/", "https://id.example.com/#f"]
            {
                assert!(parse(json!({ name: odd }), true).is_err(), "{name} {odd}");
            }
        }
    }

    /// LOGIN-14: the issuer is the configured one, byte for byte.
    #[test]
    fn the_issuer_is_exact() {
        for issuer in
            ["https://id.example.com/realms/aX", "https://id.example.com/realms/a/", "HTTPS://id.example.com/realms/a"]
        {
            assert!(matches!(parse(json!({ "issuer": issuer }), true), Err(ProviderError::Issuer)), "{issuer}");
        }
        assert!(matches!(parse(json!({ "issuer": null }), true), Err(ProviderError::Answer { .. })));
    }

    /// TOK-02: neither `none` nor shared keys, whatever the metadata offers.
    #[test]
    fn algorithms_are_asymmetric() {
        let found = |names: Value| {
            parse(json!({ "id_token_signing_alg_values_supported": names }), false).map(|m| m.algorithms)
        };
        assert_eq!(
            found(json!(["none", "HS256", "ES256", "RS512", "XX"])).unwrap(),
            [Algorithm::Es256, Algorithm::Rs512]
        );
        assert_eq!(found(json!(null)).unwrap(), WHEN_SILENT);
        for none in [json!([]), json!(["none"]), json!(["HS256", "HS512"])] {
            assert!(matches!(found(none), Err(ProviderError::Unsupported(_))));
        }
    }

    #[test]
    fn the_code_flow_is_needed_and_silence_about_it_is_fine() {
        assert!(parse(json!({"response_types_supported": null}), false).is_ok());
        assert!(matches!(
            parse(json!({"response_types_supported": ["id_token", "code id_token"]}), false),
            Err(ProviderError::Unsupported(_))
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Metadata::parse(&bytes, ISSUER, true);
        }
    }
}

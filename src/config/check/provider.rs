//! `[providers.*]`: who people sign in at, and as whom we ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{Check, DAY, SECOND, is_loopback};
use crate::config::document::quoted;
use crate::config::file::{ClientAuthName, FileConfig, ProviderFile, ProviderLogoutFile, ResponseModeName};
use crate::identity::{RESERVED_CLAIMS, SCOPE};
use crate::jose::SigningKey;
use crate::oidc::{ClientAuth, ClientCredential, LogoutSettings, PROTOCOL_PARAMETERS, ProviderSettings, ResponseMode};
use crate::web::PublicOrigin;

impl Check<'_> {
    pub(super) fn providers(
        &mut self,
        file: &FileConfig,
        public: &[Arc<PublicOrigin>],
        endpoints: &str,
        development: bool,
    ) -> Vec<ProviderSettings> {
        let mut providers = Vec::new();
        for (name, written) in file.providers.iter().flatten() {
            let key = format!("providers.{}", quoted(name));
            self.name(&key, name);
            providers.extend(self.provider(&key, name, written, public, endpoints, development));
        }
        providers
    }

    fn provider(
        &mut self,
        key: &str,
        name: &str,
        written: &ProviderFile,
        public: &[Arc<PublicOrigin>],
        endpoints: &str,
        development: bool,
    ) -> Option<ProviderSettings> {
        let issuer = self.issuer(&format!("{key}.issuer"), written.issuer.as_deref(), development);
        let client_id = self.client_id(&format!("{key}.client_id"), written.client_id.as_deref());
        let credential = self.credential(key, written);
        let ca = written.tls.as_ref().and_then(|tls| tls.ca.as_ref()).map(|ca| self.path(ca));
        if let Some(ca) = &ca {
            self.roots(&format!("{key}.tls.ca"), ca);
        }
        let scopes = self.scopes(&format!("{key}.scopes"), written.scopes.as_deref());
        let claims = self.claim_paths(&format!("{key}.claims"), written.claims.as_ref());
        let authorize_params =
            self.authorize_params(&format!("{key}.authorize_params"), written.authorize_params.as_ref());
        if let Some(resource) = &written.resource
            && !Url::parse(resource).is_ok_and(|url| url.fragment().is_none())
        {
            let what = "This is not an absolute URI without a fragment (RFC 8707).";
            self.problem(&format!("{key}.resource"), what, "Write it like \"https://api.example.com\".");
        }
        let refresh_ahead = self.span_or_zero(&format!("{key}.refresh_ahead"), written.refresh_ahead, 60 * SECOND, DAY);
        let access_token_lifetime =
            self.span(&format!("{key}.access_token_lifetime"), written.access_token_lifetime, 300 * SECOND, DAY);
        let clock_skew = self.span_or_zero(&format!("{key}.clock_skew"), written.clock_skew, 60 * SECOND, CLOCK_SKEW);
        let logout = self.provider_logout(&format!("{key}.logout"), written.logout.as_ref(), public);
        let issuer = issuer?;
        Some(ProviderSettings {
            name: name.into(),
            allow_http: development || issuer.starts_with("http://"),
            issuer,
            ca,
            client_id: client_id?,
            credential: credential?,
            client_auth: match written.client_auth {
                Some(ClientAuthName::SecretBasic) => ClientAuth::SecretBasic,
                Some(ClientAuthName::SecretPost) => ClientAuth::SecretPost,
                Some(ClientAuthName::PrivateKeyJwt) => ClientAuth::PrivateKeyJwt,
                Some(ClientAuthName::Auto) | None => ClientAuth::Auto,
            },
            scopes,
            response_mode: match written.response_mode {
                Some(ResponseModeName::FormPost) => ResponseMode::FormPost,
                Some(ResponseModeName::Query) | None => ResponseMode::Query,
            },
            userinfo: written.userinfo.unwrap_or(false),
            claims,
            authorize_params,
            resource: written.resource.clone(),
            refresh_ahead,
            access_token_lifetime,
            clock_skew,
            logout,
            redirect_uri: Url::parse(&format!("{}{endpoints}/callback", public.first()?)).ok()?,
        })
    }

    /// LOGIN-18: https, or http where nobody else listens.
    fn issuer(&mut self, key: &str, written: Option<&str>, development: bool) -> Option<String> {
        const FIX: &str = "Write it exactly as the provider does, such as \"https://id.example.com/realms/staff\".";
        let Some(issuer) = written else {
            self.missing(key, FIX);
            return None;
        };
        let plain = issuer.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let Some(url) = Url::parse(issuer).ok().filter(|url| plain && url.has_host() && url.as_str().contains("://"))
        else {
            self.problem(key, "This is not a URL.", FIX);
            return None;
        };
        let origin = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        if !url.username().is_empty() || url.password().is_some() {
            self.problem(key, "An issuer has no user information.", FIX);
        }
        if issuer.contains(['?', '#']) {
            self.problem(key, "An issuer has no query and no fragment.", FIX);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(url.host_str().unwrap_or_default()) => {}
            "http" if development => {
                self.warn(key, format!("{origin} is not https: tokens and secrets can be read on the way."))
            }
            "http" => {
                let fix = "Use https://, or set `development = true` for a network that only you can reach.";
                self.problem(key, format!("{origin} is not https, and the host is not loopback."), fix);
            }
            _ => self.problem(key, format!("{}:// is not https://.", url.scheme()), FIX),
        }
        Some(issuer.to_owned())
    }

    fn client_id(&mut self, key: &str, written: Option<&str>) -> Option<String> {
        let Some(id) = written else {
            self.missing(key, "Write the name under which Vestibule is registered at the provider.");
            return None;
        };
        if id.is_empty() || id.chars().any(char::is_control) {
            self.problem(
                key,
                "This is not a client ID.",
                "Write the name under which Vestibule is registered at the provider.",
            );
        }
        Some(id.to_owned())
    }

    /// CLI-01, CLI-04: never a public client, and one way to prove which.
    fn credential(&mut self, key: &str, written: &ProviderFile) -> Option<ClientCredential> {
        let (secret_key, key_key) = (format!("{key}.client_secret"), format!("{key}.client_key"));
        if let Some(method) = written.client_auth {
            let (fits, needed) = match method {
                ClientAuthName::Auto => (true, ""),
                ClientAuthName::SecretBasic | ClientAuthName::SecretPost => {
                    (written.client_key.is_none(), "client_secret")
                }
                ClientAuthName::PrivateKeyJwt => (written.client_secret.is_none(), "client_key"),
            };
            if !fits && (written.client_secret.is_none() || written.client_key.is_none()) {
                let what = format!("This way of authentication needs `{needed}`.");
                self.problem(&format!("{key}.client_auth"), what, "Take it out, or write the credential that fits.");
            }
        }
        match (&written.client_secret, &written.client_key) {
            (Some(secret), None) => self.secret_text(&secret_key, secret).map(ClientCredential::Secret),
            (None, Some(source)) => {
                let file = self.secret(&key_key, source)?;
                match SigningKey::of_every_algorithm(file.expose()) {
                    Ok(keys) => Some(ClientCredential::Key(keys.into())),
                    Err(error) => {
                        let what = format!("The client's key cannot be used: {error}.");
                        let fix = "Name a private JWK or a PEM file: EC on P-256 or P-384, Ed25519, or RSA of 2048 bits and more.";
                        self.problem(&key_key, what, fix);
                        None
                    }
                }
            }
            (Some(_), Some(_)) => {
                let what = "A client proves who it is in one way, and there is a `client_secret` too.";
                self.problem(&key_key, what, "Take one of them out.");
                None
            }
            (None, None) if written.client_auth == Some(ClientAuthName::PrivateKeyJwt) => {
                self.missing(&key_key, "Write { file = \"/run/secrets/name.jwk\" }: a private JWK, or a PEM file.");
                None
            }
            // What is written there and not understood has been named before.
            (None, None) if self.places.is_broken(&key_key) => None,
            (None, None) => {
                let fix =
                    "Vestibule is a confidential client. Write { file = \"/run/secrets/name\" } or { env = \"NAME\" }.";
                self.missing(&secret_key, fix);
                None
            }
        }
    }

    /// LOGIN-19: `openid` always, and else only what is configured.
    fn scopes(&mut self, key: &str, written: Option<&[String]>) -> Vec<String> {
        let default = ["openid", "profile", "email"].map(str::to_owned);
        let mut scopes = vec!["openid".to_owned()];
        for (index, scope) in written.unwrap_or(&default).iter().enumerate() {
            // RFC 6749 section 3.3
            if scope.is_empty() || !scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
                self.problem(
                    &format!("{key}[{index}]"),
                    "This is not one scope.",
                    "Write each scope as a text of its own, without spaces.",
                );
            } else if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }

    fn claim_paths(&mut self, key: &str, written: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
        for (name, path) in written.into_iter().flatten() {
            let key = format!("{key}.{}", quoted(name));
            if RESERVED_CLAIMS.contains(&name.as_str()) || name == SCOPE {
                let what = format!("`{name}` always has the meaning that the protocol gives it.");
                self.problem(&key, what, "Choose another name.");
            } else if name.is_empty() || path.split('.').any(str::is_empty) {
                self.problem(
                    &key,
                    "This is not a path in the provider's claims.",
                    "Write names with dots between, such as \"realm_access.roles\".",
                );
            }
        }
        written.cloned().unwrap_or_default()
    }

    fn authorize_params(&mut self, key: &str, written: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
        for name in written.into_iter().flat_map(BTreeMap::keys) {
            let key = format!("{key}.{}", quoted(name));
            if PROTOCOL_PARAMETERS.contains(&name.as_str()) {
                self.problem(&key, format!("`{name}` belongs to the protocol; Vestibule sets it."), "Take it out.");
            } else if name.is_empty() {
                self.problem(&key, "A parameter needs a name.", "Take it out.");
            }
        }
        written.cloned().unwrap_or_default()
    }

    fn provider_logout(
        &mut self,
        key: &str,
        written: Option<&ProviderLogoutFile>,
        public: &[Arc<PublicOrigin>],
    ) -> LogoutSettings {
        let written = written.cloned().unwrap_or_default();
        let default = LogoutSettings::default();
        if let Some(target) = &written.return_to {
            let path = |text: &str| {
                text.starts_with('/')
                    && !text.starts_with("//")
                    && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            };
            let ours = public
                .iter()
                .filter_map(|origin| target.strip_prefix(&origin.to_string()))
                .any(|rest| rest.is_empty() || path(rest));
            if !path(target) && !ours && !public.is_empty() {
                let what = "This is neither a path nor a URL of a public origin.";
                self.problem(&format!("{key}.return_to"), what, "Write a path such as \"/goodbye\".");
            }
        }
        LogoutSettings {
            rp_initiated: written.rp_initiated.unwrap_or(default.rp_initiated),
            back_channel: written.back_channel.unwrap_or(default.back_channel),
            front_channel: written.front_channel.unwrap_or(default.front_channel),
            return_to: written.return_to,
        }
    }
}

/// TOK-05: a small allowance, no more.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

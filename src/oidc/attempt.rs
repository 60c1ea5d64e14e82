//! One login under way: what the gateway must remember until the browser comes back.
//!
//! Never decides where it is kept, and never prints what it holds.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::settings::ProviderSettings;
use crate::base::{Random, Secret, Timestamp};

/// State, nonce, PKCE verifier and return target of one login. Serialises small, to be sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginAttempt {
    /// Names the attempt; 256 bits.
    #[serde(rename = "s", with = "sealed")]
    pub state: Secret<String>,
    /// Must come back in the ID token; 256 bits.
    #[serde(rename = "n", with = "sealed")]
    pub nonce: Secret<String>,
    /// Of PKCE (RFC 7636); 256 bits.
    #[serde(rename = "v", with = "sealed")]
    pub verifier: Secret<String>,
    /// Where the browser goes afterwards. Proven safe by whoever began the attempt.
    #[serde(rename = "r")]
    pub return_to: String,
    /// Name of the provider.
    #[serde(rename = "p")]
    pub provider: Arc<str>,
    /// Its issuer at that time: a name may be given to another provider while people sign in.
    #[serde(rename = "i")]
    pub issuer: String,
    /// When it began.
    #[serde(rename = "t")]
    pub created: Timestamp,
    /// What was demanded of the provider.
    #[serde(rename = "a", default, skip_serializing_if = "Asked::is_empty")]
    pub asked: Asked,
}

impl LoginAttempt {
    /// Begins a login at `provider`.
    #[must_use]
    pub fn new(
        provider: &ProviderSettings,
        return_to: String,
        asked: Asked,
        now: Timestamp,
        random: &dyn Random,
    ) -> Self {
        Self {
            state: Secret::new(random.token::<32>()),
            nonce: Secret::new(random.token::<32>()),
            verifier: Secret::new(random.token::<32>()),
            return_to,
            provider: Arc::clone(&provider.name),
            issuer: provider.issuer.clone(),
            created: now,
            asked,
        }
    }
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// What the person, a script or a route asked of this one login.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `prompt` (OpenID Connect Core section 3.1.2.1).
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Any one of these `acr` must come back.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
    /// The person must have signed in no longer ago than so many seconds.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Who is likely to sign in. Only for the request, not remembered.
    #[serde(skip)]
    pub login_hint: Option<String>,
    /// In which languages. Only for the request, not remembered.
    #[serde(skip)]
    pub ui_locales: Option<String>,
}

impl Asked {
    /// Takes what a login URL may ask for out of its decoded parameters. Everything else is passed over, protocol parameters above all,
    /// and so is what is malformed, too long, or there for the second time.
    pub fn from_parameters<N: AsRef<str>, V: AsRef<str>>(parameters: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut asked = Self::default();
        for (name, value) in parameters {
            let value = value.as_ref();
            if value.is_empty() || value.len() > VALUE_BYTES || value.chars().any(char::is_control) {
                continue;
            }
            match name.as_ref() {
                "prompt" if value.split(' ').all(|word| PROMPTS.contains(&word)) => keep(&mut asked.prompt, value),
                "login_hint" => keep(&mut asked.login_hint, value),
                "ui_locales" => keep(&mut asked.ui_locales, value),
                "max_age" if asked.max_age.is_none() => asked.max_age = value.parse().ok(),
                "acr_values" if asked.acr_values.is_empty() => {
                    asked.acr_values = value.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        asked
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the hint: it is somebody's address.
        f.debug_struct("Asked")
            .field("prompt", &self.prompt)
            .field("acr_values", &self.acr_values)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

fn keep(place: &mut Option<String>, value: &str) {
    place.get_or_insert_with(|| value.to_owned());
}

/// `Secret` does not serialise, on purpose. An attempt is only ever serialised to be sealed.
mod sealed {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

const VALUE_BYTES: usize = 256;
const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        Asked::from_parameters(url::form_urlencoded::parse(query.as_bytes()))
    }

    /// LOGIN-22: five parameters pass, protocol ones and malformed ones do not.
    #[test]
    fn only_listed_parameters_pass() {
        let good = asked("prompt=login+consent&login_hint=a%40b.c&acr_values=x++y&max_age=60&ui_locales=sv+en");
        let expected = Asked {
            prompt: Some("login consent".to_owned()),
            acr_values: vec!["x".to_owned(), "y".to_owned()],
            max_age: Some(60),
            login_hint: Some("a@b.c".to_owned()),
            ui_locales: Some("sv en".to_owned()),
        };
        assert_eq!(good, expected);
        for query in [
            "redirect_uri=x&scope=y&nonce=z&client_id=q&state=s&response_type=token&response_mode=fragment&request=r&claims=c",
            "prompt=evil&max_age=-1&login_hint=&ui_locales=a%0d%0ab",
            "max_age=1h",
            "prompt=login++consent",
        ] {
            assert!(asked(query).is_empty(), "{query}");
        }
        assert!(asked(&format!("login_hint={}", "x".repeat(257))).is_empty());
        assert_eq!(asked("max_age=1&max_age=9&login_hint=a&login_hint=b").max_age, Some(1));
    }

    #[test]
    fn an_attempt_survives_sealing_and_prints_nothing() {
        let attempt = LoginAttempt {
            state: Secret::new("st".to_owned()),
            nonce: Secret::new("no".to_owned()),
            verifier: Secret::new("ve".to_owned()),
            return_to: "/a;b?x=%20".to_owned(),
            provider: "corp".into(),
            issuer: "https://id.example.com".to_owned(),
            created: Timestamp::from_unix_millis(5),
            asked: Asked { max_age: Some(60), ..asked("acr_values=x&login_hint=me") },
        };
        let json = serde_json::to_string(&attempt).unwrap();
        let back: LoginAttempt = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert_eq!((back.verifier.expose().as_str(), back.return_to.as_str()), ("ve", "/a;b?x=%20"));
        assert_eq!(
            (back.asked.max_age, back.asked.acr_values, back.asked.login_hint),
            (Some(60), vec!["x".to_owned()], None)
        );
        assert_eq!(format!("{attempt:?}"), "LoginAttempt { provider: \"corp\", .. }");
    }
}

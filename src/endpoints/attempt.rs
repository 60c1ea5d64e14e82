//! Login attempts in the browser: each sealed into a short-lived cookie of its own, named by its state.
//!
//! Nothing is stored for strangers (DOS-01), tabs do not disturb each other (LOGIN-07), and the jar stays small (LOGIN-09).

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::base::{Random, Timestamp};
use crate::oidc::{LoginAttempt, ResponseMode};
use crate::session::{Purpose, Ring};
use crate::web::{ClientRequest, CookieSettings, SameSite, set_cookie};

/// What the cookie holds.
#[derive(serde::Serialize)]
struct Sealed<A> {
    #[serde(flatten)]
    attempt: A,
    /// The public origin on which it was begun: it counts on no other host.
    #[serde(rename = "o")]
    origin: String,
}

/// The part of it that is no attempt's own. Reading it by itself is cheaper than to have everything sorted.
#[derive(serde::Deserialize)]
struct Begun {
    #[serde(rename = "o")]
    origin: String,
}

/// How long a person has for signing in at the provider.
pub(super) const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How many attempts of one browser may be pending, and how many bytes they may take in its `Cookie` header.
const MOST: usize = 5;
const MOST_BYTES: usize = 3 * 1024;

/// The cookie's name: says which attempt it is without showing the state.
fn name(settings: &CookieSettings, state: &str) -> String {
    format!("{}-login-{}", settings.name, short(state))
}

/// A state's short name, which does not show it.
pub(super) fn short(state: &str) -> String {
    let digest = digest::digest(&digest::SHA256, state.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default())
}

/// The `Set-Cookie` lines that remember `attempt` and let the oldest go where there are too many.
pub(super) fn remember(
    attempt: &LoginAttempt,
    mode: ResponseMode,
    client: &ClientRequest,
    settings: &CookieSettings,
    ring: &Ring,
    random: &dyn Random,
) -> Vec<HeaderValue> {
    let name = name(settings, attempt.state.expose());
    let sealed = Sealed { attempt, origin: client.origin.to_string() };
    let Ok(plain) = serde_json::to_vec(&sealed).map(Zeroizing::new) else { return Vec::new() };
    let value = ring.seal_text(Purpose::LoginAttempt, name.as_bytes(), &plain, random);
    // A form_post answer is a cross-site POST, which carries no Lax cookie (LOGIN-21).
    let same_site = match mode {
        ResponseMode::Query => SameSite::Lax,
        ResponseMode::FormPost => SameSite::None,
    };
    let mut lines = evict(client, settings, ring, name.len() + value.len());
    lines.push(set_cookie::set(settings, &name, &value, Some(LIFETIME), same_site));
    lines
}

/// Deletes what does not fit beside a new one of `bytes`: unreadable ones first, then the oldest.
fn evict(client: &ClientRequest, settings: &CookieSettings, ring: &Ring, bytes: usize) -> Vec<HeaderValue> {
    let prefix = format!("{}-login-", settings.name);
    let mut pending: Vec<(Timestamp, &str, usize)> = client
        .cookies
        .ours_with_prefix(&prefix)
        .map(|(name, value)| {
            let created = open(ring, name, value).map_or(Timestamp::default(), |sealed| sealed.attempt.created);
            (created, name, name.len() + value.len())
        })
        .collect();
    // Browsers send the older first (RFC 6265 section 5.4), which tells apart those of one millisecond.
    pending.reverse();
    pending.sort_by_key(|one| std::cmp::Reverse(one.0));
    let mut room = MOST_BYTES.saturating_sub(bytes);
    let mut kept = 0;
    let mut lines = Vec::new();
    for (created, name, size) in pending {
        if created != Timestamp::default() && kept + 1 < MOST && size <= room {
            kept += 1;
            room -= size;
        } else {
            room = 0;
            lines.push(set_cookie::delete(settings, name));
        }
    }
    lines
}

/// The attempt that this browser began with `state`, if it did and not too long ago.
pub(super) fn recall(
    state: &str,
    client: &ClientRequest,
    settings: &CookieSettings,
    ring: &Ring,
    now: Timestamp,
) -> Option<LoginAttempt> {
    let name = name(settings, state);
    let Sealed { attempt, origin } = open(ring, &name, client.cookies.ours(&name)?)?;
    let mine = attempt.state.expose().as_bytes();
    let mine = aws_lc_rs::constant_time::verify_slices_are_equal(mine, state.as_bytes()).is_ok();
    (mine && now.since(attempt.created) <= LIFETIME && client.origin.shares_cookies_with(&origin)).then_some(attempt)
}

fn open(ring: &Ring, name: &str, value: &str) -> Option<Sealed<LoginAttempt>> {
    let opened = ring.open_text(Purpose::LoginAttempt, name.as_bytes(), value)?;
    let Begun { origin } = serde_json::from_slice(&opened.plain).ok()?;
    Some(Sealed { attempt: serde_json::from_slice(&opened.plain).ok()?, origin })
}

/// The line that forgets the attempt with `state`.
pub(super) fn forget(state: &str, settings: &CookieSettings) -> HeaderValue {
    set_cookie::delete(settings, &name(settings, state))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Version};

    use super::*;
    use crate::base::Secret;
    use crate::testing::SeededRandom;
    use crate::web::{Connection, Network, NetworkSettings, PublicOrigin, RequestId};

    /// A request that brings these cookies.
    fn request(cookies: &str, settings: &CookieSettings) -> ClientRequest {
        let network = Network::new(
            NetworkSettings {
                public: vec![Arc::new(PublicOrigin::parse("https://app.example.com").unwrap())],
                trusted_proxies: Vec::new(),
                endpoints: "/oauth2".into(),
                identity_headers: Vec::new(),
                hsts: None,
            },
            settings.clone(),
        );
        let request = Request::get("/").version(Version::HTTP_11).header("host", "app.example.com");
        let (parts, ()) = request.header("cookie", cookies).body(()).unwrap().into_parts();
        let connection = Connection::new(Some("192.0.2.1:4711".parse().unwrap()), true);
        ClientRequest::read(parts, &connection, &network, RequestId::new(&SeededRandom::new(1))).unwrap()
    }

    /// LOGIN-09: ten minutes, whatever a browser keeps; LOGIN-02: and for this state alone.
    #[test]
    fn an_attempt_ends_after_ten_minutes() {
        let settings = CookieSettings {
            name: "__Host-vestibule".into(),
            same_site: SameSite::Lax,
            partitioned: false,
            secure: true,
        };
        let (ring, random) = (Ring::new(&[Secret::new(vec![1; 32])]).unwrap(), SeededRandom::new(1));
        let text = |text: &str| Secret::new(text.to_owned());
        let began = Timestamp::from_unix_seconds(1_767_225_600);
        let attempt = LoginAttempt {
            state: text("the state"),
            nonce: text("nonce"),
            verifier: text("verifier"),
            return_to: "/".to_owned(),
            provider: "corp".into(),
            issuer: "https://id.example.com".to_owned(),
            created: began,
            asked: crate::oidc::Asked::default(),
        };
        let lines = remember(&attempt, ResponseMode::Query, &request("", &settings), &settings, &ring, &random);
        let line = lines.first().unwrap().to_str().unwrap();
        let browser = request(line.split(';').next().unwrap(), &settings);
        let recalled = |state: &str, seconds| {
            recall(state, &browser, &settings, &ring, began + Duration::from_secs(seconds)).is_some()
        };
        assert!(recalled("the state", 0) && recalled("the state", 600));
        assert!(!recalled("the state", 601) && !recalled("another state", 0));
    }
}

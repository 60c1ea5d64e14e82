//! Secrets that can be told apart, the spellings in which one could be found, and where each may be.
//!
//! Must never show a secret in its own message.

use std::collections::BTreeMap;
use std::fmt;

use memchr::memmem::Finder;

use crate::support::codec::{b64, b64url, hex};

/// Where something was written or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Standard output and error of `serve`.
    Log,
    /// `/metrics`.
    Metrics,
    /// Answers of the admin listener.
    Admin,
    /// What other commands say of the same configuration.
    Command,
    /// `Set-Cookie` lines.
    SetCookie,
    /// Where a browser is sent to at the provider.
    ToProvider,
    /// What scripts learn about their own session (`userinfo`, `session`, `sessions`).
    Claims,
    /// Everything else that browsers got: heads, pages, problem documents, applications' answers.
    Page,
    /// Redis: names, values, the file that it saves.
    Store,
    /// What the application got.
    Upstream,
}

/// What kind of secret it is. Where each may be stands in [`Kind::may_be_in`], and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    AccessToken,
    RefreshToken,
    IdToken,
    TokenInGarbage,
    Code,
    State,
    Nonce,
    Verifier,
    SessionCookie,
    OtherCookie,
    ClientSecret,
    ServerSecret,
    AdminToken,
    RedisPassword,
    PrivateKey,
    IdentityToken,
    LogoutToken,
    Person,
    Subject,
    /// What a stranger writes into a request that goes no further than the gateway.
    Strangers,
    /// What a signed-in person writes into a request that is forwarded.
    Callers,
}

impl Kind {
    /// The whole allow-list.
    const fn may_be_in(self) -> &'static [Place] {
        use Place::{Admin, Claims, Log, SetCookie, ToProvider, Upstream};
        match self {
            Self::AccessToken
            | Self::RefreshToken
            | Self::TokenInGarbage
            | Self::Code
            | Self::Verifier
            | Self::ClientSecret
            | Self::ServerSecret
            | Self::AdminToken
            | Self::RedisPassword
            | Self::PrivateKey
            | Self::LogoutToken
            | Self::Strangers => &[],
            // The hint at the end, to the issuer that made it.
            Self::IdToken | Self::State | Self::Nonce => &[ToProvider],
            Self::SessionCookie | Self::OtherCookie => &[SetCookie],
            Self::IdentityToken | Self::Callers => &[Upstream],
            // To the provider: inside of its own ID token.
            Self::Person => &[Claims, Upstream, ToProvider],
            // Audit lines and operators' lists say who.
            Self::Subject => &[Log, Admin, Claims, Upstream, ToProvider],
        }
    }
}

/// Everything that was planted, and everything that was seen.
#[derive(Default)]
pub(super) struct Sweep {
    canaries: BTreeMap<Vec<u8>, (Kind, &'static str)>,
    seen: BTreeMap<Place, Vec<u8>>,
}

impl Sweep {
    /// One more secret; `what` names it in messages.
    pub(super) fn plant(&mut self, kind: Kind, what: &'static str, value: impl Into<Vec<u8>>) {
        let value = value.into();
        // Shorter ones could be anywhere by chance.
        if value.len() >= 12 {
            self.canaries.insert(value, (kind, what));
        }
    }

    /// Something was written there.
    pub(super) fn see(&mut self, place: Place, bytes: impl AsRef<[u8]>) {
        let seen = self.seen.entry(place).or_default();
        seen.extend_from_slice(bytes.as_ref());
        seen.push(b'\n');
    }

    pub(super) fn seen(&self, place: Place) -> &[u8] {
        self.seen.get(&place).map_or(&[], Vec::as_slice)
    }

    /// How many secrets of that kind are planted.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.canaries.values().filter(|canary| canary.0 == kind).count()
    }

    /// Every secret that is where it may not be.
    pub(super) fn leaks(&self) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for (value, &(kind, what)) in &self.canaries {
            for (spelling, needle) in spellings(value) {
                let finder = Finder::new(&needle);
                for (&place, seen) in &self.seen {
                    if kind.may_be_in().contains(&place) {
                        continue;
                    }
                    if let Some(at) = finder.find(seen) {
                        leaks.push(Leak { kind, what, spelling, place, around: around(seen, at, needle.len()) });
                    }
                }
            }
        }
        leaks
    }

    /// The kinds of secrets that are nowhere where they might be: had the search lost its eyes, it would show here.
    pub(super) fn unseen(&self, place: Place) -> Vec<Kind> {
        let mut kinds: BTreeMap<Kind, bool> = BTreeMap::new();
        for (value, &(kind, _)) in &self.canaries {
            if kind.may_be_in().contains(&place) {
                let found =
                    spellings(value).iter().any(|(_, needle)| Finder::new(needle).find(self.seen(place)).is_some());
                *kinds.entry(kind).or_default() |= found;
            }
        }
        kinds.into_iter().filter(|(_, found)| !found).map(|(kind, _)| kind).collect()
    }
}

/// A secret in the wrong place.
pub(super) struct Leak {
    kind: Kind,
    what: &'static str,
    spelling: &'static str,
    place: Place,
    around: String,
}

impl fmt::Debug for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, what, spelling, place, around } = self;
        write!(f, "\n{kind:?} ({what}) as {spelling} in {place:?}: {around}")
    }
}

/// What stands before and after, without the secret.
fn around(seen: &[u8], at: usize, length: usize) -> String {
    let before = String::from_utf8_lossy(&seen[at.saturating_sub(160)..at]).into_owned();
    let after =
        String::from_utf8_lossy(&seen[(at + length).min(seen.len())..(at + length + 80).min(seen.len())]).into_owned();
    format!("…{before}[HERE]{after}…").replace('\n', "\\n")
}

/// The value as it is, and as somebody could have written it. Long ones by their ends, so that one cut short is found
/// too.
fn spellings(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&'static str, Vec<u8>)> = Vec::new();
    let text = String::from_utf8_lossy(value);
    // The head of a JWT is no secret, and its payload begins like many others.
    if let [_, payload, signature] = text.split('.').collect::<Vec<_>>()[..]
        && value.starts_with(b"eyJ")
    {
        all.push(("payload", payload.as_bytes().to_vec()));
        all.push(("signature", ends(signature.as_bytes()).0.to_vec()));
        all.push(("signature's end", ends(signature.as_bytes()).1.to_vec()));
    } else {
        let (first, last) = ends(value);
        all.push(("itself", first.to_vec()));
        all.push(("itself, its end", last.to_vec()));
    }
    let form: String = url::form_urlencoded::byte_serialize(value).collect();
    all.push(("form-encoded", form.into_bytes()));
    for shift in 0..3 {
        all.push(("Base64", base64_core(value, shift, b64)));
        all.push(("Base64url", base64_core(value, shift, b64url)));
    }
    let hexed = hex(value);
    all.push(("hex", hexed.as_bytes()[..hexed.len().min(48)].to_vec()));
    all.push(("hex", hexed[..hexed.len().min(48)].to_uppercase().into_bytes()));
    let list = |between: &str| value.iter().take(16).map(u8::to_string).collect::<Vec<_>>().join(between).into_bytes();
    all.push(("a list of bytes", list(", ")));
    all.push(("a list of bytes", list(",")));
    let percent = |upper: bool| {
        let each =
            value.iter().take(16).map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") });
        each.collect::<String>().into_bytes()
    };
    all.push(("percent-encoded", percent(true)));
    all.push(("percent-encoded", percent(false)));
    // What is too short to be meant is no spelling.
    all.retain(|(_, needle)| needle.len() >= 12);
    all.sort();
    all.dedup();
    all
}

fn ends(value: &[u8]) -> (&[u8], &[u8]) {
    let n = value.len().min(24);
    (&value[..n], &value[value.len() - n..])
}

/// What Base64 of anything that holds `value` has in common, when `shift` bytes (of three) go before it.
fn base64_core(value: &[u8], shift: usize, encode: fn(&[u8]) -> String) -> Vec<u8> {
    let whole = encode(&[&vec![0; shift][..], value].concat());
    let start = [0, 2, 3][shift];
    let end = (shift + value.len()) / 3 * 4;
    whole.as_bytes()[start..end.min(start + 40)].to_vec()
}

/// The search finds what it is meant to find.
#[test]
fn a_planted_secret_is_found_in_every_spelling() {
    let secret = "canary-ünder-a-rock-0123456789-abcdefghijk";
    let around = |text: &str| format!("xy{text}z").into_bytes();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let listed = |bytes: &[u8]| format!("{bytes:?}");
    for (what, spelled) in [
        ("itself", around(secret)),
        ("its beginning", around(&secret[..30])),
        ("its end", around(&secret[12..])),
        ("in a form", around(&form)),
        ("hex", around(&hex(secret.as_bytes()))),
        ("HEX", around(&hex(secret.as_bytes()).to_uppercase())),
        ("Debug of bytes", around(&listed(secret.as_bytes()))),
        ("Base64 alone", around(&b64(secret.as_bytes()))),
        ("Base64 with one before", around(&b64(format!("a{secret}").as_bytes()))),
        ("Base64 with two before", around(&b64url(format!("ab{secret}cd").as_bytes()))),
    ] {
        for (kind, place, leaks) in [
            (Kind::Verifier, Place::Log, true),
            (Kind::State, Place::ToProvider, false),
            (Kind::State, Place::Log, true),
        ] {
            let mut sweep = Sweep::default();
            sweep.plant(kind, "planted", secret);
            sweep.see(place, &spelled);
            let found = sweep.leaks();
            assert_eq!(!found.is_empty(), leaks, "{what} in {place:?}");
            assert!(!format!("{found:?}").contains("0123456789"), "{what}: shown in the message");
        }
    }
    let mut sweep = Sweep::default();
    sweep.plant(Kind::Verifier, "planted", secret);
    sweep.see(Place::Log, "canary-under-another-rock");
    assert!(sweep.leaks().is_empty());
}

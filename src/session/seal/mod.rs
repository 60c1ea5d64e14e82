//! Sealing: what leaves this process for the store or for a browser, and comes back, is opened here or not at all.
//!
//! Never two uses of one key: records are bound to the browser's cookie, everything else to its purpose.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::model::Session;
use super::token::{SessionKey, SessionToken};
use crate::base::{Blame, Blamed, Random, Secret};

mod record;

/// A server secret has at least this many bytes.
pub const SECRET_BYTES: usize = 32;

/// The server's secrets, newest first: the first seals, all open.
pub struct Ring {
    secrets: Vec<ServerSecret>,
}

impl Ring {
    /// Takes the secrets in, newest first.
    ///
    /// # Errors
    ///
    /// When there is none, or one has less than [`SECRET_BYTES`].
    pub fn new(secrets: &[Secret<Vec<u8>>]) -> Result<Self, SealError> {
        if secrets.is_empty() {
            return Err(SealError::NoSecret);
        }
        for (index, secret) in secrets.iter().enumerate() {
            if secret.expose().len() < SECRET_BYTES {
                return Err(SealError::Short { index, bytes: secret.expose().len() });
            }
        }
        Ok(Self { secrets: secrets.iter().map(ServerSecret::new).collect() })
    }

    /// Seals a session for the browser with `token`: neither the store nor the server secret nor both open it without that.
    ///
    /// # Errors
    ///
    /// When it cannot be written down, which is a bug.
    pub fn seal_record(
        &self,
        token: &SessionToken,
        version: u64,
        session: &Session,
        random: &dyn Random,
    ) -> Result<Bytes, SealError> {
        let newest = self.newest()?;
        let plain = record::encode(session)?;
        let nonce = random.bytes::<NONCE_LEN>();
        let head = [&[RECORD_FORMAT][..], &newest.id, &nonce].concat();
        let sealed = seal(&newest.record_key(token)?, nonce, &record_aad(token.key(), version), &head, &plain)?;
        Ok(Bytes::from(sealed))
    }

    /// Opens a record. `None` when it was made for another key or version, by an unknown secret, or in an unknown format.
    #[must_use]
    pub fn open_record(&self, token: &SessionToken, version: u64, sealed: &[u8]) -> Option<Opened<Session>> {
        let (format, rest) = sealed.split_first()?;
        let (id, rest) = rest.split_first_chunk::<ID_LEN>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *format != RECORD_FORMAT {
            return None;
        }
        let aad = record_aad(token.key(), version);
        self.with_id(id).find_map(|(newest, secret)| {
            let plain = open(&secret.record_key(token).ok()?, *nonce, &aad, rest)?;
            Some(Opened { plain: record::decode(&plain, token)?, newest })
        })
    }

    /// Seals something small under the server secret alone. `aad` is what it must be shown with to be opened again, such as
    /// the name of its cookie.
    ///
    /// Never fails for anything that fits in memory; should it, the answer is empty, and nothing opens that.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, aad: &[u8], plain: &[u8], random: &dyn Random) -> Vec<u8> {
        let sealed = || {
            let newest = self.newest()?;
            // Half of the random part makes a key of its own, so that no number of strangers' cookies wears one key out.
            let (salt, nonce) = (random.bytes::<NONCE_LEN>(), random.bytes::<NONCE_LEN>());
            let head = [&[SMALL_FORMAT][..], &newest.id, &salt, &nonce].concat();
            seal(&newest.small_key(purpose, &salt)?, nonce, &small_aad(purpose, aad), &head, plain)
        };
        sealed().unwrap_or_default()
    }

    /// Opens what [`Ring::seal`] made, for the same purpose and with the same `aad`.
    #[must_use]
    pub fn open(&self, purpose: Purpose, aad: &[u8], sealed: &[u8]) -> Option<Opened<Zeroizing<Vec<u8>>>> {
        let (format, rest) = sealed.split_first()?;
        let (id, rest) = rest.split_first_chunk::<ID_LEN>()?;
        let (salt, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *format != SMALL_FORMAT {
            return None;
        }
        let aad = small_aad(purpose, aad);
        self.with_id(id).find_map(|(newest, secret)| {
            let plain = open(&secret.small_key(purpose, salt).ok()?, *nonce, &aad, rest)?;
            Some(Opened { plain, newest })
        })
    }

    /// [`Ring::seal`] as text for a cookie (base64url without padding).
    #[must_use]
    pub fn seal_text(&self, purpose: Purpose, aad: &[u8], plain: &[u8], random: &dyn Random) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(purpose, aad, plain, random))
    }

    /// Opens what [`Ring::seal_text`] made.
    #[must_use]
    pub fn open_text(&self, purpose: Purpose, aad: &[u8], sealed: &str) -> Option<Opened<Zeroizing<Vec<u8>>>> {
        self.open(purpose, aad, &URL_SAFE_NO_PAD.decode(sealed).ok()?)
    }

    fn newest(&self) -> Result<&ServerSecret, SealError> {
        self.secrets.first().ok_or(SealError::NoSecret)
    }

    /// The secrets with this id (ids are short, so there may be several), and whether each is the newest.
    fn with_id<'a>(&'a self, id: &'a [u8; ID_LEN]) -> impl Iterator<Item = (bool, &'a ServerSecret)> {
        self.secrets
            .iter()
            .enumerate()
            .filter(move |(_, secret)| secret.id == *id)
            .map(|(index, secret)| (index == 0, secret))
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("secrets", &self.secrets.len()).finish()
    }
}

/// Reads the inside of a record, for fuzzing: in the product only what was sealed gets so far.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn read_record(plain: &[u8], token: &SessionToken) -> Option<Session> {
    record::decode(plain, token)
}

/// What something sealed under the server secret alone is for. What was sealed for one purpose never opens for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A login under way, in the browser.
    LoginAttempt,
    /// What a provider answered by a form, in the browser for the moment until it asks again.
    AuthorizationResponse,
    /// Where to go after logout, in the browser.
    LogoutReturn,
    /// How often a login came back without a session, in the browser.
    LoopBreaker,
    /// What operators see of a session, in the store.
    OperatorRecord,
    /// Signing keys, in the store.
    ManagedKeys,
    /// A session on its way to another domain.
    Handoff,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::LoginAttempt => b"login attempt",
            Self::AuthorizationResponse => b"authorization response",
            Self::LogoutReturn => b"logout return",
            Self::LoopBreaker => b"loop breaker",
            Self::OperatorRecord => b"operator record",
            Self::ManagedKeys => b"managed keys",
            Self::Handoff => b"handoff",
        }
    }
}

/// What was opened.
#[derive(Clone, Debug)]
pub struct Opened<T> {
    /// What was inside.
    pub plain: T,
    /// Whether the newest secret sealed it; if not, it is sealed anew when next written.
    pub newest: bool,
}

/// Why nothing can be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No server secret was given.
    #[error("there is no server secret")]
    NoSecret,
    /// A server secret can be guessed.
    #[error("server secret {index} has {bytes} bytes, not at least {SECRET_BYTES}")]
    Short {
        /// Which, from 0.
        index: usize,
        /// How many it has.
        bytes: usize,
    },
    /// A session could not be written down.
    #[error("a session cannot be written down")]
    Encode,
    /// The cipher refused.
    #[error("the cipher refused to seal")]
    Cipher,
}

impl Blamed for SealError {
    fn blame(&self) -> Blame {
        Blame::Bug
    }
}

struct ServerSecret {
    /// Stored in clear with what it seals. A few bytes of a hash of at least 256 bits tell nothing of them.
    id: [u8; ID_LEN],
    secret: Secret<Vec<u8>>,
    small: hkdf::Prk,
}

impl ServerSecret {
    fn new(secret: &Secret<Vec<u8>>) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"vestibule key id\0");
        hash.update(secret.expose());
        let mut id = [0; ID_LEN];
        id.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self { id, secret: secret.clone(), small: extracted(b"vestibule server secret", secret.expose()) }
    }

    fn record_key(&self, token: &SessionToken) -> Result<LessSafeKey, SealError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, token.bytes()).extract(self.secret.expose());
        expand(&prk, &[b"vestibule session record", &self.id])
    }

    fn small_key(&self, purpose: Purpose, salt: &[u8; NONCE_LEN]) -> Result<LessSafeKey, SealError> {
        expand(&self.small, &[purpose.label(), b"\0", &self.id, salt])
    }
}

/// HKDF-Extract (RFC 5869 section 2.2), done once: the library's own is put off, and done again at each use of what it gives.
fn extracted(salt: &[u8], secret: &[u8]) -> hkdf::Prk {
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret);
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key.as_ref())
}

fn expand(prk: &hkdf::Prk, info: &[&[u8]]) -> Result<LessSafeKey, SealError> {
    let okm = prk.expand(info, &AES_256_GCM).map_err(|_| SealError::Cipher)?;
    Ok(LessSafeKey::new(UnboundKey::from(okm)))
}

/// The key binds a record to its place in the store, the version to its turn there.
fn record_aad(key: &SessionKey, version: u64) -> Vec<u8> {
    [&[RECORD_FORMAT][..], key.as_bytes(), &version.to_be_bytes()].concat()
}

fn small_aad(purpose: Purpose, aad: &[u8]) -> Vec<u8> {
    [&[SMALL_FORMAT][..], purpose.label(), b"\0", aad].concat()
}

/// `head`, then `plain` sealed.
fn seal(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    head: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut out = Vec::with_capacity(head.len() + plain.len() + AES_256_GCM.tag_len());
    out.extend_from_slice(head);
    out.extend_from_slice(plain);
    let body = out.get_mut(head.len()..).unwrap_or_default();
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
        .map_err(|_| SealError::Cipher)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

fn open(key: &LessSafeKey, nonce: [u8; NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let length = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

const ID_LEN: usize = 4;
/// The first byte of what is sealed says how it is written.
const RECORD_FORMAT: u8 = 1;
const SMALL_FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::session::contract::sample_session;
    use crate::testing::SeededRandom;

    fn secret(byte: u8) -> Secret<Vec<u8>> {
        Secret::new(vec![byte; 32])
    }

    fn ring(bytes: &[u8]) -> Ring {
        Ring::new(&bytes.iter().map(|byte| secret(*byte)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_secret_that_was_extracted_before_gives_the_same_keys() {
        let keys = |prk: hkdf::Prk| {
            let mut key = [0; 32];
            prk.expand(&[b"info"], hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
            key
        };
        let theirs = hkdf::Salt::new(hkdf::HKDF_SHA256, b"salt").extract(&[7; 40]);
        assert_eq!(keys(extracted(b"salt", &[7; 40])), keys(theirs));
    }

    #[test]
    fn short_or_missing_secrets_are_refused() {
        assert!(matches!(Ring::new(&[]), Err(SealError::NoSecret)));
        let short = Ring::new(&[secret(1), Secret::new(vec![0; 31])]);
        assert!(matches!(short, Err(SealError::Short { index: 1, bytes: 31 })));
    }

    #[test]
    fn a_record_comes_back_whole() {
        let (ring, random) = (ring(&[1]), SeededRandom::new(1));
        let token = SessionToken::generate(&random);
        let session = sample_session("u1", 7, Timestamp::from_unix_seconds(1000));
        let sealed = ring.seal_record(&token, 3, &session, &random).unwrap();
        let opened = ring.open_record(&token, 3, &sealed).unwrap();
        assert!(opened.newest);
        let back = opened.plain;
        assert_eq!(back.sid, session.sid);
        assert_eq!((back.born, back.created, back.expires), (session.born, session.created, session.expires));
        assert_eq!((back.issuer, back.subject, back.origin), (session.issuer, session.subject, session.origin));
        assert_eq!((back.provider, back.provider_sid), (session.provider, session.provider_sid));
        assert_eq!((back.claims, back.scope), (session.claims, session.scope));
        assert_eq!((back.auth_time, back.acr, back.amr), (session.auth_time, session.acr, session.amr));
        assert_eq!(back.tokens.access_token.expose(), session.tokens.access_token.expose());
        assert_eq!(back.tokens.access_token_expires, session.tokens.access_token_expires);
        assert_eq!(back.tokens.id_token.expose(), session.tokens.id_token.expose());
        assert_eq!(
            back.tokens.refresh_token.as_ref().map(Secret::expose),
            session.tokens.refresh_token.as_ref().map(Secret::expose)
        );
    }

    /// SESS-12: a record opens only in its own place and version, for its own cookie, and whole.
    #[test]
    fn a_record_is_bound_to_its_cookie_place_and_version() {
        let (ring, random) = (ring(&[1]), SeededRandom::new(1));
        let (token, other) = (SessionToken::generate(&random), SessionToken::generate(&random));
        let sealed = ring.seal_record(&token, 3, &sample_session("u1", 7, Timestamp::default()), &random).unwrap();
        assert!(ring.open_record(&other, 3, &sealed).is_none());
        assert!(ring.open_record(&token, 4, &sealed).is_none());
        for index in 0..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[index] ^= 1;
            assert!(ring.open_record(&token, 3, &changed).is_none(), "byte {index}");
            assert!(ring.open_record(&token, 3, &sealed[..index]).is_none(), "cut at {index}");
        }
    }

    /// SESS-12: a record's key comes of its cookie too: the server's secret alone, with all that the store knows, opens none.
    #[test]
    fn a_record_is_sealed_by_its_cookie_too() {
        let (random, secret) = (SeededRandom::new(1), ServerSecret::new(&secret(1)));
        let sealed = [(); 2].map(|()| {
            let key = secret.record_key(&SessionToken::generate(&random)).unwrap();
            seal(&key, [0; NONCE_LEN], b"aad", b"", b"the same inside").unwrap()
        });
        assert_ne!(sealed[0], sealed[1]);
    }

    /// SESS-12: old secrets open and say that they are old; unknown ones open nothing.
    #[test]
    fn secrets_rotate_with_overlap() {
        let random = SeededRandom::new(1);
        let token = SessionToken::generate(&random);
        let session = sample_session("u1", 7, Timestamp::default());
        let sealed = ring(&[1]).seal_record(&token, 1, &session, &random).unwrap();
        assert!(!ring(&[2, 1]).open_record(&token, 1, &sealed).unwrap().newest);
        assert!(ring(&[2]).open_record(&token, 1, &sealed).is_none());
        let small = ring(&[1]).seal(Purpose::ManagedKeys, b"a", b"plain", &random);
        let opened = ring(&[2, 1]).open(Purpose::ManagedKeys, b"a", &small).unwrap();
        assert_eq!((opened.plain.as_slice(), opened.newest), (b"plain".as_slice(), false));
        assert!(ring(&[2]).open(Purpose::ManagedKeys, b"a", &small).is_none());
    }

    #[test]
    fn small_things_open_only_for_their_purpose_and_aad() {
        let (ring, random) = (ring(&[1]), SeededRandom::new(1));
        let text = ring.seal_text(Purpose::LoginAttempt, b"cookie", b"plain", &random);
        assert_eq!(ring.open_text(Purpose::LoginAttempt, b"cookie", &text).unwrap().plain.as_slice(), b"plain");
        assert!(ring.open_text(Purpose::LoginAttempt, b"other", &text).is_none());
        assert!(ring.open_text(Purpose::LogoutReturn, b"cookie", &text).is_none());
        assert!(ring.open_text(Purpose::LoginAttempt, b"cookie", &format!("{text}A")).is_none());
        assert_ne!(text, ring.seal_text(Purpose::LoginAttempt, b"cookie", b"plain", &random));
    }

    proptest::proptest! {
        /// Whatever a browser or the store brings is refused without a panic.
        #[test]
        fn strangers_bytes_open_nothing(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let ring = ring(&[1]);
            let token = SessionToken::generate(&SeededRandom::new(1));
            proptest::prop_assert!(ring.open(Purpose::Handoff, b"", &bytes).is_none());
            proptest::prop_assert!(ring.open_record(&token, 1, &bytes).is_none());
        }
    }
}

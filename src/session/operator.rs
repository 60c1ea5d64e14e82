//! What operators need of a session without the browser's cookie: who, since when, from where, and which indexes name it.
//!
//! It holds no token and no claim, and is sealed under the server secret alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{OperatorMeta, Session, Summary};
use super::names::{Name, indexes};
use super::seal::{Opened, Purpose, Ring};
use super::store::Member;
use super::token::{SessionKey, Sid};
use crate::base::{Random, Timestamp};

/// The record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OperatorRecord {
    pub(super) sid: String,
    pub(super) provider: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    provider_sid: Option<String>,
    born: u64,
    pub(super) created: Timestamp,
    pub(super) expires: Timestamp,
    address: String,
    agent: String,
}

impl OperatorRecord {
    pub(super) fn new(session: &Session, meta: &OperatorMeta) -> Self {
        Self {
            sid: session.sid.as_str().to_owned(),
            provider: session.provider.to_string(),
            issuer: session.issuer.clone(),
            subject: session.subject.clone(),
            provider_sid: session.provider_sid.clone(),
            born: session.born,
            created: session.created,
            expires: session.expires,
            address: beginning(&meta.address, ADDRESS).to_owned(),
            agent: beginning(&meta.agent, AGENT).to_owned(),
        }
    }

    pub(super) fn seal(&self, ring: &Ring, key: &SessionKey, random: &dyn Random) -> Vec<u8> {
        // A struct of texts and numbers always has a JSON form; should it not, the empty one opens as nothing.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        ring.seal(Purpose::OperatorRecord, key.as_bytes(), &plain, random)
    }

    pub(super) fn open(ring: &Ring, key: &SessionKey, sealed: &[u8]) -> Option<Opened<Self>> {
        let opened = ring.open(Purpose::OperatorRecord, key.as_bytes(), sealed)?;
        Some(Opened { plain: serde_json::from_slice(&opened.plain).ok()?, newest: opened.newest })
    }

    pub(super) fn expires(&self) -> Timestamp {
        self.expires
    }

    pub(super) fn created(&self) -> Timestamp {
        self.created
    }

    pub(super) fn sid(&self) -> Option<Sid> {
        Sid::parse(&self.sid)
    }

    pub(super) fn member(&self, key: &SessionKey) -> Member {
        Member { key: *key, born: self.born, created: self.created }
    }

    /// The indexes that name the session.
    pub(super) fn indexes(&self, key: &SessionKey) -> Vec<Name> {
        indexes(key, &self.issuer, &self.subject, self.provider_sid.as_deref())
    }

    /// The line of the list.
    pub(super) fn summary(self, seen: Option<Timestamp>) -> Option<Summary> {
        Some(Summary {
            sid: self.sid()?,
            provider: Arc::from(self.provider),
            issuer: self.issuer,
            subject: self.subject,
            created: self.created,
            expires: self.expires,
            last_seen: seen.map_or(self.created, |seen| seen.max(self.created)),
            address: self.address,
            agent: self.agent,
        })
    }
}

/// As much of `text` as `most` bytes hold: the browser chose its length.
fn beginning(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = text.char_indices().map(|(at, one)| at + one.len_utf8()).take_while(|end| *end <= most).last();
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

const ADDRESS: usize = 64;
const AGENT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;
    use crate::session::contract::sample_session;
    use crate::session::token::SessionToken;
    use crate::testing::SeededRandom;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(beginning("abc", 3), "abc");
        assert_eq!(beginning("abc", 5), "abc");
        assert_eq!(beginning("abcd", 3), "abc");
        assert_eq!(beginning("aéé", 4), "aé");
        assert_eq!(beginning("é", 1), "");
    }

    /// SESS-12: what operators read is bound to its session too.
    #[test]
    fn it_opens_in_its_own_place_only() {
        let random = SeededRandom::new(1);
        let ring = Ring::new(&[Secret::new(vec![1; 32])]).unwrap();
        let (key, other) = (*SessionToken::generate(&random).key(), *SessionToken::generate(&random).key());
        let session = sample_session("u1", 7, Timestamp::from_unix_seconds(1000));
        let sealed = OperatorRecord::new(&session, &OperatorMeta::default()).seal(&ring, &key, &random);
        assert!(OperatorRecord::open(&ring, &other, &sealed).is_none());
        let opened = OperatorRecord::open(&ring, &key, &sealed).unwrap();
        assert_eq!(opened.plain.member(&key).born, 7);
        assert_eq!(opened.plain.summary(None).unwrap().sid, session.sid);
    }
}

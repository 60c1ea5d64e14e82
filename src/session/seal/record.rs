//! A session as bytes, for the inside of a seal only.
//!
//! Nothing here is ever written anywhere unsealed; a change of its shape takes a new format byte or a default for what is new.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::SealError;
use crate::base::{Secret, Timestamp};
use crate::session::model::{Session, Tokens};
use crate::session::token::{SessionToken, Sid};

/// Writes a session down.
pub(super) fn encode(session: &Session) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let tokens = &session.tokens;
    let written = Written {
        sid: session.sid.as_str().into(),
        provider: (&*session.provider).into(),
        issuer: session.issuer.as_str().into(),
        subject: session.subject.as_str().into(),
        provider_sid: session.provider_sid.as_deref().map(Cow::from),
        origin: session.origin.as_str().into(),
        born: session.born,
        created: session.created,
        expires: session.expires,
        auth_time: session.auth_time,
        acr: session.acr.as_deref().map(Cow::from),
        amr: Cow::from(&session.amr),
        claims: Cow::Borrowed(&session.claims),
        scope: session.scope.as_deref().map(Cow::from),
        access_token: tokens.access_token.expose().as_str().into(),
        access_token_obtained: tokens.access_token_obtained,
        access_token_expires: tokens.access_token_expires,
        refresh_token: tokens.refresh_token.as_ref().map(|token| token.expose().as_str().into()),
        id_token: tokens.id_token.expose().as_str().into(),
        nonce: tokens.nonce.as_ref().map(|nonce| nonce.expose().as_str().into()),
    };
    // Two passes: a buffer that grows leaves copies of tokens behind that nobody wipes.
    let mut count = Count(0);
    serde_json::to_writer(&mut count, &written).map_err(|_| SealError::Encode)?;
    let mut out = Zeroizing::new(Vec::with_capacity(count.0));
    serde_json::to_writer(&mut *out, &written).map_err(|_| SealError::Encode)?;
    Ok(out)
}

/// Reads a session back.
pub(super) fn decode(plain: &[u8], token: &SessionToken) -> Option<Session> {
    let read = match serde_json::from_slice::<Written<'_>>(plain) {
        Ok(read) => read,
        Err(error) => {
            // The seal was good, so we wrote it: another version of us, or a bug. The words of the error could quote it.
            tracing::error!(key = %token.key(), category = ?error.classify(), "a session record has a shape that is not known here");
            return None;
        }
    };
    Some(Session {
        sid: Sid::parse(&read.sid)?,
        provider: Arc::from(&*read.provider),
        issuer: read.issuer.into_owned(),
        subject: read.subject.into_owned(),
        provider_sid: read.provider_sid.map(Cow::into_owned),
        origin: read.origin.into_owned(),
        born: read.born,
        created: read.created,
        expires: read.expires,
        auth_time: read.auth_time,
        acr: read.acr.map(Cow::into_owned),
        amr: read.amr.into_owned(),
        claims: read.claims.into_owned(),
        scope: read.scope.map(Cow::into_owned),
        tokens: Tokens {
            access_token: secret(read.access_token),
            access_token_obtained: read.access_token_obtained,
            access_token_expires: read.access_token_expires,
            refresh_token: read.refresh_token.map(secret),
            id_token: secret(read.id_token),
            nonce: read.nonce.map(secret),
        },
    })
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    sid: Cow<'a, str>,
    #[serde(borrow)]
    provider: Cow<'a, str>,
    #[serde(borrow)]
    issuer: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    provider_sid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    born: u64,
    created: Timestamp,
    expires: Timestamp,
    auth_time: Option<Timestamp>,
    acr: Option<Cow<'a, str>>,
    amr: Cow<'a, [String]>,
    claims: Cow<'a, Map<String, Value>>,
    scope: Option<Cow<'a, str>>,
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    access_token_obtained: Timestamp,
    access_token_expires: Timestamp,
    refresh_token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id_token: Cow<'a, str>,
    nonce: Option<Cow<'a, str>>,
}

/// Borrowed text stays in the buffer that is wiped anyway; owned text (it held an escape) is wiped here.
fn secret(text: Cow<'_, str>) -> Secret<String> {
    let copy = Secret::new(String::from(&*text));
    if let Cow::Owned(mut text) = text {
        text.zeroize();
    }
    copy
}

struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

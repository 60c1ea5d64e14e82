//! Reading tokens from strangers: the only place where a [`Verified`] is made.
//!
//! Never follows a key that a token names itself, and never looks at a payload before its signature holds.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::set::KeySet;
use super::strict::{self, StrictError};
use crate::base::{Blame, Blamed};

/// Claims whose signature holds under a key of the set, in a token of the expected kind. Made only by [`verify`].
///
/// Who it is from, who it is for and when it is valid are still to be judged.
#[derive(Clone, Debug)]
pub struct Verified<C> {
    header: Header,
    claims: C,
}

impl<C> Verified<C> {
    /// What the token says.
    pub fn claims(&self) -> &C {
        &self.claims
    }

    /// What the token says, owned.
    pub fn into_claims(self) -> C {
        self.claims
    }

    /// How it is signed.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

/// The header members that mean anything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub kid: Option<String>,
    /// `typ`.
    pub typ: Option<String>,
}

/// What the reader accepts.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The allow-list for this issuer. Symmetric ones in it are of no effect: a [`KeySet`] holds public keys alone.
    pub algorithms: &'a [Algorithm],
    /// Which kind of token.
    pub typ: Typ<'a>,
    /// The longest token that is looked at.
    pub max_bytes: usize,
}

/// Which kind of token (RFC 8725 section 3.11). Compared without regard to case, and with or without `application/`.
#[derive(Clone, Copy, Debug)]
pub enum Typ<'a> {
    /// This `typ` and no other; absent is refused.
    Exactly(&'a str),
    /// Absent, `JWT`, or one of these: for kinds that came before typing. A `typ` that names another kind is refused.
    Generic(&'a [&'a str]),
}

/// Checks shape, header and signature of a compact JWS, in this order, and reads its claims.
///
/// # Errors
/// The first rule that is broken. [`VerifyError::UnknownKey`] is the one after which asking the issuer for its keys again may help.
pub fn verify<C: DeserializeOwned>(
    token: &str,
    keys: &KeySet,
    expect: &Expect<'_>,
) -> Result<Verified<C>, VerifyError> {
    if token.len() > expect.max_bytes {
        return Err(VerifyError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(VerifyError::Malformed)?;
    // The decoder refuses padding, foreign characters (a further dot too) and stray trailing bits.
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| VerifyError::Malformed);
    let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);

    let header = Header::read(&strict::object(&header)?, expect)?;
    let mut tried = false;
    let signed = keys.candidates(header.kid.as_deref(), header.algorithm).any(|key| {
        tried = true;
        key.verifies(header.algorithm, message.as_bytes(), &signature)
    });
    if !signed {
        // Without a `kid` there is no telling a forgery from a key that was rotated in.
        return Err(if tried && header.kid.is_some() {
            VerifyError::Signature
        } else {
            VerifyError::UnknownKey { kid: header.kid }
        });
    }
    let payload = strict::object(&payload)?;
    let claims = C::deserialize(Value::Object(payload)).map_err(|_| VerifyError::Claims)?;
    Ok(Verified { header, claims })
}

impl Header {
    fn read(members: &Map<String, Value>, expect: &Expect<'_>) -> Result<Self, VerifyError> {
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value.clone())),
            Some(_) => Err(VerifyError::Malformed),
        };
        let name = text("alg")?.ok_or(VerifyError::Malformed)?;
        let algorithm = name
            .parse()
            .ok()
            .filter(|algorithm: &Algorithm| expect.algorithms.contains(algorithm) && !algorithm.is_symmetric())
            .ok_or(VerifyError::Algorithm)?;
        // No extension is understood here, so whatever is critical is not (RFC 7515 section 4.1.11). An unencoded payload (RFC 7797)
        // would make the signature cover other bytes than those read; compression and encryption have no business here.
        if ["crit", "zip", "enc"].iter().any(|name| members.contains_key(*name))
            || members.get("b64").is_some_and(|value| value != &Value::Bool(true))
        {
            return Err(VerifyError::Critical);
        }
        // `jku`, `jwk`, `x5u` and `x5c` are not looked at: a token cannot say whom to trust (RFC 8725 section 3.10).
        let (kid, typ) = (text("kid")?, text("typ")?);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(VerifyError::Malformed);
        }
        if !expect.typ.admits(typ.as_deref()) {
            return Err(VerifyError::Typ);
        }
        Ok(Self { algorithm, kid, typ })
    }
}

impl Typ<'_> {
    fn admits(self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::Exactly(wanted), Some(typ)) => same_typ(typ, wanted),
            (Self::Exactly(_), None) => false,
            (Self::Generic(_), None) => true,
            (Self::Generic(wanted), Some(typ)) => {
                same_typ(typ, "JWT") || wanted.iter().any(|wanted| same_typ(typ, wanted))
            }
        }
    }
}

pub(super) fn same_typ(one: &str, other: &str) -> bool {
    let bare = |typ: &str| {
        let prefix = typ.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
        let bare = prefix.and_then(|_| typ.get(PREFIX.len()..)).unwrap_or(typ);
        bare.to_ascii_lowercase()
    };
    bare(one) == bare(other)
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Longer than the reader allows.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url, a header or payload that is no JSON object, or a header member of a wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// A JSON member twice: two readers could understand it differently.
    #[error("the token has a member twice")]
    Duplicate,
    /// `none`, unknown, symmetric, or not on the issuer's allow-list.
    #[error("the token's signature algorithm is not allowed")]
    Algorithm,
    /// `crit`, `b64: false`, `zip` or `enc`.
    #[error("the token needs an extension that is not supported")]
    Critical,
    /// Another kind of token.
    #[error("the token is of another kind")]
    Typ,
    /// No key of the set fits. Asking the issuer again may help.
    #[error("no key of the issuer fits the token (kid {})", Shown(.kid.as_deref()))]
    UnknownKey {
        /// As the token has it, 512 bytes at most; only the error's text is cleaned for logs.
        kid: Option<String>,
    },
    /// Signed by somebody else, or changed since.
    #[error("the token's signature does not hold")]
    Signature,
    /// Signed, and not what the reader understands.
    #[error("the token's claims have an unexpected shape")]
    Claims,
}

impl Blamed for VerifyError {
    /// The bringer's; a reader that fetched the token from a provider says otherwise itself.
    fn blame(&self) -> Blame {
        Blame::Client
    }
}

impl From<StrictError> for VerifyError {
    fn from(error: StrictError) -> Self {
        match error {
            StrictError::Duplicate => Self::Duplicate,
            StrictError::Json | StrictError::Depth => Self::Malformed,
        }
    }
}

/// A stranger's `kid` in one short line.
struct Shown<'a>(Option<&'a str>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(kid) = self.0 else { return f.write_str("absent") };
        for character in kid.chars().take(SHOWN_KID_CHARS) {
            fmt::Write::write_char(f, if character.is_ascii_graphic() { character } else { '?' })?;
        }
        Ok(())
    }
}

const PREFIX: &str = "application/";
const MAX_KID_BYTES: usize = 512;
const SHOWN_KID_CHARS: usize = 64;

#[cfg(test)]
mod tests;

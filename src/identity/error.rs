//! What can go wrong with keys and tokens.
//!
//! Never holds a claim's value: only names and sizes.

use std::path::PathBuf;
use std::sync::Arc;

use super::vault::VaultError;
use crate::base::{Blame, Blamed};
use crate::jose::{KeyError, SignError};

/// Why there is no key or no token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A key file that cannot be read.
    #[error("the key file {} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file that holds no usable key.
    #[error("the key file {} cannot be used: {source}", path.display())]
    FileKey {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// A shared or generated key that cannot be used.
    #[error("the signing key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// Settings that contradict themselves.
    #[error("the identity settings cannot be used: {0}")]
    Settings(&'static str),
    /// A header name that is none.
    #[error("upstream {upstream:?}: {header:?} is no header name")]
    HeaderName {
        /// Which upstream.
        upstream: Arc<str>,
        /// What was configured.
        header: String,
    },
    /// No key has been read from the vault yet.
    #[error("there is no signing key yet")]
    NotReady,
    /// The vault cannot be reached.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The vault holds something else than a ring of keys of this version.
    #[error("the managed keys in the vault cannot be read: {0}")]
    Ring(&'static str),
    /// Other replicas changed the keys again and again; the next refresh tries anew.
    #[error("the managed keys were changed by others at every attempt")]
    Contended,
    /// An upstream without identity settings.
    #[error("upstream {0:?} has no identity settings")]
    UnknownUpstream(String),
    /// Less than a second of the session is left.
    #[error("the session is over")]
    SessionOver,
    /// A claim that cannot stand in a plain header.
    #[error("upstream {upstream:?}: claim {claim:?} cannot be sent in the header {header:?}: {why}")]
    HeaderValue {
        /// Which upstream.
        upstream: Arc<str>,
        /// Which header.
        header: String,
        /// Which claim.
        claim: String,
        /// Why not.
        why: &'static str,
    },
    /// What the upstream is configured to get does not fit.
    #[error(
        "the identity headers for upstream {upstream:?} would have {bytes} bytes, {limit} at most; the largest claims: {largest}"
    )]
    TooLarge {
        /// Which upstream.
        upstream: Arc<str>,
        /// What they would have.
        bytes: usize,
        /// What they may have.
        limit: usize,
        /// Names and sizes of the largest claims.
        largest: String,
    },
    /// The signature failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Blamed for IdentityError {
    fn blame(&self) -> Blame {
        match self {
            Self::NotReady | Self::Vault(_) | Self::Contended => Blame::Store,
            Self::SessionOver => Blame::Client,
            _ => Blame::Bug,
        }
    }
}

//! Signed tokens: keys, key sets, signing and strict verification (RFC 7515, 7517, 7518, 7519, 8725).
//!
//! Never reads a clock, opens a socket or judges a claim: what a token must say is its reader's business.

pub mod algorithm;
pub mod key;
#[cfg(any(test, feature = "testing"))]
pub mod outsider;
mod private_key;
mod public_key;
mod resemblance;
pub mod set;
pub mod sign;
mod signer;
mod strict;
pub mod verify;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use key::{KeyError, SigningKey};
pub use resemblance::resembles;
pub use set::{KeySet, VerifyingKey};
pub use sign::{SignError, at_hash, sign};
pub use verify::{Expect, Header, Typ, Verified, VerifyError, verify};

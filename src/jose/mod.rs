//! Signed tokens: keys, key sets, signing and strict verification (RFC 7515, 7517, 7518, 7519, 8725).
//!
//! Never reads a clock, opens a socket or judges a claim: what a token must say is its reader's business.

pub mod algorithm;

pub use algorithm::Algorithm;

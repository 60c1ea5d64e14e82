//! What fuzzing asks of every parser of strangers' bytes.
//!
//! Each function here takes any bytes and panics when a rule is broken. `fuzz/` mutates bytes for them for minutes; the tests beside them
//! give them the seeds, changed seeds and random bytes on every run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_precision_loss,
    clippy::missing_panics_doc,
    reason = "a finding is a panic, and only tests and fuzzing run this"
)]

mod answers;
mod configuration;
mod cookies;
mod fixture;
mod form;
mod frames;
mod framing;
mod headers;
mod keys;
mod paths;
mod provider;
mod request;
mod return_to;
mod sealed;
mod second_reading;
#[cfg(test)]
mod tests;
mod tokens;

pub use answers::answers;
pub use configuration::configuration;
pub use cookies::cookies;
pub use form::form;
pub use frames::frames;
pub use framing::{exchange, framing};
pub use headers::headers;
pub use keys::keys;
pub use paths::paths;
pub use provider::{provider_answers, provider_claims};
pub use request::request;
pub use return_to::return_to;
pub use sealed::sealed;
pub use tokens::{signed, tokens};

/// Takes any bytes; panics when a rule is broken.
pub type Target = fn(&[u8]);

/// Every target: its name in `fuzz/`, and what it runs.
pub const TARGETS: &[(&str, Target)] = &[
    ("answers", answers),
    ("configuration", configuration),
    ("cookies", cookies),
    ("exchange", exchange),
    ("form", form),
    ("frames", frames),
    ("framing", framing),
    ("headers", headers),
    ("keys", keys),
    ("paths", paths),
    ("provider_answers", provider_answers),
    ("provider_claims", provider_claims),
    ("request", request),
    ("return_to", return_to),
    ("sealed", sealed),
    ("signed", signed),
    ("tokens", tokens),
];

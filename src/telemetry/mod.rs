//! What operators see: log lines, one access line a request, audit events, metrics.
//!
//! No secret ever gets here: what is logged is named field by field, never a whole request, cookie, URL query or answer.

pub mod access_log;
pub mod audit;
pub mod log;
pub mod metrics;
mod settings;

pub use metrics::Metrics;
pub use settings::{LogFormat, TelemetrySettings};

//! The applications: their connections, what is sent on them, what may come back, and tunnels.
//!
//! It never decides who may reach an application, and nothing in a request chooses where a connection goes.

pub mod error;
pub mod metrics;
pub mod request;
pub mod settings;
pub mod tunnel;

mod answer;
mod connect;
mod frames;
mod http1;
mod lease;
mod multiplex;
mod outgoing;
mod pool;
mod pump;
mod send;
mod socket;
mod tls;
mod upgrade;

pub use error::UpstreamError;
#[cfg(any(test, feature = "testing"))]
pub use frames::Frames;
#[cfg(any(test, feature = "testing"))]
pub use http1::{ReadAnswer, read_answer};
pub use metrics::{Metrics, Snapshot};
pub use request::UpstreamRequest;
pub use send::{Answer, Upstream};
pub use settings::{ClientCertificate, HostHeader, Target, UpstreamSettings};
pub use tunnel::{CloseCode, Tunnels, Wire, tunnel};

#[cfg(test)]
mod tests;

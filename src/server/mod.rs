//! The clients: listeners, TLS, connections, the strict reading of their bytes, and the limits on what they may do.
//!
//! It never knows routes, sessions or upstreams: it hands whole requests to a [`Service`] and answers for nothing else.

pub mod body;
pub mod framing;
pub mod listener;
pub mod settings;
pub mod shutdown;
pub mod tls;

mod accept;
mod connection;
mod exchange;
mod farewell;
mod guarded;
mod pulse;

pub use exchange::Service;
pub use listener::{ListenError, Listener};
pub use settings::{CertificateFiles, LimitSettings, ListenAddress, ListenerSettings};
pub use shutdown::Shutdown;

#[cfg(test)]
mod tests;

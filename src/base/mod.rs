//! What everything else stands on: time, randomness, secrets, trust, blame, and doing a thing only once at a time.
//!
//! Nothing here knows HTTP, a store or a provider.

pub mod blame;
pub mod clock;
pub mod random;
pub mod secret;
pub mod shelf;
pub mod single_flight;
pub mod trust;

pub use blame::{Blame, Blamed};
pub use clock::{Clock, SystemClock, Timestamp};
pub use random::{Random, SystemRandom};
pub use secret::Secret;
pub use shelf::Shelf;
pub use single_flight::SingleFlight;

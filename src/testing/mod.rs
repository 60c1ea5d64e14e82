//! What tests put in the place of the machine: a clock that stands still until told, and randomness with a seed.
//!
//! Only compiled for tests (`feature = "testing"`).

pub mod clock;
pub mod fuzzing;
pub mod random;

pub use clock::ManualClock;
pub use random::SeededRandom;

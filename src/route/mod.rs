//! Which route a request takes, and what the route asks of the caller.
//!
//! Nothing here knows who the caller is: routes are found by host, path and method alone.

pub mod pattern;
pub mod policy;
pub mod settings;
pub mod table;

pub use pattern::{HostPattern, PathPattern, PatternError};
pub use policy::{Missing, Policy};
pub use settings::{AccessMode, CachePolicy, CrossSite, EncodedSlash, Route, SignedOut};
pub use table::{Table, TableError};

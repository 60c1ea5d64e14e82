//! How serving ends: first gently, then at once.

use tokio_util::sync::CancellationToken;

/// Two tokens that only ever go one way; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Stop accepting, say so to the clients, finish what is under way.
    pub drain: CancellationToken,
    /// Close everything now.
    pub stop: CancellationToken,
}

impl Shutdown {
    /// Nothing asked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

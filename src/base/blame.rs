//! Whose fault an error is. One table, in `web/answer.rs`, turns it into a status.

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request was wrong: 4xx.
    Client,
    /// The OpenID provider is away or answered nonsense: 502 or 503.
    Provider,
    /// The application is away, late or answered nonsense: 502 or 504.
    Upstream,
    /// The session store cannot answer: 503, and nobody is signed out.
    Store,
    /// A limit was reached: 503 or 429 with `Retry-After`.
    Overload,
    /// Ours: 500.
    Bug,
}

impl Blame {
    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Provider => "provider",
            Self::Upstream => "upstream",
            Self::Store => "store",
            Self::Overload => "overload",
            Self::Bug => "bug",
        }
    }
}

/// An error that knows whose fault it is. Its `Display` is for the log, never for the client.
pub trait Blamed: std::error::Error {
    /// Whose fault it is.
    fn blame(&self) -> Blame;
}

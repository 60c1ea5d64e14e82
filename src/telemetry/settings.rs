//! What is written where.

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// The telemetry settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// A `tracing` filter such as `info` or `vestibule=debug`; `RUST_LOG` goes before it.
    pub log: String,
    /// How log lines look.
    pub format: LogFormat,
    /// One line for each request.
    pub access_log: bool,
    /// Whether security events are written, which no filter can silence.
    pub audit: bool,
}

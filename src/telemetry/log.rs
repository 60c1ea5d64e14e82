//! Starts `tracing`: pretty lines on a terminal, JSON elsewhere, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::{LogFormat, TelemetrySettings};

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("the log filter is not understood: {0}; write something like `info` or `info,vestibule=debug`")]
    Filter(#[from] ParseError),
    /// Another subscriber is installed already.
    #[error("logging was started twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Whether a filter such as `info,vestibule=debug` is understood; configuration asks before it accepts one.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    EnvFilter::builder().parse(filter).map(|_| ()).map_err(LogError::from)
}

/// Starts logging for the whole process. `override_filter` (from `RUST_LOG`) goes before the configured filter.
///
/// # Errors
///
/// When the filter is not understood, or logging was started before.
pub fn start(settings: &TelemetrySettings, override_filter: Option<&str>) -> Result<(), LogError> {
    let mut filter = EnvFilter::builder().parse(override_filter.unwrap_or(&settings.log))?;
    if !settings.access_log {
        // The more specific directive wins, whatever level the filter is at.
        filter = filter.add_directive("vestibule::access=off".parse()?);
    }
    // Whoever wants fewer lines does not mean to lose the trail of who signed in.
    let audit = if settings.audit { "vestibule::audit=info" } else { "vestibule::audit=off" };
    let filter = filter.add_directive(audit.parse()?);
    let terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let pretty = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    if pretty {
        subscriber.with_ansi(terminal).compact().finish().try_init()?;
    } else {
        // Values are JSON-escaped, so that a newline in somebody's header cannot forge a line.
        subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).finish().try_init()?;
    }
    Ok(())
}

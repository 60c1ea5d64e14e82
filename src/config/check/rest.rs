//! `[limits]` and `[telemetry]`.

use std::time::Duration;

use super::{Check, HOUR};
use crate::config::file::{AuditName, FileConfig, LimitsFile, LogFormatName};
use crate::config::value::{Limit, Size};
use crate::server::LimitSettings;
use crate::telemetry::{LogFormat, TelemetrySettings, log::check_filter};

impl Check<'_> {
    pub(super) fn limits(&mut self, file: &FileConfig) -> LimitSettings {
        let written = file.limits.clone().unwrap_or_default();
        let default = LimitSettings::default();
        let header_bytes = written.header_bytes.map_or(default.header_bytes as u64, |size| size.0);
        if !HEADER_BYTES.contains(&header_bytes) {
            let fix = format!(
                "It can be from \"{}\" to \"{}\".",
                Size::write(*HEADER_BYTES.start()),
                Size::write(*HEADER_BYTES.end())
            );
            self.problem("limits.header_bytes", "This size is out of range.", fix);
        }
        let mut time =
            |name: &str,
             written: fn(&LimitsFile) -> Option<crate::config::value::Span>,
             limits: &LimitsFile,
             default: Duration| { self.span(&format!("limits.{name}"), written(limits), default, HOUR) };
        let header_time = time("header_time", |limits| limits.header_time, &written, default.header_time);
        let handshake_time = time("handshake_time", |limits| limits.handshake_time, &written, default.handshake_time);
        let idle_time = time("idle_time", |limits| limits.idle_time, &written, default.idle_time);
        let body_idle_time = time("body_idle_time", |limits| limits.body_idle_time, &written, default.body_idle_time);
        let drain_time = time("drain_time", |limits| limits.drain_time, &written, default.drain_time);
        let count = |written: Option<u64>, default: usize| {
            written.and_then(|count| usize::try_from(count).ok()).unwrap_or(default)
        };
        LimitSettings {
            header_bytes: usize::try_from(header_bytes).unwrap_or(default.header_bytes),
            header_count: count(written.header_count, default.header_count),
            header_time,
            handshake_time,
            idle_time,
            body_idle_time,
            drain_time,
            streams_per_connection: written.streams_per_connection.unwrap_or(default.streams_per_connection),
            body_bytes: written.body_bytes.map_or(default.body_bytes, |limit| limit.value().map(|size| size.0)),
            connections: count(written.connections, default.connections),
            requests_in_flight: count(written.requests_in_flight, default.requests_in_flight),
            logins_per_minute: written
                .logins_per_minute
                .map_or(default.logins_per_minute, |limit| Limit::value(limit).map(|rate| rate.0)),
        }
    }

    pub(super) fn telemetry(&mut self, file: &FileConfig) -> TelemetrySettings {
        let written = file.telemetry.clone().unwrap_or_default();
        let log = written.log.unwrap_or_else(|| "info".to_owned());
        if check_filter(&log).is_err() || log.trim().is_empty() {
            let fix =
                "Write a level (error, warn, info, debug, trace), or a list such as \"info,vestibule::oidc=debug\".";
            self.problem("telemetry.log", "This is not a log filter.", fix);
        }
        let format = match written.format {
            Some(LogFormatName::Pretty) => LogFormat::Pretty,
            Some(LogFormatName::Json) => LogFormat::Json,
            Some(LogFormatName::Auto) | None => LogFormat::Auto,
        };
        let audit = written.audit.is_none_or(|places| places.contains(&AuditName::Log));
        if !audit && !self.places.is_broken("telemetry.audit") {
            self.warn("telemetry.audit", "Nothing is written about who signed in, was refused, or ended sessions.");
        }
        TelemetrySettings { log, format, access_log: written.access_log.unwrap_or(true), audit }
    }
}

/// The HTTP/1 parser's own buffer has at least 8 KiB.
const HEADER_BYTES: std::ops::RangeInclusive<u64> = 8 * 1024..=1024 * 1024;

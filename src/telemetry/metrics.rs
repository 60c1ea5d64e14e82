//! Prometheus metrics: handles resolved once, so that counting a request is a few atomic additions.
//!
//! Labels come from our own short lists, never from a request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::access_log::Outcome;

/// Everything that is counted while requests run. What services count themselves is read when somebody scrapes:
/// see [`Metrics::text`].
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: [[Counter; 5]; Outcome::ALL.len()],
    seconds: Histogram,
    /// Requests under way.
    pub in_flight: Gauge,
    /// Logins that came back, by result.
    pub logins: Family<Word, Counter>,
    /// Sessions that ended, by reason.
    pub sessions_ended: Family<Word, Counter>,
    /// Renewals of a session's tokens, by result.
    pub refreshes: Family<Word, Counter>,
    /// Requests turned away by a limit, by its name in the configuration.
    pub limited: Family<Word, Counter>,
}

/// One label with a word from a list of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Word {
    /// The word.
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    outcome: &'static str,
    status: &'static str,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("vestibule");
        let by_outcome = Family::<RequestLabels, Counter>::default();
        let requests = Outcome::ALL.map(|outcome| {
            CLASSES.map(|status| by_outcome.get_or_create(&RequestLabels { outcome: outcome.as_str(), status }).clone())
        });
        let seconds = Histogram::new(exponential_buckets(0.0005, 2.5, 12));
        let in_flight = Gauge::default();
        let logins = Family::default();
        let sessions_ended = Family::default();
        let refreshes = Family::default();
        let limited = Family::default();
        registry.register("requests", "Requests by outcome and class of status", by_outcome);
        registry.register_with_unit(
            "request",
            "Time until the head of the answer was ready",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("requests_in_flight", "Requests under way", in_flight.clone());
        registry.register("logins", "Logins that came back from a provider, by result", logins.clone());
        registry.register("sessions_ended", "Sessions that ended, by reason", sessions_ended.clone());
        registry.register("refreshes", "Renewals of tokens at a provider, by result", refreshes.clone());
        registry.register("limited", "Requests turned away, by the limit's name", limited.clone());
        Self { registry, requests, seconds, in_flight, logins, sessions_ended, refreshes, limited }
    }
}

impl Metrics {
    /// Counts one answered request.
    pub fn request(&self, outcome: Outcome, status: u16, duration: Duration) {
        let class = usize::from((status / 100).clamp(1, 5)).saturating_sub(1);
        let row = Outcome::ALL.iter().position(|one| *one == outcome).and_then(|n| self.requests.get(n));
        if let Some(counter) = row.and_then(|row| row.get(class)) {
            counter.inc();
        }
        self.seconds.observe(duration.as_secs_f64());
    }

    /// The whole page in OpenMetrics text, `readings` (what the services counted themselves) at its end.
    #[must_use]
    pub fn text(&self, readings: Vec<Reading>) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        let mut pulled = Registry::with_prefix("vestibule");
        pulled.register_collector(Box::new(Readings(readings)));
        let mut rest = String::new();
        let _ = encode(&mut rest, &pulled);
        // Each page ends with its own `# EOF`; there must be one.
        text.truncate(text.len().saturating_sub("# EOF\n".len()));
        text.push_str(&rest);
        text
    }
}

/// A figure read from a service when somebody scrapes.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Without the prefix; a counter's without `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Only ever grows.
    pub counter: bool,
    /// Label (a name from the configuration) and value, or one value without a label.
    pub values: Vec<(Option<(&'static str, String)>, i64)>,
}

#[derive(Debug)]
struct Readings(Vec<Reading>);

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for reading in &self.0 {
            if reading.counter {
                let family = Family::<Vec<(String, String)>, Counter>::default();
                for (label, value) in &reading.values {
                    family.get_or_create(&labels(label)).inc_by(u64::try_from(*value).unwrap_or(0));
                }
                let descriptor = encoder.encode_descriptor(reading.name, reading.help, None, family.metric_type())?;
                family.encode(descriptor)?;
            } else {
                let family = Family::<Vec<(String, String)>, Gauge>::default();
                for (label, value) in &reading.values {
                    family.get_or_create(&labels(label)).set(*value);
                }
                let descriptor = encoder.encode_descriptor(reading.name, reading.help, None, family.metric_type())?;
                family.encode(descriptor)?;
            }
        }
        Ok(())
    }
}

fn labels(label: &Option<(&'static str, String)>) -> Vec<(String, String)> {
    label.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A count that a service keeps by itself; read at scrapes and in tests.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_was_counted_and_what_was_read_and_ends_once() {
        let metrics = Metrics::default();
        metrics.request(Outcome::Forwarded, 200, Duration::from_millis(2));
        metrics.logins.get_or_create(&Word { kind: "succeeded" }).inc();
        let text = metrics.text(vec![
            Reading { name: "store_up", help: "1: the store answers", counter: false, values: vec![(None, 1)] },
            Reading {
                name: "upstream_connects",
                help: "Connections made",
                counter: true,
                values: vec![(Some(("upstream", "portal".to_owned())), 3)],
            },
        ]);
        assert!(text.contains("vestibule_requests_total{outcome=\"forwarded\",status=\"2xx\"} 1"), "{text}");
        assert!(text.contains("vestibule_logins_total{kind=\"succeeded\"} 1"), "{text}");
        assert!(text.contains("vestibule_store_up 1"), "{text}");
        assert!(text.contains("vestibule_upstream_connects_total{upstream=\"portal\"} 3"), "{text}");
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}

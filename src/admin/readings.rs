//! What the services count themselves, read when somebody scrapes.

use crate::gateway::Gateway;
use crate::session::NearCacheMetrics;
use crate::telemetry::metrics::Reading;
use crate::upstream::Snapshot;
use crate::webhook::WebhookMetrics;

/// Name, help, whether it only ever grows, and where it is found.
type Column = (&'static str, &'static str, bool, fn(&Snapshot) -> u64);

type WebhookColumn = (&'static str, &'static str, bool, fn(&WebhookMetrics) -> u64);

pub(super) fn of(gateway: &Gateway) -> Vec<Reading> {
    let store = gateway.sessions.metrics();
    let (tokens, bytes) = gateway.identity.cached();
    let mut readings = vec![
        one("store_up", "1: the store answered when last asked", false, u64::from(gateway.sessions.available())),
        one("store_commands", "Commands that the store was asked", true, store.commands),
        one("store_errors", "Commands without a proper answer", true, store.errors),
        one("store_reconnects", "Connections to the store made anew", true, store.reconnects),
        one("touches_dropped", "Uses of sessions that were not noted", true, store.touches_dropped),
        one(
            "watched_sessions",
            "Sessions that have a stream running",
            false,
            u64::try_from(store.watched).unwrap_or(u64::MAX),
        ),
        one("signatures", "Identity tokens minted", true, gateway.identity.signatures()),
        one("identity_tokens", "Identity tokens held for reuse", false, u64::try_from(tokens).unwrap_or(u64::MAX)),
        one("identity_token_bytes", "Their weight", false, bytes),
        one("tunnels", "WebSockets under way", false, u64::try_from(gateway.tunnels.open()).unwrap_or(u64::MAX)),
    ];
    readings.extend(store.near_cache.iter().flat_map(near_cache));
    let columns: [Column; 7] = [
        ("upstream_connects", "Connections made to the upstream", true, |one| one.connects),
        ("upstream_connect_failures", "Connections that could not be made", true, |one| one.connect_failures),
        ("upstream_reuses", "Requests on a connection that was there", true, |one| one.reuses),
        ("upstream_waits", "Requests that waited for a connection", true, |one| one.waits),
        ("upstream_retries", "Requests sent a second time", true, |one| one.retries),
        ("upstream_open", "Connections open now", false, |one| u64::try_from(one.open).unwrap_or(u64::MAX)),
        ("upstream_idle", "Connections that wait for a request", false, |one| {
            u64::try_from(one.idle).unwrap_or(u64::MAX)
        }),
    ];
    let snapshots: Vec<_> = gateway.upstreams.iter().map(|(name, upstream)| (name, upstream.metrics())).collect();
    for (name, help, counter, read) in columns {
        let values = snapshots
            .iter()
            .map(|(upstream, now)| (Some(("upstream", upstream.to_string())), signed(read(now))))
            .collect();
        readings.push(Reading { name, help, counter, values });
    }
    let known = gateway.endpoints.providers.values().map(|provider| {
        let up = provider.status().trouble.is_none();
        (Some(("provider", provider.name().to_string())), i64::from(up))
    });
    let webhooks = gateway.webhooks.metrics();
    let told: [WebhookColumn; 4] = [
        ("webhook_delivered", "Events that the webhook took", true, |one| one.delivered),
        ("webhook_failures", "Attempts that the webhook did not take", true, |one| one.failed),
        ("webhook_dropped", "Events that the webhook will never hear of", true, |one| one.dropped),
        ("webhook_waiting", "Events that wait for the webhook", false, |one| one.waiting),
    ];
    for (name, help, counter, read) in told {
        let values = webhooks.iter().map(|one| (Some(("webhook", one.name.to_string())), signed(read(one)))).collect();
        readings.push(Reading { name, help, counter, values });
    }
    readings.push(Reading {
        name: "provider_up",
        help: "1: the provider answered when last asked",
        counter: false,
        values: known.collect(),
    });
    readings
}

fn near_cache(near: &NearCacheMetrics) -> Vec<Reading> {
    let sessions = u64::try_from(near.sessions).unwrap_or(u64::MAX);
    // Before the first confirmation, and since everything was forgotten, there is no age to tell.
    let age = near.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let mut readings = vec![
        one("near_cache_hits", "Requests whose session was near", true, near.hits),
        one("near_cache_misses", "Requests that had to ask the store for their session", true, near.misses),
        one("near_cache_sessions", "Sessions held near", false, sessions),
        one("near_cache_bytes", "Their weight", false, near.bytes),
        one("near_cache_invalidations", "Changes that the store told of", true, near.invalidations),
        one("near_cache_forgotten", "Times that all was forgotten, as some may have been missed", true, near.forgotten),
    ];
    readings.extend(age.map(|age| {
        one("near_cache_confirmed_age_milliseconds", "How long ago all was known to have been heard", false, age)
    }));
    readings
}

fn one(name: &'static str, help: &'static str, counter: bool, value: u64) -> Reading {
    Reading { name, help, counter, values: vec![(None, signed(value))] }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

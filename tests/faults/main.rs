//! What others do to the gateway: providers, upstreams, stores and clients that fail, and what it lets slip meanwhile.
//!
//! The failure table, row by row, and where each is shown. Paths without a folder are in this one.
//!
//! | row | what happens | shown by |
//! |---|---|---|
//! | store cannot answer | cut, swallowed, delayed, stopped, killed, empty | `redis/outage.rs` |
//! | | read-only, full, locked out | `redis/refusals.rs` |
//! | | away at start | `redis/start.rs` |
//! | | away between the provider's answer and the write | `redis/refresh.rs`, `redis/killed.rs`, `redis/outage.rs` (`a_login_survives_an_outage`) |
//! | | all of it at once, by chance | `races` |
//! | provider down | at the start, with and without sessions of before | `gateway/lifecycle/outages.rs`, `provider/start.rs` |
//! | | discovery: closed, errors, HTML, half, endless, slow, silent, another issuer | `provider/discovery.rs` |
//! | | keys: changed while they cannot be had; unknown names | `provider/keys.rs`, `gateway/tokens/keys.rs` |
//! | | token call of a login: every broken answer, silence | `provider/token.rs` |
//! | | token call of a refresh: the same; slow; callers that hang up; an answer that is lost | `provider/refresh.rs`, `gateway/sessions/refresh.rs` |
//! | | userinfo: every broken answer, at login and refresh | `provider/userinfo.rs` |
//! | | revocation and end of session | `provider/logout.rs` |
//! | upstream down / slow | refused, silent, full, unresolvable; its address untold | `gateway/proxy/troubles.rs`, `upstream/tests/faults.rs` in the library |
//! | | what is sent a second time | `gateway/proxy/retries.rs` (HTTP/1.1), `upstream.rs` (HTTP/2) |
//! | upstream dies mid-body | no clean end, in every framing | `gateway/proxy/streams.rs` (`broken_answers_have_no_clean_end`), `upstream.rs` |
//! | bad reload | there is no reload yet: a configuration is read at the start alone | |
//! | overload | requests, connections, bodies, heads, stalls | `gateway/proxy/limits.rs`, `gateway/login/rate.rs`, `server/tests/limits.rs` in the library |
//! | SIGTERM | finished, closed, refused, in time; a rolling restart | `gateway/lifecycle/drain.rs`, `server/tests/life.rs` in the library |
//! | panic in a request | 500 for that one, and the connection goes on | `server/tests/life.rs` in the library: nothing outside can plant one in the binary |
//!
//! What slips out meanwhile is searched in `canaries`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::large_futures,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod world;

mod canaries;
mod detour;
mod provider;
mod races;
mod upstream;

//! The last invariant: what `check` says of configurations drawn from a seed, and what comes of starting them.
//!
//! Must never know why a configuration is good: the two tables say which parts are, and the gateway has to agree.

use std::time::Duration;

use tempfile::TempDir;

use crate::support::fault_proxy::Mode;
use crate::support::tls::write_secret;
use crate::support::{BadOp, Browser, ConfigBuilder, Echo, FaultProxy, Gateway, Redis, eventually};
use crate::weather::{Dice, seed};

/// How many configurations are drawn in each climate.
const MANY: usize = 20;

/// Parts that fit any configuration.
const GOOD: [&str; 16] = [
    "session.idle = \"10m\"",
    "session.lifetime = \"2h\"",
    "session.per_user = 3",
    "session.deadline = \"2s\"",
    "session.near_cache.staleness = \"0s\"",
    "session.near_cache.sessions = 10",
    "session.cookie.same_site = \"strict\"",
    "identity = { algorithm = \"EdDSA\", lifetime = \"30s\" }",
    "identity.issuer = \"https://issuer.example\"",
    "limits.header_bytes = \"16KiB\"",
    "limits.requests_in_flight = 10",
    "endpoints = \"/auth\"",
    "network.trusted_proxies = [\"10.0.0.0/8\"]",
    "providers.corp = { clock_skew = \"10s\", refresh_ahead = \"30s\" }",
    "upstreams.app.host_header = \"upstream\"",
    "telemetry = { access_log = false, format = \"pretty\" }",
];

/// Parts that fit none, and the place that has to be named.
const BAD: [(&str, &str); 14] = [
    ("session.idle = \"0s\"", "session.idle"),
    ("session.lifetime = \"never\"", "session.lifetime"),
    ("session.store = \"mysql://127.0.0.1\"", "session.store"),
    ("session.secrets = [{ file = \"@DIR@/nothing\" }]", "session.secrets"),
    ("session.cookies.name = \"x\"", "session.cookies"),
    ("identity.algorithm = \"none\"", "identity.algorithm"),
    ("limits.connections = 0", "limits.connections"),
    ("limits.header_bytes = \"a lot\"", "limits.header_bytes"),
    ("endpoints = \"oauth2\"", "endpoints"),
    ("network.trusted_proxies = [\"everybody\"]", "network.trusted_proxies"),
    ("providers.corp.issuer = \"id\"", "providers.corp.issuer"),
    ("upstreams.app.url = \"ftp://127.0.0.1\"", "upstreams.app.url"),
    ("telemetry.format = \"verse\"", "telemetry.format"),
    ("public_url = \"app\"", "public_url"),
];

/// "Every configuration that `check` accepts builds; every refusal names the place."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_every_configuration_that_check_accepts_builds_and_every_refusal_names_the_place() {
    let seed = seed(108);
    for chaos in [false, true] {
        let (op, echo, redis) = (BadOp::start().await, Echo::start().await, Redis::start().await);
        let way = FaultProxy::start(redis.address()).await;
        let mut dice = Dice::new(seed);
        let mut accepted = 0;
        for number in 0..MANY {
            let mut config = ConfigBuilder::usual(&op, &echo).store(&redis.url_at(way.address));
            let parts: Vec<&str> = (0..1 + dice.below(4)).map(|_| *dice.pick(&GOOD)).collect();
            config = parts.iter().fold(config, |config, part| config.with(part));
            let bad = (dice.below(2) == 0).then(|| *dice.pick(&BAD));
            config = bad.iter().fold(config, |config, (part, _)| config.with(part));
            let what = format!("SEED={seed} chaos: {chaos}, {number}: {parts:?} {bad:?}");
            // What one server has sealed another cannot open.
            assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
            if chaos {
                way.set(*dice.pick(&[Mode::Cut, Mode::Blackhole, Mode::Stall]));
                op.stop().await;
            }
            let (accepts, said) = check(&config);
            assert_eq!(accepts, bad.is_none(), "{what}: {said}");
            let started = Gateway::try_start(config).await;
            match (started, bad) {
                (Ok(gateway), None) => {
                    accepted += 1;
                    if chaos {
                        way.strand();
                        op.start_again().await;
                    }
                    let url = format!("{}/readyz", gateway.admin_url());
                    eventually(&format!("readiness of {what}"), Duration::from_secs(20), || async {
                        (Browser::new().fetch(url.clone()).await.status == 200).then_some(())
                    })
                    .await;
                }
                (Err(output), Some((_, place))) => {
                    for text in [&said, &output] {
                        assert!(text.contains(place), "{what}: {place} is not named: {text}");
                        assert!(text.contains(".toml"), "{what}: no file is named: {text}");
                    }
                    if chaos {
                        op.start_again().await;
                    }
                }
                (Ok(_), Some(_)) => panic!("{what}: started"),
                (Err(output), None) => panic!("{what}: accepted, and does not start: {output}"),
            }
        }
        assert!(accepted > 3 && accepted < MANY - 3, "SEED={seed}: {accepted} of {MANY} were good");
    }
}

/// What `check` says.
fn check(config: &ConfigBuilder) -> (bool, String) {
    let dir = TempDir::new().unwrap();
    for name in ["admin-token", "server-secret", "corp-client-secret"] {
        write_secret(&dir.path().join(name), b"a-secret-that-is-long-enough-for-anything");
    }
    let text = config.text().replace("@PORT@", "18080").replace("@PUBLIC_PORT@", "18080");
    let file = dir.path().join("vestibule.toml");
    std::fs::write(&file, text.replace("@DIR@", &dir.path().display().to_string())).unwrap();
    let output = Gateway::command().arg("check").arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

//! Whether the Redis of the tests does what they believe. Belongs to the `redis` binary.
//!
//! Must never need the gateway.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::ErrorKind;
use std::time::Duration;

use crate::support::redis::Reply;
use crate::support::{Redis, TestCa, codec};

#[tokio::test]
async fn redis_starts_stops_and_comes_back() {
    let mut redis = Redis::start().await;
    assert_eq!(redis.cli(&["SET", "a", "canary-value"]), "OK");
    redis.cli(&["HSET", "h", "field", "other"]);
    redis.cli(&["SETEX", "b", "100", "x"]);
    assert!(codec::contains(&redis.dump_all(), b"canary-value") && codec::contains(&redis.dump_all(), b"field"));
    let mut keys = redis.keys_without_ttl();
    keys.sort();
    assert_eq!(keys, ["a", "h"]);
    assert_eq!(redis.calls("setex"), 1);
    redis.restart_with_data().await;
    assert_eq!(redis.cli(&["GET", "a"]), "canary-value");
    redis.restart_empty().await;
    assert_eq!(redis.command(&["GET", "a"]), Reply::Null);
    redis.pause();
    let silent = redis.try_command(&["PING"]).unwrap_err().kind();
    assert!(matches!(silent, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silent:?}");
    redis.go_on();
    assert_eq!(redis.cli(&["PING"]), "PONG");
    redis.kill().await;
    assert_eq!(redis.try_command(&["PING"]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn redis_has_accounts_and_tls() {
    let ca = TestCa::new();
    let redis = Redis::setup().user("gateway", "pass-word", "~v:* &* +@all").tls(&ca).start().await;
    assert_eq!(redis.url(), format!("redis://gateway:pass-word@{}/0", redis.address()));
    assert_eq!(redis.cli(&["ACL", "WHOAMI"]), "support");
    let port = redis.tls_url().rsplit(':').next().unwrap().trim_end_matches("/0").parse().unwrap();
    let mut raw = crate::support::Raw::connect_tls(([127, 0, 0, 1], port).into(), "localhost", &ca, &[]).await.unwrap();
    raw.send("PING\r\nAUTH gateway pass-word\r\nSET v:x 1\r\nSET other 1\r\n").await;
    let answers = raw.take_until(b"NOPERM", Duration::from_secs(5)).await.unwrap();
    assert!(codec::contains(&answers, b"NOAUTH") && codec::contains(&answers, b"+OK\r\n+OK"));
}

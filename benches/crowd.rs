//! Signs a crowd in, straight into the store of a configuration: `cargo bench --bench crowd -- CONFIG COUNT` writes the cookie's name and
//! then a value a line.
//!
//! Logins by way of a provider take hours where it has to be a million. What they leave in the store is the same: the sessions are
//! made by the product's own code, each for a person of its own, with tokens of an ordinary length.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "no stranger comes here, and what it makes is for standard output"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use vestibule::base::{Clock as _, Secret, SystemClock, SystemRandom};
use vestibule::config::{Config, SystemEnvironment};
use vestibule::session::{Created, NewSession, OperatorMeta, Sessions, Tokens};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [file, count] = arguments.as_slice() else {
        eprintln!("usage: cargo bench --bench crowd -- CONFIG COUNT");
        std::process::exit(2);
    };
    let config = Config::load(Path::new(file), &SystemEnvironment).unwrap_or_else(|problems| panic!("{problems}"));
    let count: u32 = count.parse().unwrap();
    println!("{}", config.cookie.name);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(sign_in(config, count));
}

async fn sign_in(config: Config, count: u32) {
    let provider = config.providers.first().unwrap();
    let (name, issuer) = (Arc::clone(&provider.name), provider.issuer.clone());
    let sessions = Sessions::connect(config.session, Arc::new(SystemClock), Arc::new(SystemRandom)).unwrap();
    while sessions.ping().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut made = futures_util::stream::iter(0..count)
        .map(async |n| {
            let now = SystemClock.now();
            let born = sessions.burn_attempt(&format!("crowd-{n}"), now).await.unwrap().unwrap();
            let subject = format!("person-{n:08}");
            let new = NewSession {
                provider: Arc::clone(&name),
                issuer: issuer.clone(),
                provider_sid: Some(format!("at-the-provider-{n:08}")),
                origin: config.public_url.clone(),
                auth_time: Some(now),
                acr: None,
                amr: vec!["pwd".to_owned()],
                claims: serde_json::Map::from_iter([
                    ("email".to_owned(), format!("{subject}@example.com").into()),
                    ("name".to_owned(), format!("Person {n}").into()),
                ]),
                scope: Some("openid profile email".to_owned()),
                tokens: Tokens {
                    access_token: Secret::new("a".repeat(ACCESS_TOKEN)),
                    access_token_obtained: now,
                    access_token_expires: now + FOUR_HOURS,
                    refresh_token: Some(Secret::new("r".repeat(REFRESH_TOKEN))),
                    id_token: Secret::new("i".repeat(ID_TOKEN)),
                    nonce: Some(Secret::new("n".repeat(22))),
                },
                subject,
            };
            let meta = OperatorMeta { address: "192.0.2.7".to_owned(), agent: "crowd".to_owned() };
            match sessions.create(new, born, meta, now).await.unwrap() {
                Created::Created(live) => live.token().expose().to_owned(),
                Created::Revoked => panic!("somebody revokes sessions meanwhile"),
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(cookie) = made.next().await {
        println!("{cookie}");
    }
}

const AT_ONCE: usize = 64;
const FOUR_HOURS: Duration = Duration::from_secs(4 * 3600);
/// Bytes, as a provider with signed access tokens makes them.
const ACCESS_TOKEN: usize = 900;
const REFRESH_TOKEN: usize = 60;
const ID_TOKEN: usize = 900;

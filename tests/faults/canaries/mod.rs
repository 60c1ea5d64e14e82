//! Design invariant 6: no secret appears in any log, metric, page or admin answer, nor where anybody but its owner reads in the
//! store.
//!
//! One life, in which everything goes wrong that can, is lived twice: with the log for machines and with the one for people. What was secret
//! in it is searched in everything that came out, in every spelling; where each secret may be is one list ([`search::Kind`]).

mod life;
mod search;
mod types;

use life::Life;
use search::{Kind, Place};

/// OPS-01, SESS-01, OPS-02: with everything logged, as JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_with_a_log_for_machines() {
    sweep("json").await;
}

/// OPS-01, SESS-01, OPS-02: with everything logged, for people.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_with_a_log_for_people() {
    sweep("pretty").await;
}

async fn sweep(format: &str) {
    let sweep = Life::live(format).await;
    // What was planted is worth searching for …
    for (kind, least) in [
        (Kind::AccessToken, 8),
        (Kind::RefreshToken, 8),
        (Kind::IdToken, 8),
        (Kind::TokenInGarbage, 3),
        (Kind::Code, 8),
        (Kind::State, 8),
        (Kind::Nonce, 8),
        (Kind::Verifier, 5),
        (Kind::SessionCookie, 4),
        (Kind::OtherCookie, 8),
        (Kind::ClientSecret, 2),
        (Kind::ServerSecret, 1),
        (Kind::AdminToken, 1),
        (Kind::RedisPassword, 1),
        (Kind::PrivateKey, 3),
        (Kind::IdentityToken, 2),
        (Kind::LogoutToken, 3),
        (Kind::Person, 3),
        (Kind::Subject, 1),
        (Kind::Strangers, 10),
        (Kind::Callers, 5),
    ] {
        assert!(sweep.count(kind) >= least, "{kind:?}: only {}", sweep.count(kind));
    }
    // … every place was looked into, and the search sees what is rightly there …
    for place in [Place::SetCookie, Place::ToProvider, Place::Claims, Place::Upstream] {
        assert_eq!(sweep.unseen(place), [], "{place:?}");
    }
    for (place, least) in [
        (Place::Log, 200_000),
        (Place::Metrics, 2_000),
        (Place::Admin, 2_000),
        (Place::Command, 1_000),
        (Place::Page, 20_000),
        (Place::Store, 5_000),
    ] {
        assert!(sweep.seen(place).len() >= least, "{place:?}: only {} bytes", sweep.seen(place).len());
    }
    let log = String::from_utf8_lossy(sweep.seen(Place::Log));
    for level in ["TRACE", "DEBUG", "INFO", "WARN"] {
        assert!(log.contains(level), "nothing is written at {level}");
    }
    for module in ["vestibule::access", "vestibule::audit", "hyper", "fred"] {
        assert!(log.contains(module), "{module} is silent");
    }
    // … and nothing is where it may not be.
    let leaks = sweep.leaks();
    assert!(leaks.is_empty(), "{} leaks: {leaks:?}", leaks.len());
}

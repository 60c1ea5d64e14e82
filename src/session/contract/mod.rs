//! What every store has to do, and what the session service has to do over every store: one suite for all of them.
//!
//! Only compiled for tests; `store_contract!` makes a test of each function here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a contract is broken by panicking, and only tests run it"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::model::{NewSession, OperatorMeta, Session, Tokens};
use super::token::Sid;
use super::{Created, LiveSession, Lookup, NearCacheSettings, SessionSettings, SessionStore, Sessions, StoreSettings};
use crate::base::{Clock as _, Secret, SystemRandom, Timestamp};
use crate::testing::{ManualClock, SeededRandom};

mod commands;
mod hooked;
mod life;
mod lifecycle;
mod limits;
mod nearness;
mod orders;
mod revocation;
mod sealing;

pub use self::commands::*;
pub use self::hooked::{Hook, Hooked};
pub use self::life::any_life_is_as_the_model_says;
#[cfg(test)]
pub(in crate::session) use self::life::{Break, live, seeds};
pub use self::lifecycle::*;
pub use self::limits::*;
pub use self::nearness::*;
pub use self::orders::the_protocol_holds_in_any_order;
#[cfg(test)]
pub(in crate::session) use self::orders::{PAIRS, Revocation, Variant, by_chance, run};
pub use self::revocation::*;
pub use self::sealing::*;

/// How a store's time passes: by hand, or by waiting.
#[async_trait]
pub trait Passing: Send + Sync {
    /// Lets `time` pass for the store.
    async fn pass(&self, time: Duration);
}

#[async_trait]
impl Passing for ManualClock {
    async fn pass(&self, time: Duration) {
        self.advance(time);
    }
}

/// The time of a store that judges expiry by the machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealTime;

#[async_trait]
impl Passing for RealTime {
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(20)).await;
    }
}

/// Makes a test of each function of the contract, where `$make` is a future of the store, its time, and whatever has to live
/// as long as the test.
///
/// Where a store is slow to start: `store_contract!(in turn $shared, $make)` makes one test of all functions over what the
/// future `$shared` gives; `$make` takes a reference to that and gives a future of an empty store and its time.
#[macro_export]
macro_rules! store_contract {
    ($make:expr) => {
        $crate::store_contract!(@with tests ($make));
    };
    (in turn $shared:expr, $make:expr) => {
        $crate::store_contract!(@with in_turn ($shared, $make));
    };
    (@with $form:ident $args:tt) => {
        $crate::store_contract!(@$form $args;
            a_session_is_created_once
            a_record_is_replaced_only_in_the_version_that_was_read
            a_deleted_session_is_gone_with_all_that_belongs_to_it
            only_an_unseen_session_is_deleted_as_unseen
            activity_is_noted_for_living_sessions_only
            records_expire_and_a_replacement_does_not_extend_them
            activity_expires_with_its_session
            an_operators_record_is_rewritten_only_where_there_is_one
            indexes_hold_members_and_trim_expired_ones
            a_scan_finds_every_member_that_stays
            numbers_only_go_up
            a_mark_is_made_once_and_expires
            references_lead_to_their_session
            a_lease_has_one_owner
            a_shared_value_is_swapped_by_version
            sealed_bytes_come_back_as_they_are

            a_session_begins_lives_and_ends
            a_planted_token_is_never_adopted
            the_idle_limit_ends_a_session_that_nobody_uses
            the_absolute_limit_ends_a_session_in_any_case
            somebody_who_comes_back_in_time_keeps_the_session
            a_late_write_never_brings_a_session_back
            of_two_writers_one_wins
            what_a_session_is_cannot_be_rewritten
            a_state_is_redeemed_once_among_all_replicas
            a_session_is_ended_by_its_reference
            values_are_agreed_by_all_replicas
            a_name_is_burnt_once

            a_user_is_revoked_everywhere_and_only_there
            a_session_at_the_provider_is_revoked_for_its_issuer_only
            everybody_is_revoked
            a_user_revoked_during_a_login_gets_no_session
            a_provider_session_ended_during_a_login_gets_no_session
            everybody_revoked_during_a_login_means_that_login_too
            a_login_begun_after_a_revocation_lives
            the_number_is_never_overwritten_by_a_smaller_one
            a_login_that_took_too_long_gets_no_session
            a_revoked_session_leaves_nothing_behind
            a_logout_that_comes_twice_spares_who_came_in_between
            many_sessions_are_revoked_at_once
            the_protocol_holds_in_any_order
            any_life_is_as_the_model_says

            what_is_near_asks_the_store_nothing
            what_one_replica_ends_every_other_refuses
            everybody_revoked_is_refused_near_too
            a_new_version_is_found_by_every_replica
            a_use_changes_nothing_near
            what_looks_idle_near_is_read_again
            who_noted_a_use_need_not_ask_for_it
            without_staleness_every_request_asks_the_store

            the_oldest_session_makes_room
            dead_sessions_take_no_room
            sessions_are_listed_by_page_provider_and_user
            an_idle_session_is_not_listed

            swapped_records_are_refused
            secrets_rotate_while_sessions_live
            operators_records_are_sealed_anew_when_read
        );
    };
    (@tests ($make:expr); $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let (store, time, _guard) = ($make).await;
                $crate::session::contract::$name(std::sync::Arc::new(store), &time).await;
            }
        )*
    };
    (@in_turn ($shared:expr, $make:expr); $($name:ident)*) => {
        #[tokio::test]
        async fn all_in_turn() {
            let shared = ($shared).await;
            $({
                let (store, time) = ($make)(&shared).await;
                $crate::session::contract::$name(std::sync::Arc::new(store), &time).await;
            })*
        }
    };
}
pub use crate::store_contract;

/// The issuer of all samples.
pub const ISSUER: &str = "https://id.example";
/// The idle time of all samples.
pub const IDLE: Duration = Duration::from_secs(1800);
/// The lifetime of all samples.
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Settings for a service over whatever store.
#[must_use]
pub fn sample_settings() -> SessionSettings {
    SessionSettings {
        store: StoreSettings::Memory,
        secrets: vec![Secret::new(vec![1; 32])],
        idle: IDLE,
        lifetime: LIFETIME,
        per_user: None,
        deadline: Duration::from_secs(1),
        near_cache: NearCacheSettings {
            sessions: 1000,
            staleness: Duration::from_secs(2),
            streams: Duration::from_secs(30),
            replicas: 0,
        },
    }
}

/// What the provider said of `subject`. Its tokens are told apart by the subject and hold the word `canary`.
#[must_use]
pub fn sample_login(subject: &str) -> NewSession {
    NewSession {
        provider: "corp".into(),
        issuer: ISSUER.into(),
        subject: subject.into(),
        provider_sid: Some(format!("op-{subject}")),
        origin: "https://app.example".into(),
        auth_time: Some(Timestamp::from_unix_seconds(999)),
        acr: Some("urn:example:mfa".into()),
        amr: vec!["pwd".into(), "otp".into()],
        claims: serde_json::Map::from_iter([
            ("email".to_owned(), Value::from(format!("{subject}@example.com"))),
            ("groups".to_owned(), Value::from(vec!["staff", "\"quoted\""])),
        ]),
        scope: Some("openid profile".into()),
        tokens: Tokens {
            access_token: Secret::new(format!("canary-access-{subject}")),
            access_token_obtained: Timestamp::from_unix_seconds(3700),
            access_token_expires: Timestamp::from_unix_seconds(4000),
            refresh_token: Some(Secret::new(format!("canary-refresh-{subject}"))),
            id_token: Secret::new(format!("canary-id-{subject}")),
            nonce: Some(Secret::new(format!("canary-nonce-{subject}"))),
        },
    }
}

/// A session as it would come of [`sample_login`].
#[must_use]
pub fn sample_session(subject: &str, born: u64, created: Timestamp) -> Session {
    let login = sample_login(subject);
    Session {
        sid: Sid::generate(&SeededRandom::new(born)),
        provider: login.provider,
        issuer: login.issuer,
        subject: login.subject,
        provider_sid: login.provider_sid,
        origin: login.origin,
        born,
        created,
        expires: created + LIFETIME,
        auth_time: login.auth_time,
        acr: login.acr,
        amr: login.amr,
        claims: login.claims,
        scope: login.scope,
        tokens: login.tokens,
    }
}

/// A service over a store, with a clock of its own for what callers pass as `now`.
pub struct Replica {
    pub sessions: Sessions,
    pub clock: ManualClock,
}

impl Replica {
    #[must_use]
    pub fn over(store: &Arc<dyn SessionStore>) -> Self {
        Self::with(store, sample_settings())
    }

    #[must_use]
    pub fn with(store: &Arc<dyn SessionStore>, settings: SessionSettings) -> Self {
        let clock = ManualClock::default();
        let sessions =
            Sessions::new(settings, Arc::clone(store), Arc::new(clock.clone()), Arc::new(SystemRandom)).unwrap();
        Self { sessions, clock }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A whole login.
    pub async fn log_in(&self, login: NewSession) -> Arc<LiveSession> {
        match self.try_log_in(login).await {
            Created::Created(live) => live,
            Created::Revoked => panic!("the login was revoked"),
        }
    }

    pub async fn try_log_in(&self, login: NewSession) -> Created {
        let state = (&SystemRandom as &dyn crate::base::Random).token::<32>();
        let born = self.sessions.burn_attempt(&state, self.now()).await.unwrap().unwrap();
        self.sessions.create(login, born, sample_meta(), self.now()).await.unwrap()
    }

    /// What the session's cookie opens now.
    pub async fn load(&self, live: &LiveSession) -> Lookup {
        self.sessions.load(live.token(), self.now()).await.unwrap()
    }

    /// What a request with the session's cookie finds now.
    pub async fn find(&self, live: &LiveSession) -> Lookup {
        self.sessions.find(live.token(), self.now()).await.unwrap()
    }

    /// Waits until the near cache may be trusted, and has the session in it.
    pub async fn bring_near(&self, live: &LiveSession) -> Arc<LiveSession> {
        let hits = || self.sessions.metrics().near_cache.map_or(0, |near| near.hits);
        for _ in 0..1000 {
            let before = hits();
            let Lookup::Found(found) = self.find(live).await else { panic!("not found") };
            if hits() > before {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never near");
    }

    pub async fn is_alive(&self, live: &LiveSession) -> bool {
        matches!(self.load(live).await, Lookup::Found(_))
    }
}

#[must_use]
pub fn sample_meta() -> OperatorMeta {
    OperatorMeta { address: "203.0.113.9".into(), agent: "Browser/1".into() }
}

//! The invariants, one test each, and what each of them says of a history.
//!
//! Must never accept a history in which too little happened: a judge that saw nothing has shown nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

use crate::history::{After, History, STALENESS};
use crate::people::{FORGED, Person};
use crate::support::{Ask, Browser, Endpoint, Seen};
use crate::weather::{Climate, length, seed, spells};
use crate::world::World;

/// How many people there are.
const PEOPLE: usize = 6;
/// How long they are watched when nothing happens to them.
const CALM: Duration = Duration::from_secs(3);

/// "No byte reaches an upstream without a permit."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i1_no_byte_reaches_an_upstream_without_a_permit() {
    for played in played(101, &[Climate::Calm, Climate::All]).await {
        let mut wrong = Vec::new();
        for seen in played.seen() {
            match played.visit_of(&seen) {
                None => wrong.push(format!("nobody asked for {}", seen.target)),
                Some((what, None)) => wrong.push(format!("a request {what} was forwarded: {}", seen.target)),
                Some((_, Some(_))) => {}
            }
        }
        let kinds: BTreeSet<_> =
            played.history.visits.iter().filter(|visit| visit.session.is_none()).map(|visit| visit.what).collect();
        played.must_show("kinds of requests that may not be", kinds.len(), 6);
        played.must_show("forwarded requests", played.seen().len(), 20);
        played.verdict(wrong);
    }
}

/// SESS-05: "After a revocation is acknowledged no replica forwards for that session later than `staleness`."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_after_a_revocation_is_acknowledged_no_replica_forwards_later_than_staleness() {
    for played in played(102, &[Climate::Calm, Climate::All, Climate::Partitions]).await {
        let forwarded: BTreeSet<String> = played.seen().iter().map(name_of).collect();
        let (mut wrong, mut late) = (Vec::new(), 0);
        for visit in &played.history.visits {
            let Some(session) = visit.session else { continue };
            let Some(over) = played.history.over_since(session).filter(|over| visit.asked > *over + STALENESS) else {
                continue;
            };
            late += 1;
            if visit.status == Some(200) || forwarded.contains(&visit.name) {
                wrong.push(format!(
                    "session {session}: forwarded at {} {} after its end was acknowledged",
                    visit.replica,
                    After(over, visit.asked)
                ));
            }
        }
        for (number, session) in played.history.sessions.iter().enumerate() {
            if played.history.over_since(number).is_some() {
                late += 1;
                if session.at_last != [401, 401] {
                    wrong.push(format!("session {number} has ended and opens {:?} at last", session.at_last));
                }
            }
        }
        played.must_show("requests after an end", late, 10);
        played.verdict(wrong);
    }
}

/// REF-01, REF-02: "A refresh token is presented by one flight at a time; a rotated token is never lost while the store lives."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i3_a_refresh_token_is_presented_once_and_a_rotated_one_is_never_lost() {
    for played in played(103, &[Climate::Calm, Climate::Stores]).await {
        let mut wrong = Vec::new();
        let mut shown: BTreeMap<String, usize> = BTreeMap::new();
        for request in played.world.op.requests(Endpoint::Token) {
            if let Some(token) = request.param("refresh_token") {
                *shown.entry(token.to_owned()).or_default() += 1;
            }
        }
        wrong.extend(
            shown.values().filter(|times| **times > 1).map(|times| format!("a refresh token was shown {times} times")),
        );
        for (session, status) in &played.history.renewals {
            let lives = played.history.lives_for_certain(*session);
            if !matches!((status, lives), (200 | 503, _) | (401, false)) {
                wrong.push(format!("renewing the tokens of session {session} was answered with {status}"));
            }
        }
        for (number, session) in played.living() {
            if session.renews_at_last != Some(200) {
                wrong.push(format!("session {number} has lost its refresh token: {:?}", session.renews_at_last));
            }
        }
        played.must_show("refreshes", shown.len(), 10);
        played.must_show(
            "living sessions with renewed tokens",
            played.living().filter(|(_, one)| one.renewed).count(),
            1,
        );
        played.verdict(wrong);
    }
}

/// SESS-13: "A dead store never signs anyone out and never lets anyone in."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_a_dead_store_never_signs_anyone_out_and_never_lets_anyone_in() {
    for played in played(104, &[Climate::Calm, Climate::Outages]).await {
        let (mut wrong, mut away) = (Vec::new(), 0);
        for visit in &played.history.visits {
            let lives = visit.session.is_some_and(|session| played.history.lives_for_certain(session));
            away += usize::from(visit.status == Some(503));
            if lives && (!matches!(visit.status, Some(200 | 503)) || visit.sets_cookie) {
                wrong.push(format!("signed out: {visit:?}"));
            }
            if visit.session.is_none() && visit.status == Some(200) {
                wrong.push(format!("let in: {visit:?}"));
            }
        }
        for (number, session) in played.living() {
            if session.at_last != [200, 200] {
                wrong.push(format!("session {number}, which nobody ended, opens {:?} at last", session.at_last));
            }
        }
        played.must_show("answers without a store", away, if played.climate == Climate::Calm { 0 } else { 5 });
        played.must_show("living sessions", played.living().count(), 2);
        played.verdict(wrong);
    }
}

/// ID-01, ID-02: "An identity header sent by a client never reaches an upstream, in any spelling."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i5_an_identity_header_sent_by_a_client_never_reaches_an_upstream() {
    for played in played(105, &[Climate::Calm, Climate::All]).await {
        let mut wrong = Vec::new();
        for seen in played.seen() {
            if seen.raw_head.contains(FORGED) {
                wrong.push(format!("a forged header went through: {}", seen.raw_head));
            }
            let Some((_, Some(session))) = played.visit_of(&seen) else { continue };
            let user = &played.history.sessions[session].user;
            let named = seen.identity().map(|claims| claims["sub"].as_str().unwrap_or_default().to_owned());
            if named.as_ref() != Some(user) || seen.cgi_variable("x-vestibule-identity").len() != 1 {
                wrong.push(format!("{user} was shown as {named:?}: {}", seen.raw_head));
            }
            if seen.cgi_variable("x-forwarded-user") != [user.as_str()] {
                wrong.push(format!("{user} was named {:?}", seen.cgi_variable("x-forwarded-user")));
            }
        }
        played.must_show("forwarded requests", played.seen().len(), 20);
        played.verdict(wrong);
    }
}

/// OPS-01: "No secret appears in any log, metric, trace, page or admin answer (planted canaries, trace level)."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_no_secret_appears_in_any_log_metric_trace_page_or_admin_answer() {
    for played in played(106, &[Climate::Calm, Climate::All]).await {
        let (world, mut wrong) = (&played.world, Vec::new());
        let mut secrets = world.op.issued_secrets();
        secrets.extend(world.replicas.all().iter().flat_map(|gateway| gateway.secrets()));
        secrets.extend(played.history.sessions.iter().map(|session| session.line["vestibule=".len()..].to_owned()));
        let mut places = vec![("a log", world.replicas.output().into_bytes())];
        for gateway in world.replicas.all() {
            let metrics = Ask::plain(Method::GET, format!("{}/metrics", gateway.admin_url()));
            places.push(("the metrics", Browser::new().ask(metrics).await.body.to_vec()));
            let listed = gateway.admin("GET", "/api/sessions", None).await.expect_status(200);
            places.push(("an admin answer", listed.body.to_vec()));
        }
        let heads: String = played.seen().iter().map(|seen| seen.raw_head.clone()).collect();
        places.push(("what the application got", heads.into_bytes()));
        for secret in secrets.iter().filter(|secret| secret.len() >= 12) {
            // Of a JWT the signature: its beginning is like that of any other.
            let telling = secret.rsplit('.').next().unwrap_or(secret);
            let telling = &telling.as_bytes()[..telling.len().min(24)];
            let finder = memchr::memmem::Finder::new(telling);
            for (place, bytes) in &places {
                if let Some(at) = finder.find(bytes) {
                    let before = String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at]);
                    wrong.push(format!("{place} holds a secret, after: {before}"));
                }
            }
        }
        played.must_show("secrets", secrets.len(), 50);
        played.must_show("bytes of log", places[0].1.len(), 100_000);
        played.verdict(wrong);
    }
}

/// LOGIN-05, LOGOUT-11: "A login attempt, handoff or logout token is accepted at most once, across replicas."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i7_a_login_attempt_or_logout_token_is_accepted_at_most_once() {
    for played in played(107, &[Climate::Calm, Climate::Stores]).await {
        let mut wrong = Vec::new();
        for attempt in &played.history.returns {
            if attempt.opened > 1 {
                wrong.push(format!(
                    "the state {} opened {} sessions: {:?}",
                    attempt.state, attempt.opened, attempt.statuses
                ));
            }
        }
        let mut codes: BTreeMap<String, usize> = BTreeMap::new();
        for request in played.world.op.requests(Endpoint::Token) {
            if let Some(code) = request.param("code") {
                *codes.entry(code.to_owned()).or_default() += 1;
            }
        }
        wrong.extend(
            codes.values().filter(|times| **times > 1).map(|times| format!("a code was redeemed {times} times")),
        );
        // A logout token that has done its work may come again, and ends nobody who came since.
        for (number, session) in played.living() {
            if session.at_last != [200, 200] {
                wrong.push(format!("session {number}, which nobody ended, opens {:?} at last", session.at_last));
            }
        }
        let twice = played.history.returns.iter().filter(|attempt| attempt.statuses.len() > 1).count();
        played.must_show("logins that came back twice", twice, 3);
        played.must_show("living sessions", played.living().count(), 2);
        played.verdict(wrong);
    }
}

/// A history and its world, when all is over.
struct Played {
    seed: u64,
    climate: Climate,
    world: Arc<World>,
    history: History,
}

/// Lives the same seed in each of these climates, one after the other.
async fn played(own: u64, climates: &[Climate]) -> Vec<Played> {
    let (seed, mut all) = (seed(own), Vec::new());
    for &climate in climates {
        let world = World::start(climate).await;
        let weather = spells(seed, climate);
        let until = Instant::now() + length(&weather).max(CALM);
        let people = (0..PEOPLE).map(|number| Person::new(seed, number).live(&world, until));
        tokio::join!(futures_util::future::join_all(people), world.ways.endure(&weather));
        world.look_at_last(own == 103).await;
        let history = std::mem::take(&mut *world.history());
        println!(
            "{climate:?}: {} sessions, {} ends, {} visits, {} forwarded, {weather:?}",
            history.sessions.len(),
            history.ends.len(),
            history.visits.len(),
            world.echo.count(),
        );
        all.push(Played { seed, climate, world, history });
    }
    all
}

impl Played {
    /// What the application saw of people's visits.
    fn seen(&self) -> Vec<Seen> {
        self.world.echo.requests().into_iter().filter(|seen| name_of(seen) != "last").collect()
    }

    /// What was asked, and by which session.
    fn visit_of(&self, seen: &Seen) -> Option<(&'static str, Option<usize>)> {
        let name = name_of(seen);
        self.history.visits.iter().find(|visit| visit.name == name).map(|visit| (visit.what, visit.session))
    }

    /// The sessions that nobody can have ended.
    fn living(&self) -> impl Iterator<Item = (usize, &crate::history::Session)> {
        let sessions = self.history.sessions.iter().enumerate();
        sessions.filter(|(number, _)| self.history.lives_for_certain(*number))
    }

    fn must_show(&self, what: &str, count: usize, least: usize) {
        assert!(count >= least, "SEED={} {:?}: only {count} {what}", self.seed, self.climate);
    }

    fn verdict(&self, wrong: Vec<String>) {
        assert!(wrong.is_empty(), "SEED={} {:?}: {}\n{}", self.seed, self.climate, wrong.len(), wrong.join("\n"));
    }
}

fn name_of(seen: &Seen) -> String {
    seen.target.rsplit('/').next().unwrap_or_default().to_owned()
}

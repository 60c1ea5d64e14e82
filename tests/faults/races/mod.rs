//! Ends of sessions against everything that goes on at the same moment.
//!
//! 100 seeded races of each kind of end against each kind of activity, on the real binary: two replicas over a real Redis whose
//! every answer is late by a time of its own, and one process that keeps its sessions itself. `SEED=n` runs one seed again,
//! `SEEDS=from..to` others. Must never judge by what a replica says of itself: the store's own journal is what counts.

#![allow(clippy::print_stdout, reason = "what a failed race has to tell")]

mod audit;
mod journal;
mod judge;
mod plan;
mod play;
mod world;

use std::time::Duration;

use futures_util::StreamExt as _;

use self::journal::{Finding, Line, Replay, named};
use self::plan::{ACTIVITIES, Activity, Ending, Plan, seeds};
use self::play::{Played, Ready, play, since};
use self::world::World;

const ENDINGS: [Ending; 6] = [
    Ending::Logout,
    Ending::BackchannelSub,
    Ending::BackchannelSid,
    Ending::Frame,
    Ending::AdminSession,
    Ending::AdminUser,
];
/// The default of `session.lifetime`.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// How many races run at once.
const AT_ONCE: usize = 12;
/// How many of a run's failures are told in full.
const TOLD: usize = 3;

/// LOGOUT-09, SESS-05, SESS-07, SESS-14, REF-01: whatever ends sessions, and whatever goes on meanwhile: after the acknowledgement nobody forwards
/// for one of them; no late write brings one back; a login older than the revocation fails, and a younger one lives. When all is over, no index
/// names a session that is not there, and every key has an expiry.
#[tokio::test]
async fn an_end_wins_on_two_replicas() {
    let idle = Duration::from_secs(30);
    let world = World::redis(seeds()[0], idle).await;
    let mut all = Vec::new();
    for ending in ENDINGS {
        all.extend(run(&world, ending, idle).await);
    }
    finish(&world, all).await;
}

/// LOGOUT-09, SESS-17: the same of everybody at once, one revocation after the other. Two stores share the seeds, to be done sooner.
#[tokio::test]
async fn everybody_is_ended_on_two_replicas() {
    let half = async |odd: u64| {
        let world = World::redis(seeds()[0] + odd, Duration::from_secs(4)).await;
        let all = everybody(&world, Duration::from_secs(4), |seed| seed % 2 == odd).await;
        finish(&world, all).await;
    };
    tokio::join!(half(0), half(1));
}

/// LOGOUT-09, SESS-07: the same in one process without a Redis.
#[tokio::test]
async fn an_end_wins_in_memory() {
    let idle = Duration::from_secs(30);
    let world = World::memory(idle).await;
    let mut all = Vec::new();
    for ending in ENDINGS {
        all.extend(run(&world, ending, idle).await);
    }
    finish(&world, all).await;
}

/// LOGOUT-09, SESS-17: everybody, in one process without a Redis.
#[tokio::test]
async fn everybody_is_ended_in_memory() {
    let idle = Duration::from_secs(4);
    let world = World::memory(idle).await;
    let all = everybody(&world, idle, |_| true).await;
    finish(&world, all).await;
}

/// All seeds of one kind of end.
async fn run(world: &World, ending: Ending, idle: Duration) -> Vec<Played> {
    // Sessions whose use is to be noted have to grow a little older first.
    let touched = prepare(world, ending, Activity::Touch).await;
    let mut all = race(world, prepare(world, ending, Activity::Refresh).await, idle).await;
    all.extend(race(world, touched, idle).await);
    all.extend(race(world, prepare(world, ending, Activity::Login).await, idle).await);
    all
}

async fn prepare(world: &World, ending: Ending, activity: Activity) -> Vec<Ready> {
    let replicas = world.replicas.all().len();
    let plans = seeds().into_iter().map(|seed| Plan::new(seed, ending, activity, replicas));
    futures_util::stream::iter(plans.map(|plan| Ready::new(world, plan))).buffered(AT_ONCE).collect().await
}

async fn race(world: &World, ready: Vec<Ready>, idle: Duration) -> Vec<Played> {
    let races = ready.into_iter().map(|ready| play(world, ready, idle / 10));
    futures_util::stream::iter(races).buffer_unordered(AT_ONCE).collect().await
}

/// A revocation of everybody for each seed, against all three activities at once.
async fn everybody(world: &World, idle: Duration, ours: impl Fn(u64) -> bool) -> Vec<Played> {
    let replicas = world.replicas.all().len();
    let mut all = Vec::new();
    for seed in seeds().into_iter().filter(|seed| ours(*seed)) {
        let plans = ACTIVITIES.map(|activity| Plan::new(seed, Ending::Everybody, activity, replicas));
        let mut ready = futures_util::future::join_all(plans.map(|plan| Ready::new(world, plan))).await;
        ready.rotate_left(usize::try_from(seed % 3).unwrap());
        Ready::share(&mut ready);
        let races = ready.into_iter().map(|ready| play(world, ready, idle / 10));
        all.extend(futures_util::future::join_all(races).await);
    }
    all
}

/// Judges what was played, and then the whole store.
async fn finish(world: &World, all: Vec<Played>) {
    let (mut lines, mut replay) = (Vec::new(), Replay::default());
    if let (Some(journal), Some(redis)) = (&world.journal, &world.redis) {
        // What nobody waits for, such as the last notes of use, is over soon.
        let mut wrong = Vec::new();
        for _ in 0..20 {
            wrong = audit::audit(redis, LIFETIME);
            if wrong.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        journal.catch_up(redis).await;
        lines = journal.lines();
        replay = Replay::of(&lines);
        replay.findings.extend(wrong.into_iter().map(|what| Finding {
            at: 0,
            session: String::new(),
            what,
            may_pass: false,
        }));
    }
    let issuer = world.op.issuer();
    let mut failed = 0;
    for played in &all {
        let mut wrong = judge::by_answers(played);
        if world.journal.is_some() {
            wrong.extend(judge::by_store(played, &replay, issuer));
            let sessions = replay.members.get(&named("user", &[issuer, &played.plan.user]));
            let hers = |session: &str| sessions.is_some_and(|sessions| sessions.contains_key(session));
            let held = played.held();
            replay.findings.retain(|finding| {
                let is_hers = hers(&finding.session);
                if is_hers && (!finding.may_pass || held.contains(&finding.session.as_str())) {
                    wrong.push(format!("{}: {}", since(finding.at, played.asked), finding.what));
                }
                !is_hers
            });
        }
        if !wrong.is_empty() {
            failed += 1;
            println!("{}: {}", played.plan, wrong.join("; "));
            if failed <= TOLD {
                println!("{:?}\n{}{}", played.plan, played.history(), commands(played, &lines, &replay, issuer));
            }
        }
    }
    for finding in &replay.findings {
        println!("the store: {}", finding.what);
    }
    assert!(failed == 0 && replay.findings.is_empty(), "{failed} of {} races went wrong", all.len());
    assert_eq!(world.op.reuses(), 0, "a rotated refresh token was shown again");
    println!("{} races, {} commands", all.len(), lines.len());
}

/// What the store was told of a user's sessions.
fn commands(played: &Played, lines: &[Line], replay: &Replay, issuer: &str) -> String {
    let user = named("user", &[issuer, &played.plan.user]);
    let mut names: Vec<String> = replay.members.get(&user).into_iter().flat_map(|all| all.keys().cloned()).collect();
    names.extend(["user", "revoked"].map(|kind| named(kind, &[issuer, &played.plan.user])));
    names.extend(["provider-sid", "tombstone"].map(|kind| named(kind, &[issuer, &played.first.provider_sid])));
    let mut text = String::new();
    for line in lines {
        let words: Vec<String> =
            line.words.iter().map(|word| String::from_utf8_lossy(word).chars().take(90).collect()).collect();
        if !words[0].contains("TYPE") && words.iter().any(|word| names.iter().any(|name| word.contains(name.as_str())))
        {
            text.push_str(&format!(
                "{:>9} {} {}\n",
                since(line.at, played.asked),
                line.by,
                words.join(" ").escape_debug()
            ));
        }
    }
    text
}

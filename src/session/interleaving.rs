//! The protocol of `models/revocation_race.py` as it is written here, store command by store command.
//!
//! A login, a refresh of its session and two revocations run at once; after any command any of them may go on, or stop for
//! ever. The model's property is judged after every single command.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use super::contract::{Hook, Hooked, ISSUER, Replica, sample_login, sample_meta};
use super::names::Name;
use super::store::{Member, NewRecord, Record, SessionStore, StoreError};
use super::token::SessionKey;
use super::{Created, Ended, LiveSession, Lookup, MemoryStore};
use crate::base::Timestamp;
use crate::testing::{ManualClock, SeededRandom};

/// Ways to break the protocol, each a variant of the model that it calls broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    AsDesigned,
    /// The number may be overwritten by a smaller one.
    NumberOverwritten,
    /// No look after the session was written.
    NoLook,
    /// A revocation also removes members that are younger than it.
    YoungerToo,
    /// A refresh writes back without compare-and-set.
    NoCompareAndSet,
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revocation {
    User,
    ProviderSid,
    Everybody,
}

/// Lets one command through a turn, and breaks what the variant says.
#[derive(Debug)]
struct Steps {
    inner: Arc<dyn SessionStore>,
    variant: Variant,
    /// Names that nobody else touches in this run: commands on them go through with the one before.
    apart: Vec<&'static str>,
    turn: AtomicBool,
    /// Whose turn it is.
    actor: AtomicUsize,
    /// The numbers that the revocations took.
    numbers: Mutex<[u64; 4]>,
    journal: Mutex<Vec<String>>,
}

#[async_trait]
impl Hook for Steps {
    async fn before(&self, command: &'static str, on: &str) -> Result<(), StoreError> {
        let apart = self.apart.iter().any(|prefix| on.starts_with(prefix));
        std::future::poll_fn(|context| {
            if apart || self.turn.swap(false, Ordering::SeqCst) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let actor = self.actor.load(Ordering::SeqCst);
        self.journal.lock().unwrap().push(format!("{actor} {command} {on}"));
        let number = Name::revoked_user(ISSUER, "u1");
        match (self.variant, command) {
            (_, "next_number") => {
                let next = self.inner.read_number(&Name::sequence()).await? + 1;
                self.numbers.lock().unwrap()[actor] = next;
            }
            (Variant::NumberOverwritten, "raise_number") => self.inner.unpoint(&number).await?,
            (Variant::NoLook, "read_number") if on == number.as_str() => self.inner.unpoint(&number).await?,
            (Variant::NoCompareAndSet, "replace_session") => {
                let key = SessionKey::parse(on).unwrap();
                let record = Record { version: 1, sealed: bytes::Bytes::new() };
                let new = NewRecord { record: &record, operator: b"" };
                self.inner.create_session(&key, new, Duration::from_secs(60)).await?;
            }
            (Variant::YoungerToo, "scan_members") => {
                let index = Name::user(ISSUER, "u1");
                let members = self.inner.scan_members(&index, None).await?.members;
                for member in &members {
                    self.inner.delete_session(&member.key).await?;
                }
                self.inner.remove_members(&index, &members).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

type Actor = Pin<Box<dyn Future<Output = ()>>>;

/// What happens next: who among so many goes on, or stops for ever.
type Choose<'a> = dyn FnMut(usize) -> (usize, bool) + 'a;

/// Runs one schedule. The error is the state in which the property broke.
fn run(variant: Variant, kinds: &[Revocation], refreshes: bool, choose: &mut Choose<'_>) -> Result<(), String> {
    let clock = ManualClock::default();
    let inner: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(Arc::new(clock)));
    let mut apart = vec!["vestibule:sid:", "vestibule:attempt:"];
    if !kinds.contains(&Revocation::Everybody) {
        apart.extend(["vestibule:sessions:", "vestibule:generation"]);
    }
    let hook = Arc::new(Steps {
        inner: Arc::clone(&inner),
        variant,
        apart,
        turn: AtomicBool::new(false),
        actor: AtomicUsize::new(0),
        numbers: Mutex::default(),
        journal: Mutex::default(),
    });
    let store: Arc<dyn SessionStore> = Arc::new(Hooked { inner: Arc::clone(&inner), hook: Arc::clone(&hook) });
    let replica = Arc::new(Replica::over(&store));
    let signed_in: Arc<Mutex<Option<Arc<LiveSession>>>> = Arc::default();
    let acknowledged: Arc<Mutex<Vec<(usize, Revocation)>>> = Arc::default();
    let mut actors: Vec<Option<Actor>> = vec![
        Some(Box::pin(log_in(Arc::clone(&replica), Arc::clone(&signed_in)))),
        refreshes.then(|| -> Actor { Box::pin(refresh(Arc::clone(&replica), Arc::clone(&signed_in))) }),
    ];
    for (index, kind) in kinds.iter().enumerate() {
        actors.push(Some(Box::pin(revoke(Arc::clone(&replica), *kind, index + 2, Arc::clone(&acknowledged)))));
    }
    loop {
        // The refresh has no cookie before the login has answered.
        let ready: Vec<usize> = (0..actors.len())
            .filter(|index| actors[*index].is_some() && (*index != 1 || signed_in.lock().unwrap().is_some()))
            .collect();
        if ready.is_empty() {
            return Ok(());
        }
        let (choice, stops) = choose(ready.len());
        let index = ready[choice];
        if stops {
            actors[index] = None;
            continue;
        }
        hook.actor.store(index, Ordering::SeqCst);
        hook.turn.store(true, Ordering::SeqCst);
        let done = actors[index].as_mut().unwrap().as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        hook.turn.store(false, Ordering::SeqCst);
        if done {
            actors[index] = None;
        }
        let Some(live) = signed_in.lock().unwrap().clone() else { continue };
        if let Some(why) = violation(&*inner, &hook, &live, &acknowledged.lock().unwrap()) {
            return Err(format!("{why}\n{}", hook.journal.lock().unwrap().join("\n")));
        }
    }
}

/// The model's property, once the login has answered.
fn violation(
    inner: &dyn SessionStore,
    hook: &Steps,
    live: &LiveSession,
    acknowledged: &[(usize, Revocation)],
) -> Option<String> {
    let born = live.session().born;
    // The memory store answers at once.
    let alive = now(inner.read_session(live.key())).is_some() && now(inner.read_number(&Name::generation())) <= born;
    if !alive {
        return None;
    }
    for (actor, kind) in acknowledged {
        let number = hook.numbers.lock().unwrap()[*actor];
        // An ended session at the provider is covered whatever its number.
        if *kind == Revocation::ProviderSid || born < number {
            return Some(format!("a session born {born} lives that {kind:?} {number} covers"));
        }
    }
    for index in live.indexes() {
        let members: Vec<Member> = now(inner.scan_members(&index, None)).members;
        if !members.iter().any(|member| member.key == *live.key()) {
            return Some(format!("a session lives that {index} does not name"));
        }
    }
    None
}

fn now<T>(answer: impl Future<Output = Result<T, StoreError>>) -> T {
    let mut answer = std::pin::pin!(answer);
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.unwrap(),
        Poll::Pending => panic!("the memory store waits for nothing"),
    }
}

async fn log_in(replica: Arc<Replica>, signed_in: Arc<Mutex<Option<Arc<LiveSession>>>>) {
    let born = replica.sessions.burn_attempt("state", replica.now()).await.unwrap().unwrap();
    let created = replica.sessions.create(sample_login("u1"), born, sample_meta(), replica.now()).await.unwrap();
    if let Created::Created(live) = created {
        *signed_in.lock().unwrap() = Some(live);
    }
}

async fn refresh(replica: Arc<Replica>, signed_in: Arc<Mutex<Option<Arc<LiveSession>>>>) {
    let live = signed_in.lock().unwrap().clone().unwrap();
    let Lookup::Found(held) = replica.sessions.load(live.token(), replica.now()).await.unwrap() else { return };
    replica.sessions.replace(&held, held.session().clone(), replica.now()).await.unwrap();
}

async fn revoke(
    replica: Arc<Replica>,
    kind: Revocation,
    actor: usize,
    acknowledged: Arc<Mutex<Vec<(usize, Revocation)>>>,
) {
    match kind {
        Revocation::User => replica.sessions.revoke_user(ISSUER, "u1").await,
        Revocation::ProviderSid => replica.sessions.revoke_provider_sid(ISSUER, "op-u1").await,
        Revocation::Everybody => replica.sessions.revoke_all().await,
    }
    .unwrap();
    acknowledged.lock().unwrap().push((actor, kind));
}

/// So many schedules by chance. The seed that broke it is in the error.
fn by_chance(variant: Variant, kinds: &[Revocation], seeds: std::ops::Range<u64>) -> Result<(), String> {
    for seed in seeds {
        let random = SeededRandom::new(seed);
        run(variant, kinds, true, &mut |ready| {
            let pick = usize::try_from(random.next() >> 8).unwrap();
            (pick % ready, pick / ready % 100 == 0)
        })
        .map_err(|why| format!("seed {seed}: {why}"))?;
    }
    Ok(())
}

/// LOGOUT-09, SESS-07: whatever the order of commands, and wherever anybody stops, no session lives that an acknowledged
/// revocation covers, and every living session is named where a revocation looks.
#[tokio::test]
async fn the_protocol_holds_as_designed() {
    use Revocation::{Everybody, ProviderSid, User};
    for kinds in [[User, User], [User, ProviderSid], [ProviderSid, Everybody], [User, Everybody]] {
        by_chance(Variant::AsDesigned, &kinds, 0..600).unwrap();
        tokio::task::yield_now().await;
    }
}

/// Every schedule there is of one login and one revocation. Since every state is judged, one who stops for ever is among them:
/// it is one who goes on after all others have ended.
#[tokio::test]
async fn the_protocol_holds_in_every_order_of_one_login_and_one_revocation() {
    for kind in [Revocation::User, Revocation::ProviderSid] {
        let (mut path, mut runs): (Vec<(usize, usize)>, usize) = (Vec::new(), 0);
        loop {
            let mut depth = 0;
            run(Variant::AsDesigned, &[kind], false, &mut |ready| {
                if depth == path.len() {
                    path.push((0, ready));
                }
                depth += 1;
                (path[depth - 1].0, false)
            })
            .unwrap();
            runs += 1;
            if runs % 100 == 0 {
                tokio::task::yield_now().await;
            }
            path.truncate(depth);
            while path.last().is_some_and(|(choice, ways)| choice + 1 >= *ways) {
                path.pop();
            }
            match path.last_mut() {
                Some(last) => last.0 += 1,
                None => break,
            }
        }
        assert!(runs > 500, "{kind:?}: {runs}");
    }
}

/// The test can fail: each part of the protocol that is left out is found out.
#[tokio::test]
async fn every_broken_variant_is_found_out() {
    for variant in [Variant::NumberOverwritten, Variant::NoLook, Variant::YoungerToo, Variant::NoCompareAndSet] {
        let found = by_chance(variant, &[Revocation::User, Revocation::User], 0..20_000);
        assert!(found.is_err(), "{variant:?} was not found out");
        tokio::task::yield_now().await;
    }
}

/// "The member is removed before its session" and "session before index": the order is the protocol.
#[tokio::test]
async fn names_come_before_the_session_and_go_after_it() {
    let clock = ManualClock::default();
    let inner: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(Arc::new(clock)));
    let journal = Arc::new(Journal::default());
    let store: Arc<dyn SessionStore> = Arc::new(Hooked { inner, hook: Arc::clone(&journal) });
    let replica = Replica::over(&store);
    let commands = |journal: &Journal| std::mem::take(&mut *journal.0.lock().unwrap());
    let live = replica.log_in(sample_login("u1")).await;
    let wrote = commands(&journal);
    assert_eq!(
        wrote,
        [
            "mark_once",
            "read_number",
            "add_member",
            "add_member",
            "add_member",
            "point",
            "create_session",
            "read_number",
            "is_marked",
            "read_number",
        ]
    );
    let check = |ended: Vec<&'static str>| {
        let deleted = ended.iter().position(|command| *command == "delete_session").unwrap();
        let removed = ended.iter().position(|command| *command == "remove_members").unwrap();
        assert!(deleted < removed, "{ended:?}");
    };
    replica.sessions.end(&live, Ended::Logout).await.unwrap();
    check(commands(&journal));
    replica.log_in(sample_login("u1")).await;
    commands(&journal);
    replica.sessions.revoke_user(ISSUER, "u1").await.unwrap();
    let revoked = commands(&journal);
    assert_eq!(revoked[..4], ["next_number", "raise_number", "scan_members", "delete_session"]);
    check(revoked);
    let third = replica.log_in(sample_login("u1")).await;
    commands(&journal);
    replica.sessions.end_sid(&third.session().sid).await.unwrap();
    check(commands(&journal));
    replica.log_in(sample_login("u1")).await;
    commands(&journal);
    replica.sessions.revoke_provider_sid(ISSUER, "op-u1").await.unwrap();
    let revoked = commands(&journal);
    assert_eq!(revoked[..3], ["mark", "scan_members", "delete_session"]);
    check(revoked);
}

/// SESS-13: whichever command the store fails, the answer is an error, never "no session", and no login goes half through.
#[tokio::test]
async fn a_store_that_fails_is_never_an_absent_session() {
    let clock = ManualClock::default();
    let inner: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(Arc::new(clock)));
    let faults = Arc::new(Faults::default());
    let store: Arc<dyn SessionStore> = Arc::new(Hooked { inner: Arc::clone(&inner), hook: Arc::clone(&faults) });
    let replica = Replica::over(&store);
    let live = replica.log_in(sample_login("u1")).await;
    let now: Timestamp = replica.now();
    for failing in 1..=2 {
        faults.after(failing);
        assert!(replica.sessions.load(live.token(), now).await.is_err(), "command {failing}");
    }
    faults.after(0);
    assert!(replica.is_alive(&live).await);
    let mut failing = 1;
    loop {
        faults.after(0);
        let born = replica.sessions.burn_attempt(&format!("state {failing}"), now).await.unwrap().unwrap();
        faults.after(failing);
        let created = replica.sessions.create(sample_login("u2"), born, sample_meta(), now).await;
        let left = faults.0.load(Ordering::SeqCst);
        faults.after(0);
        let listed = replica.sessions.list_user(ISSUER, "u2").await.unwrap();
        if left > 0 {
            assert!(created.is_ok() && listed.len() == 1);
            break;
        }
        assert!(created.is_err() && listed.is_empty(), "command {failing}");
        failing += 1;
    }
    assert!(failing > 7);
}

#[derive(Debug, Default)]
struct Journal(Mutex<Vec<&'static str>>);

#[async_trait]
impl Hook for Journal {
    async fn before(&self, command: &'static str, _: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(command);
        Ok(())
    }
}

/// Fails the command that comes so many from now, once.
#[derive(Debug, Default)]
struct Faults(AtomicUsize);

impl Faults {
    fn after(&self, commands: usize) {
        self.0.store(commands, Ordering::SeqCst);
    }
}

#[async_trait]
impl Hook for Faults {
    async fn before(&self, _: &'static str, _: &str) -> Result<(), StoreError> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(1) => Err(StoreError::Unavailable(super::Unavailable::Deadline)),
            _ => Ok(()),
        }
    }
}

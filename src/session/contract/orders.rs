//! The protocol of `models/revocation_race.py` as it is written here, store command by store command.
//!
//! A login, a refresh of its session and two revocations run at once; after any command any of them may go on, or stop for
//! ever. The model's property is judged after every single command.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use super::{Hook, Hooked, ISSUER, Passing, Replica, sample_login, sample_meta};
use crate::session::names::Name;
use crate::session::store::{Member, NewRecord, Record, SessionStore, StoreError};
use crate::session::token::SessionKey;
use crate::session::{Created, LiveSession, Lookup};
use crate::testing::SeededRandom;

/// Ways to break the protocol, each a variant of the model that it calls broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "breaking it is for the tests beside the code"))]
pub(in crate::session) enum Variant {
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
pub(in crate::session) enum Revocation {
    User,
    ProviderSid,
    /// By a frame, which leaves nothing for logins to find: it ends what is there.
    Frame,
    Everybody,
}

/// Lets one command through a turn, and breaks what the variant says.
#[derive(Debug)]
struct Steps {
    inner: Arc<dyn SessionStore>,
    variant: Variant,
    /// Whose sessions all this is about.
    user: String,
    /// Names that nobody else touches in this run: commands on them go through with the one before.
    apart: Vec<&'static str>,
    turn: AtomicBool,
    /// Who waits for a turn.
    waiting: Mutex<Vec<Waker>>,
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
            self.waiting.lock().unwrap().push(context.waker().clone());
            Poll::Pending
        })
        .await;
        let actor = self.actor.load(Ordering::SeqCst);
        self.journal.lock().unwrap().push(format!("{actor} {command} {on}"));
        let number = Name::revoked_user(ISSUER, &self.user);
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
                let index = Name::user(ISSUER, &self.user);
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

/// Runs one schedule over a store in which nobody else knows the user. The error is the state in which the property broke.
pub(in crate::session) async fn run(
    inner: &Arc<dyn SessionStore>,
    user: &str,
    (variant, kinds, refreshes): (Variant, &[Revocation], bool),
    choose: &mut Choose<'_>,
) -> Result<(), String> {
    let mut apart = vec!["vestibule:sid:", "vestibule:attempt:"];
    if !kinds.contains(&Revocation::Everybody) {
        apart.extend(["vestibule:sessions:", "vestibule:session:{generation}"]);
    }
    let hook = Arc::new(Steps {
        inner: Arc::clone(inner),
        variant,
        user: user.to_owned(),
        apart,
        turn: AtomicBool::new(false),
        waiting: Mutex::default(),
        actor: AtomicUsize::new(0),
        numbers: Mutex::default(),
        journal: Mutex::default(),
    });
    let store: Arc<dyn SessionStore> = Arc::new(Hooked { inner: Arc::clone(inner), hook: Arc::clone(&hook) });
    let replica = Arc::new(Replica::over(&store));
    let signed_in: Arc<Mutex<Option<Arc<LiveSession>>>> = Arc::default();
    let acknowledged: Arc<Mutex<Vec<(usize, Revocation)>>> = Arc::default();
    let mut actors: Vec<Option<Actor>> = vec![
        Some(Box::pin(log_in(Arc::clone(&replica), user.to_owned(), Arc::clone(&signed_in)))),
        refreshes.then(|| -> Actor { Box::pin(refresh(Arc::clone(&replica), Arc::clone(&signed_in))) }),
    ];
    for (index, kind) in kinds.iter().enumerate() {
        let (replica, acknowledged) = (Arc::clone(&replica), Arc::clone(&acknowledged));
        actors.push(Some(Box::pin(revoke(replica, user.to_owned(), *kind, index + 2, acknowledged))));
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
        if go_on(actors[index].as_mut().unwrap(), &hook).await {
            actors[index] = None;
        }
        let Some(live) = signed_in.lock().unwrap().clone() else { continue };
        let acknowledged = acknowledged.lock().unwrap().clone();
        if let Some(why) = violation(&**inner, &hook, &live, &acknowledged).await {
            return Err(format!("{why}\n{}", hook.journal.lock().unwrap().join("\n")));
        }
    }
}

/// Lets somebody go on until their next command has been carried out and they want another turn. Answers whether they are done.
async fn go_on(actor: &mut Actor, hook: &Steps) -> bool {
    hook.turn.store(true, Ordering::SeqCst);
    // Those of others are woken too: they find no turn, or are not asked now.
    std::mem::take(&mut *hook.waiting.lock().unwrap()).into_iter().for_each(Waker::wake);
    let done = std::future::poll_fn(|context| {
        match actor.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if !hook.waiting.lock().unwrap().is_empty() => Poll::Ready(false),
            // The store has not answered yet.
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    hook.turn.store(false, Ordering::SeqCst);
    done
}

/// The model's property, once the login has answered.
async fn violation(
    inner: &dyn SessionStore,
    hook: &Steps,
    live: &LiveSession,
    acknowledged: &[(usize, Revocation)],
) -> Option<String> {
    let born = live.session().born;
    let alive = inner.read_session(live.key()).await.unwrap().is_some()
        && inner.read_number(&Name::generation()).await.unwrap() <= born;
    if !alive {
        return None;
    }
    for (actor, kind) in acknowledged {
        let number = hook.numbers.lock().unwrap()[*actor];
        let covered = match kind {
            // An ended session at the provider is covered whatever its number.
            Revocation::ProviderSid => true,
            // Means what it found; that it was not looked for in vain is judged by the names below.
            Revocation::Frame => false,
            Revocation::User | Revocation::Everybody => born < number,
        };
        if covered {
            return Some(format!("a session born {born} lives that {kind:?} {number} covers"));
        }
    }
    for index in live.indexes() {
        let members: Vec<Member> = inner.scan_members(&index, None).await.unwrap().members;
        if !members.iter().any(|member| member.key == *live.key()) {
            return Some(format!("a session lives that {index} does not name"));
        }
    }
    None
}

async fn log_in(replica: Arc<Replica>, user: String, signed_in: Arc<Mutex<Option<Arc<LiveSession>>>>) {
    let born = replica.sessions.burn_attempt(&format!("state of {user}"), replica.now()).await.unwrap().unwrap();
    let created = replica.sessions.create(sample_login(&user), born, sample_meta(), replica.now()).await.unwrap();
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
    user: String,
    kind: Revocation,
    actor: usize,
    acknowledged: Arc<Mutex<Vec<(usize, Revocation)>>>,
) {
    match kind {
        Revocation::User => replica.sessions.revoke_user(ISSUER, &user).await,
        Revocation::ProviderSid => replica.sessions.revoke_provider_sid(ISSUER, &format!("op-{user}")).await,
        Revocation::Frame => replica.sessions.end_provider_sid(ISSUER, &format!("op-{user}")).await,
        Revocation::Everybody => replica.sessions.revoke_all().await,
    }
    .unwrap();
    acknowledged.lock().unwrap().push((actor, kind));
}

/// One schedule by chance. The seed that broke it is in the error.
pub(in crate::session) async fn by_chance(
    inner: &Arc<dyn SessionStore>,
    variant: Variant,
    kinds: &[Revocation],
    seed: u64,
) -> Result<(), String> {
    let random = SeededRandom::new(seed);
    let user = format!("u{seed} {kinds:?}");
    run(inner, &user, (variant, kinds, true), &mut |ready| {
        let pick = usize::try_from(random.next() >> 8).unwrap();
        (pick % ready, pick / ready % 100 == 0)
    })
    .await
    .map_err(|why| format!("SEED={seed}: {why}"))
}

/// Which revocations run at once.
pub(in crate::session) const PAIRS: [[Revocation; 2]; 6] = [
    [Revocation::User, Revocation::User],
    [Revocation::User, Revocation::ProviderSid],
    [Revocation::ProviderSid, Revocation::Everybody],
    [Revocation::User, Revocation::Everybody],
    [Revocation::Frame, Revocation::ProviderSid],
    [Revocation::Frame, Revocation::User],
];

/// LOGOUT-09, SESS-07: whatever the order of commands, and wherever anybody stops, no session lives that an acknowledged
/// revocation covers, and every living session is named where a revocation looks.
pub async fn the_protocol_holds_in_any_order(store: Arc<dyn SessionStore>, _: &dyn Passing) {
    for kinds in PAIRS {
        for seed in 0..40 {
            by_chance(&store, Variant::AsDesigned, &kinds, seed).await.unwrap();
        }
    }
}

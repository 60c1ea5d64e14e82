//! Lives of sessions by chance, over any store: whatever people, providers, operators and time do in whatever order, and
//! whichever answers of the store are lost, what two replicas say is what [`model`] allows.

mod model;
mod trouble;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::model::{Is, Judged, LIFETIME, Login, Model, Told, Whom, Wrote, must};
pub(in crate::session) use self::trouble::Break;
use self::trouble::Trouble;
use super::{Hooked, IDLE, ISSUER, Passing, Replica, sample_login, sample_meta, sample_settings};
use crate::base::Secret;
use crate::session::names::Name;
use crate::session::store::{SessionStore, StoreError, Unavailable};
use crate::session::{Born, Created, Ended, LiveSession, Lookup, Replaced, SessionSettings};
use crate::testing::SeededRandom;

/// How many things happen in one life.
const ACTS: u64 = 70;
/// What another replica ended may be served near for so long.
const STALENESS: Duration = Duration::from_secs(2);

/// SESS-04, SESS-05, SESS-07, LOGOUT-09: any order of acts is as the model says, with a good store and with one whose commands fail and whose
/// answers are lost.
pub async fn any_life_is_as_the_model_says(store: Arc<dyn SessionStore>, _: &dyn Passing) {
    for seed in seeds(1..=15) {
        live(&store, seed, Break::Nothing).await.unwrap_or_else(|why| panic!("SEED={seed} {why}"));
    }
}

/// These, or the one that `SEED` names.
pub(in crate::session) fn seeds(all: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(one) => vec![one.parse().expect("SEED is a number")],
        Err(_) => all.collect(),
    }
}

/// One life. The error is what was wrong, and everything that happened before.
pub(in crate::session) async fn live(inner: &Arc<dyn SessionStore>, seed: u64, broken: Break) -> Judged {
    for lossy in [false, true] {
        let trouble = Arc::new(Trouble::new(inner, !seed, lossy, broken));
        let store: Arc<dyn SessionStore> = Arc::new(Hooked { inner: Arc::clone(inner), hook: Arc::clone(&trouble) });
        let settings = SessionSettings { lifetime: LIFETIME, ..sample_settings() };
        let mut world = World {
            replicas: [Replica::with(&store, settings.clone()), Replica::with(&store, settings)],
            trouble,
            dice: SeededRandom::new(seed),
            model: Model::default(),
            name: format!("{seed} {lossy} {broken:?}"),
            borns: Vec::new(),
            seats: Vec::new(),
            held: Vec::new(),
            told: String::new(),
        };
        let lived = world.live().await;
        lived.map_err(|why| format!("(answers are lost: {lossy}): {why}\n{}", world.told))?;
    }
    Ok(())
}

/// A session, and where and when it was ended last.
struct Seat {
    live: Arc<LiveSession>,
    ended: Option<(usize, Instant)>,
}

struct World {
    replicas: [Replica; 2],
    trouble: Arc<Trouble>,
    dice: SeededRandom,
    model: Model,
    name: String,
    /// Of the logins under way, in the model's order.
    borns: Vec<Born>,
    /// In the order of the model's lives.
    seats: Vec<Seat>,
    /// What somebody has read of a session, to write over later.
    held: Vec<(usize, Arc<LiveSession>)>,
    told: String,
}

impl World {
    async fn live(&mut self) -> Judged {
        for _ in 0..ACTS {
            self.act().await?;
        }
        for index in 0..self.seats.len() {
            self.look(index, 0).await?;
            self.look(index, 1).await?;
        }
        self.names().await
    }

    async fn act(&mut self) -> Judged {
        let (replica, any) = (self.below(2), self.below(usize::MAX));
        let seat = (!self.seats.is_empty()).then(|| any % self.seats.len());
        match (self.below(100), seat) {
            (0..12, _) => self.begin(replica).await,
            (12..30, _) if !self.borns.is_empty() => self.finish(any % self.borns.len(), replica).await,
            (30..50, Some(seat)) => self.request(seat, replica).await,
            (50..58, Some(seat)) => self.look(seat, replica).await,
            (58..68, _) if !self.held.is_empty() => self.write(any % self.held.len(), replica).await,
            (68..73, Some(seat)) => self.log_out(seat, replica).await,
            (73..77, Some(seat)) => self.end_sid(seat, replica).await,
            (77..80, _) => self.end(Whom::User(self.user(any)), replica).await,
            (80..83, Some(seat)) => {
                self.end(Whom::ProviderSid(self.model.lives[seat].provider_sid.clone()), replica).await
            }
            (83..86, Some(seat)) => self.end(Whom::Frame(self.model.lives[seat].provider_sid.clone()), replica).await,
            (86, _) => self.end(Whom::Everybody, replica).await,
            (87..100, _) => {
                let time = [1, 60, 300, 600, 1100][any % 5];
                self.tell(format!("{time} s pass"));
                self.replicas.iter().for_each(|replica| replica.clock.advance(Duration::from_secs(time)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A login comes back from the provider; its session at the provider is a new one, or one that there is.
    async fn begin(&mut self, replica: usize) -> Judged {
        let (user, fresh) = (self.user(self.below(3)), self.dice.next());
        let known = self.model.lives.iter().rev().find(|life| life.user == user).map(|life| life.provider_sid.clone());
        let provider_sid = known.filter(|_| fresh % 2 == 0).unwrap_or_else(|| format!("{} {fresh}", self.name));
        let now = self.now();
        self.arm();
        let born = self.at(replica).sessions.burn_attempt(&format!("{} state {fresh}", self.name), now).await;
        let born = self.armed(born);
        self.tell(format!("{user} comes back, with {provider_sid}: {:?}", born.as_ref().map(Option::is_some)));
        if let Some(born) = self.answered(born)? {
            self.borns.push(born.ok_or("a new state was redeemed before")?);
            self.model.login(&user, &provider_sid, now);
        }
        Ok(())
    }

    async fn finish(&mut self, index: usize, replica: usize) -> Judged {
        let (born, login): (Born, Login) = (self.borns.remove(index), self.model.logins.remove(index));
        let mut new = sample_login(&login.user);
        new.provider_sid = Some(login.provider_sid.clone());
        let holds = self.content();
        new.tokens.refresh_token = Some(Secret::new(holds.clone()));
        let now = self.now();
        self.arm();
        let created = self.at(replica).sessions.create(new, born, sample_meta(), now).await;
        let created = self.armed(created);
        self.tell(format!("{} is let in at {replica}: {created:?}", login.user));
        match self.answered(created)? {
            Some(Created::Created(live)) => {
                self.model.finish(&login, true, &holds, now)?;
                self.seats.push(Seat { live, ended: None });
            }
            Some(Created::Revoked) => self.model.finish(&login, false, &holds, now)?,
            // Nobody holds its cookie.
            None => {}
        }
        Ok(())
    }

    /// A request, as a replica answers it: perhaps from its near cache.
    async fn request(&mut self, seat: usize, replica: usize) -> Judged {
        let now = self.now();
        loop {
            self.arm();
            let found = self.at(replica).sessions.find(self.seats[seat].live.token(), now).await;
            let found = self.armed(found);
            self.tell(format!("session {seat} asks at {replica}: {found:?}"));
            match self.answered(found)? {
                None => return Ok(()),
                Some(Lookup::Absent(_)) => return self.model.lives[seat].absent(now),
                Some(Lookup::Found(live)) => {
                    let stale =
                        self.seats[seat].ended.is_some_and(|(by, at)| by != replica && at.elapsed() < STALENESS);
                    if self.model.lives[seat].is(now) == Is::Over && stale {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        continue;
                    }
                    self.model.lives[seat].let_in(now)?;
                    return self.used(seat, replica, &live).await;
                }
            }
        }
    }

    /// A use is noted, to a tenth of the idle time.
    async fn used(&mut self, seat: usize, replica: usize, live: &LiveSession) -> Judged {
        let now = self.now();
        self.at(replica).sessions.touch(live, now);
        let certain = self.model.lives[seat].is(now) == Is::Alive;
        let start = Instant::now();
        let noted = loop {
            let stored = self.trouble.inner.read_session(live.key()).await.unwrap_or_default();
            let noted = stored.map(|stored| stored.seen.unwrap_or(live.session().created));
            if !certain || noted.is_none_or(|noted| noted + IDLE / 10 >= now) {
                break noted;
            }
            must(start.elapsed() < Duration::from_secs(5), || format!("the use of session {seat} is not noted"))?;
            tokio::task::yield_now().await;
        };
        self.model.lives[seat].used(noted, now);
        Ok(())
    }

    /// Somebody asks the store itself, and may keep what it says to write over it later.
    async fn look(&mut self, seat: usize, replica: usize) -> Judged {
        let now = self.now();
        self.arm();
        let found = self.at(replica).sessions.load(self.seats[seat].live.token(), now).await;
        let found = self.armed(found);
        self.tell(format!("session {seat} is read at {replica}: {found:?}"));
        match self.answered(found)? {
            None => Ok(()),
            Some(Lookup::Absent(_)) => self.model.lives[seat].absent(now),
            Some(Lookup::Found(live)) => {
                let holds = live.session().tokens.refresh_token.as_ref().map(|token| token.expose().clone());
                self.model.lives[seat].found(live.version(), &holds.unwrap_or_default(), now)?;
                self.held.push((seat, live));
                Ok(())
            }
        }
    }

    /// Renewed tokens are written over what was read, perhaps long ago.
    async fn write(&mut self, held: usize, replica: usize) -> Judged {
        let (seat, live) = self.held.remove(held);
        let (now, holds) = (self.now(), self.content());
        let mut session = live.session().clone();
        session.tokens.refresh_token = Some(Secret::new(holds.clone()));
        self.arm();
        let wrote = self.at(replica).sessions.replace(&live, session, now).await;
        let wrote = self.armed(wrote);
        self.tell(format!("session {seat} is written over version {} at {replica}: {wrote:?}", live.version()));
        let wrote = match self.answered(wrote)? {
            Some(Replaced::Replaced(_)) => Wrote::Replaced,
            Some(Replaced::Conflict) => Wrote::Conflict,
            Some(Replaced::Gone) => Wrote::Gone,
            None => Wrote::Nothing,
        };
        self.model.lives[seat].written(live.version(), &holds, wrote, now)
    }

    async fn log_out(&mut self, seat: usize, replica: usize) -> Judged {
        self.arm();
        let there = self.at(replica).sessions.end(&self.seats[seat].live, Ended::Logout).await;
        self.ended_one(seat, replica, there)
    }

    async fn end_sid(&mut self, seat: usize, replica: usize) -> Judged {
        self.arm();
        let there = self.at(replica).sessions.end_sid(&self.seats[seat].live.session().sid).await;
        self.ended_one(seat, replica, there)
    }

    fn ended_one(&mut self, seat: usize, replica: usize, there: Result<bool, StoreError>) -> Judged {
        let there = self.armed(there);
        self.tell(format!("session {seat} is ended at {replica}: {there:?}"));
        let there = self.answered(there)?;
        if there == Some(false) {
            let now = self.now();
            self.model.lives[seat].absent(now)?;
        }
        self.over(&Whom::Session(seat), replica, there.is_some());
        Ok(())
    }

    async fn end(&mut self, whom: Whom, replica: usize) -> Judged {
        match &whom {
            Whom::User(user) => self.trouble.leaves(Name::revoked_user(ISSUER, user)),
            Whom::ProviderSid(sid) => self.trouble.leaves(Name::tombstone(ISSUER, sid)),
            _ => {}
        }
        self.arm();
        let sessions = &self.at(replica).sessions;
        let count = match &whom {
            Whom::User(user) => sessions.revoke_user(ISSUER, user).await,
            Whom::ProviderSid(sid) => sessions.revoke_provider_sid(ISSUER, sid).await,
            Whom::Frame(sid) => sessions.end_provider_sid(ISSUER, sid).await,
            _ => sessions.revoke_all().await,
        };
        let count = self.armed(count);
        self.tell(format!("{whom:?} ends at {replica}: {count:?}"));
        let done = self.answered(count)?.is_some();
        self.over(&whom, replica, done);
        Ok(())
    }

    fn over(&mut self, whom: &Whom, replica: usize, done: bool) {
        let (now, before) = (self.now(), self.model.lives.clone());
        self.model.ended(whom, if done { Told::Done } else { Told::Nothing });
        for (seat, (was, life)) in self.seats.iter_mut().zip(before.iter().zip(&self.model.lives)) {
            if was.is(now) != Is::Over && life.is(now) == Is::Over {
                seat.ended = Some((replica, Instant::now()));
            }
        }
    }

    /// Whoever lives is named wherever an end looks.
    async fn names(&self) -> Judged {
        let store = &self.trouble.inner;
        for (seat, life) in self.seats.iter().zip(&self.model.lives) {
            if life.is(self.now()) != Is::Alive {
                continue;
            }
            for index in seat.live.indexes() {
                let members = store.scan_members(&index, None).await.unwrap().members;
                must(members.contains(&seat.live.member()), || format!("a living session is not in {index:?}"))?;
            }
            let leads_to = store.follow(&Name::sid(&seat.live.session().sid)).await.unwrap();
            must(leads_to.as_ref() == Some(seat.live.key()), || {
                "a living session's reference leads nowhere".to_owned()
            })?;
        }
        Ok(())
    }

    fn arm(&self) {
        self.trouble.arm(true);
    }

    fn armed<T>(&self, answer: T) -> T {
        self.trouble.arm(false);
        answer
    }

    /// Errors have a reason. `None` for one.
    fn answered<T>(&self, answer: Result<T, StoreError>) -> Result<Option<T>, String> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            // Also one that was not planted: a busy machine is late.
            Err(StoreError::Unavailable(Unavailable::Deadline)) => Ok(None),
            Err(error) => Err(format!("an error without a reason: {error}")),
        }
    }

    fn at(&self, replica: usize) -> &Replica {
        &self.replicas[replica]
    }

    fn now(&self) -> crate::base::Timestamp {
        self.replicas[0].now()
    }

    fn user(&self, any: usize) -> String {
        format!("{} u{}", self.name, any % 3)
    }

    fn content(&self) -> String {
        format!("token {}", self.dice.next())
    }

    fn below(&self, n: usize) -> usize {
        usize::try_from(self.dice.next() >> 8).unwrap() % n
    }

    fn tell(&mut self, what: String) {
        let _ = writeln!(self.told, "{} {what}", self.now().rfc3339());
    }
}

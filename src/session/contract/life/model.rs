//! What may be said of a session at any moment: the specification of its life, small enough to be read.
//!
//! Must know nothing of stores, caches and replicas. Where the answer to an act was lost nobody knows whether it was done, and the
//! model allows both until somebody looks.

use std::time::Duration;

use super::super::IDLE;
use crate::base::Timestamp;

/// How long sessions may live here.
pub(super) const LIFETIME: Duration = Duration::from_secs(4 * 1800);
/// So old may a login be that was redeemed and has no session yet.
pub(super) const LOGIN: Duration = Duration::from_secs(15 * 60);

/// What is wrong, if anything.
pub(super) type Judged = Result<(), String>;

/// What somebody who asked was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Done,
    /// The answer was lost, or never given.
    Nothing,
}

/// Whether a session, or one that is to be, lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Alive,
    /// It may be either.
    Unknown,
    /// And will never be alive again.
    Over,
}

impl Is {
    fn ends(&mut self, told: Told) {
        *self = match (*self, told) {
            (Self::Over, _) | (_, Told::Done) => Self::Over,
            (_, Told::Nothing) => Self::Unknown,
        };
    }
}

/// Who is to end.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// One session.
    Session(usize),
    /// All of a user, and logins under way.
    User(String),
    /// All of one at the provider, and whatever login comes of it.
    ProviderSid(String),
    /// All of one at the provider that are there now.
    Frame(String),
    /// Everybody, and logins under way.
    Everybody,
}

/// How a write of the next version ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    Replaced,
    Conflict,
    Gone,
    Nothing,
}

/// A login that came back from the provider and is not a session yet.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) provider_sid: String,
    pub(super) begun: Timestamp,
    is: Is,
}

/// A session that somebody holds the cookie of.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) user: String,
    pub(super) provider_sid: String,
    begun: Timestamp,
    is: Is,
    /// It was last used no earlier and no later than this.
    used: (Timestamp, Timestamp),
    /// Its version is no smaller and no greater than this.
    version: (u64, u64),
    /// What a version may hold.
    holds: Vec<(u64, String)>,
    /// It was ended with everybody, by a number: its record is taken away as far as that goes.
    record_may_stay: bool,
}

/// Everybody.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) logins: Vec<Login>,
    pub(super) lives: Vec<Life>,
    /// Sessions at the provider that were ended by it.
    ended_there: Vec<(String, Told)>,
}

impl Model {
    /// A login came back.
    pub(super) fn login(&mut self, user: &str, provider_sid: &str, now: Timestamp) {
        let mut is = Is::Alive;
        // That one has ended is found out whenever the login comes.
        self.ended_there.iter().filter(|(sid, _)| sid == provider_sid).for_each(|(_, told)| is.ends(*told));
        self.logins.push(Login { user: user.to_owned(), provider_sid: provider_sid.to_owned(), begun: now, is });
    }

    /// It became a session, or was refused.
    pub(super) fn finish(&mut self, login: &Login, created: bool, holds: &str, now: Timestamp) -> Judged {
        let late = now.since(login.begun) > LOGIN;
        if created {
            must(!late && login.is != Is::Over, || {
                format!("a login was let in that is covered by a revocation: {login:?}")
            })?;
            self.lives.push(Life {
                user: login.user.clone(),
                provider_sid: login.provider_sid.clone(),
                begun: now,
                is: Is::Alive,
                used: (now, now),
                version: (1, 1),
                holds: vec![(1, holds.to_owned())],
                record_may_stay: false,
            });
            return Ok(());
        }
        must(late || login.is != Is::Alive, || format!("a login was refused that nobody ended: {login:?}"))
    }

    /// Somebody ended sessions, or tried to.
    pub(super) fn ended(&mut self, whom: &Whom, told: Told) {
        for (index, life) in self.lives.iter_mut().enumerate() {
            let covered = match whom {
                Whom::Session(one) => *one == index,
                Whom::User(user) => *user == life.user,
                Whom::ProviderSid(sid) | Whom::Frame(sid) => *sid == life.provider_sid,
                Whom::Everybody => true,
            };
            if covered {
                life.is.ends(told);
                life.record_may_stay |= matches!(whom, Whom::Everybody);
            }
        }
        for login in &mut self.logins {
            let covered = match whom {
                Whom::Session(_) | Whom::Frame(_) => false,
                Whom::User(user) => *user == login.user,
                Whom::ProviderSid(sid) => *sid == login.provider_sid,
                Whom::Everybody => true,
            };
            if covered {
                login.is.ends(told);
            }
        }
        if let Whom::ProviderSid(sid) = whom {
            self.ended_there.push((sid.clone(), told));
        }
    }
}

impl Life {
    /// What is known of it at a moment.
    pub(super) fn is(&self, now: Timestamp) -> Is {
        let (least, most) = self.used;
        if self.is == Is::Over || now >= self.begun + LIFETIME || now >= most + IDLE {
            Is::Over
        } else if self.is == Is::Unknown || now >= least + IDLE {
            Is::Unknown
        } else {
            Is::Alive
        }
    }

    /// Whether nothing of it can be there any more. One that is merely too old may be written until somebody looks: it opens
    /// nothing all the same.
    fn is_gone(&self) -> bool {
        self.is == Is::Over && !self.record_may_stay
    }

    /// The store itself says that it lives, in this version with this content.
    pub(super) fn found(&mut self, version: u64, holds: &str, now: Timestamp) -> Judged {
        self.let_in(now)?;
        let (least, most) = self.version;
        must((least..=most).contains(&version), || format!("version {version} was found of {self:?}"))?;
        must(self.holds.iter().any(|(known, text)| *known == version && text == holds), || {
            format!("version {version} holds {holds:?}, which nobody wrote: {self:?}")
        })?;
        self.is = Is::Alive;
        self.version = (version, version);
        // It is not idle, so it was used since.
        self.used.0 = self.used.0.max(now - IDLE + Duration::from_millis(1));
        Ok(())
    }

    /// Somebody was let in by it.
    pub(super) fn let_in(&self, now: Timestamp) -> Judged {
        must(self.is(now) != Is::Over, || format!("it opens something after its end: {self:?}"))
    }

    /// It opens nothing.
    pub(super) fn absent(&mut self, now: Timestamp) -> Judged {
        must(self.is(now) != Is::Alive, || format!("it ended by itself: {self:?}"))?;
        self.is = Is::Over;
        Ok(())
    }

    /// It was used; `noted` is the newest use that the store knows of.
    pub(super) fn used(&mut self, noted: Option<Timestamp>, now: Timestamp) {
        self.used = (self.used.0.max(noted.unwrap_or(self.used.0)), self.used.1.max(now));
    }

    /// Somebody wrote over version `from`.
    pub(super) fn written(&mut self, from: u64, holds: &str, wrote: Wrote, now: Timestamp) -> Judged {
        let (least, most) = self.version;
        let next = from + 1;
        match wrote {
            Wrote::Replaced => {
                must(!self.is_gone(), || format!("a late write went through: {self:?}"))?;
                must((least..=most).contains(&from), || format!("written over version {from}: {self:?}"))?;
                self.holds.retain(|(version, _)| *version != next);
                self.holds.push((next, holds.to_owned()));
                self.version = (next, next);
            }
            Wrote::Conflict => {
                must(!self.is_gone(), || format!("there is something to write over: {self:?}"))?;
                must(from < most, || format!("refused over the version that stands: {self:?}"))?;
                self.version = (least.max(next), most);
            }
            Wrote::Gone => self.absent(now)?,
            Wrote::Nothing => {
                if (least..=most).contains(&from) {
                    self.holds.push((next, holds.to_owned()));
                    self.version = (least, most.max(next));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn must(holds: bool, what: impl FnOnce() -> String) -> Judged {
    if holds { Ok(()) } else { Err(what()) }
}

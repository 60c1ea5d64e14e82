//! Who asked what when, what was answered, and what follows from it for a session.
//!
//! Must never know more than people at their browsers do: what was not acknowledged may or may not have happened.

use std::fmt;
use std::time::{Duration, Instant};

/// The default of `session.near_cache.staleness`: so late may a replica learn of an end.
pub(crate) const STALENESS: Duration = Duration::from_secs(2);

/// A session whose cookie somebody was given.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    /// The `Cookie` line.
    pub(crate) line: String,
    pub(crate) provider_sid: String,
    /// When its browser came back from the provider.
    pub(crate) sent: Instant,
    /// When it was let in.
    pub(crate) begun: Instant,
    /// Its tokens were to be renewed: a provider whose answers are lost may end it then, and rightly.
    pub(crate) renewed: bool,
    /// What both replicas said of it when all was over, and of renewing its tokens.
    pub(crate) at_last: Vec<u16>,
    pub(crate) renews_at_last: Option<u16>,
}

/// Whom an end means.
#[derive(Clone, Debug)]
pub(crate) enum Whom {
    Session(usize),
    User(String),
    ProviderSid(String),
}

/// An end that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) whom: Whom,
    pub(crate) asked: Instant,
    /// Nobody has answered yet, or nobody ever did.
    pub(crate) answered: Option<Instant>,
    pub(crate) acknowledged: Option<Instant>,
}

/// A request for the application.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// The last segment of its path: the application saw it in no other.
    pub(crate) name: String,
    pub(crate) replica: usize,
    /// None for a request that may never be forwarded, whatever it carried.
    pub(crate) session: Option<usize>,
    pub(crate) what: &'static str,
    pub(crate) asked: Instant,
    /// None when nobody answered.
    pub(crate) status: Option<u16>,
    /// It cleared or set a session cookie.
    pub(crate) sets_cookie: bool,
}

/// A login attempt's way back.
#[derive(Clone, Debug)]
pub(crate) struct Return {
    pub(crate) state: String,
    pub(crate) statuses: Vec<u16>,
    /// How many answers opened a session.
    pub(crate) opened: usize,
}

#[derive(Default)]
pub(crate) struct History {
    pub(crate) sessions: Vec<Session>,
    pub(crate) ends: Vec<End>,
    pub(crate) visits: Vec<Visit>,
    pub(crate) returns: Vec<Return>,
    /// How renewing tokens was answered.
    pub(crate) renewals: Vec<(usize, u16)>,
}

impl History {
    /// Since when the session is over for certain.
    pub(crate) fn over_since(&self, session: usize) -> Option<Instant> {
        let it = &self.sessions[session];
        let certain = self.ends.iter().filter(|end| match &end.whom {
            Whom::Session(one) => *one == session,
            // One whose login was answered before anybody asked for the end; of others there is no saying.
            Whom::User(user) => *user == it.user && it.begun < end.asked,
            Whom::ProviderSid(sid) => *sid == it.provider_sid && it.begun < end.asked,
        });
        certain.filter_map(|end| end.acknowledged).min()
    }

    /// Whether nobody can have ended it.
    pub(crate) fn lives_for_certain(&self, session: usize) -> bool {
        let it = &self.sessions[session];
        !self.ends.iter().any(|end| match &end.whom {
            Whom::Session(one) => *one == session,
            // A login that began when the end had been answered is younger than it.
            Whom::User(user) => *user == it.user && end.over().is_none_or(|over| it.sent <= over),
            Whom::ProviderSid(sid) => *sid == it.provider_sid,
        })
    }
}

impl End {
    /// From when on no login is meant any more.
    fn over(&self) -> Option<Instant> {
        self.acknowledged.or(self.answered)
    }
}

/// Milliseconds after a moment, for people.
pub(crate) struct After(pub(crate) Instant, pub(crate) Instant);

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.1.saturating_duration_since(self.0).as_millis())
    }
}

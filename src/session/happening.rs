//! Tells whoever wants to know that a session began or ended.
//!
//! Each end is told once among all replicas: by the one whose command took the record away. Whoever neither signs out nor comes
//! back is never told of: the store lets such sessions expire.

use std::sync::Arc;

use super::live::LiveSession;
use super::model::Session;
use super::operator::OperatorRecord;
use crate::base::Timestamp;

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub what: What,
    /// When.
    pub at: Timestamp,
    /// The session's public reference.
    pub sid: String,
    /// The configured name of its provider.
    pub provider: String,
    /// The provider's issuer.
    pub issuer: String,
    /// Whose session, at that issuer.
    pub subject: String,
    /// When it began.
    pub created: Timestamp,
    /// When it ends at the latest, or would have.
    pub expires: Timestamp,
}

/// Beginning or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody signed in.
    Started,
    /// It ended.
    Ended(Ended),
}

/// Why a session ended, as far as this process knows: what another replica ended is `Revoked` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The person signed out, or signed in anew.
    Logout,
    /// Somebody ended it.
    Revoked,
    /// Nobody used it for too long.
    Idle,
    /// It reached its end.
    Expired,
    /// The provider ended it.
    Provider,
    /// A newer session of the same user took its room.
    Limit,
}

impl Ended {
    /// The word that scripts read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Provider => "provider",
            Self::Limit => "limit",
        }
    }
}

/// Who wants to know.
pub trait Witness: std::fmt::Debug + Send + Sync {
    /// Called on a request's way: must not wait.
    fn saw(&self, happening: &Happening);

    /// Called after the end of a session that somebody ended without its cookie, where this process still knows what was in it.
    /// Must not wait either.
    fn left_behind(&self, _live: &Arc<LiveSession>) {}
}

impl Happening {
    pub(super) fn of(session: &Session, what: What, at: Timestamp) -> Self {
        Self {
            what,
            at,
            sid: session.sid.as_str().to_owned(),
            provider: session.provider.to_string(),
            issuer: session.issuer.clone(),
            subject: session.subject.clone(),
            created: session.created,
            expires: session.expires,
        }
    }

    pub(super) fn of_record(record: &OperatorRecord, what: What, at: Timestamp) -> Self {
        Self {
            what,
            at,
            sid: record.sid.clone(),
            provider: record.provider.clone(),
            issuer: record.issuer.clone(),
            subject: record.subject.clone(),
            created: record.created,
            expires: record.expires,
        }
    }
}

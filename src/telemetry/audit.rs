//! Security events (OPS-03), target `vestibule::audit`: one line each, with who, which session, from where and why.
//!
//! `docs/operations.md` lists them. Sessions are named by their public reference, never by a cookie or a store key.

use std::fmt::Display;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Somebody signed in; a new session stands in the store.
    LoginSucceeded,
    /// A login came back and made no session; `reason` says why.
    LoginFailed,
    /// A person ended their own session.
    Logout,
    /// A session ended otherwise; `reason` says how.
    SessionEnded,
    /// The provider did not renew a session's tokens.
    RefreshFailed,
    /// A signed-in person was refused.
    AccessDenied,
    /// Sessions were revoked.
    Revoked,
    /// Somebody used the admin API.
    AdminAction,
    /// The signing keys changed.
    KeysRotated,
}

impl Event {
    /// The word in the line and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoginSucceeded => "login_succeeded",
            Self::LoginFailed => "login_failed",
            Self::Logout => "logout",
            Self::SessionEnded => "session_ended",
            Self::RefreshFailed => "refresh_failed",
            Self::AccessDenied => "access_denied",
            Self::Revoked => "revoked",
            Self::AdminAction => "admin_action",
            Self::KeysRotated => "keys_rotated",
        }
    }
}

/// One event. What is not known stays empty and is left out of the line.
#[derive(Clone, Copy, Default)]
pub struct Record<'a> {
    pub request_id: Option<&'a dyn Display>,
    /// The configured name.
    pub provider: Option<&'a str>,
    pub issuer: Option<&'a str>,
    pub subject: Option<&'a str>,
    pub sid: Option<&'a str>,
    /// The client's address.
    pub address: Option<&'a dyn Display>,
    /// One word or sentence, made by us.
    pub reason: Option<&'a str>,
    /// How many sessions it was about.
    pub count: Option<usize>,
}

/// Writes the event.
pub fn write(event: Event, record: Record<'_>) {
    tracing::info!(
        target: "vestibule::audit",
        event = event.as_str(),
        request_id = record.request_id.map(tracing::field::display),
        provider = record.provider,
        issuer = record.issuer,
        sub = record.subject,
        sid = record.sid,
        address = record.address.map(tracing::field::display),
        reason = record.reason,
        count = record.count,
    );
}

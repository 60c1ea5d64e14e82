//! What the provider remembers while the demo runs.
//!
//! Never a token or a code itself, only digests of them; never more than a fixed number of anything.

use std::time::Duration;

use super::people::Person;
use super::request::AuthorizationRequest;
use crate::base::{Random, Timestamp};
use crate::demo::shelf::{Digest, Shelf};

/// Everything the provider remembers.
#[derive(Debug)]
pub struct Memory {
    /// Sign-in forms that were shown and not yet sent.
    pub forms: Shelf<PendingForm>,
    /// People who are signed in here, by their cookie.
    pub sessions: Shelf<SignedIn>,
    /// Authorization codes.
    pub codes: Shelf<Code>,
    /// What was granted: tokens are worth something while their grant is here.
    pub grants: Shelf<Grant>,
    /// Access tokens, each of a grant.
    pub access_tokens: Shelf<Digest>,
    /// Refresh tokens, each of a grant.
    pub refresh_tokens: Shelf<RefreshToken>,
}

/// A form that was shown: it works once, and only in the browser that it was shown in.
#[derive(Clone, Debug)]
pub struct PendingForm {
    /// The cookie of that browser.
    pub browser: Digest,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a form is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Sign in, then go on with this.
    SignIn(AuthorizationRequest),
    /// Sign out, then go there.
    SignOut(Option<String>),
}

/// Somebody who is signed in at the provider.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub person: &'static Person,
    /// When the password was given.
    pub auth_time: Timestamp,
    /// `sid`: names this session to clients, opens nothing.
    pub sid: String,
}

/// What a code can be redeemed for.
#[derive(Clone, Debug)]
pub struct Code {
    /// What it grants.
    pub grant: Grant,
    /// Where it was sent.
    pub redirect_uri: String,
    /// PKCE.
    pub challenge: String,
    /// Goes into the ID token.
    pub nonce: Option<String>,
    /// The grant that it was redeemed for. A second redemption ends that.
    pub redeemed: Option<Digest>,
}

/// What somebody granted to the client.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who and when.
    pub session: SignedIn,
    /// The granted scope, in the order asked for.
    pub scope: Vec<String>,
}

impl Grant {
    /// Whether that scope was granted.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        self.scope.iter().any(|granted| granted == scope)
    }
}

/// A refresh token: good for one use.
#[derive(Clone, Copy, Debug)]
pub struct RefreshToken {
    /// Its grant.
    pub grant: Digest,
    /// Whether it was used. A second use ends the grant (RFC 9700 section 4.14.2).
    pub used: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            forms: Shelf::new(256, Duration::from_secs(600)),
            sessions: Shelf::new(256, SESSION_LIFE),
            codes: Shelf::new(256, Duration::from_secs(60)),
            grants: Shelf::new(256, SESSION_LIFE),
            access_tokens: Shelf::new(1024, ACCESS_TOKEN_LIFE),
            refresh_tokens: Shelf::new(4096, SESSION_LIFE),
        }
    }
}

impl Memory {
    /// Ends a session and all that was granted in it.
    pub fn end(&mut self, sid: &str) {
        self.sessions.retain(|session| session.sid != sid);
        self.grants.retain(|grant| grant.session.sid != sid);
        self.codes.retain(|code| code.grant.session.sid != sid);
    }

    /// A new access token of a grant.
    pub fn access_token(&mut self, grant: Digest, random: &dyn Random, now: Timestamp) -> String {
        self.access_tokens.put(grant, random, now)
    }
}

/// Twelve hours.
const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Short, so that a refresh can be seen.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(300);

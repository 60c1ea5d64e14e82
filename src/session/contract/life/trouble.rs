//! A store whose commands fail and whose answers are lost by chance, and one that breaks a rule on purpose.
//!
//! Must never strike while nobody acts: what the model looks at is the truth.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::super::Hook;
use super::model::LIFETIME;
use crate::session::names::Name;
use crate::session::store::{NewRecord, Record, SessionStore, StoreError, Unavailable};
use crate::session::token::SessionKey;
use crate::testing::SeededRandom;

/// What is broken on purpose, to see the model notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "breaking it is for the tests beside the code"))]
pub(in crate::session) enum Break {
    Nothing,
    /// A late write brings its session back.
    LateWrites,
    /// Nothing is left for logins to find.
    Tombstones,
    /// The number of a user's revocation is forgotten.
    Numbers,
    /// A record vanishes now and then.
    Records,
    /// A use is not noted.
    Uses,
}

/// Fails commands, and loses answers, while it is armed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) inner: Arc<dyn SessionStore>,
    broken: Break,
    lossy: bool,
    dice: SeededRandom,
    armed: AtomicBool,
    /// What revocations left for logins to find.
    left: Mutex<Vec<Name>>,
}

impl Trouble {
    pub(super) fn new(inner: &Arc<dyn SessionStore>, seed: u64, lossy: bool, broken: Break) -> Self {
        let (armed, left) = (AtomicBool::new(false), Mutex::default());
        Self { inner: Arc::clone(inner), broken, lossy, dice: SeededRandom::new(seed), armed, left }
    }

    /// Something that may fail begins, or is over.
    pub(super) fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::SeqCst);
    }

    /// A revocation is about to leave that behind.
    pub(super) fn leaves(&self, name: Name) {
        self.left.lock().unwrap().push(name);
    }

    fn strike(&self, command: &str) -> Result<(), StoreError> {
        // Uses are noted whenever the writer has its turn: a seed could not say which draw is theirs.
        if command == "touch_session"
            || !self.lossy
            || !self.armed.load(Ordering::SeqCst)
            || !self.dice.next().is_multiple_of(40)
        {
            return Ok(());
        }
        Err(StoreError::Unavailable(Unavailable::Deadline))
    }

    async fn spoil(&self, command: &str, on: &str) -> Result<(), StoreError> {
        let key = SessionKey::parse(on);
        match (self.broken, command, key) {
            (Break::LateWrites, "replace_session", Some(key)) => {
                let record = Record { version: 1, sealed: bytes::Bytes::new() };
                self.inner.create_session(&key, NewRecord { record: &record, operator: b"" }, LIFETIME).await?;
            }
            (Break::Records, "read_session", Some(key)) if self.dice.next().is_multiple_of(50) => {
                self.inner.delete_session(&key).await?;
            }
            (Break::Uses, "touch_session", _) => return Err(StoreError::Unavailable(Unavailable::Deadline)),
            (Break::Tombstones, "is_marked", _) | (Break::Numbers, "read_number", _) => {
                let left = self.left.lock().unwrap().iter().find(|name| name.as_str() == on).cloned();
                if let Some(name) = left {
                    self.inner.unpoint(&name).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Hook for Trouble {
    async fn before(&self, command: &'static str, on: &str) -> Result<(), StoreError> {
        self.spoil(command, on).await?;
        self.strike(command)
    }

    async fn after(&self, command: &'static str, _: &str) -> Result<(), StoreError> {
        self.strike(command)
    }
}

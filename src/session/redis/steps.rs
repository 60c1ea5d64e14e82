//! Several steps in one script, where Redis holds all keys in one place.
//!
//! A script of one step works everywhere. One of many names keys of many slots, which a cluster does not take; there each step is a
//! command of its own.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use fred::error::Error;
use fred::prelude::Value;
use fred::types::{ClusterHash, CustomCommand};
use fred::util::redis_keyslot;

use super::commands::milliseconds;
use super::{Link, failure, scripts};
use crate::session::names::Name;
use crate::session::steps::Step;
use crate::session::store::StoreError;

impl Link {
    /// Carries steps out in one go. `None`: the store holds their keys in several places, and did nothing.
    pub(super) async fn carry_out(&self, stages: &[&[Step<'_>]]) -> Result<Option<Vec<u64>>, StoreError> {
        if self.connection.is_clustered() || self.shared.apart.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let done = self.within(Box::pin(async {
            match self.steps(stages).await {
                // Some clusters look like one server.
                Err(error) if failure::is_across_slots(&error) => Ok(None),
                answer => answer.map(Some),
            }
        }));
        let done = done.await?;
        if done.is_none() {
            self.shared.apart.store(true, Ordering::Relaxed);
        }
        Ok(done)
    }

    /// Carries one step out, which names keys of one slot.
    pub(super) async fn carry_out_one(&self, step: Step<'_>) -> Result<bool, StoreError> {
        let answers = self.within(Box::pin(self.steps(&[&[step]]))).await?;
        Ok(answers == [1])
    }

    async fn steps(&self, stages: &[&[Step<'_>]]) -> Result<Vec<u64>, Error> {
        let steps = || stages.iter().copied().flatten();
        let slot = steps().next().map_or(0, |step| redis_keyslot(first_key(step).as_str().as_bytes()));
        let call = |command, script: &str| {
            let mut words = Words::with_capacity(steps().map(weight).sum::<usize>() + script.len());
            words.push(script.as_bytes());
            words.push(steps().map(keys).sum::<usize>().to_string().as_bytes());
            steps().for_each(|step| write_keys(step, &mut words));
            words.push(steps().map(letter).collect::<String>().as_bytes());
            steps().for_each(|step| write_arguments(step, &mut words));
            (CustomCommand::new_static(command, ClusterHash::Custom(slot), false), words.values())
        };
        self.script_called(&scripts::STEPS, call).await
    }
}

/// The words of a command, in one buffer: the client copies each of them several times.
struct Words {
    buffer: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    fn with_capacity(bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), ends: Vec::with_capacity(WORDS) }
    }

    fn push(&mut self, word: &[u8]) {
        self.buffer.extend_from_slice(word);
        self.ends.push(self.buffer.len());
    }

    fn show(&mut self, word: impl Display) {
        let _ = write!(self.buffer, "{word}");
        self.ends.push(self.buffer.len());
    }

    fn values(self) -> Vec<Value> {
        let (all, mut start) = (Bytes::from(self.buffer), 0);
        let word = |end| Value::Bytes(all.slice(std::mem::replace(&mut start, end)..end));
        self.ends.into_iter().map(word).collect()
    }
}

/// How the script knows a step.
fn letter(step: &Step<'_>) -> char {
    match step {
        Step::ReadNumber(_) => 'n',
        Step::IsMarked(_) => 'm',
        Step::MarkOnce { .. } => 'o',
        Step::Point { .. } => 'p',
        Step::AddMember { .. } => 'a',
        Step::CreateSession { .. } => 'c',
    }
}

/// About how many bytes its words have, rather more than fewer.
fn weight(step: &Step<'_>) -> usize {
    match step {
        Step::CreateSession { new, .. } => new.record.sealed.len() + new.operator.len() + 4 * SMALL,
        _ => 2 * SMALL,
    }
}

fn keys(step: &Step<'_>) -> usize {
    if matches!(step, Step::CreateSession { .. }) { 2 } else { 1 }
}

fn first_key<'a>(step: &Step<'a>) -> Cow<'a, Name> {
    match *step {
        Step::ReadNumber(name) | Step::IsMarked(name) => Cow::Borrowed(name),
        Step::MarkOnce { name, .. } | Step::Point { name, .. } => Cow::Borrowed(name),
        Step::AddMember { index, .. } => Cow::Borrowed(index),
        Step::CreateSession { key, .. } => Cow::Owned(Name::record(key)),
    }
}

fn write_keys(step: &Step<'_>, words: &mut Words) {
    words.push(first_key(step).as_str().as_bytes());
    if let Step::CreateSession { key, .. } = step {
        words.push(Name::operator(key).as_str().as_bytes());
    }
}

fn write_arguments(step: &Step<'_>, words: &mut Words) {
    match step {
        Step::ReadNumber(_) | Step::IsMarked(_) => {}
        Step::MarkOnce { ttl, .. } => words.show(milliseconds(*ttl)),
        Step::Point { to, ttl, .. } => {
            words.show(to);
            words.show(milliseconds(*ttl));
        }
        Step::AddMember { member, ttl, .. } => {
            words.show(member);
            words.show(milliseconds(*ttl));
        }
        Step::CreateSession { new, ttl, .. } => {
            words.buffer.extend_from_slice(&new.record.version.to_be_bytes());
            words.push(&new.record.sealed);
            words.push(new.operator);
            words.show(milliseconds(*ttl));
        }
    }
}

/// No name, member or number is longer.
const SMALL: usize = 128;
/// How many words a login has, or more.
const WORDS: usize = 32;

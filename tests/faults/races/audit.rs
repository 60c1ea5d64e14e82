//! The whole store when nothing is under way, in one look.
//!
//! Must never be taken while something runs: what a login has half written is no orphan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::journal::{kind_of, may_last, session_of};
use crate::support::Redis;
use crate::support::redis::Reply;

/// Everything at one moment: a script is one command.
const LOOK: &str = "
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local held = {}
  if kind == 'zset' then held = redis.call('ZRANGE', key, 0, -1) end
  if string.find(key, '^vestibule:sid:') then held = { redis.call('GET', key) } end
  all[#all + 1] = { key, redis.call('PTTL', key), held }
end
return all";

/// What is wrong in the store. `lifetime` is how long anything may last.
pub(crate) fn audit(redis: &Redis, lifetime: Duration) -> Vec<String> {
    let mut wrong = Vec::new();
    let Reply::List(all) = redis.command(&["EVAL", LOOK, "0"]) else {
        return vec!["the store shows nothing".to_owned()];
    };
    let mut kinds: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for one in all {
        let Reply::List(parts) = one else { continue };
        let (key, Reply::Number(left), Reply::List(held)) = (parts[0].text(), &parts[1], &parts[2]) else { continue };
        let most = i64::try_from(lifetime.as_millis()).unwrap();
        if *left > most || *left < 0 && !may_last(&key) {
            wrong.push(format!("{key} has {left} ms to live"));
        }
        let kind = kind_of(&key).to_owned();
        kinds.entry(kind).or_default().insert(key, held.iter().map(Reply::text).collect());
    }
    let none = BTreeMap::new();
    let of = |kind: &str| kinds.get(kind).unwrap_or(&none);
    for kind in kinds.keys() {
        let known = [
            "session",
            "seen",
            "operator",
            "sid",
            "user",
            "provider-sid",
            "sessions",
            "sequence",
            "generation",
            "revoked",
            "beat",
            "tombstone",
            "attempt",
            "burnt",
            "managed",
        ];
        // A lease that outlives its refresh is none of these.
        if !known.contains(&kind.as_str()) {
            wrong.push(format!("what is {:?}?", of(kind).keys()));
        }
    }
    let lives: BTreeSet<&str> = of("session").keys().map(|key| session_of(key)).collect();
    for kind in ["seen", "operator"] {
        let orphans = of(kind).keys().filter(|key| !lives.contains(session_of(key)));
        wrong.extend(orphans.map(|key| format!("{key} belongs to no session")));
    }
    for kind in ["user", "provider-sid", "sessions", "sid"] {
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, members) in of(kind) {
            for member in members {
                let session = session_of(member);
                *named.entry(session).or_default() += 1;
                if !lives.contains(session) {
                    wrong.push(format!("{index} names {session}, which is no session"));
                }
            }
        }
        for life in &lives {
            if named.get(life) != Some(&1) {
                wrong.push(format!("the session {life} is named by {:?} of the kind `{kind}`", named.get(life)));
            }
        }
    }
    let seen: BTreeSet<&str> = of("operator").keys().map(|key| session_of(key)).collect();
    wrong.extend(lives.difference(&seen).map(|life| format!("operators do not see the session {life}")));
    wrong
}

//! What Redis has no single command for. Each script works on the keys of one slot, so that a cluster takes it; `STEPS` does so when it
//! is given one step at a time.
//!
//! No script knows the time of a gateway: where time matters, it is Redis' own.

use std::fmt::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use fred::prelude::Value;
use fred::types::{ClusterHash, CustomCommand};
use fred::util::redis_keyslot;

/// A script and the name by which Redis remembers it.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        // Redis names scripts by SHA-1; nothing rests on it.
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let hash = digest.as_ref().iter().fold(String::with_capacity(40), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        Self { text, hash }
    }

    pub(super) fn text(&self) -> &str {
        self.text
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// `EVALSHA hash n keys… args…`, or the same with `EVAL` and the text.
    pub(super) fn call(
        &self,
        command: &'static str,
        script: &str,
        keys: &[&str],
        args: &[Value],
    ) -> (CustomCommand, Vec<Value>) {
        let mut all = Vec::with_capacity(2 + keys.len() + args.len());
        all.push(Value::from(script));
        all.push(Value::from(i64::try_from(keys.len()).unwrap_or(0)));
        all.extend(keys.iter().map(|key| Value::from(*key)));
        all.extend_from_slice(args);
        // The client would take the hash of what comes first, the script's name; told of an offset it does the same.
        let slot = keys.first().map_or(0, |key| redis_keyslot(key.as_bytes()));
        (CustomCommand::new_static(command, ClusterHash::Custom(slot), false), all)
    }
}

/// The keys of all steps | a letter for each step, the arguments of all steps: a number for each step. `steps` writes them.
pub(super) static STEPS: LazyLock<Script> = LazyLock::new(|| Script::new(STEPS_TEXT));

const STEPS_TEXT: &str = "local answers, key, arg, now = {}, 1, 2, nil
for at = 1, #ARGV[1] do
  local step, answer = ARGV[1]:sub(at, at), 1
  if step == 'n' then
    answer = redis.call('GET', KEYS[key]) or 0
  elseif step == 'm' then
    answer = redis.call('EXISTS', KEYS[key])
  elseif step == 'o' then
    if not redis.call('SET', KEYS[key], '1', 'NX', 'PX', ARGV[arg]) then answer = 0 end
    arg = arg + 1
  elseif step == 'p' then
    redis.call('SET', KEYS[key], ARGV[arg], 'PX', ARGV[arg + 1])
    arg = arg + 2
  elseif step == 'a' then
    if not now then
      local time = redis.call('TIME')
      now = time[1] * 1000 + math.floor(time[2] / 1000)
    end
    redis.call('ZREMRANGEBYSCORE', KEYS[key], '-inf', now)
    redis.call('ZADD', KEYS[key], now + ARGV[arg + 1], ARGV[arg])
    if redis.call('PTTL', KEYS[key]) < tonumber(ARGV[arg + 1]) then redis.call('PEXPIRE', KEYS[key], ARGV[arg + 1]) end
    arg = arg + 2
  elseif step == 'c' then
    if redis.call('SET', KEYS[key], ARGV[arg], 'NX', 'PX', ARGV[arg + 2]) then
      redis.call('SET', KEYS[key + 1], ARGV[arg + 1], 'PX', ARGV[arg + 2])
    else
      answer = 0
    end
    key, arg = key + 1, arg + 3
  end
  answers[at], key = answer, key + 1
end
return answers";

/// record | expected version, record: 0 gone, 1 conflict, 2 replaced. A record begins with its version in 8 bytes.
pub(super) static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local version = redis.call('GETRANGE', KEYS[1], 0, 7)
if version == '' then return 0 end
if version ~= ARGV[1] then return 1 end
redis.call('SET', KEYS[1], ARGV[2], 'XX', 'KEEPTTL')
return 2",
    )
});

/// record, activity, operator: the operators' record, empty if there was none; nil when there was no record.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local operator = redis.call('GET', KEYS[3])
local existed = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2], KEYS[3])
if existed == 0 then return false end
return operator or ''",
    )
});

/// The same | when it was last used, empty for never: does nothing when that is another moment by now.
pub(super) static DELETE_UNSEEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return false end
local operator = redis.call('GET', KEYS[3])
local existed = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2], KEYS[3])
if existed == 0 then return false end
return operator or ''",
    )
});

/// record, activity | moment
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local left = redis.call('PTTL', KEYS[1])
if left < 1 then return 0 end
local seen = tonumber(redis.call('GET', KEYS[2]) or '')
if not seen or seen < tonumber(ARGV[1]) then redis.call('SET', KEYS[2], ARGV[1], 'PX', left) end
return 1",
    )
});

/// number | at least, ttl or empty
pub(super) static RAISE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local number = ARGV[1]
local have = redis.call('GET', KEYS[1])
if have and tonumber(have) > tonumber(number) then number = have end
if ARGV[2] == '' then
  redis.call('SET', KEYS[1], number)
else
  redis.call('SET', KEYS[1], number, 'PX', math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2])))
end
return 1",
    )
});

/// lease | owner, ttl
pub(super) static RENEW_LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// lease | owner
pub(super) static RELEASE_LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])",
    )
});

/// value | expected version or empty, value
pub(super) static SWAP_SHARED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1",
    )
});

/// guard, fresh | ttl: in this order, so that whoever hears of the second has heard of the first.
pub(super) static BEAT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
redis.call('SET', KEYS[2], '', 'PX', ARGV[1])
return 1",
    )
});

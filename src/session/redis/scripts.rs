//! What Redis has no single command for. Each script works on the keys of one slot, so that a cluster takes it.
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

/// record, operator | record, operator, ttl
pub(super) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[3]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1",
    )
});

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

/// index | member, ttl
pub(super) static ADD_MEMBER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
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

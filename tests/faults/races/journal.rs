//! Every command that the store carried out, in order, as it tells by `MONITOR`; and what they did, judged one by one.
//!
//! Must never ask the gateway: it knows the names in the store from the documentation of their layout alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::codec::{b64url, random_name, sha256};
use crate::support::{Redis, eventually};

/// Microseconds since 1970, by the clock that this process and the store share.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: u64,
    /// Who sent it; `lua` for what a script did.
    pub(crate) by: String,
    /// Its words, the first bytes of each.
    pub(crate) words: Vec<Vec<u8>>,
}

impl Line {
    fn word(&self, at: usize) -> String {
        self.words.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default()
    }
}

pub(crate) struct Journal(Arc<Mutex<Vec<Line>>>);

impl Journal {
    /// Begins to listen; what comes later is in it.
    pub(crate) fn start(redis: &Redis) -> Self {
        let mut stream = TcpStream::connect(redis.address()).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut reader = BufReader::with_capacity(1 << 20, stream);
        let mut first = String::new();
        reader.read_line(&mut first).unwrap();
        assert_eq!(first, "+OK\r\n");
        let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
        let into = Arc::clone(&lines);
        // Ends with the server.
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                into.lock().unwrap().extend(parse(&line));
                line.clear();
            }
        });
        Self(lines)
    }

    /// Waits until everything that was carried out before is in it.
    pub(crate) async fn catch_up(&self, redis: &Redis) {
        let mark = random_name("mark-");
        redis.cli(&["ECHO", &mark]);
        eventually("the store's journal", Duration::from_secs(10), || async {
            let lines = self.0.lock().unwrap();
            lines.iter().rev().any(|line| line.words.last().is_some_and(|word| word == mark.as_bytes())).then_some(())
        })
        .await;
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().clone()
    }
}

/// `+1700000000.123456 [0 127.0.0.1:1234] "SET" "key" "\x00value"`
fn parse(line: &[u8]) -> Option<Line> {
    let text = line.strip_prefix(b"+")?;
    let open = memchr::memchr(b'[', text)?;
    let close = memchr::memchr(b']', text)?;
    let at = std::str::from_utf8(&text[..open]).ok()?.trim().replace('.', "").parse().ok()?;
    let by = String::from_utf8_lossy(&text[open + 1..close]).split(' ').nth(1)?.to_owned();
    let (mut words, mut rest) = (Vec::new(), &text[close + 1..]);
    while let Some(start) = memchr::memchr(b'"', rest) {
        rest = &rest[start + 1..];
        let end = end_of_word(rest)?;
        // Records are long, and only how they begin says anything.
        words.push(unescape(&rest[..end], 96));
        rest = &rest[end + 1..];
    }
    Some(Line { at, by, words })
}

fn end_of_word(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', &text[from..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

fn unescape(text: &[u8], most: usize) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let ([first, after @ ..], true) = (rest, bytes.len() < most) {
        let (byte, after) = match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(), after)
            }
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b't', after @ ..]) => (b'\t', after),
            (b'\\', [b'a', after @ ..]) => (7, after),
            (b'\\', [b'b', after @ ..]) => (8, after),
            (b'\\', [other, after @ ..]) => (*other, after),
            (byte, after) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// The name of what belongs to a user, a session at the provider, or the like.
pub(crate) fn named(kind: &str, parts: &[&str]) -> String {
    let mut bytes = kind.as_bytes().to_vec();
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    format!("vestibule:{kind}:{}", b64url(&sha256(&bytes)))
}

/// The session that a member or a braced name speaks of.
pub(crate) fn session_of(name: &str) -> &str {
    name.rsplit('{').next().unwrap_or(name).split(['}', '.']).next().unwrap_or(name)
}

/// What a key is for. What a near cache follows is named like a record.
pub(crate) fn kind_of(key: &str) -> &str {
    match key.split(':').nth(1).unwrap_or_default() {
        "session" if key == "vestibule:session:{generation}" => "generation",
        "session" if key.contains("}:beat:") => "beat",
        kind => kind,
    }
}

/// Whether a key may live for ever.
pub(crate) fn may_last(key: &str) -> bool {
    key.starts_with("vestibule:managed:") || matches!(key, "vestibule:sequence" | "vestibule:session:{generation}")
}

/// Something that must not be, and where the journal shows it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) at: u64,
    pub(crate) session: String,
    pub(crate) what: String,
    /// Whether it may be while nobody holds the session's cookie: a login that a revocation covers is found out by its own last
    /// look, and until then its record may be there without a name.
    pub(crate) may_pass: bool,
}

/// The life of a session's record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
}

/// What the commands did.
#[derive(Default)]
pub(crate) struct Replay {
    pub(crate) findings: Vec<Finding>,
    pub(crate) lives: BTreeMap<String, Life>,
    /// Every session that an index ever named, and its `born`.
    pub(crate) members: BTreeMap<String, BTreeMap<String, u64>>,
    /// The numbers written under a name, and when.
    numbers: BTreeMap<String, Vec<(u64, u64)>>,
    /// Which version of a record stands.
    versions: BTreeMap<String, u64>,
    /// By kind of index, who is named now, and where.
    named: BTreeMap<(String, String), BTreeSet<String>>,
    pointers: BTreeMap<String, String>,
    /// Of which sessions there is something beside the record.
    beside: BTreeSet<String>,
    touched: BTreeSet<String>,
}

impl Replay {
    pub(crate) fn of(lines: &[Line]) -> Self {
        let mut replay = Self::default();
        for line in lines {
            // A script is one step: the state counts when it is over.
            if line.by != "lua" {
                replay.judge(line.at);
            }
            replay.apply(line);
        }
        replay.judge(lines.last().map_or(0, |line| line.at));
        replay
    }

    /// Whether there was a record of that session at a moment.
    pub(crate) fn lived(&self, session: &str, at: u64) -> bool {
        self.lives.get(session).is_some_and(|life| life.from <= at && life.to.is_none_or(|to| to > at))
    }

    /// The number that stood under a name at a moment.
    pub(crate) fn number(&self, name: &str, at: u64) -> Option<u64> {
        self.numbers.get(name)?.iter().rev().find(|(written, _)| *written <= at).map(|(_, number)| *number)
    }

    fn is_there(&self, session: &str) -> bool {
        self.versions.contains_key(session)
    }

    fn find(&mut self, at: u64, session: &str, what: String) {
        self.findings.push(Finding { at, session: session.to_owned(), what, may_pass: false });
    }

    /// Who is there is named, and nothing is there of who is not.
    fn judge(&mut self, at: u64) {
        for session in std::mem::take(&mut self.touched) {
            if !self.is_there(&session) {
                if self.beside.contains(&session) {
                    self.find(at, &session, "activity or an operators' record without a session".to_owned());
                }
                continue;
            }
            for kind in ["user", "provider-sid", "sessions", "sid"] {
                let places = self.named.get(&(kind.to_owned(), session.clone())).map_or(0, BTreeSet::len);
                if places != 1 {
                    let what = format!("a living session is named by {places} of the kind `{kind}`");
                    self.findings.push(Finding { at, session: session.clone(), what, may_pass: true });
                }
            }
        }
    }

    fn apply(&mut self, line: &Line) {
        let key = line.word(1);
        match line.word(0).to_uppercase().as_str() {
            "SET" => self.set(line, &key),
            "DEL" | "UNLINK" => {
                for at in 1..line.words.len() {
                    self.delete(line.at, &line.word(at));
                }
            }
            "ZADD" => {
                let member = line.word(3);
                let session = session_of(&member).to_owned();
                let born = member.split('.').nth(1).and_then(|born| born.parse().ok()).unwrap_or(u64::MAX);
                self.members.entry(key.clone()).or_default().insert(session.clone(), born);
                self.name(&key, &session, true);
            }
            "ZREM" => {
                for at in 2..line.words.len() {
                    self.name(&key, session_of(&line.word(at)), false);
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, line: &Line, key: &str) {
        let options: Vec<String> = (3..line.words.len()).map(|at| line.word(at).to_uppercase()).collect();
        let has = |option: &str| options.iter().any(|word| word == option);
        let session = session_of(key).to_owned();
        if !may_last(key) && !has("PX") && !has("EX") && !has("KEEPTTL") {
            self.find(line.at, &session, format!("{key} is written without an expiry"));
        }
        match kind_of(key) {
            "session" => {
                let before = self.versions.get(&session).copied();
                if has("NX") && before.is_some() || has("XX") && before.is_none() {
                    return;
                }
                let version = line.words[2].first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                if version != before.unwrap_or(0) + 1 {
                    self.find(line.at, &session, format!("version {version} is written over {before:?}"));
                }
                if before.is_none() && self.lives.insert(session.clone(), Life { from: line.at, to: None }).is_some() {
                    self.find(line.at, &session, "it came back after its end".to_owned());
                }
                self.versions.insert(session.clone(), version);
                self.touched.insert(session);
            }
            "seen" | "operator" => {
                self.beside.insert(session.clone());
                self.touched.insert(session);
            }
            "sid" => {
                let session = line.word(2);
                self.pointers.insert(key.to_owned(), session.clone());
                self.name(key, &session, true);
            }
            "revoked" | "generation" => {
                let number = line.word(2).parse().unwrap_or(0);
                let known = self.numbers.entry(key.to_owned()).or_default();
                let before = known.last().map_or(0, |(_, number)| *number);
                known.push((line.at, number));
                if number < before {
                    self.find(line.at, &session, format!("{number} is written over the greater {before}"));
                }
            }
            _ => {}
        }
    }

    fn delete(&mut self, at: u64, key: &str) {
        let session = session_of(key).to_owned();
        match kind_of(key) {
            "session" => {
                if self.versions.remove(&session).is_some()
                    && let Some(life) = self.lives.get_mut(&session)
                {
                    life.to = Some(at);
                }
                self.touched.insert(session);
            }
            // Activity and the operators' record go by one command.
            "operator" => {
                self.beside.remove(&session);
            }
            "sid" => {
                if let Some(session) = self.pointers.remove(key) {
                    self.name(key, &session, false);
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, index: &str, session: &str, there: bool) {
        let kind = index.split(':').nth(1).unwrap_or_default().to_owned();
        let places = self.named.entry((kind, session.to_owned())).or_default();
        if there {
            places.insert(index.to_owned());
        } else {
            places.remove(index);
        }
        self.touched.insert(session.to_owned());
    }
}

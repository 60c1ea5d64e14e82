//! A child process whose output is kept and which never outlives its test.
//!
//! Must never leave a child behind, stopped ones included.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Signals that tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End in order.
    Term,
    /// End at once.
    Kill,
    /// Stand still, sockets open.
    Stop,
    /// Go on.
    Cont,
    /// Reload.
    Hup,
    /// As from a terminal.
    Int,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
            Self::Hup => "HUP",
            Self::Int => "INT",
        }
    }
}

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    read_whole: [JoinHandle<()>; 2],
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` in a process group of its own, so that what it starts ends with it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        let (stdout, read_out) = keep(child.stdout.take().expect("stdout is piped"));
        let (stderr, read_err) = keep(child.stderr.take().expect("stderr is piped"));
        Self { name: name.to_owned(), child, stdout, stderr, read_whole: [read_out, read_err], ended: None }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process and to what it started.
    pub fn signal(&mut self, signal: Signal) {
        if self.has_ended().is_some() {
            return;
        }
        // A signal by `kill`, because the standard library sends none but KILL.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-s", signal.name(), "--", &group]).stderr(Stdio::null()).status();
    }

    /// Its exit status once it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(start.elapsed() < limit, "{} has not ended within {limit:?}\n{}", self.name, self.output());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until `pick` finds something in a line of stdout or stderr.
    ///
    /// # Errors
    /// With all output when the process ends first, or when `limit` has passed.
    pub async fn line<T>(&mut self, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let start = Instant::now();
        loop {
            // Asked before the output is read: what it wrote before its end still counts.
            let ended = self.has_ended();
            if let Some(found) = self.output().lines().find_map(&pick) {
                return Ok(found);
            }
            if let Some(status) = ended {
                // What it wrote last is still on its way through the pipes.
                while !self.read_whole.iter().all(JoinHandle::is_finished) && start.elapsed() < limit {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                return Err(format!("{} has ended ({status})\n{}", self.name, self.output()));
            }
            if start.elapsed() >= limit {
                return Err(format!("{} did not say it within {limit:?}\n{}", self.name, self.output()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Both, stdout first.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout(), self.stderr())
    }

    /// Resident memory in bytes, from `/proc`.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // What a failed test needs to be understood; cargo shows it with the failure.
            let output = self.output();
            let from = output.char_indices().rev().nth(20_000).map_or(0, |(at, _)| at);
            println!("---- {} ----\n{}", self.name, &output[from..]);
        }
    }
}

/// Reads a pipe to its end in a thread, so that a busy test never blocks the child's writes.
fn keep(mut pipe: impl Read + Send + 'static) -> (Arc<Mutex<Vec<u8>>>, JoinHandle<()>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&kept);
    let thread = std::thread::spawn(move || {
        let mut part = [0; 8192];
        while let Ok(n @ 1..) = pipe.read(&mut part) {
            into.lock().unwrap().extend_from_slice(&part[..n]);
        }
    });
    (kept, thread)
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
}

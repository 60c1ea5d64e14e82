//! A TCP proxy that breaks on request, and one that deals connections out to replicas.
//!
//! Must never understand what it carries.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// They pass late: each piece waits so long.
    Delay(Duration),
    /// They pass late, each piece by a time of its own: see [`drawn`].
    Jitter {
        /// What the times are drawn from.
        seed: u64,
        /// The longest.
        most: Duration,
    },
    /// They wait until the mode changes, as in a queue that is full; none is lost.
    Stall,
    /// They are swallowed both ways while connections stay open; new connections are accepted and say nothing.
    Blackhole,
    /// Only what the server says is swallowed: requests still take effect.
    SwallowAnswers,
    /// What clients say on new connections is said a second time, on a connection of its own; the answers to that are nobody's.
    Twice,
    /// Every connection is closed, new ones at once.
    Cut,
}

#[derive(Clone, Copy)]
struct State {
    mode: Mode,
    cuts: u64,
    strands: u64,
}

/// The proxy; ends with the value.
pub struct FaultProxy {
    /// Where it listens.
    pub address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    mode: watch::Sender<State>,
    accepted: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl FaultProxy {
    /// In front of one server.
    pub async fn start(target: SocketAddr) -> Self {
        Self::round_robin(vec![target]).await
    }

    /// In front of several: each connection goes to the next.
    pub async fn round_robin(targets: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = Arc::new(Mutex::new(targets));
        let (mode, watched) = watch::channel(State { mode: Mode::Pass, cuts: 0, strands: 0 });
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut server = JoinSet::new();
        let (known, counted) = (Arc::clone(&targets), Arc::clone(&accepted));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let n = counted.fetch_add(1, Ordering::SeqCst);
                let target = {
                    let known = known.lock().unwrap();
                    if known.is_empty() { None } else { Some(known[n % known.len()]) }
                };
                if let Some(target) = target {
                    connections.spawn(carry(client, target, n, watched.clone()));
                }
            }
        });
        Self { address, targets, mode, accepted, _server: server }
    }

    /// Sends new connections elsewhere.
    pub fn point_at(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock().unwrap() = targets;
    }

    /// Changes what happens, for open connections too.
    pub fn set(&self, mode: Mode) {
        self.mode.send_modify(|state| {
            state.mode = mode;
            state.cuts += u64::from(mode == Mode::Cut);
        });
    }

    /// Closes what is open; new connections pass.
    pub fn cut_once(&self) {
        self.set(Mode::Cut);
        self.set(Mode::Pass);
    }

    /// Both sides of what is open never hear of each other again, and are not told; new connections pass. What comes of
    /// connections that have lost bytes: no network goes on with such a one.
    pub fn strand(&self) {
        self.mode.send_modify(|state| {
            state.mode = Mode::Pass;
            state.strands += 1;
        });
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// How long the piece of that number waits under [`Mode::Jitter`]: half of them not at all, the others up to `most`. `way` is
/// twice the connection's number, and one more for what the server says.
pub fn drawn(seed: u64, most: Duration, way: usize, piece: usize) -> Duration {
    // SplitMix64, over all of them.
    let mut mixed = seed ^ (way as u64).wrapping_mul(0xd134_2543_de82_ef95) ^ (piece as u64) << 20;
    for factor in [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb] {
        mixed = (mixed ^ mixed >> 30).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(factor);
    }
    mixed ^= mixed >> 31;
    if mixed & 1 == 0 { Duration::ZERO } else { most * u32::try_from(mixed >> 40 & 0xff).unwrap_or(0) / 255 }
}

async fn carry(client: TcpStream, target: SocketAddr, number: usize, mut state: watch::Receiver<State>) {
    let _ = client.set_nodelay(true);
    let born = *state.borrow_and_update();
    if born.mode == Mode::Cut {
        return;
    }
    // A connection begun in a blackhole is open for the client, and nothing comes of it until the mode changes.
    if born.mode == Mode::Blackhole {
        let _ = state.wait_for(|state| state.mode != Mode::Blackhole).await;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = server.set_nodelay(true);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let watched = state.clone();
    let second = if born.mode == Mode::Twice { TcpStream::connect(target).await.ok() } else { None };
    let both = async {
        tokio::join!(
            pump(client_read, server_write, watched.clone(), number * 2, second),
            pump(server_read, client_write, watched.clone(), number * 2 + 1, None),
        );
    };
    tokio::select! {
        () = both => {}
        // By number: a cut that is over at once would be overlooked by the mode alone.
        _ = state.wait_for(|state| state.cuts != born.cuts) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    way: usize,
    second: Option<TcpStream>,
) {
    let answers = way % 2 == 1;
    let strands = state.borrow().strands;
    let mut pieces = 0;
    let mut part = vec![0; 16 * 1024];
    let (mut unheard, mut second) = second.map(TcpStream::into_split).unzip();
    while let Ok(n @ 1..) = from.read(&mut part).await {
        let State { mode, strands: stranded, .. } = *state.borrow();
        if stranded != strands {
            continue;
        }
        match mode {
            Mode::Pass | Mode::Cut | Mode::Twice => {}
            Mode::Delay(time) => tokio::time::sleep(time).await,
            Mode::Jitter { seed, most } => tokio::time::sleep(drawn(seed, most, way, pieces)).await,
            Mode::Stall => drop(state.wait_for(|state| state.mode != Mode::Stall).await),
            Mode::Blackhole => continue,
            Mode::SwallowAnswers if answers => continue,
            Mode::SwallowAnswers => {}
        }
        pieces += 1;
        if let Some(second) = &mut second {
            let _ = second.write_all(&part[..n]).await;
        }
        if to.write_all(&part[..n]).await.is_err() {
            break;
        }
    }
    if state.borrow().strands != strands {
        return std::future::pending().await;
    }
    let _ = to.shutdown().await;
    if let Some(mut unheard) = unheard.take() {
        drop(second.take());
        while let Ok(1..) = unheard.read(&mut part).await {}
    }
}

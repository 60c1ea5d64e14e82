//! What happens in one race, drawn from its seed.
//!
//! Must never ask anything but the seed: the same seed is the same plan.

use std::fmt;
use std::time::Duration;

/// What ends sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// The person signs out.
    Logout,
    /// The provider's logout token for a `sub`.
    BackchannelSub,
    /// The provider's logout token for a `sid`.
    BackchannelSid,
    /// The provider's frame, by issuer and `sid`.
    Frame,
    /// An operator ends one session.
    AdminSession,
    /// An operator ends all of a user.
    AdminUser,
    /// An operator ends everybody's.
    Everybody,
}

/// What goes on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Activity {
    /// The session's tokens are renewed, at one replica or both.
    Refresh,
    /// The session is used, so late that its use is noted.
    Touch,
    /// The same user signs in once more.
    Login,
}

pub(crate) const ACTIVITIES: [Activity; 3] = [Activity::Refresh, Activity::Touch, Activity::Login];

/// When the ending is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// So long after the activity.
    After(Duration),
    /// So long after the provider was asked for tokens, while its answer waits.
    AtTokens(Duration),
    /// So long after the first answer to the activity.
    AtAnswer(Duration),
}

/// One race.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) ending: Ending,
    pub(crate) activity: Activity,
    /// Whose sessions they are: nobody else's in this store.
    pub(crate) user: String,
    /// Where the session begins that is to end.
    pub(crate) begins_at: usize,
    /// Where and when its end is asked for.
    pub(crate) ends_at: usize,
    pub(crate) start: Start,
    /// Where and when it is used meanwhile.
    pub(crate) uses: Vec<(usize, Duration)>,
    /// Where the other login begins and comes back.
    pub(crate) login_at: (usize, usize),
    /// How long the provider's tokens are on their way.
    pub(crate) tokens_take: Duration,
    /// Whether the other login is of the browser that holds the session.
    pub(crate) same_browser: bool,
    /// Whether it is of the same session at the provider.
    pub(crate) same_sid: bool,
    /// Whether there is one more login when all is over, and where.
    pub(crate) afterwards: Option<usize>,
}

impl Plan {
    pub(crate) fn new(seed: u64, ending: Ending, activity: Activity, replicas: usize) -> Self {
        let mut dice = Dice(seed ^ (ending as u64) << 40 ^ (activity as u64) << 48);
        let start = match (activity, dice.below(2)) {
            (_, 0) => Start::After(dice.time(if activity == Activity::Touch { 12 } else { 50 })),
            (Activity::Touch, _) => Start::AtAnswer(dice.time(2)),
            _ => Start::AtTokens(dice.time(30)),
        };
        let uses = match activity {
            Activity::Login => 0,
            Activity::Refresh => 1 + dice.below(3),
            Activity::Touch => 1 + dice.below(4),
        };
        Self {
            seed,
            ending,
            activity,
            user: format!("{ending:?}-{activity:?}-{seed}"),
            begins_at: dice.below(replicas),
            ends_at: dice.below(replicas),
            start,
            uses: (0..uses).map(|_| (dice.below(replicas), dice.time(8))).collect(),
            login_at: (dice.below(replicas), dice.below(replicas)),
            tokens_take: dice.time(40),
            same_browser: dice.below(4) == 0,
            same_sid: dice.below(2) == 0,
            afterwards: (activity == Activity::Login || dice.below(4) == 0).then(|| dice.below(replicas)),
        }
    }

    /// Whether the ending means a session of the user's that names that session at the provider.
    pub(crate) fn is_by_user(&self) -> bool {
        matches!(self.ending, Ending::BackchannelSub | Ending::AdminUser | Ending::Everybody)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEED={} {:?} against {:?}", self.seed, self.ending, self.activity)
    }
}

/// Numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap() % n
    }

    /// Up to so many milliseconds.
    fn time(&mut self, most: usize) -> Duration {
        Duration::from_millis(self.below(most + 1) as u64)
    }
}

/// The seeds to run: 1 to 100, or `SEED=n`, or `SEEDS=from..to` (both included).
pub(crate) fn seeds() -> Vec<u64> {
    let number = |text: &str| text.trim().parse().unwrap_or_else(|_| panic!("no seed: {text}"));
    match (std::env::var("SEED"), std::env::var("SEEDS")) {
        (Ok(one), _) => vec![number(&one)],
        (_, Ok(range)) => {
            let (from, to) = range.split_once("..").expect("SEEDS=from..to");
            (number(from)..=number(to.trim_start_matches('='))).collect()
        }
        _ => (1..=100).collect(),
    }
}

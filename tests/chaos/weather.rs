//! What happens to the ways between the parties, drawn from a seed.
//!
//! Must never do what no network does: a connection that has lost bytes is never heard of again.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::FaultProxy;
use crate::support::fault_proxy::Mode;

/// What may happen at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Climate {
    /// Nothing.
    Calm,
    /// Everything, to everybody.
    All,
    /// Everything to the store; the provider is slow and loses nothing.
    Stores,
    /// The store is away for longer than any near cache may be trusted.
    Outages,
    /// The same for one replica at a time, while the other goes on.
    Partitions,
}

/// The ways out of the gateways.
pub(crate) struct Ways {
    /// Of each replica.
    pub(crate) stores: [FaultProxy; 2],
    pub(crate) provider: FaultProxy,
    pub(crate) upstream: FaultProxy,
}

impl Ways {
    fn of(&self, to: To) -> Vec<&FaultProxy> {
        match to {
            To::Store(one) => vec![&self.stores[one]],
            To::BothStores => self.stores.iter().collect(),
            To::Provider => vec![&self.provider],
            To::Upstream => vec![&self.upstream],
        }
    }

    /// One spell after the other, and good weather at the end.
    pub(crate) async fn endure(&self, spells: &[Spell]) {
        for spell in spells {
            sleep(spell.calm).await;
            self.of(spell.to).iter().for_each(|way| way.set(spell.mode));
            sleep(spell.lasts).await;
            for way in self.of(spell.to) {
                match spell.mode {
                    // Who waits for an answer that was lost is told, or has to find out.
                    Mode::Blackhole | Mode::SwallowAnswers if spell.told => way.cut_once(),
                    Mode::Blackhole | Mode::SwallowAnswers => way.strand(),
                    _ => way.set(Mode::Pass),
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Store(usize),
    BothStores,
    Provider,
    Upstream,
}

/// Bad weather on one way.
#[derive(Clone, Debug)]
pub(crate) struct Spell {
    calm: Duration,
    to: To,
    mode: Mode,
    lasts: Duration,
    told: bool,
}

/// How long all of it takes.
pub(crate) fn length(spells: &[Spell]) -> Duration {
    spells.iter().map(|spell| spell.calm + spell.lasts).sum()
}

/// The weather of a seed.
pub(crate) fn spells(seed: u64, climate: Climate) -> Vec<Spell> {
    let mut dice = Dice::new(seed ^ 0x77ea);
    let long = matches!(climate, Climate::Outages | Climate::Partitions);
    let many = if long { 2 } else { 12 };
    let mut spells = Vec::new();
    while climate != Climate::Calm && spells.len() < many {
        let to = match (climate, dice.below(8)) {
            (Climate::Outages, _) => To::BothStores,
            (Climate::Partitions, _) => To::Store(spells.len()),
            (_, 0 | 1) => To::Store(0),
            (_, 2 | 3) => To::Store(1),
            (_, 4) => To::BothStores,
            (_, 5 | 6) => To::Provider,
            _ => To::Upstream,
        };
        let late = dice.millis(20, 200);
        let slow = [Mode::Delay(late), Mode::Stall, Mode::Jitter { seed: dice.next(), most: late }];
        let lossy = [Mode::Cut, Mode::Blackhole, Mode::SwallowAnswers];
        let mode = match (climate, to, dice.below(3)) {
            _ if long => lossy[spells.len()],
            (Climate::Stores, To::Provider | To::Upstream, any) | (_, _, any @ 0) => {
                slow[(any + late.as_millis() as usize) % 3]
            }
            (_, To::Provider | To::Upstream, 1) => Mode::Twice,
            _ => lossy[dice.below(3)],
        };
        let lasts = if long { dice.millis(3200, 3600) } else { dice.millis(80, 700) };
        // The gateways' patience with a provider and an application is longer than a test: there the loss is told.
        let told = matches!(to, To::Provider | To::Upstream) || dice.below(3) > 0;
        spells.push(Spell { calm: dice.millis(50, 400), to, mode, lasts, told });
    }
    spells
}

/// Numbers from a seed (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap() % n
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn millis(&mut self, least: usize, most: usize) -> Duration {
        Duration::from_millis((least + self.below(most - least + 1)) as u64)
    }
}

/// `SEED`, or the one that belongs to a test.
pub(crate) fn seed(own: u64) -> u64 {
    std::env::var("SEED").map_or(own, |seed| seed.parse().expect("SEED is a number"))
}

//! Randomness as a parameter: everything unguessable comes from one place.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where unguessable bytes come from. Only tests put a seeded one in.
pub trait Random: Send + Sync + std::fmt::Debug + 'static {
    /// Fills `out` with unguessable bytes.
    fn fill(&self, out: &mut [u8]);

    /// A name that nobody can guess and that is no secret once it is used: it may be drawn ahead of its use, many at a time.
    fn name(&self) -> [u8; 16] {
        let mut out = [0; 16];
        self.fill(&mut out);
        out
    }
}

impl dyn Random {
    /// `N` unguessable bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// `N` unguessable bytes as base64url without padding (32 bytes: 43 characters).
    pub fn token<const N: usize>(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }
}

thread_local! {
    /// One call of the generator costs as much as the bytes of many names. Each is given once.
    static AHEAD: RefCell<([[u8; 16]; 64], usize)> = const { RefCell::new(([[0; 16]; 64], 64)) };
}

/// The operating system's generator, by way of the crypto library.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[allow(
        clippy::expect_used,
        clippy::disallowed_methods,
        reason = "without randomness no secret can be made; going on would be worse than dying, and no stranger can cause it"
    )]
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the operating system gives random bytes");
    }

    fn name(&self) -> [u8; 16] {
        AHEAD.with_borrow_mut(|(names, used)| {
            if *used >= names.len() {
                self.fill(names.as_flattened_mut());
                *used = 0;
            }
            let name = names.get(*used).copied().unwrap_or_default();
            *used += 1;
            name
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let names: BTreeSet<_> = (0..1000).map(|_| SystemRandom.name()).collect();
        let others = std::thread::spawn(|| (0..1000).map(|_| SystemRandom.name()).collect::<BTreeSet<_>>());
        assert_eq!((names.len(), names.intersection(&others.join().unwrap()).count()), (1000, 0));
        assert!(!names.contains(&[0; 16]));
    }
}

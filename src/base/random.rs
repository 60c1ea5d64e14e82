//! Randomness as a parameter: everything unguessable comes from one place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where unguessable bytes come from. Only tests put a seeded one in.
pub trait Random: Send + Sync + std::fmt::Debug + 'static {
    /// Fills `out` with unguessable bytes.
    fn fill(&self, out: &mut [u8]);
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
}

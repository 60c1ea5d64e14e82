//! How much one client address may try in a minute (DOS-06): a generic cell rate algorithm, one number for each address and thing.
//!
//! What succeeds is never counted, logins that begin excepted: a provider that signs out thousands, or an office that comes back from
//! lunch, does nothing wrong.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;

use crate::base::Timestamp;

/// So many addresses are remembered. Who is forgotten starts with a full allowance, so a flood of addresses gains little.
const ADDRESSES: usize = 100_000;

/// What is counted, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A login that begins.
    Login,
    /// A callback that made no session.
    FailedCallback,
    /// A logout token that does not hold.
    FailedLogoutToken,
    /// A bearer token that is not taken.
    FailedBearer,
}

impl Counted {
    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "logins_per_minute",
            Self::FailedCallback => "failed_callbacks",
            Self::FailedLogoutToken => "failed_logout_tokens",
            Self::FailedBearer => "failed_bearer_tokens",
        }
    }
}

/// The limit, and what each address has used of it.
#[derive(Debug)]
pub struct Rate {
    per_minute: Option<u32>,
    /// For each address the moment at which it will have its whole allowance again.
    full_at: Cache<(Counted, IpAddr), Arc<AtomicI64>>,
}

impl Rate {
    /// `None` is unlimited.
    #[must_use]
    pub fn new(per_minute: Option<u32>) -> Self {
        Self { per_minute, full_at: Cache::new(ADDRESSES) }
    }

    /// Counts one more by `address`.
    ///
    /// # Errors
    ///
    /// How long it has to wait, when that is one too many.
    pub fn count(&self, what: Counted, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let Some(cost) = self.cost() else { return Ok(()) };
        let entry = self
            .full_at
            .get_or_insert_with(&(what, household(address)), || Ok::<_, std::convert::Infallible>(Arc::default()))
            .unwrap_or_default();
        let mut beyond = 0;
        let taken = entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now.unix_millis()).saturating_add(cost);
            beyond = next - now.unix_millis() - MINUTE;
            (beyond <= 0).then_some(next)
        });
        taken.map(drop).map_err(|_| wait(beyond))
    }

    /// Whether `address` has anything left, without counting.
    ///
    /// # Errors
    ///
    /// How long it has to wait.
    pub fn may(&self, what: Counted, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let Some(cost) = self.cost() else { return Ok(()) };
        let Some(entry) = self.full_at.get(&(what, household(address))) else { return Ok(()) };
        let beyond = entry.load(Ordering::Relaxed).saturating_add(cost) - now.unix_millis() - MINUTE;
        if beyond <= 0 { Ok(()) } else { Err(wait(beyond)) }
    }

    fn cost(&self) -> Option<i64> {
        self.per_minute.map(|per_minute| MINUTE / i64::from(per_minute.max(1)))
    }
}

const MINUTE: i64 = 60_000;

/// `Retry-After` has whole seconds.
fn wait(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).max(Duration::from_secs(1))
}

/// One customer commonly has a whole /64 of IPv6.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DOS-06: the allowance, what comes back with time, and that one address does not use another's.
    #[test]
    fn an_allowance_that_comes_back_with_time() {
        let rate = Rate::new(Some(6));
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Timestamp::from_unix_seconds(1000);
        for _ in 0..6 {
            assert_eq!(rate.count(Counted::Login, one, now), Ok(()));
        }
        assert_eq!(rate.count(Counted::Login, one, now), Err(Duration::from_secs(10)));
        assert_eq!(rate.count(Counted::Login, two, now), Ok(()));
        assert_eq!(rate.count(Counted::Login, one, now + Duration::from_secs(9)), Err(Duration::from_secs(1)));
        assert_eq!(rate.count(Counted::Login, one, now + Duration::from_secs(10)), Ok(()));
        assert!(rate.count(Counted::Login, one, now + Duration::from_secs(10)).is_err());
        assert!((0..1000).all(|_| Rate::new(None).count(Counted::Login, one, now).is_ok()));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let rate = Rate::new(Some(1));
        let now = Timestamp::from_unix_seconds(1000);
        assert!(rate.count(Counted::Login, "2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(rate.count(Counted::Login, "2001:db8::2".parse().unwrap(), now).is_err());
        assert!(rate.count(Counted::Login, "2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    }

    /// DOS-06: looking uses nothing up, and one thing's allowance is not another's.
    #[test]
    fn looking_does_not_count() {
        let rate = Rate::new(Some(2));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let now = Timestamp::from_unix_seconds(1000);
        for _ in 0..100 {
            assert_eq!(rate.may(Counted::FailedCallback, address, now), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(rate.may(Counted::FailedCallback, address, now), Ok(()));
            assert_eq!(rate.count(Counted::FailedCallback, address, now), Ok(()));
        }
        assert_eq!(rate.may(Counted::FailedCallback, address, now), Err(Duration::from_secs(30)));
        assert_eq!(rate.may(Counted::FailedLogoutToken, address, now), Ok(()));
        assert_eq!(rate.may(Counted::FailedCallback, address, now + Duration::from_secs(30)), Ok(()));
    }
}

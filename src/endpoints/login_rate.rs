//! How many logins one client address may start in a minute (DOS-06): a generic cell rate algorithm, one number an address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;

use crate::base::Timestamp;

/// So many addresses are remembered. Who is forgotten starts with a full allowance, so a flood of addresses gains little.
const ADDRESSES: usize = 100_000;

/// The limit, and what each address has used of it.
#[derive(Debug)]
pub struct LoginRate {
    per_minute: Option<u32>,
    /// For each address the moment at which it will have its whole allowance again.
    full_at: Cache<IpAddr, Arc<AtomicI64>>,
}

impl LoginRate {
    /// `None` is unlimited.
    #[must_use]
    pub fn new(per_minute: Option<u32>) -> Self {
        Self { per_minute, full_at: Cache::new(ADDRESSES) }
    }

    /// Counts a login that `address` starts.
    ///
    /// # Errors
    ///
    /// How long it has to wait, when it started too many.
    pub fn start(&self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let (now, minute) = (now.unix_millis(), 60_000_i64);
        let cost = minute / i64::from(per_minute.max(1));
        let entry = self
            .full_at
            .get_or_insert_with(&household(address), || Ok::<_, std::convert::Infallible>(Arc::default()))
            .unwrap_or_default();
        let mut refused = 0;
        let taken = entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now).saturating_add(cost);
            refused = next - now - minute;
            (refused <= 0).then_some(next)
        });
        match taken {
            Ok(_) => Ok(()),
            Err(_) => Err(Duration::from_millis(u64::try_from(refused).unwrap_or(0)).max(Duration::from_secs(1))),
        }
    }
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
        let rate = LoginRate::new(Some(6));
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Timestamp::from_unix_seconds(1000);
        for _ in 0..6 {
            assert_eq!(rate.start(one, now), Ok(()));
        }
        assert_eq!(rate.start(one, now), Err(Duration::from_secs(10)));
        assert_eq!(rate.start(two, now), Ok(()));
        assert_eq!(rate.start(one, now + Duration::from_secs(9)), Err(Duration::from_secs(1)));
        assert_eq!(rate.start(one, now + Duration::from_secs(10)), Ok(()));
        assert!(rate.start(one, now + Duration::from_secs(10)).is_err());
        assert!((0..1000).all(|_| LoginRate::new(None).start(one, now).is_ok()));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let rate = LoginRate::new(Some(1));
        let now = Timestamp::from_unix_seconds(1000);
        assert!(rate.start("2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(rate.start("2001:db8::2".parse().unwrap(), now).is_err());
        assert!(rate.start("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    }
}

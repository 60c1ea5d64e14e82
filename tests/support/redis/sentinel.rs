//! Real Redis servers, a primary and its replicas, that three sentinels watch.
//!
//! Must never know what the keys mean.

use std::ops::{Index, IndexMut};
use std::time::Duration;

use super::{Redis, Setup};
use crate::support::codec::random_name;
use crate::support::wait::eventually;

/// The servers and their sentinels; they end with the value. The first server begins as the primary.
pub struct Sentinel {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl Sentinel {
    /// A primary and a replica, without accounts.
    pub async fn start() -> Self {
        Self::with(Setup::default, None).await
    }

    /// Servers that are set up alike; sentinels with an account of that password and rights, if any.
    ///
    /// # Panics
    /// When they do not find together.
    pub async fn with(setup: impl Fn() -> Setup, account: Option<(&str, &str)>) -> Self {
        let control = random_name("support-");
        let primary = setup().peer(&control).start().await;
        let replica = setup().peer(&control).replica_of(&primary).start().await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let tls = setup().tls;
            let mut sentinel = Setup { sentinel: true, control: Some(control.clone()), tls, ..Setup::default() };
            if primary.tls {
                sentinel = sentinel.line("tls-replication yes");
            }
            if let Some((password, rights)) = account {
                sentinel = sentinel.user("watched", password, rights);
                sentinel = sentinel.line("sentinel sentinel-user support");
                sentinel = sentinel.line(&format!("sentinel sentinel-pass {control}"));
            }
            sentinel = sentinel.line(&format!("sentinel monitor main 127.0.0.1 {} 2", primary.peer_port()));
            if primary.user.is_some() {
                sentinel = sentinel.line("sentinel auth-user main support");
                sentinel = sentinel.line(&format!("sentinel auth-pass main {control}"));
            }
            sentinel = sentinel.line("sentinel down-after-milliseconds main 1000");
            sentinels.push(sentinel.line("sentinel failover-timeout main 3000").start().await);
        }
        let all = Self { servers: vec![primary, replica], sentinels };
        all.agreed().await;
        all
    }

    async fn agreed(&self) {
        eventually("sentinels that know each other", Duration::from_secs(30), || {
            let followed = self[0].cli(&["INFO", "replication"]).contains("state=online");
            let known = self.sentinels.iter().all(|sentinel| {
                let seen = sentinel.cli(&["SENTINEL", "MASTER", "main"]);
                let seen: Vec<&str> = seen.lines().collect();
                let is = |name: &str, value: &str| seen.chunks(2).any(|pair| pair == [name, value]);
                is("flags", "master") && is("num-slaves", "1") && is("num-other-sentinels", "2")
            });
            async move { (followed && known).then_some(()) }
        })
        .await;
    }

    /// Its URL for the gateway, with the account; `more` ends it.
    pub fn url(&self, more: &str) -> String {
        let scheme = if self[0].tls { "rediss-sentinel" } else { "redis-sentinel" };
        let place = |n: usize| format!("127.0.0.1:{}", self.sentinels[n].peer_port());
        let nodes = format!("node={}&node={}", place(1), place(2));
        format!("{scheme}://{}{}/0?sentinelServiceName=main&{nodes}{more}", self[0].account(), place(0))
    }

    /// One of the three sentinels, to stop or kill.
    pub fn sentinel_mut(&mut self, n: usize) -> &mut Redis {
        &mut self.sentinels[n]
    }

    /// Which server is the primary, as a sentinel sees it.
    pub fn primary(&self) -> usize {
        let address = self.sentinels[0].cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
        let port = address.lines().last().and_then(|port| port.parse().ok());
        self.servers
            .iter()
            .position(|server| Some(server.peer_port()) == port)
            .expect("a primary that was started here")
    }

    /// Waits until the sentinels have made another server than `gone` the primary.
    pub async fn failed_over(&self, gone: usize) {
        eventually("a failover", Duration::from_secs(30), || {
            let primary = self.primary();
            let done = primary != gone && self[primary].cli(&["ROLE"]).starts_with("master");
            async move { done.then_some(()) }
        })
        .await;
    }
}

impl Index<usize> for Sentinel {
    type Output = Redis;

    fn index(&self, n: usize) -> &Redis {
        &self.servers[n]
    }
}

impl IndexMut<usize> for Sentinel {
    fn index_mut(&mut self, n: usize) -> &mut Redis {
        &mut self.servers[n]
    }
}

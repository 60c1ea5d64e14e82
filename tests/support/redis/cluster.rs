//! A real Redis Cluster: three primaries with a replica each.
//!
//! Must never know what the keys mean.

use std::ops::{Index, IndexMut};
use std::time::Duration;

use super::{Redis, Reply, Setup};
use crate::support::codec::random_name;
use crate::support::wait::{eventually, free_port};

/// The nodes; they end with the value. The first three begin as primaries, and the replica of `n` is `n + 3`.
pub struct Cluster {
    nodes: Vec<Redis>,
    control: String,
    setup: Box<dyn Fn() -> Setup>,
}

impl Cluster {
    /// Without accounts.
    pub async fn start() -> Self {
        Self::with(Setup::default).await
    }

    /// Nodes that are all set up alike.
    ///
    /// # Panics
    /// When they do not find together.
    pub async fn with(setup: impl Fn() -> Setup + 'static) -> Self {
        let (nodes, control) = (Vec::new(), random_name("support-"));
        let mut cluster = Self { nodes, control, setup: Box::new(setup) };
        for _ in 0..6 {
            cluster.start_node().await;
        }
        for (n, slots) in [("0", "5460"), ("5461", "10922"), ("10923", "16383")].into_iter().enumerate() {
            cluster[n].cli(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]);
            cluster[n].cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
        }
        for n in 1..6 {
            cluster.introduce(n).await;
        }
        for n in 3..6 {
            let primary = cluster[n - 3].cli(&["CLUSTER", "MYID"]);
            eventually("a replica that knows its primary", LONG, || {
                let done = cluster[n].cli(&["CLUSTER", "REPLICATE", &primary]) == "OK";
                async move { done.then_some(()) }
            })
            .await;
        }
        cluster.agreed().await;
        cluster
    }

    async fn start_node(&mut self) {
        // The bus would else listen 10000 above, where there may be no port.
        let bus = free_port();
        let mut setup = (self.setup)().peer(&self.control);
        if setup.tls.is_some() {
            setup = setup.line("tls-cluster yes");
        }
        let setup = setup.line("cluster-enabled yes").line(&format!("cluster-port {bus}"));
        self.nodes.push(setup.line("cluster-node-timeout 1000").line("cluster-announce-ip 127.0.0.1").start().await);
    }

    /// Makes the first node and another know each other.
    async fn introduce(&self, n: usize) {
        let (port, bus) = (self[n].peer_port().to_string(), self[n].cli(&["CONFIG", "GET", "cluster-port"]));
        let bus = bus.lines().last().unwrap_or_default();
        assert_eq!(self[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]), "OK");
    }

    /// Waits until every node that runs takes commands, and every replica of one that runs follows.
    async fn agreed(&self) {
        eventually("a cluster", LONG, || {
            let all = self.nodes.len();
            let agreed = self.nodes.iter().all(|node| {
                let info = node.cli(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok")
                    && info.contains(&format!("cluster_known_nodes:{all}\r"))
                    && !node.cli(&["INFO", "replication"]).contains("master_link_status:down")
            });
            let followed = (0..3).all(|n| self[n].cli(&["INFO", "replication"]).contains("state=online"));
            async move { (agreed && followed).then_some(()) }
        })
        .await;
    }

    /// Its URL for the gateway, with the account; `more` ends it.
    pub fn url(&self, more: &str) -> String {
        let scheme = if self[0].tls { "rediss-cluster" } else { "redis-cluster" };
        let place = |n: usize| format!("127.0.0.1:{}", self[n].peer_port());
        format!("{scheme}://{}{}?node={}&node={}{more}", self[0].account(), place(0), place(1), place(2))
    }

    /// Which node owns a slot, as another one that runs sees it.
    pub fn owner(&self, slot: u16, asked: usize) -> usize {
        let Reply::List(ranges) = self[asked].command(&["CLUSTER", "SLOTS"]) else { panic!("no slots") };
        let number = |reply: &Reply| reply.text().parse::<u16>().unwrap();
        let owner = ranges.iter().find_map(|range| match range {
            Reply::List(parts) if (number(&parts[0])..=number(&parts[1])).contains(&slot) => {
                let Reply::List(primary) = &parts[2] else { panic!("no primary") };
                Some(number(&primary[1]))
            }
            _ => None,
        });
        self.nodes.iter().position(|node| Some(node.port) == owner).expect("a slot has an owner")
    }

    /// The slot of a key.
    pub fn slot(&self, key: &str) -> u16 {
        self[0].cli(&["CLUSTER", "KEYSLOT", key]).parse().unwrap()
    }

    /// Waits until another node than `gone` has the first of its slots and takes commands there: the moment from which the
    /// cluster is whole again.
    pub async fn failed_over(&self, gone: usize) {
        let (slot, witness) = ([0, 5461, 10923][gone], if gone == 0 { 1 } else { 0 });
        eventually("a failover", LONG, || {
            let owner = self.owner(slot, witness);
            let whole = owner != gone && self[owner].cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
            async move { whole.then_some(()) }
        })
        .await;
    }

    /// Adds a primary that has no slot yet; its number.
    pub async fn add(&mut self) -> usize {
        self.start_node().await;
        self.introduce(self.nodes.len() - 1).await;
        self.agreed().await;
        self.nodes.len() - 1
    }

    /// Moves a slot with its keys, one after the other, `between` each two steps.
    pub async fn move_slot(&self, slot: u16, to: usize, mut between: impl AsyncFnMut()) {
        let from = self.owner(slot, to);
        let ids = [from, to].map(|node| self[node].cli(&["CLUSTER", "MYID"]));
        let slot = slot.to_string();
        assert_eq!(self[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]]), "OK");
        assert_eq!(self[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]]), "OK");
        between().await;
        let port = self[to].port.to_string();
        let keys = self[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        for key in keys.lines() {
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
            if self[to].user.is_some() {
                migrate.extend(["AUTH2", "support", &self.control]);
            }
            let done = self[from].cli(&migrate);
            // One that ended by itself meanwhile is no loss.
            assert!(["OK", "NOKEY"].contains(&done.as_str()), "{key}: {done}");
            between().await;
        }
        for node in [to, from] {
            assert_eq!(self[node].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]), "OK");
        }
    }

    /// The nodes that are primaries by now, as `asked` sees it.
    pub fn primaries(&self, asked: usize) -> Vec<usize> {
        let mut all: Vec<usize> = [0, 5461, 10923].map(|slot| self.owner(slot, asked)).into();
        all.dedup();
        all
    }
}

impl Index<usize> for Cluster {
    type Output = Redis;

    fn index(&self, n: usize) -> &Redis {
        &self.nodes[n]
    }
}

impl IndexMut<usize> for Cluster {
    fn index_mut(&mut self, n: usize) -> &mut Redis {
        &mut self.nodes[n]
    }
}

const LONG: Duration = Duration::from_secs(30);

//! Several gateways that are one to the outside: same secrets, store and public URL.
//!
//! Must never prefer one of them: connections are dealt out in turns.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use tempfile::TempDir;

use super::{Gateway, Prepared, Site};
use crate::support::client::Browser;
use crate::support::fault_proxy::FaultProxy;
use crate::support::wait::free_port;

/// The replicas and what stands before them.
pub struct Replicas {
    gateways: Vec<Gateway>,
    /// Deals connections out; can break, too.
    pub balancer: FaultProxy,
}

impl Replicas {
    /// Starts `n` of them.
    ///
    /// # Panics
    /// When one does not get ready.
    pub async fn start(config: impl Into<Prepared>, n: usize) -> Self {
        let prepared = config.into();
        Self::start_each(vec![prepared; n]).await
    }

    /// Starts one of each: they may differ in how they reach the others, and in nothing that makes them one.
    ///
    /// # Panics
    /// When one does not get ready.
    pub async fn start_each(configs: Vec<Prepared>) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let balancer = FaultProxy::round_robin(Vec::new()).await;
        let public_port = Some(balancer.address.port());
        let mut gateways = Vec::new();
        for prepared in configs.into_iter().map(Arc::new) {
            let started = Gateway::start_at(prepared, Arc::clone(&dir), free_port(), public_port).await;
            gateways.push(started.unwrap_or_else(|why| panic!("a replica does not start: {why}")));
        }
        balancer.point_at(gateways.iter().map(Gateway::address).collect());
        Self { gateways, balancer }
    }

    /// A fresh browser whose requests take turns between the replicas. `replicas[0].through(&browser)` is the same browser
    /// at one of them.
    pub fn browser(&self) -> Browser {
        let mut browser = self.gateways[0].browser();
        for host in self.gateways[0].prepared.hosts(self.gateways[0].public_url()) {
            browser = browser.resolve(&host, self.balancer.address);
        }
        browser
    }

    /// All of them.
    pub fn all(&self) -> &[Gateway] {
        &self.gateways
    }

    /// All of them, to stop or restart.
    pub fn all_mut(&mut self) -> &mut [Gateway] {
        &mut self.gateways
    }

    /// What all of them wrote.
    pub fn output(&self) -> String {
        self.gateways.iter().map(Gateway::output).collect()
    }
}

impl Index<usize> for Replicas {
    type Output = Gateway;

    fn index(&self, n: usize) -> &Gateway {
        &self.gateways[n]
    }
}

impl IndexMut<usize> for Replicas {
    fn index_mut(&mut self, n: usize) -> &mut Gateway {
        &mut self.gateways[n]
    }
}

impl Site for Replicas {
    fn url(&self, path: &str) -> String {
        self.gateways[0].url(path)
    }
}

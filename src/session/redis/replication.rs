//! Whether a failover of this store could undo what was acknowledged, and says so once.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike as _;
use fred::types::{ClusterHash, CustomCommand};
use tokio::time::timeout;

use super::{Shared, connection, failure};
use crate::session::store::Unavailable;

/// Looks whether the store has replicas whom nothing waits for. Answers whether that is known now.
pub(super) async fn advise(client: &Client, deadline: Duration, shared: &Shared) -> bool {
    if shared.waits_for_replicas() {
        return true;
    }
    // All primaries of a cluster are set up alike.
    let node = connection::primaries(client).into_iter().next().flatten();
    let info = CustomCommand::new_static("INFO", ClusterHash::Random, false);
    let primary = connection::at(client, node, deadline);
    let asked = primary.custom::<String, _>(info, vec!["replication"]);
    let info = match timeout(deadline, Box::pin(asked)).await {
        Ok(Ok(info)) => info,
        // An account that may not ask will not be told.
        Ok(Err(error)) => return failure::reason(&error) == Unavailable::NoPermission,
        Err(_) => return false,
    };
    if is_loose(&info) {
        tracing::warn!(
            "the session store has replicas that nothing waits for: a failover may undo revocations of its last seconds, and a \
             primary that was cut off goes on confirming sessions; set min-replicas-to-write in Redis, or \
             session.near_cache.replicas here"
        );
    }
    true
}

/// Redis says how many replicas keep up only where it refuses writes without them.
fn is_loose(info: &str) -> bool {
    let number =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
    let replicas: Option<u32> = number("connected_slaves");
    let needed: Option<u32> = number("min_slaves_good_slaves");
    replicas.is_some_and(|replicas| replicas > 0) && needed.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_nothing_waits_for_are_told_from_others() {
        let alone = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
        let loose = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=h,port=1,state=online\r\n";
        let safe = "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmin_slaves_good_slaves:1\r\n";
        assert_eq!([alone, loose, safe, ""].map(is_loose), [false, true, false, false]);
    }
}

//! A rolling restart under load.

use std::time::Duration;

use crate::{cluster::Cluster, load::Load, log};

/// How long a lane may accept nothing while its owner is restarted: it is handed over once what
/// its owner has accepted is answered, to a node that opens it at once; the bound is for a machine
/// that is busy with other things.
const GAP_MAX: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_refuses_no_command() {
    let _alone = crate::alone().await;
    let mut cluster = Cluster::start().await;
    let load = Load::start(cluster.urls(), 24, 4102);
    load.until_done(300).await;
    for number in 0..cluster.nodes.len() {
        let ended = cluster.nodes[number].stop().await;
        assert!(ended.success(), "node {number} ended with {ended}");
        load.until_done(100).await;
        cluster.nodes[number].start();
        cluster.until_it_has_lanes(number).await;
        load.until_done(100).await;
    }
    let outcome = load.end().await;
    // A node that has gone takes no connection, and one that goes closes those it has: that is
    // what a client sees of it.
    for reason in outcome.again.keys() {
        let of_connections = ["not connected", "the connection broke"].contains(&reason.as_str());
        assert!(of_connections, "sent again: {:?}", outcome.again);
    }
    assert!(outcome.gap_max < GAP_MAX, "{:?}", outcome.gap_max);
    log::assert_holds(&cluster, &outcome);
}

//! An owner that is gone without a word.

use std::time::{Duration, Instant};

use crate::{
    cluster::{Cluster, SESSION_TIMEOUT},
    load::Load,
    log,
};

/// How long it may take, once a node has not been heard of for the session's timeout, until
/// others have opened its lanes; the bound is for a machine that is busy with other things.
const TAKEOVER_MAX: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread")]
async fn the_lanes_of_a_killed_node_are_served_again() {
    let _alone = crate::alone().await;
    let mut cluster = Cluster::start().await;
    let load = Load::start(cluster.urls(), 24, 4103);
    load.until_done(300).await;
    let killed = Instant::now();
    cluster.nodes[1].kill();
    load.until_every_lane_accepts(SESSION_TIMEOUT + TAKEOVER_MAX)
        .await;
    println!("every lane was served again after {:?}", killed.elapsed());
    cluster.nodes[1].start();
    cluster.until_it_has_lanes(1).await;
    load.until_done(100).await;
    let outcome = load.end().await;
    assert!(outcome.gap_max < SESSION_TIMEOUT + TAKEOVER_MAX);
    log::assert_holds(&cluster, &outcome);
}

//! Any node takes any command.

use crate::{cluster::Cluster, load::Load, log};

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_any_command() {
    let _alone = crate::alone().await;
    let cluster = Cluster::start().await;
    let load = Load::start(cluster.urls(), 16, 4101);
    load.until_done(1000).await;
    let outcome = load.end().await;
    assert!(outcome.again.is_empty(), "{:?}", outcome.again);
    assert!(outcome.refused > 0);
    for number in 0..cluster.nodes.len() {
        let passed_on = "foldline_passed_on_total{outcome=\"answered\"}";
        cluster.until_at_least(number, passed_on, 1.0).await;
    }
    log::assert_holds(&cluster, &outcome);
}

//! The lanes as a projector of several contexts reads them.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use foldline_event_log::{EventLog, From};
use foldline_kernel::Lane;
use tokio::task::JoinSet;

/// As many as a projector folds at a time.
const BATCH_EVENTS: usize = 512;

/// Follows every lane from its beginning to where it ends, each in a task of its own.
pub(crate) async fn run(log: &Arc<dyn EventLog>, lanes: &[Lane]) -> Result<()> {
    let mut reading = JoinSet::new();
    for lane in lanes {
        reading.spawn(follow(Arc::clone(log), *lane));
    }
    while let Some(read) = reading.join_next().await {
        read.context("a lane was not read")??;
    }
    Ok(())
}

async fn follow(log: Arc<dyn EventLog>, lane: Lane) -> Result<()> {
    let end = log.heads(lane).await?.lane_sequence;
    let mut follower = log.follow_lane(lane, From::Beginning).await?;
    let mut read = 0;
    while follower.checkpoint().lane_sequence < end {
        read += follower.next_batch(BATCH_EVENTS).await?.len() as u64;
    }
    ensure!(read == end.0, "lane {lane}: {read} events of {}", end.0);
    Ok(())
}

//! A snapshot store that fails on command.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use async_trait::async_trait;
use foldline_event_log::{Snapshot, SnapshotError, SnapshotStore};
use foldline_kernel::{Lane, LaneSequence, LogId};

/// How many of the next calls fail.
#[derive(Default)]
pub(crate) struct Failing {
    pub(crate) puts: AtomicU32,
    pub(crate) ends: AtomicU32,
    /// Puts that panic, which ends the lane's task.
    pub(crate) panics: AtomicU32,
}

pub(crate) struct Store {
    pub(crate) inner: Arc<dyn SnapshotStore>,
    pub(crate) failing: Arc<Failing>,
}

fn meets(fault: &AtomicU32) -> bool {
    fault
        .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
        .is_ok()
}

fn failed(lane: Lane) -> Result<(), SnapshotError> {
    let source = "an injected fault".into();
    Err(SnapshotError { lane, source })
}

#[async_trait]
impl SnapshotStore for Store {
    async fn put(&self, lane: Lane, snapshots: Vec<Snapshot>) -> Result<(), SnapshotError> {
        assert!(!meets(&self.failing.panics), "an injected fault");
        if meets(&self.failing.puts) {
            return failed(lane);
        }
        self.inner.put(lane, snapshots).await
    }

    async fn end_round(
        &self,
        lane: Lane,
        log_id: LogId,
        replay_after: LaneSequence,
    ) -> Result<(), SnapshotError> {
        if meets(&self.failing.ends) {
            return failed(lane);
        }
        self.inner.end_round(lane, log_id, replay_after).await
    }

    async fn load(
        &self,
        lane: Lane,
        log_id: LogId,
    ) -> Result<Option<(LaneSequence, Vec<Snapshot>)>, SnapshotError> {
        self.inner.load(lane, log_id).await
    }
}

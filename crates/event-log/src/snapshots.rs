//! The snapshot port: states that come back without reading the whole log.

use async_trait::async_trait;
use foldline_kernel::{Lane, LaneSequence, LogId, UserId};
use tokio::sync::mpsc;

use crate::Source;

/// How many snapshots are sent at a time.
pub(crate) const SLICE_SNAPSHOTS: usize = 256;

/// The state of one user as of some lane sequence, as the command side encodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The user.
    pub user: UserId,
    /// The encoded state: revisions, versions, states and remembered commands of every context.
    pub state: Vec<u8>,
}

/// A place for snapshots, per lane: disposable, since the log can always be read instead.
///
/// Snapshots are written in rounds. A round ends with a marker that names the lane sequence from
/// which to replay; it MUST become durable after every snapshot of its round. A round that does
/// not end leaves the marker before it in force, and newer snapshots beside older ones: replay
/// skips, per stream, what a snapshot already holds.
#[async_trait]
pub trait SnapshotStore: Send + Sync + 'static {
    /// Writes some snapshots of the round under way.
    ///
    /// # Errors
    /// [`SnapshotError`]; the round is then given up, without harm.
    async fn put(&self, lane: Lane, snapshots: Vec<Snapshot>) -> Result<(), SnapshotError>;

    /// Ends a round: every event up to `replay_after` is in the snapshots written so far.
    ///
    /// # Errors
    /// [`SnapshotError`], as for `put`.
    async fn end_round(
        &self,
        lane: Lane,
        log_id: LogId,
        replay_after: LaneSequence,
    ) -> Result<(), SnapshotError>;

    /// Returns the lane's marker and all its snapshots; `None` where there is no marker, or one
    /// of another log.
    ///
    /// # Errors
    /// [`SnapshotError`]; the caller then reads the log from the beginning.
    async fn load(
        &self,
        lane: Lane,
        log_id: LogId,
    ) -> Result<Option<(LaneSequence, Vec<Snapshot>)>, SnapshotError>;

    /// Sends the lane's snapshots, slice by slice, and then returns its marker; `None` where there
    /// is none, or one of another log: what was sent is then worth nothing.
    ///
    /// A user MAY come several times; the last time counts. A receiver that has gone ends it.
    ///
    /// # Errors
    /// [`SnapshotError`], as for `load`.
    async fn load_in_slices(
        &self,
        lane: Lane,
        log_id: LogId,
        slices: mpsc::Sender<Vec<Snapshot>>,
    ) -> Result<Option<LaneSequence>, SnapshotError> {
        let Some((marker, mut snapshots)) = self.load(lane, log_id).await? else {
            return Ok(None);
        };
        while !snapshots.is_empty() {
            let rest = snapshots.split_off(snapshots.len().min(SLICE_SNAPSHOTS));
            let slice = std::mem::replace(&mut snapshots, rest);
            if slices.send(slice).await.is_err() {
                break;
            }
        }
        Ok(Some(marker))
    }
}

/// Why snapshots could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("the snapshots of lane {lane} are not available")]
pub struct SnapshotError {
    /// The lane.
    pub lane: Lane,
    /// Why.
    pub source: Source,
}

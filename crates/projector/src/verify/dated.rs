//! Rows that each know how far they are folded: a store without transactions has no one point.
//!
//! A row may be ahead of the checkpoints, never behind them. So the log is folded up to the
//! checkpoints as anywhere, and beyond them only into the rows that have come further:
//!
//! ```text
//!   lane    ──────────── checkpoint ─────────────────▶
//!   row a   ───────────────x│                             folded up to the checkpoint
//!   row b   ────────────────│────────x                    folded up to its own place
//! ```

use std::collections::BTreeMap;

use foldline_kernel::{Lane, LaneSequence};
use foldline_read_model::{RowKey, RowValues};
use foldline_tables::{Absorbed, TableError, TableSnapshot};
use rustc_hash::FxHashMap;

use super::reference::Slice;

/// How many rows are asked for at a time.
const ROWS_AT_A_TIME: usize = 256;

/// The rows of one slice as the table has them.
#[derive(Debug, Default)]
pub(super) struct Dated {
    pub(super) rows: BTreeMap<RowKey, RowValues>,
    pub(super) ahead: Ahead,
}

/// Which rows are ahead of which checkpoints.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    checkpoints: FxHashMap<Lane, LaneSequence>,
    places: FxHashMap<(RowKey, Lane), LaneSequence>,
    /// Per lane the place of the row that is furthest.
    furthest: FxHashMap<Lane, LaneSequence>,
}

impl Ahead {
    /// Tells whether a row must have an event.
    pub(super) fn has(&self, key: &RowKey, lane: Lane, at: LaneSequence) -> bool {
        self.is_within(lane, at)
            || (self.furthest.get(&lane).is_some_and(|last| at <= *last)
                && self
                    .places
                    .get(&(key.clone(), lane))
                    .is_some_and(|last| at <= *last))
    }

    /// Tells whether an event is one that the checkpoints say has been absorbed.
    pub(super) fn is_within(&self, lane: Lane, at: LaneSequence) -> bool {
        self.checkpoints.get(&lane).is_some_and(|last| at <= *last)
    }

    /// Returns the last place of a lane that some row has come to beyond its checkpoint.
    pub(super) fn furthest(&self, lane: Lane) -> Option<LaneSequence> {
        self.furthest.get(&lane).copied()
    }

    /// Returns every lane that has touched some row or has a checkpoint.
    pub(super) fn lanes(&self) -> Vec<Lane> {
        let mut lanes: Vec<_> = self
            .checkpoints
            .keys()
            .chain(self.furthest.keys())
            .copied()
            .collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes
    }
}

/// Reads the rows of one slice; none where there are more than may be held.
pub(super) async fn read(
    snapshot: &mut dyn TableSnapshot,
    absorbed: &Absorbed,
    slice: Slice,
    rows_max: usize,
) -> Result<Option<Dated>, TableError> {
    let mut dated = Dated::default();
    for at in &absorbed.checkpoints {
        dated.ahead.checkpoints.insert(at.lane, at.lane_sequence);
    }
    snapshot.rewind();
    loop {
        let some = snapshot.next_dated(ROWS_AT_A_TIME).await?;
        if some.is_empty() {
            return Ok(Some(dated));
        }
        for row in some.into_iter().filter(|row| slice.has(&row.key)) {
            for (lane, last) in row.places {
                if !dated.ahead.is_within(lane, last) {
                    let furthest = dated.ahead.furthest.entry(lane).or_default();
                    *furthest = last.max(*furthest);
                    dated.ahead.places.insert((row.key.clone(), lane), last);
                }
            }
            dated
                .rows
                .extend(row.values.map(|values| (row.key, values)));
            if dated.rows.len() > rows_max {
                return Ok(None);
            }
        }
        tokio::task::yield_now().await;
    }
}

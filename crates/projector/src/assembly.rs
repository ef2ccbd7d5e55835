//! Puts chunks of several lanes together to what one commit writes.

use std::collections::BTreeMap;

use foldline_kernel::{Checkpoint, Lane, LaneSequence};
use foldline_read_model::{Change, Model, Overflow, RowKey};
use foldline_tables::{Batch, Parked};
use rustc_hash::FxHashMap;

use crate::chunk::{Blame, Chunk};

/// A batch that is still growing: one change per row.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    rows: FxHashMap<RowKey, Change>,
    checkpoints: BTreeMap<Lane, Checkpoint>,
    parked: Vec<Parked>,
    chunks: usize,
    events: usize,
    bytes: usize,
    sole: Option<Blame>,
}

/// A batch as it is committed, and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) batch: Batch,
    pub(crate) events: usize,
    /// Of a batch of one event: whom a failure blames.
    pub(crate) sole: Option<Blame>,
}

/// How far one batch may grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) chunks: usize,
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Assembly {
    /// Takes the next chunk of a lane.
    ///
    /// # Errors
    /// [`Overflow`] when the changes of a row cannot be one change; this is then spoilt.
    pub(crate) fn add(&mut self, model: &Model, chunk: Chunk) -> Result<(), Overflow> {
        self.chunks += 1;
        self.events += chunk.events;
        self.bytes += chunk.bytes;
        self.sole = chunk.sole.filter(|_| self.chunks == 1);
        self.parked.extend(chunk.parked);
        self.checkpoints
            .insert(chunk.checkpoint.lane, chunk.checkpoint);
        for (key, change) in chunk.changes {
            match self.rows.entry(key) {
                std::collections::hash_map::Entry::Vacant(row) => {
                    row.insert(change);
                }
                std::collections::hash_map::Entry::Occupied(mut row) => {
                    row.get_mut().then(model, change)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    pub(crate) fn is_full(&self, limits: Limits) -> bool {
        self.chunks >= limits.chunks || self.events >= limits.events || self.bytes >= limits.bytes
    }

    pub(crate) fn events(&self) -> usize {
        self.events
    }

    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Ends the batch, given the places that this writer last saw.
    pub(crate) fn seal(self, seen: &BTreeMap<Lane, LaneSequence>) -> Sealed {
        let fenced = |checkpoint: Checkpoint| {
            let seen = seen.get(&checkpoint.lane).copied().unwrap_or_default();
            (seen, checkpoint)
        };
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        // Neighbours in the store lie on one page.
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Sealed {
            batch: Batch {
                checkpoints: self.checkpoints.into_values().map(fenced).collect(),
                rows,
                parked: self.parked,
            },
            events: self.events,
            sole: self.sole,
        }
    }
}

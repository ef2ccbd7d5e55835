//! Puts chunks of several lanes together to what one commit writes.

use std::{collections::BTreeMap, hash::BuildHasher};

use foldline_kernel::{Checkpoint, Lane, LaneSequence};
use foldline_read_model::{Change, Model, Overflow, RowKey, Value};
use foldline_tables::{Batch, Grain, Parked};
use hashbrown::{HashTable, hash_table::Entry};
use rustc_hash::FxBuildHasher;

use crate::chunk::{Blame, Chunk};

/// A batch that is still growing: one change per row.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// In the order in which they came; they are large, so a map of their places grows beside
    /// them, and the memory that one batch needed serves the next but one.
    rows: Vec<(RowKey, Change)>,
    /// For a store that takes every event by itself: the lane of each of `rows`.
    lanes: Option<Vec<Lane>>,
    places: HashTable<usize>,
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
    /// What the rows hold, roughly counted.
    pub(crate) bytes: usize,
}

impl Assembly {
    /// Begins a batch of a grain in the emptied memory of another one.
    pub(crate) fn within(spare: Vec<(RowKey, Change)>, grain: Grain) -> Self {
        debug_assert!(spare.is_empty(), "rows are written once");
        Self {
            rows: spare,
            lanes: (grain == Grain::Events).then(Vec::new),
            ..Self::default()
        }
    }

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
        if let Some(lanes) = &mut self.lanes {
            lanes.resize(lanes.len() + chunk.changes.len(), chunk.checkpoint.lane);
            self.rows.extend(chunk.changes);
            self.checkpoints
                .insert(chunk.checkpoint.lane, chunk.checkpoint);
            return Ok(());
        }
        self.checkpoints
            .insert(chunk.checkpoint.lane, chunk.checkpoint);
        for (key, change) in chunk.changes {
            let hash = |key: &RowKey| FxBuildHasher.hash_one(key);
            let rows = &mut self.rows;
            let place = self.places.entry(
                hash(&key),
                |place| rows[*place].0 == key,
                |place| hash(&rows[*place].0),
            );
            match place {
                Entry::Vacant(place) => {
                    place.insert(rows.len());
                    rows.push((key, change));
                }
                Entry::Occupied(place) => rows[*place.get()].1.then(model, change)?,
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    pub(crate) fn is_full(&self, limits: Limits) -> bool {
        let bytes = self.bytes + self.rows.len() * size_of::<(RowKey, Change)>();
        self.chunks >= limits.chunks || self.events >= limits.events || bytes >= limits.bytes
    }

    pub(crate) fn events(&self) -> usize {
        self.events
    }

    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Ends the batch, given the places that this writer last saw.
    pub(crate) fn seal(mut self, seen: &BTreeMap<Lane, LaneSequence>) -> Sealed {
        let fenced = |checkpoint: Checkpoint| {
            let seen = seen.get(&checkpoint.lane).copied().unwrap_or_default();
            (seen, checkpoint)
        };
        if self.lanes.is_none() {
            sort(&mut self.rows);
        }
        Sealed {
            batch: Batch {
                checkpoints: self.checkpoints.into_values().map(fenced).collect(),
                rows: self.rows,
                lanes: self.lanes.unwrap_or_default(),
                parked: self.parked,
            },
            events: self.events,
            sole: self.sole,
        }
    }
}

/// Sorts rows by their keys, since neighbours in the store lie on one page. Rows are large, so
/// numbers are sorted and each row is moved once; the few that a number does not tell apart are
/// sorted afterwards.
fn sort(rows: &mut [(RowKey, Change)]) {
    let prefix = |(key, _): &(RowKey, Change)| key.first().map_or(0, Value::sort_prefix);
    rows.sort_by_cached_key(prefix);
    for same in rows.chunk_by_mut(|one, next| prefix(one) == prefix(next)) {
        same.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    }
}

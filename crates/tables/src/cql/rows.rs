//! From changes to writes: which events a row has not absorbed yet, what becomes of it, how it is
//! written.
//!
//! ```text
//!   events ──by row and lane──▶ guard: row's last < event ──▶ apply ──▶ one whole row at the
//!                                                                     timestamp of its last event
//! ```
//!
//! Why a write may arrive twice, late, or from a writer that has been replaced: every cell is a
//! pure function of its lane's events up to the place in its timestamp. Two writes of one timestamp
//! write the same values, whatever batches they came from, and of two timestamps the later one
//! wins wherever they meet. A zombie can only write what is implied already, or lose.

use std::sync::Arc;

use foldline_kernel::Lane;
use foldline_read_model::{Change, Model, RowKey, RowValues, Value};
use rustc_hash::FxHashMap;
use scylla::{
    statement::prepared::PreparedStatement,
    value::{CqlValue, MaybeUnset},
};

use super::{
    cache::{Folded, RowCache, RowId},
    schema::Layout,
    session::{Cells, Parameter, Sight, Store, Write},
    timestamp,
    trouble::Fault,
    value,
};
use crate::{Batch, CommitError};

/// The most rows of one unlogged batch.
const BATCH_ROWS_MAX: usize = 64;
/// The most bytes of one unlogged batch, roughly counted. One partition's is one mutation, which
/// neither server holds to its limits for batches (Cassandra's is 50 KiB), but nothing is gained
/// by larger ones.
const BATCH_BYTES_MAX: usize = 40 << 10;

/// Turns batches into writes.
#[derive(Debug)]
pub(crate) struct RowFold {
    model: Arc<Model>,
    pub(crate) layout: Layout,
    pub(crate) cache: RowCache,
}

/// The writes of one partition that go together, and the rows they leave.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) writes: Vec<Write>,
    pub(crate) rows: Vec<(RowId, Folded)>,
    bytes: usize,
}

/// The changes of each row, in the order of its lane.
type Touched<'b> = FxHashMap<(&'b RowKey, Lane), Vec<&'b Change>>;

/// Why a batch has no writes.
#[derive(Debug)]
pub(crate) enum Trouble {
    Fault(Fault),
    Overflow(Box<CommitError>),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl RowFold {
    pub(crate) fn new(model: Arc<Model>, layout: Layout) -> Self {
        Self {
            model,
            layout,
            cache: RowCache::default(),
        }
    }

    /// Returns the writes that bring the rows of a batch up to its end. Nothing is written: where
    /// one sum overflows, nothing of the batch may be there.
    pub(crate) async fn writes(
        &mut self,
        store: &Store,
        batch: &Batch,
    ) -> Result<Vec<Run>, Trouble> {
        let touched = touched(batch);
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        let statement = store.prepare(&self.layout.write()).await?;
        let mut runs = Runs::new(self.model.partition_length);
        if !self.layout.guarded {
            for ((key, lane), changes) in touched {
                let (write, bytes) = self.blind(&statement, key, lane, &changes);
                runs.add(key, write, bytes, None);
            }
            return Ok(runs.done);
        }
        let ids: Vec<RowId> = touched
            .keys()
            .map(|(key, lane)| ((*key).clone(), *lane))
            .collect();
        let mut rows = self.look_up(store, &ids).await?;
        for (id, row) in ids.into_iter().zip(rows.drain(..)) {
            let changes = &touched[&(&id.0, id.1)];
            let Some(row) = self.fold(&id, row, changes)? else {
                continue;
            };
            let (write, bytes) = self.whole(&statement, &id, &row);
            self.cache.touch(&id);
            let key = id.0.clone();
            runs.add(&key, write, bytes, Some((id, row)));
        }
        Ok(runs.done)
    }

    /// Remembers rows whose writes have been acknowledged. Not before: a row that is not written
    /// must be folded again, whatever batch its events then come in.
    pub(crate) fn written(&mut self, rows: Vec<(RowId, Folded)>) {
        for (id, row) in rows {
            self.cache.put(id, row);
        }
    }

    /// Applies the events that a row has not absorbed; none where there is none.
    fn fold(
        &self,
        id: &RowId,
        row: Folded,
        changes: &[&Change],
    ) -> Result<Option<Folded>, Trouble> {
        let before = row.last;
        let Folded {
            mut last,
            mut values,
        } = row;
        for change in changes {
            // The guard: a row may be ahead of the checkpoint, by a crash or by another writer.
            if change.last <= last {
                continue;
            }
            values = change.apply(&self.model, values).map_err(|overflow| {
                Trouble::Overflow(Box::new(CommitError::Overflow {
                    model: self.model.name.to_string(),
                    key: id.0.clone(),
                    overflow,
                }))
            })?;
            last = change.last;
        }
        Ok((last > before).then_some(Folded { last, values }))
    }

    /// Finds rows as they stand: in the cache or, for the rest, in the table.
    async fn look_up(&mut self, store: &Store, ids: &[RowId]) -> Result<Vec<Folded>, Fault> {
        let known: Vec<_> = ids.iter().map(|id| self.cache.get(id)).collect();
        let missing = ids.iter().zip(&known).filter(|(_, known)| known.is_none());
        let missing: Vec<&RowId> = missing.map(|(id, _)| id).collect();
        let statement = self.layout.read_one();
        let (statement, this) = (&statement, &*self);
        let mut read = Vec::with_capacity(missing.len());
        for some in missing.chunks(super::writer::IN_FLIGHT_MAX) {
            let reads = some.iter().map(|id| this.read_one(store, statement, id));
            read.extend(futures::future::try_join_all(reads).await?);
        }
        let mut read = read.into_iter();
        let rows = known
            .into_iter()
            .map(|known| known.unwrap_or_else(|| read.next().expect("each was read")));
        Ok(rows.collect())
    }

    async fn read_one(
        &self,
        store: &Store,
        statement: &str,
        (key, lane): &RowId,
    ) -> Result<Folded, Fault> {
        let mut parameters: Vec<_> = self.layout.fixed().collect();
        parameters.extend(key.iter().filter_map(value::bound));
        if self.layout.shared {
            parameters.push(CqlValue::Int(lane.0.into()));
        }
        // What a majority has: a read that saw less would fold a row from something older than
        // what it has absorbed by then.
        let rows = store.rows(statement, &parameters, Sight::Fresh).await?;
        match rows.into_iter().next() {
            Some(cells) => Ok(read(&self.model, &self.layout, cells)?.folded()),
            None => Ok(Folded::default()),
        }
    }

    /// Writes a row whole.
    fn whole(
        &self,
        statement: &Arc<PreparedStatement>,
        (key, lane): &RowId,
        row: &Folded,
    ) -> (Write, usize) {
        let mut parameters = self.key(key);
        let mut bytes = 64 + key.iter().map(value::bytes).sum::<usize>();
        match &row.values {
            Some(values) => {
                for value in values {
                    bytes += value::bytes(value);
                    // Null too: a cell that is left out would show what an older write left.
                    parameters.push(MaybeUnset::Set(value::bound(value)));
                }
            }
            // A row that is gone keeps its place: a tombstone could be dropped before a late
            // write arrives, and its cells are null for the same reason.
            None => parameters.extend(self.model.value_columns().iter().map(|_| null())),
        }
        let gone = CqlValue::Boolean(row.values.is_none());
        parameters.extend(dated(*lane, row.last));
        parameters.push(MaybeUnset::Set(Some(gone)));
        parameters.push(at(row.last));
        let statement = Arc::clone(statement);
        (
            Write {
                statement,
                parameters,
            },
            bytes,
        )
    }

    /// Writes the columns that changes set, without knowing the row.
    fn blind(
        &self,
        statement: &Arc<PreparedStatement>,
        key: &RowKey,
        lane: Lane,
        changes: &[&Change],
    ) -> (Write, usize) {
        let key_length = self.model.key_length;
        let mut bytes = 64 + key.iter().map(value::bytes).sum::<usize>();
        let mut columns = vec![MaybeUnset::Unset; self.model.columns.len() - key_length];
        for (column, operand) in changes.iter().flat_map(|change| &change.operands) {
            bytes += value::bytes(operand);
            columns[usize::from(*column) - key_length] = MaybeUnset::Set(value::bound(operand));
        }
        let last = changes.iter().map(|change| change.last).max();
        let last = last.expect("a row is touched by some event");
        let mut parameters = self.key(key);
        parameters.extend(columns);
        parameters.extend(dated(lane, last));
        parameters.push(at(last));
        let statement = Arc::clone(statement);
        (
            Write {
                statement,
                parameters,
            },
            bytes,
        )
    }

    fn key(&self, key: &RowKey) -> Vec<Parameter> {
        let fixed = self.layout.fixed().map(Some);
        let parameters = fixed.chain(key.iter().map(value::bound));
        parameters.map(MaybeUnset::Set).collect()
    }
}

fn null() -> Parameter {
    MaybeUnset::Set(None)
}

fn dated(lane: Lane, last: foldline_kernel::LaneSequence) -> [Parameter; 2] {
    let sequence = CqlValue::BigInt(last.0.cast_signed());
    [CqlValue::Int(lane.0.into()), sequence].map(|value| MaybeUnset::Set(Some(value)))
}

fn at(last: foldline_kernel::LaneSequence) -> Parameter {
    MaybeUnset::Set(Some(CqlValue::BigInt(timestamp(last))))
}

fn touched(batch: &Batch) -> Touched<'_> {
    let only = batch.checkpoints.first().map(|(_, at)| at.lane);
    let mut touched = Touched::default();
    for (index, (key, change)) in batch.rows.iter().enumerate() {
        let lane = batch.lanes.get(index).copied().or(only);
        let lane = lane.expect("a batch with rows moves a checkpoint");
        touched.entry((key, lane)).or_default().push(change);
    }
    touched
}

/// Puts writes of one partition together.
struct Runs {
    partition_length: usize,
    open: FxHashMap<Vec<Value>, usize>,
    done: Vec<Run>,
}

impl Runs {
    fn new(partition_length: usize) -> Self {
        Self {
            partition_length,
            open: FxHashMap::default(),
            done: Vec::new(),
        }
    }

    fn add(&mut self, key: &RowKey, write: Write, bytes: usize, row: Option<(RowId, Folded)>) {
        let partition = key[..self.partition_length].to_vec();
        let known = self.open.get(&partition).copied();
        let fits = |place: &usize| {
            let run: &Run = &self.done[*place];
            run.writes.len() < BATCH_ROWS_MAX && run.bytes + bytes <= BATCH_BYTES_MAX
        };
        let place = known.filter(fits).unwrap_or_else(|| {
            self.done.push(Run::default());
            self.open.insert(partition, self.done.len() - 1);
            self.done.len() - 1
        });
        let run = &mut self.done[place];
        run.writes.push(write);
        run.rows.extend(row);
        run.bytes += bytes;
    }
}

/// A row as it is stored: one lane's.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) key: RowKey,
    pub(crate) values: RowValues,
    pub(crate) lane: Lane,
    pub(crate) last: foldline_kernel::LaneSequence,
    pub(crate) gone: bool,
}

impl Stored {
    fn folded(self) -> Folded {
        Folded {
            last: self.last,
            values: (!self.gone).then_some(self.values),
        }
    }
}

/// Reads a row.
pub(crate) fn read(model: &Model, layout: &Layout, mut cells: Cells) -> Result<Stored, Fault> {
    let broken = |shown: String| Fault::Broken(format!("a row is broken: {shown}"));
    let gone = match layout.guarded.then(|| cells.pop()).flatten() {
        Some(Some(CqlValue::Boolean(gone))) => gone,
        _ => false,
    };
    let (last, lane) = match (cells.pop().flatten(), cells.pop().flatten()) {
        (Some(CqlValue::BigInt(last)), Some(CqlValue::Int(lane))) => (last, lane),
        dated => return Err(broken(format!("{dated:?}"))),
    };
    let mut row = Vec::with_capacity(cells.len());
    for (cell, column) in cells.into_iter().zip(&model.columns) {
        row.push(value::read(cell, column.column_type).map_err(broken)?);
    }
    let values = row.split_off(model.key_length);
    Ok(Stored {
        key: RowKey::from_vec(row),
        values,
        lane: Lane(u16::try_from(lane).map_err(|error| broken(error.to_string()))?),
        last: foldline_kernel::LaneSequence(last.cast_unsigned()),
        gone,
    })
}

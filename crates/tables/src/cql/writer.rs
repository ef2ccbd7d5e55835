//! Writes the rows of one generation: rows, then parked users, then checkpoints.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Lane, LaneSequence};
use foldline_read_model::Model;
use futures::{StreamExt, TryStreamExt};
use rustc_hash::FxHashMap;

use super::{
    absorbed,
    rows::{RowFold, Run, Trouble},
    schema::Layout,
    session::{Sight, Store, Write},
    trouble::{Fault, Subject},
};
use crate::{Absorbed, Batch, CommitError, Grain, Source, TableError, TableWriter};

/// How many statements of one writer are on their way at a time.
pub(crate) const IN_FLIGHT_MAX: usize = 64;

/// A writer of one generation.
///
/// Nothing excludes another writer: a store without transactions cannot. Whoever finds that a
/// checkpoint is not where it left it steps down; what both have written until then is the same
/// (see `rows.rs`). So the comparison saves work, and correctness does not rest on it.
#[derive(Debug)]
pub(crate) struct Writer {
    store: Arc<Store>,
    subject: Subject,
    rows: RowFold,
    /// The place in each lane that this writer has moved its checkpoint to.
    reached: FxHashMap<Lane, LaneSequence>,
    #[cfg(test)]
    pub(crate) faults: Option<Arc<super::tests::Faults>>,
}

impl Writer {
    pub(crate) fn new(
        store: Arc<Store>,
        model: Arc<Model>,
        subject: Subject,
        layout: Layout,
    ) -> Self {
        Self {
            store,
            subject,
            rows: RowFold::new(model, layout),
            reached: FxHashMap::default(),
            #[cfg(test)]
            faults: None,
        }
    }

    /// Steps down where somebody else has moved a checkpoint, and forgets the rows of lanes that
    /// it has not followed to where they are.
    async fn fence(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let read = absorbed::read(&self.store, &self.subject, Sight::Fresh).await;
        let fenced = |lane| CommitError::Fenced {
            model: self.subject.model.clone(),
            lane,
        };
        let absorbed = match read {
            Ok(absorbed) => absorbed,
            Err(TableError::NoGeneration { .. }) => {
                let lane = batch.checkpoints.first().map(|(_, at)| at.lane);
                return Err(fenced(lane.unwrap_or(Lane(0))));
            }
            Err(error) => return Err(self.unavailable(error.into())),
        };
        #[cfg(test)]
        let stale = self
            .faults
            .as_ref()
            .is_some_and(|faults| faults.passes_stale());
        #[cfg(not(test))]
        let stale = false;
        for (seen, to) in batch.checkpoints.iter().filter(|_| !stale) {
            let stands = absorbed.lane(to.lane).map(|at| at.lane_sequence);
            if stands.unwrap_or_default() != *seen {
                return Err(fenced(to.lane));
            }
        }
        let left = |(seen, to): &(LaneSequence, foldline_kernel::Checkpoint)| {
            self.reached.get(&to.lane).is_some_and(|at| at != seen)
        };
        if batch.checkpoints.iter().any(left) {
            self.forget();
        }
        for (seen, to) in &batch.checkpoints {
            if *seen == LaneSequence::ZERO && !self.reached.contains_key(&to.lane) {
                self.rows.cache.begins(to.lane);
            }
            self.reached.insert(to.lane, *seen);
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.rows.cache.clear();
        self.reached.clear();
    }

    async fn write_rows(&mut self, runs: Vec<Run>) -> Result<(), Fault> {
        let this = &*self;
        let written: Result<Vec<_>, Fault> = futures::stream::iter(runs)
            .map(async |run: Run| {
                this.write(&run.writes).await?;
                Ok(run.rows)
            })
            .buffer_unordered(IN_FLIGHT_MAX)
            .try_collect()
            .await;
        let rows = written?.into_iter().flatten().collect();
        self.rows.written(rows);
        Ok(())
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Fault> {
        #[cfg(test)]
        if let Some(faults) = &self.faults {
            return faults.meet(&self.store, writes).await;
        }
        self.store.write(writes).await
    }

    async fn write_parked(&self, batch: &Batch) -> Result<(), Fault> {
        let mut writes = Vec::with_capacity(batch.parked.len());
        for parked in &batch.parked {
            writes.push(absorbed::park(&self.store, &self.subject, parked).await?);
        }
        for some in writes.chunks(IN_FLIGHT_MAX) {
            self.write(some).await?;
        }
        Ok(())
    }

    async fn write_checkpoints(&self, batch: &Batch) -> Result<(), Fault> {
        let mut writes = Vec::with_capacity(batch.checkpoints.len());
        for (_, to) in &batch.checkpoints {
            writes.push(absorbed::checkpoint(&self.store, &self.subject, to).await?);
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.write(&writes).await
    }

    fn unavailable(&self, source: Source) -> CommitError {
        CommitError::Unavailable {
            model: self.subject.model.clone(),
            source,
        }
    }
}

#[async_trait]
impl TableWriter for Writer {
    fn grain(&self) -> Grain {
        Grain::Events
    }

    async fn absorbed(&mut self) -> Result<Absorbed, TableError> {
        absorbed::read(&self.store, &self.subject, Sight::Fresh).await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        self.fence(batch).await?;
        let runs = self.rows.writes(&self.store, batch).await;
        let runs = runs.map_err(|trouble| match trouble {
            Trouble::Fault(fault) => self.unavailable(fault.source()),
            Trouble::Overflow(error) => *error,
        })?;
        let rows = self.write_rows(runs).await;
        rows.map_err(|fault| self.unavailable(fault.source()))?;
        // Who is held back is known before a checkpoint says that the events have been seen to.
        let parked = self.write_parked(batch).await;
        parked.map_err(|fault| self.unavailable(fault.source()))?;
        before_checkpoint();
        let moved = self.write_checkpoints(batch).await;
        moved.map_err(|fault| CommitError::Unknown {
            model: self.subject.model.clone(),
            source: fault.source(),
        })?;
        after_checkpoint();
        for (_, to) in &batch.checkpoints {
            self.reached.insert(to.lane, to.lane_sequence);
        }
        Ok(())
    }

    /// There is nothing that a load leaves to be done.
    async fn finish_loading(&mut self) -> Result<(), TableError> {
        Ok(())
    }

    /// The order of the key is the only index.
    async fn index(&mut self) -> Result<(), TableError> {
        Ok(())
    }

    /// Nobody can be held back without a transaction; commits of this process are held back by
    /// who asks for this.
    async fn hold(&mut self) -> Result<Absorbed, TableError> {
        self.absorbed().await
    }
}

/// Where a test ends the process: the rows are there, the checkpoint is not.
fn before_checkpoint() {
    fail::fail_point!("projector::before_commit", |_| std::process::abort());
}

/// Where a test ends the process: all of the batch is there.
fn after_checkpoint() {
    fail::fail_point!("projector::after_commit", |_| std::process::abort());
}

//! Tables in memory that fail on command, and tables in real files, behind one handle.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use foldline_kernel::LogId;
use foldline_read_model::{Model, RowKey, RowValues};
use foldline_tables::{
    Absorbed, Batch, CommitError, Generation, GenerationNumber, GenerationState, Select, Selected,
    SwitchError, TableError, TableReader, TableSnapshot, TableWriter, Tables,
};

/// What goes wrong with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is committed, and that is certain.
    Unavailable,
    /// It is committed, but nobody knows.
    UnknownDone,
    /// Nothing is committed, but nobody knows.
    UnknownNothing,
    /// Nothing goes wrong.
    None,
}

/// Tables in memory.
#[derive(Clone, Default)]
pub(crate) struct MemoryTables(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    generations: Vec<(Generation, Arc<Mutex<Table>>)>,
    last: BTreeMap<String, u32>,
    faults: VecDeque<Fault>,
}

#[derive(Clone, Default)]
struct Table {
    rows: BTreeMap<RowKey, RowValues>,
    absorbed: Absorbed,
    retired: bool,
    commits: usize,
    /// The queries of which indexes were made.
    indexed: Vec<String>,
}

impl MemoryTables {
    /// Plans faults for the next commits, whosever they are.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.store().faults.extend(faults);
    }

    /// Forgets the faults that are still planned.
    pub(crate) fn fail_no_more(&self) {
        self.store().faults.clear();
    }

    /// Counts the generations that were ever made of a model.
    pub(crate) fn made(&self, model: &str) -> u32 {
        self.store().last.get(model).copied().unwrap_or_default()
    }

    /// Returns the queries of which a generation has indexes.
    pub(crate) fn indexed(&self, model: &str, number: GenerationNumber) -> Vec<String> {
        let table = self.table(model, number).unwrap();
        let table = table.lock().unwrap();
        table.indexed.clone()
    }

    /// Counts the commits to a generation.
    pub(crate) fn commits(&self, model: &str, number: GenerationNumber) -> usize {
        let table = self.table(model, number).unwrap();
        let table = table.lock().unwrap();
        table.commits
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap()
    }

    fn table(
        &self,
        model: &str,
        number: GenerationNumber,
    ) -> Result<Arc<Mutex<Table>>, TableError> {
        let store = self.store();
        let mut generations = store.generations.iter();
        let found = generations.find(|(known, _)| known.model == model && known.number == number);
        found
            .map(|(_, table)| table.clone())
            .ok_or_else(|| gone(model, number))
    }
}

fn gone(model: &str, generation: GenerationNumber) -> TableError {
    TableError::NoGeneration {
        model: model.into(),
        generation,
    }
}

#[async_trait]
impl Tables for MemoryTables {
    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        let store = self.store();
        let all = store
            .generations
            .iter()
            .map(|(generation, _)| generation.clone());
        Ok(all.filter(|generation| generation.model == model).collect())
    }

    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError> {
        let mut store = self.store();
        let last = store.last.entry(model.name.to_string()).or_default();
        *last += 1;
        let generation = Generation {
            model: model.name.to_string(),
            number: GenerationNumber(*last),
            revision: model.revision.clone(),
            definition: model.definition.to_string(),
            log_id,
            state: GenerationState::Building,
        };
        store.generations.push((generation.clone(), Arc::default()));
        Ok(generation)
    }

    async fn switch(
        &self,
        model: &str,
        from: Option<GenerationNumber>,
        to: GenerationNumber,
    ) -> Result<(), SwitchError> {
        self.table(model, to)?;
        let mut store = self.store();
        let of_model = |(known, _): &&mut (Generation, _)| known.model == model;
        let mut known = store.generations.iter_mut().filter(of_model);
        let serving = known.find(|(known, _)| known.state == GenerationState::Serving);
        let number = serving.as_ref().map(|(known, _)| known.number);
        if number == Some(to) {
            return Ok(());
        }
        if number != from {
            return Err(SwitchError::Overtaken {
                model: model.into(),
                serving: number,
            });
        }
        if let Some((serving, _)) = serving {
            serving.state = GenerationState::Previous;
        }
        let mut known = store.generations.iter_mut().filter(of_model);
        let new = known.find(|(known, _)| known.number == to);
        new.expect("it was found").0.state = GenerationState::Serving;
        Ok(())
    }

    async fn retire(&self, model: &str, number: GenerationNumber) -> Result<(), TableError> {
        let table = self.table(model, number)?;
        let mut store = self.store();
        let mut generations = store.generations.iter();
        let serving = |(known, _): &(Generation, _)| {
            known.model == model
                && known.number == number
                && known.state == GenerationState::Serving
        };
        if generations.any(serving) {
            return Err(TableError::Serves {
                model: model.into(),
                generation: number,
            });
        }
        table.lock().unwrap().retired = true;
        store
            .generations
            .retain(|(known, _)| known.model != model || known.number != number);
        Ok(())
    }

    async fn writer(
        &self,
        model: &Arc<Model>,
        number: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        let table = self.table(&model.name, number)?;
        Ok(Box::new(Handle {
            tables: self.clone(),
            table,
            model: model.clone(),
            number,
        }))
    }

    async fn reader(
        &self,
        model: &Arc<Model>,
        number: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError> {
        let table = self.table(&model.name, number)?;
        Ok(Arc::new(Handle {
            tables: self.clone(),
            table,
            model: model.clone(),
            number,
        }))
    }
}

struct Handle {
    tables: MemoryTables,
    table: Arc<Mutex<Table>>,
    model: Arc<Model>,
    number: GenerationNumber,
}

impl Handle {
    fn read(&self) -> Result<Table, TableError> {
        let table = self.table.lock().unwrap();
        if table.retired {
            return Err(gone(&self.model.name, self.number));
        }
        Ok(table.clone())
    }

    /// All or nothing, the checkpoints first.
    fn transact(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut table = self.table.lock().unwrap();
        let mut after = table.clone();
        let model = self.model.name.to_string();
        for (seen, to) in &batch.checkpoints {
            let at = after
                .absorbed
                .checkpoints
                .iter_mut()
                .find(|at| at.lane == to.lane);
            let place = at.as_ref().map(|at| at.lane_sequence).unwrap_or_default();
            if place != *seen || table.retired {
                return Err(CommitError::Fenced {
                    model,
                    lane: to.lane,
                });
            }
            match at {
                Some(at) => *at = to.clone(),
                None => after.absorbed.checkpoints.push(to.clone()),
            }
        }
        for (key, change) in &batch.rows {
            match change.apply(&self.model, after.rows.get(key).cloned()) {
                Ok(Some(row)) => after.rows.insert(key.clone(), row),
                Ok(None) => after.rows.remove(key),
                Err(overflow) => {
                    let key = key.clone();
                    return Err(CommitError::Overflow {
                        model,
                        key,
                        overflow,
                    });
                }
            };
        }
        assert!(
            batch.rows.is_sorted_by(|(one, _), (other, _)| one < other),
            "sorted, no key twice"
        );
        after.absorbed.parked.extend(batch.parked.iter().cloned());
        after.commits += 1;
        *table = after;
        Ok(())
    }
}

#[async_trait]
impl TableWriter for Handle {
    async fn absorbed(&mut self) -> Result<Absorbed, TableError> {
        Ok(self.read()?.absorbed)
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let fault = self
            .tables
            .store()
            .faults
            .pop_front()
            .unwrap_or(Fault::None);
        let model = self.model.name.to_string();
        match fault {
            Fault::None => self.transact(batch),
            Fault::Unavailable => Err(CommitError::Unavailable {
                model,
                source: "a planned fault".into(),
            }),
            Fault::UnknownNothing => Err(CommitError::Unknown {
                model,
                source: "a planned fault".into(),
            }),
            Fault::UnknownDone => {
                self.transact(batch)?;
                Err(CommitError::Unknown {
                    model,
                    source: "a planned fault".into(),
                })
            }
        }
    }

    async fn finish_loading(&mut self) -> Result<(), TableError> {
        self.index().await
    }

    async fn index(&mut self) -> Result<(), TableError> {
        let mut table = self.table.lock().unwrap();
        let queries = self.model.queries.iter();
        table.indexed = queries.map(|query| query.name.to_string()).collect();
        Ok(())
    }

    async fn hold(&mut self) -> Result<Absorbed, TableError> {
        Ok(self.read()?.absorbed)
    }
}

#[async_trait]
impl TableReader for Handle {
    async fn absorbed(&self) -> Result<Absorbed, TableError> {
        Ok(self.read()?.absorbed)
    }

    async fn select(&self, _: &Select) -> Result<Selected, TableError> {
        panic!("no projector selects")
    }

    async fn snapshot(&self) -> Result<Box<dyn TableSnapshot>, TableError> {
        let Table { rows, absorbed, .. } = self.read()?;
        Ok(Box::new(MemorySnapshot {
            rows: rows.into_iter().collect(),
            next: 0,
            absorbed,
        }))
    }

    async fn count(&self) -> Result<u64, TableError> {
        Ok(self.read()?.rows.len() as u64)
    }

    async fn bytes(&self) -> Result<Option<u64>, TableError> {
        Ok(None)
    }
}

struct MemorySnapshot {
    rows: Vec<(RowKey, RowValues)>,
    next: usize,
    absorbed: Absorbed,
}

#[async_trait]
impl TableSnapshot for MemorySnapshot {
    fn absorbed(&self) -> &Absorbed {
        &self.absorbed
    }

    async fn next_rows(&mut self, limit: usize) -> Result<Vec<(RowKey, RowValues)>, TableError> {
        let left = &self.rows[self.next..];
        let some = left[..limit.min(left.len())].to_vec();
        self.next += some.len();
        Ok(some)
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}

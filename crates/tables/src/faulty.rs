//! Tables that fail on command: they wrap any store, for tests.
//!
//! ```text
//!   caller ── Faulty ── the store itself
//!               │
//!            Faults: what goes wrong next, with which operation
//! ```
//!
//! What it injects is what real stores do: an answer that is lost, a registry out of reach, an
//! operation that is slow enough for somebody else to come first.

mod gate;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use foldline_kernel::LogId;
use foldline_read_model::Model;

pub use self::gate::Gate;
use crate::{
    Generation, GenerationNumber, Refusal, Source, SwitchError, TableError, TableReader,
    TableWriter, Tables,
};

/// What a caller asks of [`Tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Tables::generations`].
    Generations,
    /// [`Tables::create`].
    Create,
    /// [`Tables::switch`].
    Switch,
    /// [`Tables::retire`].
    Retire,
    /// [`Tables::writer`].
    Writer,
    /// [`Tables::reader`].
    Reader,
}

/// What goes wrong with one operation.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is done: unavailable.
    Unavailable,
    /// It is done, but the answer is lost.
    LostAnswer,
    /// It waits at the gate before it begins.
    HeldBefore(Gate),
    /// It is done, but its answer waits at the gate.
    HeldAfter(Gate),
}

/// Tables around another store, with faults.
pub struct Faulty {
    inner: Arc<dyn Tables>,
    faults: Faults,
}

/// The plan of a [`Faulty`] store; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<HashMap<Operation, VecDeque<Fault>>>>);

impl Faulty {
    /// Wraps a store; without planned faults it behaves as the store itself.
    pub fn new(inner: Arc<dyn Tables>) -> (Self, Faults) {
        let faults = Faults::default();
        let tables = Self {
            inner,
            faults: faults.clone(),
        };
        (tables, faults)
    }

    /// Does what is asked, or what is planned in its place.
    async fn meet<T, E>(
        &self,
        operation: Operation,
        asked: impl Future<Output = Result<T, E>> + Send,
        lost: impl FnOnce(Source) -> E + Send,
    ) -> Result<T, E>
    where
        T: Send,
        E: From<TableError> + Send,
    {
        match self.faults.next(operation) {
            None => asked.await,
            Some(Fault::Unavailable) => Err(unavailable(operation).into()),
            Some(Fault::LostAnswer) => {
                asked.await?;
                Err(lost("the answer was lost".into()))
            }
            Some(Fault::HeldBefore(gate)) => {
                gate.pass().await;
                asked.await
            }
            Some(Fault::HeldAfter(gate)) => {
                let answer = asked.await;
                gate.pass().await;
                answer
            }
        }
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty")
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl Faults {
    /// Plans a fault for the next such operation that has none yet; several are met in turn.
    pub fn on(&self, operation: Operation, fault: Fault) {
        self.plan().entry(operation).or_default().push_back(fault);
    }

    /// Drops every plan: the store behaves as the one it wraps.
    pub fn clear(&self) {
        self.plan().clear();
    }

    /// Returns how many planned faults have not been met yet.
    pub fn waiting(&self) -> usize {
        self.plan().values().map(VecDeque::len).sum()
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        self.plan().get_mut(&operation)?.pop_front()
    }

    fn plan(&self) -> MutexGuard<'_, HashMap<Operation, VecDeque<Fault>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Tables for Faulty {
    fn refuses(&self, model: &Model) -> Option<Refusal> {
        self.inner.refuses(model)
    }

    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        let operation = Operation::Generations;
        let asked = self.inner.generations(model);
        self.meet(operation, asked, |_| unavailable(operation))
            .await
    }

    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError> {
        let operation = Operation::Create;
        let asked = self.inner.create(model, log_id);
        self.meet(operation, asked, |_| unavailable(operation))
            .await
    }

    async fn switch(
        &self,
        model: &str,
        from: Option<GenerationNumber>,
        to: GenerationNumber,
    ) -> Result<(), SwitchError> {
        let unknown = |source| SwitchError::Unknown {
            model: model.to_owned(),
            source,
        };
        let asked = self.inner.switch(model, from, to);
        self.meet(Operation::Switch, asked, unknown).await
    }

    async fn retire(&self, model: &str, generation: GenerationNumber) -> Result<(), TableError> {
        let operation = Operation::Retire;
        let asked = self.inner.retire(model, generation);
        self.meet(operation, asked, |_| unavailable(operation))
            .await
    }

    async fn writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        let operation = Operation::Writer;
        let asked = self.inner.writer(model, generation);
        self.meet(operation, asked, |_| unavailable(operation))
            .await
    }

    async fn reader(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError> {
        let operation = Operation::Reader;
        let asked = self.inner.reader(model, generation);
        self.meet(operation, asked, |_| unavailable(operation))
            .await
    }
}

fn unavailable(operation: Operation) -> TableError {
    TableError::Unavailable {
        operation: format!("do `{operation:?}`"),
        source: "an injected fault".into(),
    }
}

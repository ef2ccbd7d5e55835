//! One read model as this process runs it: its definition, its generations, its mailbox.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldline_read_model::Model;
use foldline_tables::{GenerationNumber, GenerationState};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{live::Live, supervisor::Order};

/// How many verifications of one read model run at a time: each holds up to twice
/// [`crate::Settings::verify_rows_max`] rows in memory.
const VERIFICATIONS_MAX: usize = 1;

/// What everybody may know of a read model; its supervisor alone changes it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) name: Arc<str>,
    pub(crate) orders: mpsc::Sender<Order>,
    now: Mutex<Now>,
    moved: watch::Sender<u64>,
    /// Taken by a verification for as long as it holds rows.
    pub(crate) verifying: Arc<Semaphore>,
}

#[derive(Debug)]
struct Now {
    model: Arc<Model>,
    generations: BTreeMap<GenerationNumber, Arc<Live>>,
    trouble: Option<String>,
}

impl View {
    pub(crate) fn new(model: Arc<Model>, orders: mpsc::Sender<Order>) -> Self {
        Self {
            name: Arc::clone(&model.name),
            orders,
            now: Mutex::new(Now {
                model,
                generations: BTreeMap::new(),
                trouble: None,
            }),
            moved: watch::channel(0).0,
            verifying: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
        }
    }

    /// Returns what counts the moves of the read model and of each of its generations.
    pub(crate) fn moved(&self) -> &watch::Sender<u64> {
        &self.moved
    }

    /// Returns the current definition.
    pub(crate) fn model(&self) -> Arc<Model> {
        Arc::clone(&self.now().model)
    }

    pub(crate) fn set_model(&self, model: Arc<Model>) {
        self.now().model = model;
    }

    /// Returns every generation, oldest first.
    pub(crate) fn generations(&self) -> Vec<Arc<Live>> {
        self.now().generations.values().cloned().collect()
    }

    pub(crate) fn generation(&self, number: GenerationNumber) -> Option<Arc<Live>> {
        self.now().generations.get(&number).cloned()
    }

    pub(crate) fn serving(&self) -> Option<Arc<Live>> {
        let mut generations = self.generations().into_iter();
        generations.find(|live| live.state() == GenerationState::Serving)
    }

    pub(crate) fn add(&self, live: Arc<Live>) {
        self.now().generations.insert(live.number, live);
        self.moved.send_modify(|moves| *moves += 1);
    }

    pub(crate) fn remove(&self, number: GenerationNumber) {
        self.now().generations.remove(&number);
        self.moved.send_modify(|moves| *moves += 1);
    }

    /// Returns what keeps the supervisor from its work, if anything does.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.now().trouble.clone()
    }

    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        self.now().trouble = trouble;
    }

    /// No code under the lock can panic half way, so a poisoned lock still holds whole values.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

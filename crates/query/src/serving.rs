//! Which generation serves, and the readers of those that are asked.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use foldline_read_model::Model;
use foldline_tables::{
    Generation, GenerationNumber, GenerationState, TableError, TableReader, Tables,
};
use tokio::sync::Mutex;

use crate::{Load, QueryError};

/// A generation that is open for reading.
pub(crate) struct Open {
    pub(crate) number: GenerationNumber,
    /// The definition it was built by; the file's own where the rules are still the same, since
    /// queries may change without a new generation.
    pub(crate) model: Arc<Model>,
    pub(crate) reader: Arc<dyn TableReader>,
}

/// What is known of one read model's generations.
pub(crate) struct View {
    /// As its file says now.
    pub(crate) model: Arc<Model>,
    tables: Arc<dyn Tables>,
    load: Load,
    age_max: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    read_at: Option<Instant>,
    generations: Vec<Generation>,
    open: HashMap<GenerationNumber, Arc<Open>>,
}

impl View {
    pub(crate) fn new(
        model: Arc<Model>,
        tables: Arc<dyn Tables>,
        load: Load,
        age_max: Duration,
    ) -> Self {
        Self {
            model,
            tables,
            load,
            age_max,
            known: Mutex::default(),
        }
    }

    /// Returns the generation that serves.
    pub(crate) async fn serving(&self) -> Result<Arc<Open>, QueryError> {
        let mut known = self.known.lock().await;
        self.refresh(&mut known, self.age_max).await?;
        let serving = known.find(|generation| generation.state == GenerationState::Serving);
        match serving {
            Some(generation) => self.open(&mut known, generation).await,
            None => Err(QueryError::NotReady {
                model: self.model.name.to_string(),
            }),
        }
    }

    /// Returns the generation that a cursor came from: one that serves, or served before.
    pub(crate) async fn generation(
        &self,
        number: GenerationNumber,
    ) -> Result<Arc<Open>, QueryError> {
        let wanted = |generation: &Generation| {
            generation.number == number && generation.state != GenerationState::Building
        };
        let mut known = self.known.lock().await;
        self.refresh(&mut known, self.age_max).await?;
        if known.find(wanted).is_none() {
            // Another node may have seen a switch before this one looked again.
            self.refresh(&mut known, Duration::ZERO).await?;
        }
        let found = known.find(wanted).ok_or(QueryError::CursorRetired)?;
        self.open(&mut known, found).await
    }

    /// Lists all generations as they are now, open for reading.
    pub(crate) async fn all(&self) -> Result<Vec<(Generation, Arc<Open>)>, QueryError> {
        let mut known = self.known.lock().await;
        self.refresh(&mut known, Duration::ZERO).await?;
        let mut all = Vec::new();
        for generation in known.generations.clone() {
            let open = self.open(&mut known, generation.clone()).await?;
            all.push((generation, open));
        }
        Ok(all)
    }

    /// Makes the next look at the registry a fresh one.
    pub(crate) async fn forget(&self) {
        self.known.lock().await.read_at = None;
    }

    async fn refresh(&self, known: &mut Known, age_max: Duration) -> Result<(), QueryError> {
        let now = Instant::now();
        if known
            .read_at
            .is_some_and(|at| now.duration_since(at) < age_max)
        {
            return Ok(());
        }
        let generations = self.tables.generations(&self.model.name).await;
        known.generations = generations.map_err(|error| self.trouble(error))?;
        known.read_at = Some(now);
        let Known {
            generations, open, ..
        } = known;
        open.retain(|number, _| generations.iter().any(|listed| listed.number == *number));
        Ok(())
    }

    async fn open(
        &self,
        known: &mut Known,
        generation: Generation,
    ) -> Result<Arc<Open>, QueryError> {
        if let Some(open) = known.open.get(&generation.number) {
            return Ok(Arc::clone(open));
        }
        let model = if generation.revision == self.model.revision {
            Arc::clone(&self.model)
        } else {
            self.older(&generation)?
        };
        let reader = self.tables.reader(&model, generation.number).await;
        let open = Arc::new(Open {
            number: generation.number,
            model,
            reader: reader.map_err(|error| self.trouble(error))?,
        });
        known.open.insert(generation.number, Arc::clone(&open));
        Ok(open)
    }

    fn older(&self, generation: &Generation) -> Result<Arc<Model>, QueryError> {
        let loaded = (self.load)(&self.model.name, &generation.definition);
        loaded.map(Arc::new).map_err(|trouble| QueryError::Corrupt {
            model: self.model.name.to_string(),
            source: format!(
                "the definition of generation {} cannot be read: {trouble}",
                generation.number
            )
            .into(),
        })
    }

    pub(crate) fn trouble(&self, error: TableError) -> QueryError {
        QueryError::of_table(&self.model.name, error)
    }
}

impl Known {
    fn find(&self, wanted: impl Fn(&Generation) -> bool) -> Option<Generation> {
        self.generations.iter().find(|known| wanted(known)).cloned()
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("View").field(&self.model.name).finish()
    }
}

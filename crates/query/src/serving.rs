//! Which generation serves, and the readers of those that are asked.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use foldline_read_model::Model;
use foldline_tables::{
    Generation, GenerationNumber, GenerationState, TableError, TableReader, Tables,
};
use futures::{FutureExt, future::BoxFuture, future::Shared};

use crate::{Load, Notice, QueryError};

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
    name: Arc<str>,
    tables: Arc<dyn Tables>,
    load: Load,
    notice: Notice,
    age_max: Duration,
    /// Never held while something is waited for: one slow look at the registry must not stop
    /// whoever needs none.
    known: Mutex<Known>,
}

struct Known {
    /// As its file says now.
    model: Arc<Model>,
    looked: Option<(Begun, Generations)>,
    /// The look under way: those that need one at the same time share it.
    looking: Option<(Begun, Looking)>,
    open: HashMap<GenerationNumber, Arc<Open>>,
}

type Generations = Arc<[Generation]>;
type Looking = Shared<BoxFuture<'static, Result<Generations, Arc<TableError>>>>;

/// When a look at the registry began. What it finds says nothing about what came later.
#[derive(Clone, Copy, PartialEq)]
struct Begun {
    at: Instant,
    switches: u64,
}

impl View {
    pub(crate) fn new(
        model: Arc<Model>,
        tables: Arc<dyn Tables>,
        load: Load,
        notice: Notice,
        age_max: Duration,
    ) -> Self {
        Self {
            name: Arc::clone(&model.name),
            tables,
            load,
            notice,
            age_max,
            known: Mutex::new(Known {
                model,
                looked: None,
                looking: None,
                open: HashMap::new(),
            }),
        }
    }

    /// Returns the definition as its file says now.
    pub(crate) fn model(&self) -> Arc<Model> {
        Arc::clone(&self.known().model)
    }

    /// Takes a definition that was read again: what it declares is answered from now on by every
    /// generation that was built by the same rules.
    pub(crate) fn replace_model(&self, model: Arc<Model>) {
        let mut known = self.known();
        known.model = model;
        known.open.clear();
    }

    /// Tells whether a query is declared, now or by a generation that is being asked.
    pub(crate) fn declares(&self, query: &str) -> bool {
        let known = self.known();
        let mut models = known.open.values().map(|open| &open.model);
        known.model.query(query).is_some() || models.any(|model| model.query(query).is_some())
    }

    /// Returns the generation that serves.
    pub(crate) async fn serving(&self) -> Result<Arc<Open>, QueryError> {
        let generations = self.generations(self.age_max).await?;
        let mut generations = generations.iter();
        match generations.find(|known| known.state == GenerationState::Serving) {
            Some(generation) => self.open(generation).await,
            None => Err(QueryError::NotReady {
                model: self.name.to_string(),
            }),
        }
    }

    /// Returns the generation that a cursor came from: one that serves, or served before.
    pub(crate) async fn generation(
        &self,
        number: GenerationNumber,
    ) -> Result<Arc<Open>, QueryError> {
        let wanted = |generation: &&Generation| {
            generation.number == number && generation.state != GenerationState::Building
        };
        // Another node may have seen a switch before this one looked again.
        for age_max in [self.age_max, Duration::ZERO] {
            let generations = self.generations(age_max).await?;
            if let Some(found) = generations.iter().find(wanted) {
                return self.open(found).await;
            }
        }
        Err(QueryError::CursorRetired)
    }

    /// Lists all generations as they are now, open for reading.
    pub(crate) async fn all(&self) -> Result<Vec<(Generation, Arc<Open>)>, QueryError> {
        let mut all = Vec::new();
        for generation in self.generations(Duration::ZERO).await?.iter() {
            all.push((generation.clone(), self.open(generation).await?));
        }
        Ok(all)
    }

    /// Makes the next look at the registry a fresh one.
    pub(crate) fn forget(&self) {
        let mut known = self.known();
        (known.looked, known.looking) = (None, None);
    }

    /// Lists the generations as of a moment that is not longer ago than this, and not before the
    /// last switch that was told of.
    async fn generations(&self, age_max: Duration) -> Result<Generations, QueryError> {
        let now = Begun {
            at: Instant::now(),
            switches: self.notice.switches(&self.name),
        };
        let recent = |begun: &Begun| {
            begun.switches == now.switches && now.at.duration_since(begun.at) < age_max
        };
        let (begun, looking) = {
            let mut known = self.known();
            match (&known.looked, &known.looking) {
                (Some((begun, found)), _) if recent(begun) => return Ok(Arc::clone(found)),
                (_, Some((begun, looking))) if recent(begun) => (*begun, looking.clone()),
                _ => {
                    let looking = self.look();
                    known.looking = Some((now, looking.clone()));
                    (now, looking)
                }
            }
        };
        let found = looking.await;
        self.known().looked(begun, found.as_ref().ok());
        found.map_err(|error| QueryError::of_shared_table(&self.name, error))
    }

    fn look(&self) -> Looking {
        let (tables, name) = (Arc::clone(&self.tables), Arc::clone(&self.name));
        let looking = async move {
            let generations = tables.generations(&name).await;
            generations.map(Arc::from).map_err(Arc::new)
        };
        looking.boxed().shared()
    }

    async fn open(&self, generation: &Generation) -> Result<Arc<Open>, QueryError> {
        let current = {
            let known = self.known();
            if let Some(open) = known.open.get(&generation.number) {
                return Ok(Arc::clone(open));
            }
            Arc::clone(&known.model)
        };
        let model = if generation.revision == current.revision {
            Arc::clone(&current)
        } else {
            self.older(generation)?
        };
        let reader = self.tables.reader(&model, generation.number).await;
        let open = Arc::new(Open {
            number: generation.number,
            model,
            reader: reader.map_err(|error| self.trouble(error))?,
        });
        let mut known = self.known();
        if !Arc::ptr_eq(&known.model, &current) {
            // The definition was replaced meanwhile: this one is for this request alone.
            return Ok(open);
        }
        let kept = known.open.entry(generation.number).or_insert(open);
        Ok(Arc::clone(kept))
    }

    fn older(&self, generation: &Generation) -> Result<Arc<Model>, QueryError> {
        let loaded = (self.load)(&self.name, &generation.definition);
        loaded.map(Arc::new).map_err(|trouble| QueryError::Corrupt {
            model: self.name.to_string(),
            source: format!(
                "the definition of generation {} cannot be read: {trouble}",
                generation.number
            )
            .into(),
        })
    }

    pub(crate) fn trouble(&self, error: TableError) -> QueryError {
        QueryError::of_table(&self.name, error)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing in it is ever half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Notes how a look ended; everybody who shared it does.
    fn looked(&mut self, begun: Begun, found: Option<&Generations>) {
        if self.looking.as_ref().is_some_and(|(at, _)| *at == begun) {
            self.looking = None;
        }
        let Some(found) = found else { return };
        let newer = self.looked.as_ref().is_none_or(|(at, _)| at.at < begun.at);
        if newer {
            let listed = |number: &GenerationNumber| found.iter().any(|one| one.number == *number);
            self.open.retain(|number, _| listed(number));
            self.looked = Some((begun, Arc::clone(found)));
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("View").field(&self.name).finish()
    }
}

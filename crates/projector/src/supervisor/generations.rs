//! Taking generations up and letting them go, as the registry says.

use std::sync::Arc;

use foldline_read_model::Model;
use foldline_tables::{Generation, GenerationNumber, GenerationState, TableError};

use super::{Running, Supervisor};
use crate::{
    RetireError,
    feeds::Feeds,
    live::Live,
    plan::{self, Build, Current},
    projector::told,
};

/// Comes before the number of every generation.
const NONE_YET: GenerationNumber = GenerationNumber(0);

impl Supervisor {
    /// Makes what this process does agree with the registry and the current definition.
    pub(super) async fn settle(&mut self) -> Result<(), TableError> {
        let tables = Arc::clone(&self.shared.tables);
        let model = self.view.model();
        let mut listed = tables.generations(&self.view.name).await?;
        let newest = listed.last().map(|newest| newest.number);
        self.read_at.get_or_insert(newest.unwrap_or(NONE_YET));
        let plan = plan::plan(&listed, self.current(&model));
        self.note_overruled(plan.overruled);
        let surplus = self.surplus_of(&listed);
        for number in plan.retire {
            let why = "another definition is being built";
            self.discard(number, why, &mut listed).await;
        }
        for number in surplus {
            let why = "a newer one is kept to go back to";
            self.discard(number, why, &mut listed).await;
        }
        // First, so that what there is goes on where nothing new can be made.
        self.follow(&listed, &model).await;
        let building = match plan.build {
            Build::Nothing => None,
            Build::Resume(number) => Some(number),
            Build::New => {
                listed = self.create_once(&model).await?;
                self.follow(&listed, &model).await;
                plan::begun(&listed, self.current(&model)).map(|begun| begun.number)
            }
        };
        self.builds(building);
        Ok(())
    }

    /// Follows what there is, and nothing else.
    async fn follow(&mut self, listed: &[Generation], model: &Arc<Model>) {
        self.let_go(listed).await;
        for generation in listed {
            self.take_up(generation);
        }
        self.index_all(model);
    }

    /// What this process goes by, given the definition it has.
    pub(super) fn current<'m>(&self, model: &'m Model) -> Current<'m> {
        Current {
            revision: &model.revision,
            log: self.shared.log.topology().log_id,
            read_at: self.read_at.unwrap_or(NONE_YET),
        }
    }

    fn note_overruled(&mut self, overruled: bool) {
        if overruled && !self.overruled {
            tracing::warn!(view = %self.view.name,
                "another process goes by another definition, which it has read later; this one \
                 follows it");
        }
        self.overruled = overruled;
    }

    /// Creates a generation unless another process has done so at the same moment; returns what
    /// there is then.
    ///
    /// Numbers are given one after another, so of two processes that find nothing the one with
    /// the higher number sees the other's generation, and drops its own.
    async fn create_once(&mut self, model: &Arc<Model>) -> Result<Vec<Generation>, TableError> {
        let tables = Arc::clone(&self.shared.tables);
        let log_id = self.shared.log.topology().log_id;
        let own = tables.create(model, log_id).await?.number;
        let mut listed = tables.generations(&self.view.name).await?;
        let before: Vec<_> = listed
            .iter()
            .filter(|generation| generation.number < own)
            .cloned()
            .collect();
        if plan::plan(&before, self.current(model)).build != Build::New {
            let why = "another process has begun the same";
            self.discard(own, why, &mut listed).await;
        }
        Ok(listed)
    }

    /// Makes the indexes of changed queries, where the rules are still those of the definition.
    fn index_all(&mut self, model: &Arc<Model>) {
        let Self {
            running, shared, ..
        } = self;
        for running in running.values_mut() {
            let live = &running.live;
            // What is being built gets its indexes when it has been loaded.
            let loaded = live.state() != GenerationState::Building;
            if loaded && live.follows.is_some() && live.revision == model.revision {
                running.index(shared, model);
            }
        }
    }

    /// Stops following what is not in the registry any more.
    async fn let_go(&mut self, listed: &[Generation]) {
        let gone: Vec<_> = self
            .running
            .keys()
            .filter(|number| listed.iter().all(|listed| listed.number != **number))
            .copied()
            .collect();
        for number in gone {
            self.drop_running(number).await;
        }
    }

    async fn drop_running(&mut self, number: GenerationNumber) {
        if let Some(running) = self.running.remove(&number) {
            running.ended().await;
        }
        self.view.remove(number);
    }

    /// Follows a generation that is not followed yet.
    pub(super) fn take_up(&mut self, generation: &Generation) {
        if let Some(running) = self.running.get_mut(&generation.number) {
            if running.live.set_state(generation.state) {
                // Whoever waits for a position may find it where another process switched to.
                (self.shared.notice)(&self.view.name);
            }
            running.revive(&self.shared, &self.view.name);
            return;
        }
        let moved = self.view.moved().clone();
        let live = match self.definition_of(generation) {
            Ok(follows) => Live::new(generation, Some(follows), moved),
            Err(reason) => {
                tracing::error!(view = %self.view.name, generation = %generation.number, reason,
                    "a generation cannot be followed");
                let live = Live::new(generation, None, moved);
                live.stops(reason);
                live
            }
        };
        let running = Running::start(&self.shared, Arc::new(live));
        self.view.add(Arc::clone(&running.live));
        self.running.insert(generation.number, running);
    }

    /// Reads what a generation is built by; the error is a sentence.
    fn definition_of(&self, generation: &Generation) -> Result<(Arc<Model>, Feeds), String> {
        let topology = self.shared.log.topology();
        if generation.log_id != topology.log_id {
            return Err(format!(
                "it was built from another log, {}; a replay builds it from this one",
                generation.log_id
            ));
        }
        let current = self.view.model();
        let model = if generation.revision == current.revision {
            current
        } else {
            let load = &self.shared.load;
            let loaded = load(&generation.model, &generation.definition);
            Arc::new(loaded.map_err(|trouble| {
                format!("this version cannot read the definition it was built by: {trouble}")
            })?)
        };
        let feeds = Feeds::of(&model, topology)
            .map_err(|context| format!("the log has no context `{context}`"))?;
        Ok((model, feeds))
    }

    /// Drops a generation and its tables.
    ///
    /// From the store first: its projector finds out, as every other process's does, and goes on
    /// where the store refuses.
    pub(super) async fn retire(
        &mut self,
        number: GenerationNumber,
        why: &str,
    ) -> Result<(), TableError> {
        let retired = self.shared.tables.retire(&self.view.name, number).await;
        match retired {
            // Another process did it, perhaps.
            Ok(()) | Err(TableError::NoGeneration { .. }) => {}
            Err(error) => {
                if self.is_listed(number).await {
                    return Err(error);
                }
            }
        }
        self.drop_running(number).await;
        tracing::info!(view = %self.view.name, generation = %number, why, "retired a generation");
        self.builds_no_more(number, why);
        Ok(())
    }

    /// Tells whether the registry has a generation, or cannot say that it has not.
    async fn is_listed(&self, number: GenerationNumber) -> bool {
        let listed = self.shared.tables.generations(&self.view.name).await;
        listed.is_ok_and(|listed| listed.iter().any(|listed| listed.number == number))
    }

    /// Drops a generation that nobody wants; where that fails it is in nobody's way, and is tried
    /// again with the next look.
    pub(super) async fn discard(
        &mut self,
        number: GenerationNumber,
        why: &str,
        listed: &mut Vec<Generation>,
    ) {
        match self.retire(number, why).await {
            Ok(()) => listed.retain(|generation| generation.number != number),
            Err(error) => {
                tracing::warn!(view = %self.view.name, generation = %number, error = told(&error),
                    "a generation could not be retired; trying again");
            }
        }
    }

    pub(super) async fn retire_on_demand(
        &mut self,
        number: GenerationNumber,
    ) -> Result<(), RetireError> {
        let model = self.view.name.to_string();
        let tables = |source| match source {
            TableError::Serves { .. } => RetireError::Serves {
                model: model.clone(),
                generation: number,
            },
            source => RetireError::Tables {
                model: model.clone(),
                source,
            },
        };
        let listed = self.shared.tables.generations(&model).await;
        if !listed.map_err(tables)?.iter().any(|it| it.number == number) {
            return Err(RetireError::UnknownGeneration {
                model: model.clone(),
                generation: number,
            });
        }
        let retired = self.retire(number, "somebody asked for it").await;
        retired.map_err(tables)
    }
}

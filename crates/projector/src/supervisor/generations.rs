//! Taking generations up and letting them go, as the registry says.

use std::sync::Arc;

use foldline_read_model::Model;
use foldline_tables::{Generation, GenerationNumber, TableError};

use super::{Running, Supervisor};
use crate::{
    RetireError,
    feeds::Feeds,
    live::Live,
    plan::{self, Build},
    projector::told,
};

impl Supervisor {
    /// Makes what this process does agree with the registry and the current definition.
    pub(super) async fn settle(&mut self) -> Result<(), TableError> {
        let tables = Arc::clone(&self.shared.tables);
        let log_id = self.shared.log.topology().log_id;
        let model = self.view.model();
        let mut listed = tables.generations(&self.view.name).await?;
        let plan = plan::plan(&listed, &model.revision, log_id);
        for number in plan.retire {
            self.retire(number, "another definition is being built")
                .await?;
            listed.retain(|generation| generation.number != number);
        }
        let building = match plan.build {
            Build::Nothing => None,
            Build::Resume(number) => Some(number),
            Build::New => {
                listed = self.create_once(&model).await?;
                match plan::plan(&listed, &model.revision, log_id).build {
                    Build::Resume(number) => Some(number),
                    // Another process was first, and its generation serves already.
                    Build::Nothing | Build::New => None,
                }
            }
        };
        self.let_go(&listed).await;
        for generation in &listed {
            self.take_up(generation);
        }
        self.builds(building);
        Ok(())
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
        if plan::plan(&before, &model.revision, log_id).build != Build::New {
            self.retire(own, "another process has begun the same")
                .await?;
            listed.retain(|generation| generation.number != own);
        }
        Ok(listed)
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
            running.live.set_state(generation.state);
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
    pub(super) async fn retire(
        &mut self,
        number: GenerationNumber,
        why: &str,
    ) -> Result<(), TableError> {
        self.drop_running(number).await;
        match self.shared.tables.retire(&self.view.name, number).await {
            // Another process did it.
            Ok(()) | Err(TableError::NoGeneration { .. }) => {}
            Err(error) => return Err(error),
        }
        tracing::info!(view = %self.view.name, generation = %number, why, "retired a generation");
        self.builds_no_more(number, why);
        Ok(())
    }

    pub(super) async fn retire_on_demand(
        &mut self,
        number: GenerationNumber,
    ) -> Result<(), RetireError> {
        let model = self.view.name.to_string();
        let tables = |source| RetireError::Tables {
            model: model.clone(),
            source,
        };
        let listed = self.shared.tables.generations(&model).await;
        let listed = listed.map_err(tables)?;
        let Some(generation) = listed.iter().find(|listed| listed.number == number) else {
            return Err(RetireError::UnknownGeneration {
                model: model.clone(),
                generation: number,
            });
        };
        if generation.state == foldline_tables::GenerationState::Serving {
            return Err(RetireError::Serves {
                model: model.clone(),
                generation: number,
            });
        }
        match self.retire(number, "somebody asked for it").await {
            Ok(()) => Ok(()),
            Err(error) => {
                // Its projector has stopped; the next look takes it up again.
                self.look_at = tokio::time::Instant::now();
                tracing::warn!(error = told(&error), "a generation could not be retired");
                Err(tables(error))
            }
        }
    }
}

//! Making another generation the one that serves.

use std::sync::Arc;

use foldline_tables::{Absorbed, GenerationNumber, GenerationState, TableError};
use tokio::time::timeout;

use super::Supervisor;
use crate::{
    RollbackError,
    feeds::{self, Ends},
    live::Live,
};

impl Supervisor {
    /// Switches to a generation once none of its checkpoints is behind those of the one that
    /// serves; tells whether it did.
    ///
    /// While the two are compared, commits of the one that serves are held back: else each could
    /// be ahead of the other in some lane for ever. The first generation has nothing to compare
    /// with, and serves once it is near the end of the log: queries work while it catches up, and
    /// it is simply behind, as it says.
    pub(super) async fn switch_to(
        &mut self,
        new: &Arc<Live>,
        ends: &Ends,
    ) -> Result<bool, TableError> {
        let settings = &self.shared.settings;
        let serving = self.view.serving();
        // An earlier try took effect though its answer was lost. Compared with itself it would be
        // taken for the one to go back to, and the real one would be retired.
        if serving.as_ref().is_some_and(|old| old.number == new.number) {
            return Ok(true);
        }
        // Nobody here holds back what another process may follow, so only the end will do.
        let unfollowed = serving.as_ref().is_some_and(|old| old.follows.is_none());
        let near = if unfollowed { 0 } else { settings.near_events };
        if new.behind(ends) > near {
            return Ok(false);
        }
        let old = serving.filter(|old| old.follows.is_some());
        let _held = match &old {
            None => None,
            Some(old) => {
                let gate = Arc::clone(&old.gate).lock_owned();
                let Ok(held) = timeout(settings.hold_max, gate).await else {
                    return Ok(false);
                };
                let goal = self.absorbed_by(old).await?;
                if !reaches(new, old, &goal, settings.hold_max).await {
                    return Ok(false);
                }
                Some(held)
            }
        };
        before_switch();
        self.shared
            .tables
            .switch(&self.view.name, new.number)
            .await?;
        switched();
        new.set_state(GenerationState::Serving);
        if let Some(old) = &old {
            old.set_state(GenerationState::Previous);
        }
        tracing::info!(view = %self.view.name, generation = %new.number, "switched");
        (self.shared.notice)(&self.view.name);
        // The switch has happened whatever comes of this: one generation too many is retired with
        // the next switch.
        let kept = old.map(|old| old.number);
        if let Err(error) = self.keep_one_previous(kept).await {
            tracing::warn!(view = %self.view.name, error = &error as &dyn std::error::Error,
                "an older generation could not be retired");
        }
        Ok(true)
    }

    /// What the store says, since another process may be the one that moves it.
    async fn absorbed_by(&self, live: &Live) -> Result<Absorbed, TableError> {
        let Some((model, _)) = &live.follows else {
            return Ok(Absorbed::default());
        };
        let reader = self.shared.tables.reader(model, live.number).await?;
        reader.absorbed().await
    }

    /// Retires every previous generation but the one that served last.
    async fn keep_one_previous(
        &mut self,
        kept: Option<GenerationNumber>,
    ) -> Result<(), TableError> {
        let Some(kept) = kept else { return Ok(()) };
        let listed = self.shared.tables.generations(&self.view.name).await?;
        for generation in listed {
            if generation.state == GenerationState::Previous && generation.number != kept {
                self.retire(generation.number, "a newer one is kept to go back to")
                    .await?;
            }
        }
        Ok(())
    }

    /// Switches back to the generation that served before.
    pub(super) async fn roll_back(&mut self) -> Result<GenerationNumber, RollbackError> {
        let model = self.view.name.to_string();
        let tables = |source| RollbackError::Tables {
            model: model.clone(),
            source,
        };
        self.settle().await.map_err(tables)?;
        let mut generations = self.view.generations().into_iter().rev();
        let previous = generations.find(|live| live.state() == GenerationState::Previous);
        let Some(previous) = previous else {
            return Err(RollbackError::NoPrevious(model.clone()));
        };
        let behind = |events_behind| RollbackError::Behind {
            model: model.clone(),
            generation: previous.number,
            events_behind,
        };
        let ends = feeds::ends(self.shared.log.as_ref()).await;
        let ends = ends.map_err(|_| behind(u64::MAX))?;
        if !self.switch_to(&previous, &ends).await.map_err(tables)? {
            return Err(behind(previous.behind(&ends)));
        }
        self.settle().await.map_err(tables)?;
        Ok(previous.number)
    }
}

/// Waits, within a bound, until a generation has absorbed what another has.
async fn reaches(new: &Live, old: &Live, goal: &Absorbed, within: std::time::Duration) -> bool {
    let source = old
        .follows
        .as_ref()
        .map(|(model, _)| model.source.as_slice());
    let reached = async {
        let mut moves = new.moves();
        while !new.not_behind(goal, source.unwrap_or_default()) {
            if moves.changed().await.is_err() {
                return;
            }
        }
    };
    timeout(within, reached).await.is_ok()
}

/// Where a test ends the process: the registry still names the old generation.
fn before_switch() {
    fail::fail_point!("replay::before_switch", |_| std::process::abort());
}

/// Where a test ends the process: the registry names the new generation, nobody was told.
fn switched() {
    fail::fail_point!("replay::switched", |_| std::process::abort());
}

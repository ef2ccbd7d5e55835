//! Bringing on the generation that is being built, and telling who asked for it.

use std::sync::Arc;

use foldline_tables::{GenerationNumber, TableError};
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant},
};

use super::Supervisor;
use crate::{
    Doing, ReplayError, ReplayPhase, ReplayProgress,
    feeds::{self, Ends},
    live::Live,
    projector::told,
    replay::Reporter,
};

/// How long a switch that was not to be waits for its next attempt.
const SWITCH_PAUSE: Duration = Duration::from_millis(500);

/// The generation that is being built.
pub(super) struct Building {
    live: Arc<Live>,
    moves: watch::Receiver<u64>,
    /// Who asked for it, until they have been told its end.
    reporter: Option<Reporter>,
    /// Whether somebody asked for it; what nobody asked for yet can still be asked for.
    asked: bool,
    switch_at: Instant,
}

impl Building {
    /// Waits for the generation to move; for ever where there is none.
    pub(super) async fn moves(building: &mut Option<Self>) {
        let Some(building) = building else {
            return std::future::pending().await;
        };
        let moved = building.moves.changed().await;
        moved.expect("the sender lives in `live`, beside this");
    }
}

impl Supervisor {
    /// Notes which generation is being built now.
    pub(super) fn builds(&mut self, number: Option<GenerationNumber>) {
        let known = self.building.as_ref().map(|building| building.live.number);
        if known == number {
            return;
        }
        if let Some(known) = known {
            self.builds_no_more(known, "the registry has no such generation any more");
        }
        let running = number.and_then(|number| self.running.get(&number));
        self.building = running.map(|running| Building {
            live: Arc::clone(&running.live),
            moves: running.live.moves(),
            reporter: None,
            asked: false,
            switch_at: Instant::now(),
        });
    }

    /// Forgets a generation that was being built and tells who waits for it.
    pub(super) fn builds_no_more(&mut self, number: GenerationNumber, why: &str) {
        let this = |building: &mut Building| building.live.number == number;
        if let Some(Building { reporter, .. }) = self.building.take_if(this)
            && let Some(reporter) = reporter
        {
            let mut progress = self.progress(number, ReplayPhase::Failed);
            progress.trouble = Some(why.into());
            reporter.end(progress);
        }
    }

    /// Begins a replay, or takes over one that began by itself.
    pub(super) async fn replay(&mut self) -> Result<mpsc::Receiver<ReplayProgress>, ReplayError> {
        let model = self.view.name.to_string();
        let tables = |source| ReplayError::Tables {
            model: model.clone(),
            source,
        };
        self.settle().await.map_err(tables)?;
        if let Some(building) = &self.building
            && building.live.doing() == Doing::Stopped
        {
            let number = building.live.number;
            let retired = self
                .retire(number, "it had stopped and is built anew")
                .await;
            retired.map_err(tables)?;
            self.settle().await.map_err(tables)?;
        }
        if self.building.is_none() {
            let log_id = self.shared.log.topology().log_id;
            let created = self.shared.tables.create(&self.view.model(), log_id).await;
            let generation = created.map_err(tables)?;
            self.take_up(&generation);
            self.builds(Some(generation.number));
        }
        let building = self.building.as_mut().expect("it was taken up just now");
        if building.asked {
            return Err(ReplayError::AlreadyRunning {
                model: model.clone(),
                generation: building.live.number,
            });
        }
        let (reporter, reports) = Reporter::new();
        building.asked = true;
        building.reporter = Some(reporter);
        let number = building.live.number;
        tracing::info!(view = %self.view.name, generation = %number, "a replay begins");
        Ok(reports)
    }

    /// Reports on the generation that is being built, and switches to it when it can serve.
    pub(super) async fn advance(&mut self) -> Result<(), TableError> {
        let Some(building) = &mut self.building else {
            return Ok(());
        };
        let live = Arc::clone(&building.live);
        // Out of reach for now, which the projector itself has told already.
        let Ok(ends) = feeds::ends(self.shared.log.as_ref()).await else {
            return Ok(());
        };
        let phase = match live.doing() {
            Doing::Starting => ReplayPhase::Estimating,
            Doing::Loading => ReplayPhase::Loading,
            Doing::Indexing => ReplayPhase::Indexing,
            Doing::Following | Doing::StandingBy | Doing::Retrying => ReplayPhase::CatchingUp,
            Doing::Stopped => ReplayPhase::Failed,
        };
        let progress = progress(&self.view.name, &live, phase, Some(&ends));
        if phase == ReplayPhase::Failed {
            if let Some(reporter) = building.reporter.take() {
                reporter.end(progress);
            }
            return Ok(());
        }
        if let Some(reporter) = &mut building.reporter {
            reporter.report(progress);
        }
        if live.doing() == Doing::Following && Instant::now() >= building.switch_at {
            return self.try_switch(&live, &ends).await;
        }
        Ok(())
    }

    async fn try_switch(&mut self, live: &Arc<Live>, ends: &Ends) -> Result<(), TableError> {
        let switched = self.switch_to(live, ends).await;
        if let Some(building) = &mut self.building {
            building.switch_at = Instant::now() + SWITCH_PAUSE;
        }
        match switched {
            Ok(false) => Ok(()),
            Ok(true) => {
                if let Some(Building { reporter, .. }) = self.building.take()
                    && let Some(reporter) = reporter
                {
                    reporter.end(self.progress(live.number, ReplayPhase::Switched));
                }
                self.settle().await
            }
            Err(error) => {
                let number = live.number;
                let mut progress = self.progress(number, ReplayPhase::CatchingUp);
                progress.trouble = Some(told(&error));
                if let Some(building) = &mut self.building
                    && let Some(reporter) = &mut building.reporter
                {
                    reporter.report(progress);
                }
                Err(error)
            }
        }
    }

    fn progress(&self, number: GenerationNumber, phase: ReplayPhase) -> ReplayProgress {
        match self.view.generation(number) {
            Some(live) => progress(&self.view.name, &live, phase, None),
            None => ReplayProgress {
                model: self.view.name.to_string(),
                generation: number,
                phase,
                events_done: 0,
                events_total: 0,
                events_per_second: 0.0,
                seconds_left: None,
                trouble: None,
            },
        }
    }
}

/// Takes stock of a generation; without the ends of the log, of what it has absorbed alone.
fn progress(model: &str, live: &Live, phase: ReplayPhase, ends: Option<&Ends>) -> ReplayProgress {
    let done = live.absorbed_events();
    let behind = ends.map_or(0, |ends| live.behind(ends));
    ReplayProgress {
        model: model.to_owned(),
        generation: live.number,
        phase,
        events_done: done,
        events_total: done + behind,
        events_per_second: 0.0,
        seconds_left: None,
        trouble: live.seen().trouble,
    }
}

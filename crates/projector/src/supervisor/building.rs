//! Bringing on the generation that is being built, and telling who asked for it.

use std::sync::Arc;

use foldline_tables::{Generation, GenerationNumber, GenerationState, SwitchError, TableError};
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant, timeout},
};

use super::{Supervisor, switching::Switched};
use crate::{
    Doing, ReplayError, ReplayEstimate, ReplayPhase, ReplayProgress,
    feeds::{self, Ends},
    live::Live,
    plan,
    projector::told,
    replay::Reporter,
};

/// How long the rows of the serving generation are counted at most, before a replay begins.
const ESTIMATE_MAX: Duration = Duration::from_secs(1);
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

    /// Forgets a generation that was being built and tells who waits for it what became of it: it
    /// may serve already, by a switch whose answer was lost, or by another process.
    pub(super) fn builds_no_more(&mut self, number: GenerationNumber, why: &str) {
        let this = |building: &mut Building| building.live.number == number;
        if let Some(Building { live, reporter, .. }) = self.building.take_if(this)
            && let Some(reporter) = reporter
        {
            if live.state() == GenerationState::Serving {
                return reporter.end(self.progress(number, ReplayPhase::Switched));
            }
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
            let generation = self.create_or_join().await.map_err(tables)?;
            self.take_up(&generation);
            self.builds(Some(generation.number));
        }
        let building = self.building.as_ref().expect("it was taken up just now");
        let live = Arc::clone(&building.live);
        if building.asked {
            return Err(ReplayError::AlreadyRunning {
                model: model.clone(),
                generation: live.number,
            });
        }
        let (mut reporter, reports) = Reporter::new();
        reporter.report(self.estimated(&live).await);
        let building = self.building.as_mut().expect("nobody else takes it");
        building.asked = true;
        building.reporter = Some(reporter);
        tracing::info!(view = %self.view.name, generation = %live.number, "a replay begins");
        Ok(reports)
    }

    /// Says what a replay has before it.
    async fn estimated(&self, live: &Live) -> ReplayProgress {
        let ends = feeds::ends(self.shared.log.as_ref()).await.ok();
        let phase = ReplayPhase::Estimating;
        let mut progress = progress(&self.view.name, live, phase, ends.as_ref());
        let mut estimate = ReplayEstimate {
            events: ends.map(|ends| live.behind(&ends)),
            serving: None,
            rows: None,
            bytes: None,
        };
        if let Some(serving) = self.view.serving() {
            let tables = self.shared.tables.as_ref();
            let size = timeout(ESTIMATE_MAX, serving.size(tables)).await;
            estimate.serving = Some(serving.number);
            (estimate.rows, estimate.bytes) = size.unwrap_or_default();
        }
        progress.estimate = Some(estimate);
        progress
    }

    /// Creates a generation; where another process has begun one by the same definition at the
    /// same moment, the older one is built by both.
    async fn create_or_join(&mut self) -> Result<Generation, TableError> {
        let (tables, model) = (Arc::clone(&self.shared.tables), self.view.model());
        let log_id = self.shared.log.topology().log_id;
        let own = tables.create(&model, log_id).await?;
        let mut listed = tables.generations(&self.view.name).await?;
        let begun = plan::begun(&listed, self.current(&model)).cloned();
        let begun = begun.unwrap_or_else(|| own.clone());
        if begun.number != own.number {
            let why = "another process has begun the same";
            self.discard(own.number, why, &mut listed).await;
        }
        Ok(begun)
    }

    /// Reports on the generation that is being built, and switches to it when it can serve.
    pub(super) async fn advance(&mut self) -> Result<(), SwitchError> {
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
        let leads = self.shared.share.leads();
        if leads && live.doing() == Doing::Following && Instant::now() >= building.switch_at {
            return self.try_switch(&live, &ends).await;
        }
        Ok(())
    }

    async fn try_switch(&mut self, live: &Arc<Live>, ends: &Ends) -> Result<(), SwitchError> {
        let switched = self.switch_to(live, ends).await;
        if let Some(building) = &mut self.building {
            building.switch_at = Instant::now() + SWITCH_PAUSE;
        }
        match switched {
            // Somebody else was first: the next look, which is due now, sees what there is to do.
            Ok(Switched::NotYet | Switched::Overtaken(_)) => Ok(()),
            Ok(Switched::Done) => {
                let settled = self.settle().await;
                self.builds_no_more(live.number, "it serves");
                Ok(settled?)
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
                estimate: None,
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
        trouble: live.trouble(),
        estimate: None,
    }
}

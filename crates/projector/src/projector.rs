//! Follows the log for one generation, for as long as it is wanted.

use std::sync::Arc;

use foldline_kernel::LaneSequence;
use foldline_read_model::Model;
use foldline_tables::{Absorbed, GenerationState, TableError, TableWriter};
use tokio::sync::watch;

use crate::{
    Doing, backoff::Backoff, care::Care, live::Live, parts::Shared, pipeline::Pipeline, stopping,
};

/// How often a projector that stands by looks before it tries again in any case.
const STAND_BY_LOOKS_MAX: usize = 120;

/// The projector of one generation.
pub(crate) struct Projector {
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: Arc<Live>,
    pub(crate) model: Arc<Model>,
    /// True once it is to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Why an attempt to follow ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It was asked to.
    Asked,
    /// The generation has been retired.
    Gone,
    /// Nothing but a person, or another binary, can make it go on.
    Stopped(String),
    /// Another projector moved a checkpoint.
    Fenced,
    /// A batch is to be read again in other portions.
    Again,
    /// Something is out of reach for now.
    Trouble(String),
}

impl From<TableError> for End {
    fn from(error: TableError) -> Self {
        match &error {
            TableError::NoGeneration { .. } => Self::Gone,
            TableError::Unavailable { .. } | TableError::Serves { .. } => {
                Self::Trouble(told(&error))
            }
            TableError::Corrupt { .. } => Self::Stopped(told(&error)),
        }
    }
}

/// Writes an error with its causes on one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Projector {
    /// Follows until it is told to stop, the generation is gone, or it cannot go on.
    pub(crate) async fn run(mut self) {
        let mut care = Care::default();
        let mut backoff = Backoff::up_to(self.shared.settings.retry_max);
        loop {
            let end = match self.begin().await {
                Ok((writer, absorbed)) => {
                    self.follow(writer, absorbed, &mut care, &mut backoff).await
                }
                Err(end) => end,
            };
            match end {
                End::Asked | End::Gone => return,
                End::Again => {}
                End::Stopped(reason) => return self.stops(reason),
                // A generation that has been retired refuses every commit, too.
                End::Fenced if self.is_gone().await => return,
                End::Fenced => {
                    self.live.steps_down();
                    tracing::warn!(view = %self.model.name, generation = %self.live.number,
                        "another projector is at work on this generation; standing by");
                    metrics::counter!("foldline_view_fenced_total", "view" => self.name())
                        .increment(1);
                    self.stand_by().await;
                }
                End::Trouble(reason) => {
                    tracing::warn!(view = %self.model.name, generation = %self.live.number,
                        reason, "cannot go on now; trying again");
                    self.live.retries(reason);
                    self.or_stop(backoff.pause()).await;
                }
            }
            if *self.stop.borrow() {
                return;
            }
        }
    }

    fn name(&self) -> String {
        self.model.name.to_string()
    }

    fn stops(&self, reason: String) {
        tracing::error!(view = %self.model.name, generation = %self.live.number, reason,
            "the read model has stopped");
        self.live.stops(reason);
    }

    async fn begin(&self) -> Result<(Box<dyn TableWriter>, Absorbed), End> {
        let tables = &self.shared.tables;
        let mut writer = tables.writer(&self.model, self.live.number).await?;
        let absorbed = writer.absorbed().await?;
        let ours = self.shared.log.topology().log_id;
        if absorbed.checkpoints.iter().any(|at| at.log_id != ours) {
            return Err(End::Stopped("its checkpoints are of another log".into()));
        }
        self.live.starts_from(&absorbed);
        if self.live.state() == GenerationState::Serving {
            // The attempt before this one may have ended before it could tell.
            (self.shared.notice)(&self.model.name);
        }
        Ok((writer, absorbed))
    }

    async fn follow(
        &mut self,
        writer: Box<dyn TableWriter>,
        absorbed: Absorbed,
        care: &mut Care,
        backoff: &mut Backoff,
    ) -> End {
        let loading = self.live.state() == GenerationState::Building;
        let doing = if loading {
            Doing::Loading
        } else {
            Doing::Following
        };
        self.live.set_doing(doing);
        let pipeline = Pipeline::begin(self, writer, &absorbed, care, loading);
        pipeline.run(&mut self.stop.clone(), backoff).await
    }

    /// Waits until the other projector has left the checkpoints alone for a while.
    ///
    /// It is as good as this one, so what it commits is passed on to who waits here; were both
    /// to go on, each would undo half of the other's work.
    async fn stand_by(&self) {
        let mut last = None;
        for _ in 0..STAND_BY_LOOKS_MAX {
            let pause = tokio::time::sleep(self.shared.settings.step_down);
            if self.or_stop(pause).await {
                return;
            }
            let Ok(absorbed) = self.look().await else {
                return;
            };
            let places: Vec<LaneSequence> = absorbed
                .checkpoints
                .iter()
                .map(|checkpoint| checkpoint.lane_sequence)
                .collect();
            if last.as_ref() == Some(&places) {
                return;
            }
            self.live.starts_from(&absorbed);
            (self.shared.notice)(&self.model.name);
            last = Some(places);
        }
    }

    async fn is_gone(&self) -> bool {
        matches!(self.look().await, Err(TableError::NoGeneration { .. }))
    }

    async fn look(&self) -> Result<Absorbed, TableError> {
        let tables = &self.shared.tables;
        let reader = tables.reader(&self.model, self.live.number).await?;
        reader.absorbed().await
    }

    /// Waits for something or for the stop, and tells whether it was the stop.
    async fn or_stop(&self, something: impl Future<Output = ()>) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = stopping::asked(&mut stop) => true,
            () = something => false,
        }
    }
}

//! Follows the log for one generation, for as long as it is wanted.

use std::{collections::BTreeSet, sync::Arc};

use foldline_kernel::{Checkpoint, Lane};
use foldline_read_model::Model;
use foldline_tables::{GenerationState, TableError};
use tokio::sync::watch;

use crate::{
    backoff::Backoff,
    care::Care,
    live::Live,
    parts::Shared,
    pipeline::{Begun, Pipeline},
    standing_by::StandingBy,
    stopping,
};

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
    /// Another projector moved the checkpoint of a lane.
    Fenced(Lane),
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
    pub(crate) async fn run(self) {
        let mut care = Care::default();
        let mut standing_by = StandingBy::default();
        let mut backoff = Backoff::up_to(self.shared.settings.retry_max);
        loop {
            let end = match self.begin().await {
                Ok(begun) => {
                    let loading = self.live.state() == GenerationState::Building;
                    let pipeline =
                        Pipeline::begin(&self, begun, &mut care, &mut standing_by, loading);
                    pipeline.run(&mut self.stop.clone(), &mut backoff).await
                }
                Err(end) => end,
            };
            self.live.follows_lanes(BTreeSet::new());
            match end {
                End::Asked | End::Gone => return,
                End::Again => {}
                End::Stopped(reason) => return self.stops(reason),
                End::Fenced(lane) => {
                    let down = self.step_down(lane, &mut standing_by).await;
                    // A generation that has been retired refuses every commit, too. What else is
                    // in the way stays there for the next attempt.
                    if let Err(TableError::NoGeneration { .. }) = down {
                        return;
                    }
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

    async fn begin(&self) -> Result<Begun, End> {
        // First, so that nobody who waits for the lanes finds the store as it was before.
        let mut holding = self.shared.share.hold();
        let lanes = holding.take_news().more;
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
        Ok(Begun {
            holding,
            lanes,
            writer,
            absorbed,
        })
    }

    /// Stands by on every lane in which another projector is at work, one of which is known.
    async fn step_down(&self, lane: Lane, standing_by: &mut StandingBy) -> Result<(), TableError> {
        let ours = self.live.seen().checkpoints;
        let absorbed = self.live.read(self.shared.tables.as_ref()).await;
        if !matches!(absorbed, Err(TableError::NoGeneration { .. })) {
            self.live.steps_down();
            tracing::warn!(view = %self.model.name, generation = %self.live.number, %lane,
                "another projector is at work on this lane; standing by");
            metrics::counter!("foldline_view_fenced_total", "view" => self.name()).increment(1);
        }
        standing_by.on(lane);
        let moved = |at: &&Checkpoint| {
            let known = ours.get(&at.lane).map(|known| known.lane_sequence);
            known.unwrap_or_default() != at.lane_sequence
        };
        for at in absorbed?.checkpoints.iter().filter(moved) {
            standing_by.on(at.lane);
        }
        Ok(())
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

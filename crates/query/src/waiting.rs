//! Answers that have absorbed what was asked for, or say within a bound that they cannot.

use std::time::Instant;

use foldline_kernel::{Position, Sequence};
use foldline_read_model::Model;
use foldline_tables::{Absorbed, Select, Selected, TableError};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::{Behind, QueryError, Settings, serving::Open};

/// What the queries that wait for one read model share.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// One place for each query that may wait at once.
    places: Semaphore,
    /// The last look at a checkpoint and when it began: those that wait together look once.
    looked: Mutex<Option<(foldline_tables::GenerationNumber, Instant, Absorbed)>>,
}

/// What ends a wait without rows.
pub(crate) enum Missed {
    Table(TableError),
    Behind(Vec<Behind>),
    TooMany,
}

impl From<TableError> for Missed {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl Missed {
    pub(crate) fn into_error(self, model: &str) -> QueryError {
        let model = model.to_owned();
        match self {
            Self::Table(error) => QueryError::of_table(&model, error),
            Self::Behind(behind) => QueryError::Behind { model, behind },
            Self::TooMany => QueryError::Unavailable {
                model,
                source: "too many queries wait for the read model to catch up".into(),
            },
        }
    }
}

impl Waiting {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            places: Semaphore::new(settings.waiting_max),
            looked: Mutex::default(),
        }
    }

    /// Selects rows as of these positions at least.
    pub(crate) async fn select(
        &self,
        open: &Open,
        select: &Select,
        at_least: &[Position],
        settings: &Settings,
        notice: Option<watch::Receiver<()>>,
    ) -> Result<Selected, Missed> {
        // Mostly it is there already, so the rows are read at once.
        let selected = open.reader.select(select).await?;
        if lacking(&selected.absorbed, at_least).is_empty() {
            return Ok(selected);
        }
        let _place = self.places.try_acquire().map_err(|_| Missed::TooMany)?;
        self.until(open, at_least, settings, notice).await?;
        Ok(open.reader.select(select).await?)
    }

    /// Waits until a generation has absorbed these positions.
    async fn until(
        &self,
        open: &Open,
        at_least: &[Position],
        settings: &Settings,
        mut notice: Option<watch::Receiver<()>>,
    ) -> Result<(), Missed> {
        let deadline = Instant::now() + settings.wait_max;
        loop {
            // First, so that a notice between the look and the wait is not missed.
            if let Some(notice) = &mut notice {
                notice.mark_unchanged();
            }
            let behind = lacking(&self.look(open).await?, at_least);
            if behind.is_empty() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Missed::Behind(behind));
            }
            // Woken by the projector where it lives in this process; else it is looked again.
            let pause = tokio::time::sleep(left.min(settings.look_again));
            match &mut notice {
                Some(changed) => tokio::select! {
                    told = changed.changed() => if told.is_err() { notice = None },
                    () = pause => {}
                },
                None => pause.await,
            }
        }
    }

    /// Reads the checkpoints, once for all that ask while they are read.
    async fn look(&self, open: &Open) -> Result<Absorbed, TableError> {
        let asked = Instant::now();
        let mut looked = self.looked.lock().await;
        if let Some((number, at, absorbed)) = looked.as_ref()
            && *number == open.number
            && *at >= asked
        {
            return Ok(absorbed.clone());
        }
        let at = Instant::now();
        let absorbed = open.reader.absorbed().await?;
        *looked = Some((open.number, at, absorbed.clone()));
        Ok(absorbed)
    }
}

/// Returns the positions that matter to a model: those of the contexts that feed it.
pub(crate) fn relevant(model: &Model, at_least: &[Position]) -> Vec<Position> {
    let feeds = |position: &&Position| model.source.contains(&position.context);
    at_least.iter().filter(feeds).cloned().collect()
}

/// Returns the positions that have not been absorbed.
fn lacking(absorbed: &Absorbed, at_least: &[Position]) -> Vec<Behind> {
    let behind = |asked: &Position| {
        let checkpoint = absorbed.lane(asked.partition);
        let sequence = checkpoint.map_or(Sequence::ZERO, |at| at.sequence(&asked.context));
        (sequence < asked.sequence).then(|| Behind {
            asked: asked.clone(),
            absorbed: Position {
                sequence,
                ..asked.clone()
            },
        })
    };
    at_least.iter().filter_map(behind).collect()
}

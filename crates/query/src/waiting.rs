//! Answers that have absorbed what was asked for. Whoever asks bounds the wait.

use std::time::{Duration, Instant};

use foldline_kernel::{Position, Sequence};
use foldline_read_model::Model;
use foldline_tables::{Absorbed, Select, Selected, TableError};
use tokio::sync::{Mutex, Semaphore};

use crate::{Behind, Notice, Settings, serving::Open};

/// What the queries that wait for one read model share.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// One place for each query that may wait at once.
    places: Semaphore,
    /// The last look at a checkpoint and when it began: those that wait together look once.
    looked: Mutex<Option<(foldline_tables::GenerationNumber, Instant, Absorbed)>>,
}

/// What is asked of one generation.
pub(crate) struct Question<'a> {
    pub(crate) open: &'a Open,
    pub(crate) select: Select,
    pub(crate) at_least: Vec<Position>,
    pub(crate) notice: &'a Notice,
    /// How many switches had been told of when the generation was chosen because it serves; `None`
    /// where a cursor names it.
    pub(crate) switches: Option<u64>,
    pub(crate) look_again: Duration,
}

impl Question<'_> {
    fn is_replaced(&self) -> bool {
        let now = self.notice.switches(&self.open.model.name);
        self.switches.is_some_and(|before| before != now)
    }
}

/// What ends a wait without rows.
pub(crate) enum Missed {
    Table(TableError),
    /// Another generation may serve by now.
    Replaced,
    TooMany,
}

impl From<TableError> for Missed {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl Waiting {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            places: Semaphore::new(settings.waiting_max),
            looked: Mutex::default(),
        }
    }

    /// Selects rows as of the positions asked for; `behind` always says what is missing, for
    /// whoever ends the wait.
    pub(crate) async fn select(
        &self,
        question: &Question<'_>,
        behind: &mut Vec<Behind>,
    ) -> Result<Selected, Missed> {
        let Question { open, select, .. } = question;
        // Mostly it is there already, so the rows are read at once.
        let mut selected = open.reader.select(select).await?;
        *behind = lacking(&selected.absorbed, &question.at_least);
        if !behind.is_empty() {
            let _place = self.places.try_acquire().map_err(|_| Missed::TooMany)?;
            self.until(question, behind).await?;
            selected = open.reader.select(select).await?;
        }
        // A generation that was replaced goes on by itself and may come to be ahead of the one
        // that replaced it: whoever saw such rows would see older ones next.
        if question.is_replaced() {
            return Err(Missed::Replaced);
        }
        Ok(selected)
    }

    /// Waits until a generation has absorbed the positions asked for.
    async fn until(&self, question: &Question<'_>, behind: &mut Vec<Behind>) -> Result<(), Missed> {
        let mut notice = question.notice.subscribe(&question.open.model.name);
        loop {
            // First, so that a notice between the look and the wait is not missed.
            if let Some(notice) = &mut notice {
                notice.mark_unchanged();
            }
            if question.is_replaced() {
                return Err(Missed::Replaced);
            }
            *behind = lacking(&self.look(question.open).await?, &question.at_least);
            if behind.is_empty() {
                return Ok(());
            }
            // Woken by the projector where it lives in this process; else it is looked again.
            let pause = tokio::time::sleep(question.look_again);
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

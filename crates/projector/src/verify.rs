//! Proves that a generation is what the log says, or names the rows that are not.
//!
//! A snapshot gives rows and checkpoints of one point, whatever is committed meanwhile; the log is
//! folded anew up to there, one event after another, with nothing of the projector's batching; both
//! are compared in the order of their keys, hidden columns included. Where the rows would not fit
//! in memory there are several passes over the same snapshot, each for the keys of one slice.
//!
//! A store without transactions has no such point: there every row says how far it is folded, and
//! is held against the fold up to there (`verify/dated.rs`).

mod compare;
mod dated;
mod pass;
mod reference;
mod report;

use std::sync::Arc;

use foldline_kernel::UserId;
use foldline_read_model::Model;
use foldline_tables::{GenerationNumber, Parked, TableError, TableReader, TableSnapshot};
use rustc_hash::FxHashMap;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
};

use crate::parts::Shared;
use pass::{Ended, Pass};
use reference::Slice;
pub use report::{
    ColumnDifference, Difference, DifferenceKind, VerifyPhase, VerifyProgress, VerifyReport,
};

/// How many reports may wait for who asked; newer ones are left out meanwhile.
const REPORTS_WAITING_MAX: usize = 4;
/// How often the slices are halved again because one held more rows than it may. Every slice takes
/// a pass over the log: more of them would take longer than a replay, which rights the table too.
const HALVINGS_MAX: u32 = 8;

/// What is verified.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// A generation; the serving one unless given.
    pub generation: Option<GenerationNumber>,
    /// Only about one row in so many. Everything about the events is checked all the same.
    pub one_in: Option<u32>,
}

/// A verification under way; dropping it ends it.
#[derive(Debug)]
pub struct Verification {
    progress: mpsc::Receiver<VerifyProgress>,
    task: JoinHandle<Result<VerifyReport, VerifyError>>,
}

/// Why a verification came to no result.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such read model here.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// There is no such generation, or none that serves yet.
    #[error("`{0}` has no such generation to verify")]
    NoGeneration(String),
    /// One of the same read model has not ended: each may hold many rows in memory.
    #[error("a verification of `{0}` is running already")]
    AlreadyRunning(String),
    /// The log makes far more rows than the table has, or made them on the way.
    #[error(
        "`{model}` cannot be verified in {passes} passes of {rows_max} rows each, so the log makes \
         far more rows than its table has: replay it and verify again, or raise `verify_rows_max`"
    )]
    TooManyRows {
        /// The read model.
        model: String,
        /// Into how many passes it was cut at last.
        passes: u32,
        /// How many rows a pass is meant to hold.
        rows_max: u64,
    },
    /// The table cannot be read.
    #[error("the table of `{model}` cannot be read")]
    Tables {
        /// The read model.
        model: String,
        /// Why.
        source: TableError,
    },
    /// The log cannot be read now.
    #[error("the log cannot be read to verify `{model}`")]
    Log {
        /// The read model.
        model: String,
        /// Why.
        source: Box<foldline_event_log::FollowError>,
    },
    /// The verification itself broke down.
    #[error("the verification of `{model}` broke down")]
    Broken {
        /// The read model.
        model: String,
        /// Why.
        source: tokio::task::JoinError,
    },
}

impl Verification {
    /// Waits for the next word of how far it is; none once it has ended.
    pub async fn next(&mut self) -> Option<VerifyProgress> {
        self.progress.recv().await
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`VerifyError`] where there is none; a difference is no error but in the report.
    pub async fn report(mut self) -> Result<VerifyReport, VerifyError> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(source) => Err(VerifyError::Broken {
                model: String::new(),
                source,
            }),
        }
    }
}

impl Drop for Verification {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins a verification.
pub(crate) fn begin(
    shared: Arc<Shared>,
    model: Arc<Model>,
    generation: GenerationNumber,
    options: VerifyOptions,
    turn: OwnedSemaphorePermit,
) -> Verification {
    let (out, progress) = mpsc::channel(REPORTS_WAITING_MAX);
    let verify = Verify {
        shared,
        model,
        generation,
        one_in: options.one_in.unwrap_or(1).max(1),
        _turn: turn,
        out,
    };
    let task = tokio::spawn(verify.run());
    Verification { progress, task }
}

/// One verification.
pub(crate) struct Verify {
    shared: Arc<Shared>,
    model: Arc<Model>,
    generation: GenerationNumber,
    one_in: u32,
    /// Given back before `out` closes, so that whoever saw the end may begin the next one.
    _turn: OwnedSemaphorePermit,
    out: mpsc::Sender<VerifyProgress>,
}

/// What the passes know of a user that the table holds back.
struct Held {
    parked: Parked,
    passes: u32,
    /// Some pass saw that the event cannot be applied.
    confirmed: bool,
}

impl Verify {
    async fn run(self) -> Result<VerifyReport, VerifyError> {
        let reader = self.shared.tables.reader(&self.model, self.generation);
        let reader = reader.await.map_err(|source| self.tables(source))?;
        let mut of = self.slices(reader.as_ref()).await?;
        let snapshot = reader.snapshot().await;
        let mut snapshot = snapshot.map_err(|source| self.tables(source))?;
        for halved in 0..=HALVINGS_MAX {
            if halved > 0 {
                of = of.saturating_mul(2);
            }
            if let Some(report) = self.passes(snapshot.as_mut(), of).await? {
                return Ok(report);
            }
        }
        Err(VerifyError::TooManyRows {
            model: self.model.name.to_string(),
            passes: self.passes_of(of),
            rows_max: self.shared.settings.verify_rows_max,
        })
    }

    /// Estimates how many slices keep each pass within its bound.
    async fn slices(&self, reader: &dyn TableReader) -> Result<u32, VerifyError> {
        let rows = reader.count().await.map_err(|source| self.tables(source))?;
        let most = self.shared.settings.verify_rows_max.max(1);
        let slices = u32::try_from(rows.div_ceil(most)).unwrap_or(u32::MAX);
        Ok(slices.max(self.one_in).max(1))
    }

    /// Counts the slices that are looked at.
    fn passes_of(&self, slices: u32) -> u32 {
        (slices / self.one_in).max(1)
    }

    /// Verifies slice after slice; none where one of them held too many rows.
    async fn passes(
        &self,
        snapshot: &mut dyn TableSnapshot,
        of: u32,
    ) -> Result<Option<VerifyReport>, VerifyError> {
        let mut report = VerifyReport::new(&self.model.name, self.generation);
        let mut held: FxHashMap<UserId, Held> = FxHashMap::default();
        let wanted = self.passes_of(of);
        for index in 0..wanted {
            let slice = Slice { index, of };
            let pass = Pass::new(self, slice, wanted);
            match pass.run(snapshot, &mut report).await? {
                Ended::TooManyRows => return Ok(None),
                Ended::Compared(parked) => note(&mut held, parked),
            }
        }
        // A sum may overflow in a slice that was not looked at.
        if wanted == of {
            for held in held.values().filter(|held| held.passes == of) {
                report.doubt(held);
            }
        }
        report.sampled = (self.one_in > 1).then_some(self.one_in);
        Ok(Some(report.ended()))
    }

    fn tables(&self, source: TableError) -> VerifyError {
        VerifyError::Tables {
            model: self.model.name.to_string(),
            source,
        }
    }

    fn log(&self, source: foldline_event_log::FollowError) -> VerifyError {
        VerifyError::Log {
            model: self.model.name.to_string(),
            source: Box::new(source),
        }
    }
}

fn note(held: &mut FxHashMap<UserId, Held>, parked: Vec<(Parked, bool)>) {
    for (parked, confirmed) in parked {
        let held = held.entry(parked.user).or_insert_with(|| Held {
            parked,
            passes: 0,
            confirmed: false,
        });
        held.passes += 1;
        held.confirmed |= confirmed;
    }
}

impl VerifyReport {
    fn doubt(&mut self, held: &Held) {
        if held.confirmed {
            return;
        }
        let Parked { user, position, .. } = &held.parked;
        self.problem(format!(
            "user {user} is held back from {position} on, though that event can be applied"
        ));
    }
}

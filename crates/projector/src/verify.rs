//! Proves that a generation is what the log says, or names the rows that are not.
//!
//! A snapshot gives rows and checkpoints of one point, whatever is committed meanwhile; the log is
//! folded anew up to there, one event after another, with nothing of the projector's batching; both
//! are compared in the order of their keys, hidden columns included. Where the rows would not fit
//! in memory there are several passes over the same snapshot, each for the keys of one slice.

mod compare;
mod pass;
mod reference;
mod report;

use std::sync::Arc;

use foldline_kernel::UserId;
use foldline_read_model::Model;
use foldline_tables::{GenerationNumber, Parked, TableError, TableReader, TableSnapshot};
use rustc_hash::FxHashMap;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::parts::Shared;
use pass::{Ended, Pass};
use reference::Slice;
pub use report::{
    ColumnDifference, Difference, DifferenceKind, VerifyPhase, VerifyProgress, VerifyReport,
};

/// How many reports may wait for who asked; newer ones are left out meanwhile.
const REPORTS_WAITING_MAX: usize = 4;
/// How often the slices are halved again because one held more rows than it may.
const HALVINGS_MAX: u32 = 12;

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
) -> Verification {
    let (out, progress) = mpsc::channel(REPORTS_WAITING_MAX);
    let verify = Verify {
        shared,
        model,
        generation,
        one_in: options.one_in.unwrap_or(1).max(1),
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
        for _ in 0..HALVINGS_MAX {
            match self.passes(snapshot.as_mut(), of, true).await? {
                Some(report) => return Ok(report),
                None => of *= 2,
            }
        }
        let report = self.passes(snapshot.as_mut(), of, false).await?;
        Ok(report.expect("without a bound every pass comes to its end"))
    }

    /// Estimates how many slices keep each pass within its bound.
    async fn slices(&self, reader: &dyn TableReader) -> Result<u32, VerifyError> {
        let rows = reader.count().await.map_err(|source| self.tables(source))?;
        let most = self.shared.settings.verify_rows_max.max(1);
        let slices = u32::try_from(rows.div_ceil(most)).unwrap_or(u32::MAX);
        Ok(slices.max(self.one_in).max(1))
    }

    /// Verifies slice after slice; none where one of them held too many rows.
    async fn passes(
        &self,
        snapshot: &mut dyn TableSnapshot,
        of: u32,
        bounded: bool,
    ) -> Result<Option<VerifyReport>, VerifyError> {
        let mut report = VerifyReport::new(&self.model.name, self.generation);
        let mut held: FxHashMap<UserId, Held> = FxHashMap::default();
        let wanted = (of / self.one_in).max(1);
        for index in 0..wanted {
            let slice = Slice { index, of };
            let pass = Pass::new(self, slice, wanted, bounded);
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

//! What a store says when it did not do what it was asked.

use foldline_kernel::Lane;
use foldline_read_model::RowKey;

use crate::GenerationNumber;

/// The source of an error, for logs.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The store cannot be reached or is busy; try again later.
    #[error("cannot {operation} now")]
    Unavailable {
        /// What was tried, such as `read the rows of order g3`.
        operation: String,
        /// Why.
        source: Source,
    },
    /// The generation is not there (any more): it has been retired.
    #[error("the read model `{model}` has no generation {generation}")]
    NoGeneration {
        /// The read model.
        model: String,
        /// The generation asked for.
        generation: GenerationNumber,
    },
    /// The generation serves, so it cannot be retired; switch to another one first.
    #[error("generation {generation} of the read model `{model}` serves")]
    Serves {
        /// The read model.
        model: String,
        /// The generation.
        generation: GenerationNumber,
    },
    /// What is stored breaks an invariant.
    #[error("cannot {operation}: {trouble}")]
    Corrupt {
        /// What was tried.
        operation: String,
        /// What is broken, and the way out.
        trouble: String,
    },
}

/// Why a generation was not switched to.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// Another one serves than the caller took for it: somebody else was first. Nothing was
    /// changed; look again, and decide anew.
    #[error("another generation of `{model}` serves by now: {}", named(*.serving))]
    Overtaken {
        /// The read model.
        model: String,
        /// The generation that serves.
        serving: Option<GenerationNumber>,
    },
    /// Whether it serves now is unknown; [`Tables::generations`](crate::Tables::generations)
    /// tells.
    #[error("the outcome of a switch of `{model}` is unknown")]
    Unknown {
        /// The read model.
        model: String,
        /// Why.
        source: Source,
    },
    /// Certainly nothing was changed.
    #[error(transparent)]
    Table(#[from] TableError),
}

fn named(serving: Option<GenerationNumber>) -> String {
    serving.map_or_else(|| "none".into(), |number| number.to_string())
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another writer has moved a checkpoint; step down.
    #[error("another projector has moved the checkpoint of lane {lane} of `{model}`")]
    Fenced {
        /// The read model.
        model: String,
        /// The lane.
        lane: Lane,
    },
    /// A sum leaves its range, or might: apply the events one by one; the one that still fails
    /// parks its user.
    #[error("a sum of `{model}` overflows: {overflow}")]
    Overflow {
        /// The read model.
        model: String,
        /// The row.
        key: RowKey,
        /// The column.
        overflow: foldline_read_model::Overflow,
    },
    /// Whether the batch was committed is unknown; [`absorbed`](crate::TableWriter::absorbed) tells.
    #[error("the outcome of a commit to `{model}` is unknown")]
    Unknown {
        /// The read model.
        model: String,
        /// Why.
        source: Source,
    },
    /// Certainly nothing was committed; try again.
    #[error("`{model}` takes no commit now")]
    Unavailable {
        /// The read model.
        model: String,
        /// Why.
        source: Source,
    },
}
